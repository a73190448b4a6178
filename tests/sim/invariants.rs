//! The promises, numbered: what must hold after every step of every run.
//!
//! One catalogue: id, sentence, check. ARCHITECTURE.md and docs name the same numbers. What can only
//! be said at the end of a run (lost, delivered, what the laws ask for) stands in `verdict`.

mod durable;
mod people;
mod sight;

use std::collections::{BTreeMap, BTreeSet};

use tidegate::engine::containment::policy::Step;
use tidegate::engine::containment::{Action, Phase};
use tidegate::engine::outbox::Message;
use tidegate::model::WallTime;

pub use durable::{Clean, Told, key, lasting};
pub use people::HUMAN;
pub use sight::{Rows, Sight};

/// One promise.
pub struct Invariant {
    pub id: &'static str,
    pub says: &'static str,
    check: fn(&mut Book<'_>, &Sight<'_>) -> Result<(), String>,
}

/// What the checks remember from step to step.
#[derive(Default)]
pub struct Book<'a> {
    /// What the run without a fault told, if this one is held against it.
    clean: Option<&'a Told>,
    /// Alerts, receipts and steps of the whole store that were looked at.
    looked: durable::Looked,
    life: u64,
    watermark: Option<i64>,
    frontier: BTreeMap<i32, i64>,
    halted_at: BTreeMap<i32, i64>,
    /// Messages that waited at the last look.
    waiting: BTreeMap<(String, u64), Message>,
    /// Per endpoint how many first receipts were looked at, and per lane the number of the last.
    received: BTreeMap<String, usize>,
    lanes: BTreeMap<(String, String), u64>,
    /// The number under which a message was first seen.
    numbers: BTreeMap<(String, String), u64>,
    last_seq: u64,
    changes: usize,
    requested: BTreeSet<String>,
    /// Until when what a human took back must stay back, by target and verb.
    held: BTreeMap<String, WallTime>,
    /// Rows of the last look, to look only at what is new.
    steps: u64,
}

/// Every promise that is checked after every step.
pub const CATALOGUE: &[Invariant] = &[
    Invariant {
        id: "INV-01",
        says: "an alert's id and bytes do not depend on packets, shards, faults or restarts",
        check: durable::alerts_are_those_of_the_clean_run,
    },
    Invariant {
        id: "INV-02",
        says: "the watermark never falls",
        check: watermark_rises,
    },
    Invariant {
        id: "INV-03",
        says: "memory stays within its budget",
        check: memory_is_bounded,
    },
    Invariant {
        id: "INV-04",
        says: "policy runs once per alert revision",
        check: policy_runs_once,
    },
    Invariant {
        id: "INV-05",
        says: "a snapshot is written when all it contains is committed, and then published",
        check: durable::snapshots_hold_what_is_committed,
    },
    Invariant {
        id: "INV-06",
        says: "nothing is sent that is not committed, and one id has one content",
        check: sent_is_committed,
    },
    Invariant {
        id: "INV-07",
        says: "raw addresses and tokens do not leave decode",
        check: durable::secrets_stay_inside,
    },
    Invariant {
        id: "INV-08",
        says: "a partition whose log lost what comes next is not read on",
        check: halted_stands_still,
    },
    Invariant {
        id: "INV-09",
        says: "every record counts once: events, duplicates, late, dead",
        check: all_is_counted,
    },
    Invariant {
        id: "INV-10",
        says: "no event in time is late",
        check: late_is_late,
    },
    Invariant {
        id: "INV-11",
        says: "no action without an alert",
        check: actions_have_reasons,
    },
    Invariant {
        id: "INV-18",
        says: "what a human took back stays back for its time",
        check: people::taken_back_stays_back,
    },
    Invariant {
        id: "INV-19",
        says: "no more actions are issued in a minute, nor stand at once, than budgets allow",
        check: people::budgets_hold,
    },
    Invariant {
        id: "INV-20",
        says: "no action stands past its end",
        check: people::nothing_outstays,
    },
    Invariant {
        id: "INV-12",
        says: "seq rises with every change",
        check: seq_rises,
    },
    Invariant {
        id: "INV-13",
        says: "at most one active action on a target and verb, as its changes say",
        check: active_is_what_changed,
    },
    Invariant {
        id: "INV-14",
        says: "nothing is sent that has expired",
        check: expired_is_kept,
    },
    Invariant {
        id: "INV-15",
        says: "an outbox counts what it holds, and a message leaves it only for a reason",
        check: outbox_adds_up,
    },
    Invariant {
        id: "INV-16",
        says: "a committed alert never changes or goes",
        check: alerts_stay,
    },
    Invariant {
        id: "INV-17",
        says: "the frontier never moves back in one life",
        check: frontier_rises,
    },
];

