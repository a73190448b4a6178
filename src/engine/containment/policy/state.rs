//! What the policy remembers: active and waiting actions, and a small journal of what was spent.
//!
//! Owns the memory, not the rules. All of it is stored with each plan (`journal` as one row, each
//! record as its own), so a restart goes on where the last commit stood. Its size is bounded by the
//! budgets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::containment::{Action, Phase, Record, Target, Verb};
use crate::model::ids::Id;
use crate::model::{Span, WallTime};

/// At most one active action stands on each.
pub type Slot = (Target, Verb);

/// The memory of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    pub(super) active: BTreeMap<Slot, Record>,
    pub(super) pending: BTreeMap<Slot, Record>,
    pub(super) journal: Journal,
}

/// The part of the memory that is stored as one row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The `seq` given last. One counter for all targets, so it rises on each of them, and a
    /// reader of the stream can tell by it what it has seen.
    seq: u64,
    /// When real and simulated actions were issued, for the last minute.
    spent: Vec<WallTime>,
    spent_simulated: Vec<WallTime>,
    /// Who asked to disable which flow.
    opinions: Vec<(Target, Vec<Opinion>)>,
    /// What humans took back, and until when it stays so.
    holds: Vec<(Target, Verb, WallTime)>,
}

/// One detector's vote for the kill-switch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    pub detector: String,
    pub alert: Id,
    pub at: WallTime,
}

/// Most flows on which votes are remembered; votes on more of them need a human.
const OPINIONS_MAX: usize = 1000;
/// Most slots that humans hold at once; the oldest is forgotten beyond.
const HOLDS_MAX: usize = 10_000;

impl Journal {
    pub(super) fn next_seq(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// The `seq` given last.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }
}

impl State {
    /// The state as it was stored: the journal, and every record that is active or waits.
    #[must_use]
    pub fn restore(journal: Journal, records: Vec<Record>) -> Self {
        let mut state = Self {
            journal,
            ..Self::default()
        };
        for record in records {
            let slot = (record.action.target.clone(), record.action.verb);
            // Rows and journal are of one commit, but a wrong seq must never be given twice.
            state.journal.seq = state.journal.seq.max(record.action.seq);
            match record.phase {
                Phase::Active => state.active.insert(slot, record),
                Phase::PendingApproval => state.pending.insert(slot, record),
                Phase::Superseded | Phase::Reverted | Phase::Expired | Phase::Denied => None,
            };
        }
        state
    }

    /// What is stored as one row with each plan.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Every active action, in the order of targets.
    pub fn active(&self) -> impl Iterator<Item = &Record> {
        self.active.values()
    }

    /// Every action that waits for approval.
    pub fn pending(&self) -> impl Iterator<Item = &Record> {
        self.pending.values()
    }

    /// When the next action ends, active or waiting.
    #[must_use]
    pub fn next_end(&self) -> Option<WallTime> {
        self.active
            .values()
            .chain(self.pending.values())
            .map(|r| r.action.expires_at)
            .min()
    }

    pub(super) fn next_seq(&mut self) -> u64 {
        self.journal.next_seq()
    }

    pub(super) fn spend(&mut self, now: WallTime, simulated: bool) {
        let times = if simulated {
            &mut self.journal.spent_simulated
        } else {
            &mut self.journal.spent
        };
        times.retain(|at| within(*at, now, Span::minutes(1)));
        times.push(now);
    }

