//! What a replay amounts to: counts per detector, alerts per hour, what would have been contained,
//! and what of the input could not be read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use crate::app::pipeline::Intake;
use crate::cli::output::{Format, json_line};
use crate::engine::Stats;
use crate::engine::alert::Alert;
use crate::engine::detector::plan::Plan;
use crate::model::ids::Id;
use crate::model::{EventTime, Level};

/// More alerts in an hour than this from one detector is noise no one reads.
const NOISY_PER_HOUR: u64 = 12;
/// Detectors that are named for events without their group-by fields.
const KEYLESS_SHOWN: usize = 3;
const HOUR: i64 = 3_600_000;

#[derive(Debug)]
struct OfDetector {
    level: Level,
    alerts: u64,
    keys: BTreeSet<String>,
    first: EventTime,
    last: EventTime,
    /// Alerts by hour of event time.
    hours: BTreeMap<i64, u64>,
    /// Alerts of deadlines that lie beyond the last event.
    after_end: u64,
}

impl OfDetector {
    /// Alerts in the hour that has the most.
    fn busiest(&self) -> u64 {
        self.hours.values().copied().max().unwrap_or_default()
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Summary {
    detectors: BTreeMap<String, OfDetector>,
    dead: BTreeMap<&'static str, u64>,
    records: u64,
    bytes: u64,
    /// Per rule, events without a group-by field.
    keyless: Vec<u64>,
    ids: BTreeSet<Id>,
    /// The first and last event time of the input.
    span: Option<(i64, i64)>,
}

impl Summary {
    pub fn note_intake(&mut self, intake: &Intake) {
        self.records += intake.records();
        self.bytes += intake.bytes();
        for time in intake.routed.marks.iter().map(|m| m.time) {
            let (first, last) = self.span.unwrap_or((time, time));
            self.span = Some((first.min(time), last.max(time)));
        }
        let keyless = &intake.routed.keyless;
        self.keyless
            .resize(self.keyless.len().max(keyless.len()), 0);
        for (all, n) in self.keyless.iter_mut().zip(keyless) {
            *all += n;
        }
        for (_, letter) in &intake.dead {
            *self.dead.entry(letter.reason.name()).or_default() += 1;
        }
    }

    pub fn note_alert(&mut self, alert: &Alert) {
        if alert.revision > 0 || !self.ids.insert(alert.alert_id) {
            return;
        }
        let fresh = || OfDetector {
            level: alert.detector.level,
            alerts: 0,
            keys: BTreeSet::new(),
            first: alert.time,
            last: alert.time,
            hours: BTreeMap::new(),
            after_end: 0,
        };
        let entry = self
            .detectors
            .entry(alert.detector.name.clone())
            .or_insert_with(fresh);
        entry.alerts += 1;
        let is_after = self.span.is_some_and(|(_, last)| alert.time.0 > last);
        entry.after_end += u64::from(is_after);
        let hour = alert.time.0.div_euclid(HOUR);
        *entry.hours.entry(hour).or_default() += 1;
        entry.first = entry.first.min(alert.time);
        entry.last = entry.last.max(alert.time);
        if entry.keys.len() < 10_000 {
            entry.keys.insert(
                alert
                    .key
                    .0
                    .iter()
                    .map(|(_, v)| v.as_str())
                    .collect::<Vec<_>>()
                    .join(" "),
            );
        }
    }

    /// Says on standard error what could not be read.
    pub fn remark(&self) {
        if !self.dead.is_empty() {
            let list: Vec<String> = self
                .dead
                .iter()
                .map(|(reason, n)| format!("{n} {reason}"))
                .collect();
            super::remark(&format!(
                "tidegate: could not read some of {} records: {} (`tidegate explain` shows which)",
                self.records,
                list.join(", ")
            ));
        }
    }

    /// Alerts per hour of the input.
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    fn per_hour(&self, of: &OfDetector) -> f64 {
        let length = self.span.map_or(0, |(first, last)| last - first);
        of.alerts as f64 * HOUR as f64 / length.max(HOUR) as f64
    }

    /// Detectors by how many of the events they match have no key for them, the most first.
    fn without_key<'p>(&self, plan: &'p Plan) -> Vec<(&'p str, u64)> {
        let counts = plan.detectors.iter().filter_map(|d| {
            let n = self.keyless.get(d.rule).copied().filter(|n| *n > 0)?;
            Some((d.name.as_str(), n))
        });
        let mut counts: Vec<_> = counts.collect();
        counts.sort_by_key(|(name, n)| (Reverse(*n), *name));
        counts
    }

    fn json(&self, plan: &Plan, stats: &Stats, contained: &BTreeMap<String, u64>) -> Value {
        let detectors: BTreeMap<&String, Value> = self
            .detectors
            .iter()
            .map(|(name, d)| {
                let told = json!({
                    "alerts": d.alerts, "keys": d.keys.len(), "level": d.level,
                    "first": d.first, "last": d.last, "per_hour": self.per_hour(d),
                    "busiest_hour": d.busiest(), "noisy": d.busiest() > NOISY_PER_HOUR,
                    "after_end": d.after_end,
                });
                (name, told)
            })
            .collect();
        let counts = stats.counts;
        json!({
            "records": self.records, "events": counts.events, "late": counts.late,
            "duplicate": counts.duplicate, "missing_key": counts.keyless,
            "missing_key_of": self.without_key(plan).into_iter().collect::<BTreeMap<_, _>>(),
            "dead_letters": self.dead, "detectors": detectors, "suppressed": stats.suppressed,
            "contained": contained,
        })
    }

    pub fn print(
        &self,
        out: &mut impl Write,
        plan: &Plan,
        stats: &Stats,
        contained: &BTreeMap<String, u64>,
        form: Format,
    ) -> io::Result<()> {
        if form != Format::Human {
            return json_line(out, &self.json(plan, stats, contained));
        }
        writeln!(
            out,
            "{:<36} {:>8} {:>8} {:>8} {:>8}  {:<14} first .. last",
            "detector", "alerts", "keys", "an hour", "busiest", "level"
        )?;
        for (name, d) in &self.detectors {
            let (alerts, keys, level) = (d.alerts, d.keys.len(), d.level.name());
            let (rate, busiest) = (self.per_hour(d), d.busiest());
            writeln!(
                out,
                "{name:<36} {alerts:>8} {keys:>8} {rate:>8.1} {busiest:>8}  {level:<14} {} .. {}",
                d.first, d.last
            )?;
            if d.after_end > 0 {
                writeln!(
                    out,
                    "  {} judged after the end of the input (`--until`): an answer may have come later",
                    d.after_end
                )?;
            }
            if busiest > NOISY_PER_HOUR {
                writeln!(
                    out,
                    "  noise: more than {NOISY_PER_HOUR} in an hour are not read; raise a bound \
                     (`tidegate detectors tune {name}`), or lengthen `suppress`"
                )?;
            }
        }
        if self.detectors.is_empty() {
            writeln!(out, "nothing fired")?;
        }
        writeln!(out, "\nwould have been contained")?;
        for (what, n) in contained {
            writeln!(out, "  {n:>8} {what}")?;
        }
        if contained.is_empty() {
            writeln!(out, "  nothing")?;
        }
        let c = stats.counts;
        writeln!(
            out,
            "\n{} records, {} events, {} late, {} duplicate, {} without a group-by field, {} repeats held back",
            self.records, c.events, c.late, c.duplicate, c.keyless, stats.suppressed
        )?;
        let keyless = self.without_key(plan);
        for (name, n) in keyless.iter().take(KEYLESS_SHOWN) {
            writeln!(out, "  {n:>8} without a group-by field of {name}")?;
        }
        for (reason, n) in &self.dead {
            writeln!(out, "{n} dead letters: {reason}")?;
        }
        Ok(())
    }
}
