//! Containment decided but not carried out: what `replay` and `test` say would have been done.
//!
//! The same policy as the daemon's with its defaults, in memory, at event time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::alert::Alert;
use crate::engine::containment::policy::{Policy, Settings, State};
use crate::engine::detector::plan::Plan;
use crate::model::{HashKey, WallTime};

/// See the module's text.
pub struct Rehearsal {
    policy: Option<Policy>,
    state: State,
    plan: Arc<Plan>,
    /// Per verb and scope: how many actions would have been taken.
    counts: BTreeMap<String, u64>,
}

impl Rehearsal {
    #[must_use]
    pub fn new(plan: Arc<Plan>, key: &HashKey) -> Self {
        // The defaults are without fault; a test of theirs says so.
        let policy = Policy::new(Settings::default(), key).ok();
        Self {
            policy,
            state: State::default(),
            plan,
            counts: BTreeMap::new(),
        }
    }

    /// Decides about an alert and writes the ids of its actions into it.
    pub fn decide(&mut self, alert: &mut Alert) {
        let detector = self
            .plan
            .detectors
            .iter()
            .find(|d| d.id == alert.detector.id);
        let (Some(policy), Some(detector)) = (&self.policy, detector) else {
            return;
        };
        if detector.respond.is_empty() {
            return;
        }
        let now = WallTime(alert.last.0.max(alert.time.0));
        let _ended = policy.tick(&mut self.state, now);
        let plan = policy.decide(&mut self.state, alert, detector, now);
        alert.actions = plan.actions().to_vec();
        for change in plan.changes() {
            let action = &change.record.action;
            let what = format!("{} {}", action.verb.name(), action.target.scope.name());
            *self.counts.entry(what).or_default() += u64::from(change.step.is_first());
        }
    }

    #[must_use]
    pub const fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }
}