    pub(super) fn spent_within(&self, span: Span, simulated: bool, now: WallTime) -> u32 {
        let times = if simulated {
            &self.journal.spent_simulated
        } else {
            &self.journal.spent
        };
        let count = times.iter().filter(|at| within(**at, now, span)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    pub(super) fn active_count(&self, verb: Verb, simulated: bool) -> u32 {
        let same = |r: &&Record| r.action.verb == verb && r.action.simulated == simulated;
        u32::try_from(self.active.values().filter(same).count()).unwrap_or(u32::MAX)
    }

    /// The active action that makes a weaker one on the same target needless.
    pub(super) fn stronger(&self, verb: Verb, target: &Target, simulated: bool) -> Option<Id> {
        let strength = verb.strength()?;
        self.on(target)
            .filter(|r| simulated || !r.action.simulated)
            .find(|r| r.action.verb.strength().is_some_and(|s| s > strength))
            .map(|r| r.action.action_id)
    }

    fn on<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Record> {
        self.active
            .range((target.clone(), Verb::Throttle)..)
            .take_while(move |((t, _), _)| t == target)
            .map(|(_, r)| r)
    }

    /// Takes out what the new action replaces on its target: weaker ones, and the same verb.
    pub(super) fn take_weaker(&mut self, new: &Action) -> Vec<Record> {
        let mut replaced: Vec<&Record> = self
            .on(&new.target)
            .filter(|r| r.action.simulated || !new.simulated)
            .filter(|r| {
                r.action.verb == new.verb
                    || r.action
                        .verb
                        .strength()
                        .is_some_and(|s| Some(s) < new.verb.strength())
            })
            .collect();
        // The last one is named in `supersedes`: an enforced one, if there is one.
        replaced.sort_by_key(|r| !r.action.simulated);
        let slots: Vec<Slot> = replaced
            .iter()
            .map(|r| (r.action.target.clone(), r.action.verb))
            .collect();
        slots
            .iter()
            .filter_map(|slot| self.active.remove(slot))
            .collect()
    }

    /// Counts a vote and tells how many different detectors agree within the time.
    pub(super) fn agree(
        &mut self,
        target: &Target,
        opinion: Opinion,
        span: Span,
        now: WallTime,
    ) -> usize {
        let all = &mut self.journal.opinions;
        let at = match all.iter().position(|(t, _)| t == target) {
            Some(at) => at,
            None if all.len() >= OPINIONS_MAX => return 1,
            None => {
                all.push((target.clone(), Vec::new()));
                all.len() - 1
            }
        };
        let Some((_, votes)) = all.get_mut(at) else {
            return 1;
        };
        votes.retain(|v| within(v.at, now, span) && v.detector != opinion.detector);
        votes.push(opinion);
        votes.len()
    }

    pub(super) fn hold(&mut self, slot: Slot, until: WallTime) {
        let holds = &mut self.journal.holds;
        holds.retain(|(target, verb, _)| *target != slot.0 || *verb != slot.1);
        if holds.len() >= HOLDS_MAX {
            holds.remove(0);
        }
        holds.push((slot.0, slot.1, until));
    }

    pub(super) fn is_held(&self, slot: &Slot, now: WallTime) -> bool {
        self.journal
            .holds
            .iter()
            .any(|(target, verb, until)| *target == slot.0 && *verb == slot.1 && now < *until)
    }

    pub(super) fn prune(&mut self, now: WallTime, opinions_for: Span) {
        let journal = &mut self.journal;
        journal.holds.retain(|(_, _, until)| now < *until);
        for (_, votes) in &mut journal.opinions {
            votes.retain(|v| within(v.at, now, opinions_for));
        }
        journal.opinions.retain(|(_, votes)| !votes.is_empty());
        journal
            .spent
            .retain(|at| within(*at, now, Span::minutes(1)));
        journal
            .spent_simulated
            .retain(|at| within(*at, now, Span::minutes(1)));
    }
}

/// Takes out every record that meets the condition, in the order of targets.
pub(super) fn take(
    records: &mut BTreeMap<Slot, Record>,
    condition: impl Fn(&Record) -> bool,
) -> Vec<Record> {
    let slots: Vec<Slot> = records
        .iter()
        .filter(|(_, r)| condition(r))
        .map(|(slot, _)| slot.clone())
        .collect();
    slots
        .iter()
        .filter_map(|slot| records.remove(slot))
        .collect()
}

/// Whether the two moments are less than `span` apart; a clock set back counts as well.
fn within(at: WallTime, now: WallTime, span: Span) -> bool {
    (now - at).0.abs() < span.0
}

impl Record {
    /// Most alerts and detectors an action names: an attacker must not make it grow.
    const REASONS_MAX: usize = 32;

    pub(super) fn join(&mut self, alert: Id, detector: &str) {
        let alerts = &mut self.action.reason.alerts;
        if alerts.len() < Self::REASONS_MAX && !alerts.contains(&alert) {
            alerts.push(alert);
        }
        if self.detectors.len() < Self::REASONS_MAX && !self.detectors.iter().any(|d| d == detector)
        {
            self.detectors.push(detector.to_owned());
        }
    }
}
