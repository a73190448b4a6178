//! Whether an endpoint is down: shut after a few failures in a row, probed with growing waits,
//! open again at the first success.
//!
//! Pure. While it is shut one message at a time is tried, so a dead endpoint costs one attempt per
//! wait and no more.

use crate::deliver::retry::Backoff;
use crate::model::{Span, WallTime};

/// Failures in a row after which the endpoint is taken to be down.
const FAILURES_MAX: u32 = 3;

/// The state of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    failures: u32,
    /// Set while it is down: when to probe again.
    probe_at: Option<WallTime>,
}

impl Outage {
    /// Whether the endpoint is taken to be down.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.probe_at.is_some()
    }

    /// How many messages may be under way.
    #[must_use]
    pub const fn concurrency(self, normal: usize) -> usize {
        if self.is_on() { 1 } else { normal }
    }

    /// Until when nothing is tried.
    #[must_use]
    pub fn holds(self, now: WallTime) -> Option<WallTime> {
        self.probe_at.filter(|at| *at > now)
    }

    /// The endpoint answered; tells whether it had been down.
    pub fn succeeded(&mut self) -> bool {
        let was = self.is_on();
        *self = Self::default();
        was
    }

    /// An attempt failed by the endpoint's fault. When the endpoint itself asks for a pause, it
    /// gets one at once.
    pub fn failed(&mut self, backoff: Backoff, asked: Option<Span>, salt: u64, now: WallTime) {
        // Attempts that were under way when it went down tell nothing new.
        if self.holds(now).is_some() && asked.is_none() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_MAX || asked.is_some() || self.is_on() {
            let probes = self.failures.saturating_sub(FAILURES_MAX - 1).max(1);
            let wait = backoff.wait(probes, salt);
            let pause = asked.map_or(wait, |asked| asked.max(wait));
            let until = now + pause;
            self.probe_at = Some(self.probe_at.map_or(until, |at| at.max(until)));
        }
    }
}
