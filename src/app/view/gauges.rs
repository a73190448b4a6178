//! Gauges of what stands outside the engine: outboxes, the newest snapshot, readiness.
//!
//! Workers count for themselves; here their counts are read, and what has grown since is added.

use std::sync::atomic::Ordering;

use super::Shared;
use crate::api::View as _;
use crate::telemetry::metric::Label;

impl Shared {
    /// Gauges of what stands outside the engine.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
    pub fn set_gauges(&self) {
        let now = self.clock.now();
        for counters in self.counters() {
            let reading = counters.read();
            let name = || Label::configured(&reading.endpoint);
            self.metrics
                .outbox_depth
                .set([name()], reading.depth as f64);
            let age = reading
                .oldest
                .map_or(0.0, |at| (now - at).0.max(0) as f64 / 1000.0);
            self.metrics.outbox_age_seconds.set([name()], age);
            let mut told = self.told();
            let mut grown = |what: &'static str, value: u64| {
                let last = told
                    .last_faults
                    .entry((reading.endpoint.clone(), what))
                    .or_default();
                let grown = value.saturating_sub(*last);
                *last = value;
                grown
            };
            self.metrics
                .webhook_attempts
                .add([name()], grown("attempts", reading.attempts));
            let dropped = [
                ("expired", reading.expired),
                ("superseded", reading.coalesced),
                ("allow-list", reading.refused),
                ("given up", reading.dead),
            ];
            for (why, count) in dropped {
                let count = grown(why, count);
                if count > 0 {
                    self.metrics
                        .messages_dropped
                        .add([name(), why.into()], count);
                }
            }
            for (fault, count) in &reading.faults {
                let count = grown(fault, *count);
                if count > 0 {
                    self.metrics
                        .webhook_failures
                        .add([name(), (*fault).into()], count);
                }
            }
        }
        let saved = self.saved_at.load(Ordering::Relaxed);
        if saved > 0 {
            self.metrics
                .snapshot_age_seconds
                .set([], (now.0 - saved).max(0) as f64 / 1000.0);
        }
        self.metrics
            .ready
            .set([], f64::from(u8::from(self.ready().ready)));
    }
}
