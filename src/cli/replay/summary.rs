//! What a replay amounts to: counts per detector, alerts per hour, what would have been contained,
//! and what of the input could not be read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::json;

use crate::app::pipeline::Intake;
use crate::cli::output::{Format, json_line};
use crate::engine::Stats;
use crate::engine::alert::Alert;
use crate::model::ids::Id;
use crate::model::{EventTime, Level};

/// More alerts an hour than this from one detector is noise no one reads.
const NOISY_PER_HOUR: f64 = 12.0;

#[derive(Debug)]
struct OfDetector {
    level: Level,
    alerts: u64,
    keys: BTreeSet<String>,
    first: EventTime,
    last: EventTime,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Summary {
    detectors: BTreeMap<String, OfDetector>,
    dead: BTreeMap<&'static str, u64>,
    records: u64,
    bytes: u64,
    ids: BTreeSet<Id>,
}

impl Summary {
    pub fn note_intake(&mut self, intake: &Intake) {
        self.records += intake.records();
        self.bytes += intake.bytes();
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
        };
        let entry = self
            .detectors
            .entry(alert.detector.name.clone())
            .or_insert_with(fresh);
        entry.alerts += 1;
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

    pub fn print(
        &self,
        out: &mut impl Write,
        stats: &Stats,
        contained: &BTreeMap<String, u64>,
        form: Format,
    ) -> io::Result<()> {
        if form != Format::Human {
            let detectors: BTreeMap<&String, serde_json::Value> = self
                .detectors
                .iter()
                .map(|(n, d)| (n, json!({"alerts": d.alerts, "keys": d.keys.len(), "level": d.level, "first": d.first, "last": d.last})))
                .collect();
            let counts = stats.counts;
            return json_line(
                out,
                &json!({
                    "records": self.records, "events": counts.events, "late": counts.late,
                    "duplicate": counts.duplicate, "missing_key": counts.keyless,
                    "dead_letters": self.dead, "detectors": detectors, "suppressed": stats.suppressed,
                    "contained": contained,
                }),
            );
        }
        writeln!(
            out,
            "{:<36} {:>8} {:>8}  {:<14} first .. last",
            "detector", "alerts", "keys", "level"
        )?;
        for (name, d) in &self.detectors {
            let (alerts, keys, level) = (d.alerts, d.keys.len(), d.level.name());
            writeln!(
                out,
                "{name:<36} {alerts:>8} {keys:>8}  {level:<14} {} .. {}",
                d.first, d.last
            )?;
            #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
            let per_hour =
                d.alerts as f64 * 3_600_000.0 / ((d.last - d.first).0.max(3_600_000) as f64);
            if per_hour > NOISY_PER_HOUR {
                writeln!(
                    out,
                    "{:<36} {per_hour:>8.1} an hour: raise a bound or lengthen `suppress`",
                    "  noisy:"
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
        for (reason, n) in &self.dead {
            writeln!(out, "{n} dead letters: {reason}")?;
        }
        Ok(())
    }
}
