//! Which message of one endpoint goes next, and what becomes of it: the worker's whole judgement.
//!
//! Pure: messages, outcomes and times come in, picks and verdicts go out. Messages of one lane
//! never overtake one another; while the endpoint is down a single probe at a time finds out when
//! it is back, and a later message of a slot takes the place of an earlier one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::retry::{Backoff, mix};
use super::sink::{Failure, Fault, Outcome};
use crate::engine::outbox::{Concern, Message, Settled, Verdict};
use crate::model::{Span, WallTime};

mod outage;

pub use outage::Outage;

/// A message waits this long before a later one of its slot may take its place.
const COALESCE_AFTER: Span = Span::seconds(30);

/// How one endpoint's messages are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub backoff: Backoff,
    /// Failures of a message while the endpoint is up, after which it is given up.
    pub attempts_max: u32,
    /// Age at which a message is given up.
    pub age_max: Span,
    /// Messages under way at once.
    pub concurrency: usize,
}

/// Tells why a target must not be acted on, if it must not.
pub type Refuse<'a> = dyn Fn(&Concern) -> Option<String> + 'a;

/// What the worker is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pick {
    /// Send this one; `sent` takes its outcome.
    Send(Arc<Message>),
    /// Nothing now; look again at this time, or when something else happens.
    Wait(Option<WallTime>),
}

#[derive(Clone, Debug)]
struct Entry {
    message: Arc<Message>,
    /// Attempts so far.
    attempts: u32,
    /// Failures that count against the message itself.
    faults: u32,
    not_before: WallTime,
    under_way: bool,
}

/// The messages of one endpoint that are in memory.
#[derive(Debug)]
pub struct Queue {
    rules: Rules,
    seed: u64,
    entries: BTreeMap<u64, Entry>,
    lanes: BTreeMap<String, VecDeque<u64>>,
    /// The first of each lane that is not under way, by when it may go.
    ready: BTreeSet<(WallTime, u64)>,
    under_way: usize,
    last_accepted: u64,
    outage: Outage,
    disabled: bool,
    settled: Vec<Settled>,
}

impl Queue {
    /// An empty queue; `seed` scatters the waits.
    #[must_use]
    pub fn new(rules: Rules, seed: u64) -> Self {
        Self {
            rules,
            seed,
            entries: BTreeMap::new(),
            lanes: BTreeMap::new(),
            ready: BTreeSet::new(),
            under_way: 0,
            last_accepted: 0,
            outage: Outage::default(),
            disabled: false,
            settled: Vec::new(),
        }
    }

    /// Messages in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Messages under way.
    #[must_use]
    pub const fn under_way(&self) -> usize {
        self.under_way
    }

    /// The highest number accepted: where to load on.
    #[must_use]
    pub const fn last_accepted(&self) -> u64 {
        self.last_accepted
    }

    /// Whether the endpoint said it is gone (410).
    #[must_use]
    pub const fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// Whether the endpoint is taken to be down.
    #[must_use]
    pub const fn is_down(&self) -> bool {
        self.outage.is_on()
    }

    /// When the oldest message in memory was made.
    #[must_use]
    pub fn oldest(&self) -> Option<WallTime> {
        self.entries
            .values()
            .next()
            .map(|e| e.message.draft.created_at)
    }

    /// Takes in messages as loaded, in the order of their numbers.
    pub fn accept(&mut self, messages: Vec<Message>) {
        for message in messages {
            let number = message.number;
            if number <= self.last_accepted {
                continue;
            }
            self.last_accepted = number;
            let not_before = WallTime(i64::MIN);
            let lane = self.lanes.entry(message.draft.lane.clone()).or_default();
            lane.push_back(number);
            if lane.len() == 1 {
                self.ready.insert((not_before, number));
            }
            let message = Arc::new(message);
            let entry = Entry {
                message,
                attempts: 0,
                faults: 0,
                not_before,
                under_way: false,
            };
            self.entries.insert(number, entry);
        }
    }

    /// Lets go of the alerts up to this number: they have left a full outbox for newer ones.
    pub fn give_way(&mut self, up_to: u64) {
        let old = self.entries.range(..=up_to);
        let old = old.filter(|(_, e)| e.message.draft.slot.is_none() && !e.under_way);
        let old: Vec<u64> = old.map(|(number, _)| *number).collect();
        for number in old {
            self.take_out(number);
        }
    }

    /// What to do next. `refuse` tells why a target must not be acted on, if it must not.
    pub fn next(&mut self, now: WallTime, refuse: &Refuse<'_>) -> Pick {
        while !self.disabled {
            if self.under_way >= self.outage.concurrency(self.rules.concurrency) {
                return Pick::Wait(None);
            }
            if let Some(until) = self.outage.holds(now) {
                return Pick::Wait(Some(until));
            }
            let Some((not_before, number)) = self.ready.first().copied() else {
                break;
            };
            // In an outage the probe does not wait for its own turn: the outage paces it.
            if not_before > now && !self.outage.is_on() {
                return Pick::Wait(Some(not_before));
            }
            if let Some(verdict) = self.verdict(number, now, Some(refuse)) {
                self.settle(number, verdict, now);
                continue;
            }
            self.ready.pop_first();
            let Some(entry) = self.entries.get_mut(&number) else {
                continue;
            };
            entry.under_way = true;
            entry.attempts = entry.attempts.saturating_add(1);
            self.under_way += 1;
            return Pick::Send(Arc::clone(&entry.message));
        }
        Pick::Wait(None)
    }