impl<'a> Book<'a> {
    pub fn new(clean: Option<&'a Told>) -> Self {
        Self {
            clean,
            ..Self::default()
        }
    }

    /// Looks at everything; `Err` names the promise that was not kept.
    pub fn check(&mut self, sight: &Sight<'_>) -> Result<(), String> {
        if self.life != sight.world.lives() {
            self.life = sight.world.lives();
            self.watermark = None;
            self.frontier.clear();
        }
        for invariant in CATALOGUE {
            (invariant.check)(self, sight)
                .map_err(|what| format!("{} ({}): {what}", invariant.id, invariant.says))?;
        }
        self.steps = sight.steps;
        Ok(())
    }

    fn is_new<'s>(&self, sight: &'s Sight<'_>) -> Option<&'s Rows> {
        (self.steps != sight.steps).then_some(sight.rows)
    }
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

fn watermark_rises(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(now) = sight.watermark else {
        return Ok(());
    };
    let before = book.watermark.replace(now);
    ensure(before.is_none_or(|before| before <= now), || {
        format!("{before:?} then {now}")
    })?;
    let ahead = now - sight.world.now;
    ensure(ahead < 60_000, || {
        format!("it is {ahead} ms ahead of the true time")
    })
}

fn memory_is_bounded(_: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let budget = sight.world.memory() as u64;
    ensure(sight.bytes <= budget, || {
        format!("{} of {budget} bytes", sight.bytes)
    })
}

fn policy_runs_once(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(rows) = book.is_new(sight) else {
        return Ok(());
    };
    for change in rows
        .changes
        .iter()
        .skip(book.changes)
        .filter(|c| c.step == Step::Requested)
    {
        let id = change.record.action.action_id.to_string();
        ensure(book.requested.insert(id.clone()), || {
            format!("action {id} was requested twice")
        })?;
    }
    // A message goes with the first commit of its cause, and only then.
    for ((endpoint, number), message) in &rows.outbox {
        let id = (endpoint.clone(), message.draft.webhook_id.clone());
        let first = *book.numbers.entry(id).or_insert(*number);
        ensure(first == *number, || {
            format!(
                "{} is in the outbox as {number}, it was {first}",
                message.draft.webhook_id
            )
        })?;
    }
    for (receiver, endpoint) in sight.receivers() {
        let known = book.received.get(endpoint).copied().unwrap_or(0);
        for id in receiver.order.iter().skip(known) {
            let number = receiver.taken[id].message.number;
            let first = *book
                .numbers
                .entry((endpoint.to_owned(), id.clone()))
                .or_insert(number);
            ensure(first == number, || {
                format!("{id} was sent as {number}, it was {first}")
            })?;
        }
        ensure(receiver.renumbered.is_none(), || {
            format!("{:?} has two numbers", receiver.renumbered)
        })?;
    }
    Ok(())
}

fn sent_is_committed(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    for (receiver, endpoint) in sight.receivers() {
        ensure(receiver.forged.is_none(), || {
            format!("{:?} came with two contents", receiver.forged)
        })?;
        let known = book.received.entry(endpoint.to_owned()).or_default();
        for id in receiver.order.iter().skip(*known) {
            let message = &receiver.taken[id].message;
            let committed = sight.rows.bodies.get(id);
            ensure(committed == Some(&message.draft.body), || {
                format!(
                    "{id} was sent to {endpoint} as\n{}\nbut committed is\n{committed:?}",
                    message.draft.body
                )
            })?;
            let lane = (endpoint.to_owned(), message.draft.lane.clone());
            let before = book.lanes.insert(lane, message.number);
            ensure(before.is_none_or(|b| b < message.number), || {
                format!("{id} overtook its lane")
            })?;
        }
        *known = receiver.order.len();
    }
    Ok(())
}

fn halted_stands_still(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    for number in &sight.world.halted {
        let Some(next) = sight.frontier.get(number) else {
            continue;
        };
        let at = *book.halted_at.entry(*number).or_insert(*next);
        ensure(*next <= at, || {
            format!("partition {number} moved from {at} to {next}")
        })?;
    }
    let log = sight.world.log.borrow();
    for (number, next) in &sight.frontier {
        let lane = &log.lanes[usize::try_from(*number).unwrap()];
        let short = *next > lane.high();
        let told = sight.world.halted.contains(number);
        ensure(!short || told, || {
            format!(
                "partition {number} is read at {next}, its log ends at {}",
                lane.high()
            )
        })?;
    }
    Ok(())
}

fn all_is_counted(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    durable::dead_are_buried(book, sight)?;
    let Some(counts) = sight.counts else {
        return Ok(());
    };
    let read = sight.taken_in();
    ensure(counts.events == read.events, || {
        format!(
            "{} events counted, {} were read",
            counts.events, read.events
        )
    })?;
    ensure(counts.duplicate == read.duplicates, || {
        format!(
            "{} duplicates counted, {} were read",
            counts.duplicate, read.duplicates
        )
    })
}

fn late_is_late(_: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(counts) = sight.counts else {
        return Ok(());
    };
    let late = sight.taken_in().late;
    ensure(counts.late <= late, || {
        format!("{} counted as late, {late} are", counts.late)
    })
}

fn actions_have_reasons(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(rows) = book.is_new(sight) else {
        return Ok(());
    };
    for change in rows.changes.iter().skip(book.changes) {
        let action = &change.record.action;
        ensure(!action.reason.alerts.is_empty(), || {
            format!("{} names none", action.action_id)
        })?;
        for alert in &action.reason.alerts {
            ensure(rows.ids.contains(alert), || {
                format!("{} names alert {alert}", action.action_id)
            })?;
        }
    }
    Ok(())
}

fn seq_rises(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(rows) = book.is_new(sight) else {
        return Ok(());
    };
    ensure(rows.changes.len() >= book.changes, || {
        "a change is gone".to_owned()
    })?;
    let fresh = rows.changes.iter().skip(book.changes);
    let lowest = fresh.clone().map(|c| c.record.action.seq).min();
    ensure(lowest.is_none_or(|seq| seq > book.last_seq), || {
        format!("seq {lowest:?} after {}", book.last_seq)
    })?;
    let last = rows.changes.last().map_or(0, |c| c.record.action.seq);
    ensure(last >= book.last_seq && rows.seq >= last, || {
        format!("{last} was given, {} is remembered", rows.seq)
    })?;
    book.last_seq = last;
    Ok(())
}

fn active_is_what_changed(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(rows) = book.is_new(sight) else {
        return Ok(());
    };
    book.changes = rows.changes.len();
    let mut standing = BTreeMap::new();
    for change in &rows.changes {
        let action = &change.record.action;
        standing.insert(action.action_id, change.record.clone());
    }
    standing.retain(|_, r| matches!(r.phase, Phase::Active | Phase::PendingApproval));
    let slots: BTreeSet<String> = standing
        .values()
        .map(|r| format!("{:?} {:?}", r.action.target, r.action.verb))
        .collect();
    ensure(slots.len() == standing.len(), || {
        "two actions stand on one slot".to_owned()
    })?;
    let stored: BTreeMap<_, _> = rows
        .active
        .iter()
        .map(|r| (r.action.action_id, r.clone()))
        .collect();
    ensure(stored == standing, || {
        format!(
            "{} are stored as active, {} stand",
            stored.len(),
            standing.len()
        )
    })
}

fn expired_is_kept(_: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    for (at, message) in sight.attempted().filter(|(_, m)| m.draft.kind.restricts()) {
        let action: Action = serde_json::from_str(message.draft.data()).unwrap();
        let end = action.expires_at.0;
        ensure(end > at, || {
            format!("{} of {end} was sent at {at}", message.draft.webhook_id)
        })?;
    }
    Ok(())
}

fn outbox_adds_up(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(rows) = book.is_new(sight) else {
        return Ok(());
    };
    for (endpoint, depth) in &rows.depths {
        let held = rows.outbox.keys().filter(|(e, _)| e == endpoint).count() as u64;
        ensure(held == *depth, || {
            format!("{endpoint} holds {held} and counts {depth}")
        })?;
    }
    let now = sight.world.clock();
    for ((endpoint, number), message) in std::mem::take(&mut book.waiting) {
        if rows.outbox.contains_key(&(endpoint.clone(), number)) {
            continue;
        }
        let id = &message.draft.webhook_id;
        let taken = sight
            .receiver(&endpoint)
            .is_some_and(|r| r.taken.contains_key(id));
        ensure(taken || rows.may_go(&message, now), || {
            format!("{id} left the outbox of {endpoint} unsent and for no reason")
        })?;
    }
    book.waiting.clone_from(&rows.outbox);
    Ok(())
}

fn alerts_stay(_: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let changed = &sight.rows.changed;
    ensure(changed.is_none(), || {
        format!("the row of alert {changed:?}")
    })
}

fn frontier_rises(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    for (partition, next) in &sight.frontier {
        let before = book.frontier.insert(*partition, *next);
        ensure(before.is_none_or(|b| b <= *next), || {
            format!("partition {partition}: {before:?}, {next}")
        })?;
    }
    Ok(())
}
