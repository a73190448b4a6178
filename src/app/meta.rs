//! Alerts about tidegate itself: what keeps it from seeing is told like an attack, critical.
//!
//! They stand in the store and go out like any other alert. An id depends on what happened, not on
//! when it was noticed, so a restart does not tell it again.

use crate::engine::alert::{Alert, DetectorRef, Number, Pairs, Status, Window};
use crate::engine::detector::plan::Mode;
use crate::model::{EventTime, HashKey, Level, WallTime};
use crate::source::Halt;

/// How long one explosion of keys is one alert (ms).
const EXPLOSION_SLOT: i64 = 3_600_000;
/// How long an endpoint that is gone is one alert, however often it is tried again (ms).
const GONE_SLOT: i64 = 86_400_000;

const HALTED: &str = "tidegate-partition-halted";
const EXPLODED: &str = "tidegate-key-explosion";
const GONE: &str = "tidegate-endpoint-gone";

/// Whether an alert is one of these, and of no detector.
#[must_use]
pub fn is_own(of: &DetectorRef) -> bool {
    [HALTED, EXPLODED, GONE].contains(&of.id.as_str())
}

/// Whether such an alert tells of a moment, and no close follows it; a partition that stands still is open
/// until somebody decides.
#[must_use]
pub fn is_moment(of: &DetectorRef) -> bool {
    [EXPLODED, GONE].contains(&of.id.as_str())
}

/// A partition whose log no longer holds what comes next, or holds what cannot be read: it is not read
/// until an operator decides.
#[must_use]
pub fn partition_halted(
    key: &HashKey,
    (topic, partition): (&str, i32),
    next: i64,
    cause: Halt,
    now: WallTime,
) -> Alert {
    let number = partition.to_string();
    let place = [topic, &number, &next.to_string()].join("/");
    let mut alert = alert(key, HALTED, &place, now);
    alert.key = pairs(&[("source", topic), ("partition", &number)]);
    #[expect(clippy::cast_precision_loss, reason = "an offset to be read by people")]
    let next_shown = next as f64;
    alert.observed = Pairs(vec![("next_offset".to_owned(), Number(next_shown))]);
    let what = if cause.is_there() {
        cause.to_string()
    } else {
        format!("what comes at offset {next} is lost ({cause})")
    };
    alert.summary = format!(
        "{topic}/{partition} is no longer read: {what}; decide whether to go on without it"
    );
    alert
}

/// Whether an alert is one that this partition stands still.
#[must_use]
pub fn is_halt_of(alert: &Alert, (topic, partition): (&str, i32)) -> bool {
    let number = partition.to_string();
    alert.detector.id == HALTED && alert.key == pairs(&[("source", topic), ("partition", &number)])
}

/// A detector lost keys to the memory budget: somebody makes keys faster than they are worth.
#[must_use]
pub fn key_explosion(key: &HashKey, detector: &str, evicted: u64, now: WallTime) -> Alert {
    let slot = now.0.div_euclid(EXPLOSION_SLOT).to_string();
    let mut alert = alert(key, EXPLODED, &[detector, &slot].join("/"), now);
    alert.key = pairs(&[("detector", detector)]);
    #[expect(clippy::cast_precision_loss, reason = "a count to be read by people")]
    let shown = evicted as f64;
    alert.observed = Pairs(vec![("evicted".to_owned(), Number(shown))]);
    alert.summary = format!(
        "{detector} lost {evicted} keys to its memory bound; keys of weight stay, but raise \
         engine.memory or narrow its group-by"
    );
    alert
}

/// An endpoint has answered 410: nothing more is sent to it in this life, so the others must tell.
#[must_use]
pub fn endpoint_gone(key: &HashKey, endpoint: &str, now: WallTime) -> Alert {
    let slot = now.0.div_euclid(GONE_SLOT).to_string();
    let mut alert = alert(key, GONE, &[endpoint, &slot].join("/"), now);
    alert.key = pairs(&[("endpoint", endpoint)]);
    alert.summary = format!(
        "{endpoint} has answered 410 (gone): nothing more is sent to it until a restart; bring it back, \
         or take it out of the configuration"
    );
    alert
}

fn alert(key: &HashKey, name: &str, what: &str, now: WallTime) -> Alert {
    let at = EventTime(now.0);
    Alert {
        alert_id: key.digest(&[name.as_bytes(), what.as_bytes()]),
        revision: 0,
        status: Status::Open,
        detector: DetectorRef {
            id: name.to_owned(),
            name: name.to_owned(),
            version: 1,
            level: Level::Critical,
        },
        time: at,
        key: Pairs::default(),
        observed: Pairs::default(),
        bound: Pairs::default(),
        window: Window { start: at, end: at },
        first: at,
        last: at,
        events: 0,
        error: None,
        summary: String::new(),
        mode: Mode::Alert,
        tags: Vec::new(),
        runbook: Some("docs/operations.md".to_owned()),
        actions: Vec::new(),
        positions: Vec::new(),
        peak: Number(0.0),
        context: Pairs::default(),
        suppressed: 0,
        silenced: None,
    }
}

fn pairs(list: &[(&str, &str)]) -> Pairs<String> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Pairs(list.iter().map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noticed_again_is_the_same_alert() {
        let key = HashKey::fixed();
        let halted =
            |next, now| partition_halted(&key, ("t", 3), next, Halt::OutOfRange, WallTime(now));
        assert_eq!(halted(7, 1).alert_id, halted(7, 99).alert_id);
        assert_ne!(halted(7, 1).alert_id, halted(8, 1).alert_id);
        let explosion = |now| key_explosion(&key, "d", 500, WallTime(now)).alert_id;
        assert_eq!(explosion(1), explosion(EXPLOSION_SLOT - 1));
        assert_ne!(explosion(1), explosion(EXPLOSION_SLOT));
        let gone = |now| endpoint_gone(&key, "soc", WallTime(now)).alert_id;
        assert_eq!(gone(1), gone(GONE_SLOT - 1));
        assert_ne!(gone(1), gone(GONE_SLOT));
    }
}