    /// Takes the outcome of an attempt.
    pub fn sent(&mut self, number: u64, outcome: &Outcome, now: WallTime) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        entry.under_way = false;
        self.under_way = self.under_way.saturating_sub(1);
        match outcome {
            Outcome::Delivered => {
                if self.outage.succeeded() {
                    self.hurry(now);
                }
                self.settle(number, Verdict::Delivered, now);
            }
            Outcome::Failed(failure) => self.failed(number, failure, now),
        }
    }

    fn failed(&mut self, number: u64, failure: &Failure, now: WallTime) {
        if failure.fault == Fault::Gone {
            self.disabled = true;
        }
        let blames_message = failure.fault.blames_message();
        if blames_message {
            // The endpoint answered, so it is up.
            if self.outage.succeeded() {
                self.hurry(now);
            }
        } else {
            let salt = mix(self.seed ^ number);
            self.outage
                .failed(self.rules.backoff, failure.retry_after, salt, now);
        }
        let down = self.outage.is_on();
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        if blames_message || !down {
            entry.faults = entry.faults.saturating_add(1);
        }
        if entry.faults >= self.rules.attempts_max {
            let reason = format!(
                "gave up after {} attempts: {}",
                entry.attempts, failure.detail
            );
            return self.settle(number, Verdict::Dead(reason), now);
        }
        let wait = self
            .rules
            .backoff
            .wait(entry.attempts, mix(self.seed ^ number.rotate_left(32)));
        entry.not_before = now + failure.retry_after.map_or(wait, |asked| asked.max(wait));
        let key = (entry.not_before, number);
        // It is still the first of its lane.
        self.ready.insert(key);
        if let Some(verdict) = self.verdict(number, now, None) {
            self.settle(number, verdict, now);
        }
    }

    /// Ends every message whose time has come, also those behind others. For a slow tick: an
    /// endpoint that is down must not keep what no one wants any more.
    pub fn sweep(&mut self, now: WallTime) {
        let mut ended = Vec::new();
        for lane in self.lanes.values() {
            let mut latest: BTreeMap<&str, u64> = BTreeMap::new();
            for number in lane.iter().rev() {
                let Some(entry) = self.entries.get(number) else {
                    continue;
                };
                let slot = entry.message.draft.slot.as_deref();
                let later = slot.and_then(|slot| latest.get(slot).copied());
                if let (Some(slot), None) = (slot, later) {
                    latest.insert(slot, *number);
                }
                if !entry.under_way {
                    ended.extend(
                        self.end_of(entry, later, now)
                            .map(|verdict| (*number, verdict)),
                    );
                }
            }
        }
        for (number, verdict) in ended {
            self.settle(number, verdict, now);
        }
    }

    /// What has been settled since the last call, to be made durable.
    pub fn take_settled(&mut self) -> Vec<Settled> {
        std::mem::take(&mut self.settled)
    }

    fn verdict(&self, number: u64, now: WallTime, refuse: Option<&Refuse<'_>>) -> Option<Verdict> {
        let entry = self.entries.get(&number)?;
        if let Some(verdict) = self.end_of(entry, self.later_of_slot(entry), now) {
            return Some(verdict);
        }
        let draft = &entry.message.draft;
        let concern = draft.concerns.as_ref().filter(|_| draft.kind.restricts())?;
        refuse
            .and_then(|refuse| refuse(concern))
            .map(Verdict::Refused)
    }

    /// Why a message needs no attempt, if it needs none; `later` is a later one of its slot.
    fn end_of(&self, entry: &Entry, later: Option<u64>, now: WallTime) -> Option<Verdict> {
        let draft = &entry.message.draft;
        if draft.expires_at.is_some_and(|end| end <= now) {
            return Some(Verdict::Expired);
        }
        let waited = now - draft.created_at;
        let stale = entry.attempts > 0 || self.outage.is_on() || waited >= COALESCE_AFTER;
        if let (Some(by), true) = (later, stale) {
            return Some(Verdict::Coalesced(by));
        }
        (waited >= self.rules.age_max).then(|| Verdict::Dead("gave up: too old".to_owned()))
    }

    fn later_of_slot(&self, entry: &Entry) -> Option<u64> {
        let slot = entry.message.draft.slot.as_ref()?;
        let lane = self.lanes.get(&entry.message.draft.lane)?;
        let same = |n: &&u64| {
            self.entries
                .get(n)
                .is_some_and(|e| e.message.draft.slot.as_ref() == Some(slot))
        };
        lane.iter()
            .rev()
            .find(same)
            .copied()
            .filter(|last| *last > entry.message.number)
    }

    fn settle(&mut self, number: u64, verdict: Verdict, now: WallTime) {
        if let Some(entry) = self.take_out(number) {
            let settled = Settled::of(&entry.message, verdict, entry.attempts, now);
            self.settled.push(settled);
        }
    }

    /// Takes a message out and lets the next of its lane go.
    fn take_out(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.ready.remove(&(entry.not_before, number));
        let name = &entry.message.draft.lane;
        let Some(lane) = self.lanes.get_mut(name) else {
            return Some(entry);
        };
        let was_first = lane.front() == Some(&number);
        if was_first {
            lane.pop_front();
        } else {
            lane.retain(|n| *n != number);
        }
        match lane.front() {
            None => {
                self.lanes.remove(name);
            }
            Some(first) if was_first => {
                if let Some(entry) = self.entries.get(first) {
                    self.ready.insert((entry.not_before, *first));
                }
            }
            Some(_) => {}
        }
        Some(entry)
    }

    /// The endpoint is back: nothing waits for its own turn any longer.
    fn hurry(&mut self, now: WallTime) {
        for (number, entry) in &mut self.entries {
            if entry.not_before > now {
                let was = self.ready.remove(&(entry.not_before, *number));
                entry.not_before = now;
                if was {
                    self.ready.insert((now, *number));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
