//! What an endpoint's worker counts, as plain atomics: the app turns them into metrics.
//!
//! Owns numbers only, no names of metrics. Reading never waits for a worker.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

use super::sink::Fault;
use crate::engine::outbox::Verdict;
use crate::model::WallTime;

/// The counters of one endpoint.
#[derive(Debug)]
pub struct Counters {
    endpoint: String,
    attempts: AtomicU64,
    faults: [AtomicU64; Fault::ALL.len()],
    delivered: AtomicU64,
    expired: AtomicU64,
    coalesced: AtomicU64,
    refused: AtomicU64,
    dead: AtomicU64,
    depth: AtomicU64,
    /// Milliseconds since the epoch; `i64::MAX` when nothing waits.
    oldest: AtomicI64,
    down: AtomicBool,
    disabled: AtomicBool,
}

/// All counters of an endpoint as they were at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub endpoint: String,
    pub attempts: u64,
    /// Failed attempts by fault, in the order of `Fault::ALL`.
    pub faults: Vec<(&'static str, u64)>,
    pub delivered: u64,
    pub expired: u64,
    pub coalesced: u64,
    /// Refused because the target is on the allow-list.
    pub refused: u64,
    /// Given up.
    pub dead: u64,
    /// Messages that wait.
    pub depth: u64,
    /// When the oldest of them was made.
    pub oldest: Option<WallTime>,
    pub down: bool,
    /// The endpoint said it is gone.
    pub disabled: bool,
}

impl Counters {
    /// All at zero.
    #[must_use]
    pub fn new(endpoint: &str) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            attempts: AtomicU64::new(0),
            faults: Default::default(),
            delivered: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            coalesced: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            dead: AtomicU64::new(0),
            depth: AtomicU64::new(0),
            oldest: AtomicI64::new(i64::MAX),
            down: AtomicBool::new(false),
            disabled: AtomicBool::new(false),
        }
    }

    pub(super) fn attempted(&self, fault: Option<Fault>) {
        self.attempts.fetch_add(1, Relaxed);
        let counter = fault.and_then(|fault| self.faults.get(fault.index()));
        if let Some(counter) = counter {
            counter.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn settled(&self, verdict: &Verdict) {
        let counter = match verdict {
            Verdict::Delivered => &self.delivered,
            Verdict::Expired => &self.expired,
            Verdict::Coalesced(_) => &self.coalesced,
            Verdict::Refused(_) => &self.refused,
            Verdict::Dead(_) => &self.dead,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(super) fn waiting(&self, depth: u64, oldest: Option<WallTime>) {
        self.depth.store(depth, Relaxed);
        self.oldest.store(oldest.map_or(i64::MAX, |t| t.0), Relaxed);
    }

    pub(super) fn state(&self, down: bool, disabled: bool) {
        self.down.store(down, Relaxed);
        self.disabled.store(disabled, Relaxed);
    }

    /// All of them now.
    #[must_use]
    pub fn read(&self) -> Reading {
        let faults = Fault::ALL
            .iter()
            .map(|f| {
                (
                    f.name(),
                    self.faults.get(f.index()).map_or(0, |c| c.load(Relaxed)),
                )
            })
            .collect();
        let oldest = self.oldest.load(Relaxed);
        Reading {
            endpoint: self.endpoint.clone(),
            attempts: self.attempts.load(Relaxed),
            faults,
            delivered: self.delivered.load(Relaxed),
            expired: self.expired.load(Relaxed),
            coalesced: self.coalesced.load(Relaxed),
            refused: self.refused.load(Relaxed),
            dead: self.dead.load(Relaxed),
            depth: self.depth.load(Relaxed),
            oldest: (oldest != i64::MAX).then_some(WallTime(oldest)),
            down: self.down.load(Relaxed),
            disabled: self.disabled.load(Relaxed),
        }
    }
}
