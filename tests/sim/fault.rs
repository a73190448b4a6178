//! What goes wrong in a run, and when: drawn from the seed before the run begins.
//!
//! Owns the plan only; the world carries it out. Producers' faults are part of the input (arrival).

use std::collections::BTreeMap;

use tidegate::crash::POINTS;
use tidegate::engine::containment::policy::Answer;

use crate::disk::Tear;
use crate::profile::Profile;
use crate::random::Random;
use crate::receiver::Mood;

const S: i64 = 1000;
const M: i64 = 60 * S;

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The process dies between two steps.
    Crash { down: i64 },
    /// It dies at the n-th step of the store from now.
    CrashInStore { step: u64, down: i64 },
    /// It dies the n-th time it passes one of the product's own crash points.
    CrashAt {
        point: &'static str,
        n: u64,
        down: i64,
    },
    /// It dies while it writes a snapshot.
    CrashInSnapshot { tear: Tear, down: i64 },
    /// It dies, and a file of a snapshot is damaged: `pick` says which.
    Damage { pick: u64, down: i64 },
    /// It is stopped in good order and started again.
    Restart { down: i64 },
    /// It is stopped; the wall clock has been set when it starts again.
    ClockStep { by: i64, down: i64 },
    /// It is started again with another number of shards.
    Reshard { shards: usize, down: i64 },
    /// Snapshots are moved away: the log is read from its beginning, by another number of shards.
    Rebuild { shards: usize, down: i64 },
    /// While it is down the log loses what it has not read: its beginning, or its end.
    Truncate {
        partition: usize,
        beginning: bool,
        down: i64,
    },
    /// Nothing is read for a while, then everything at once.
    Lag { time: i64 },
    /// The source is paused by us.
    Pause { time: i64 },
    /// One partition cannot be read for a while.
    Lost { partition: usize, time: i64 },
    /// Nothing can be committed for a while, nor a snapshot be written.
    FullDisk { time: i64 },
    Webhook {
        endpoint: usize,
        mood: Mood,
        time: i64,
    },
    /// A human answers about one of the actions that stand or wait; `pick` says which.
    Human { answer: Answer, pick: u64 },
    /// The detectors' files change: while it runs, or while it is down.
    Reload { down: Option<i64> },
}

impl Fault {
    /// A word for reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Crash { .. } => "crash",
            Self::CrashInStore { .. } => "crash-in-store",
            Self::CrashAt { .. } => "crash-at",
            Self::CrashInSnapshot { .. } => "crash-in-snapshot",
            Self::Damage { .. } => "damage",
            Self::Restart { .. } => "restart",
            Self::ClockStep { .. } => "clock-step",
            Self::Reshard { .. } => "reshard",
            Self::Rebuild { .. } => "rebuild",
            Self::Truncate { .. } => "truncate",
            Self::Lag { .. } => "lag",
            Self::Pause { .. } => "pause",
            Self::Lost { .. } => "lost-partition",
            Self::FullDisk { .. } => "full-disk",
            Self::Webhook { .. } => "webhook",
            Self::Human { .. } => "human",
            Self::Reload { .. } => "reload",
        }
    }
}

/// Faults by the wall time at which they begin.
pub type Plan = BTreeMap<i64, Fault>;

/// About one fault in two minutes between `from` and `to`, and what people do.
pub fn plan(profile: &Profile, (from, to): (i64, i64)) -> Plan {
    let (seed, partitions) = (profile.seed, profile.producers.partitions);
    let truncate = profile.truncates;
    let mut random = Random::new(seed, "faults");
    let mut plan = Plan::new();
    let mut at = from;
    loop {
        at += random.between(10 * S, 4 * M);
        if at >= to {
            break;
        }
        plan.insert(at, draw(&mut random, partitions));
    }
    people(profile, (from, to), &mut plan);
    if truncate {
        let partition =
            usize::try_from(random.between(0, i64::try_from(partitions).unwrap())).unwrap();
        let beginning = random.chance(500);
        let at = random.between(from + (to - from) / 3, to);
        plan.insert(
            at,
            Fault::Truncate {
                partition,
                beginning,
                down: 30 * S,
            },
        );
    }
    plan
}

/// Answers to actions, and detectors that change.
fn people(profile: &Profile, (from, to): (i64, i64), plan: &mut Plan) {
    let mut random = Random::new(profile.seed, "people");
    let answers = [Answer::Approve, Answer::Deny, Answer::Revert];
    let mut at = from;
    while profile.has_humans && at < to {
        at += random.between(S, 2 * M);
        let answer = *random.pick(&answers);
        let pick = random.bits();
        plan.insert(at, Fault::Human { answer, pick });
    }
    at = from;
    while profile.reloads && at < to {
        at += random.between(10 * S, 8 * M);
        let down = random.chance(250).then_some(10 * S);
        plan.insert(at, Fault::Reload { down });
    }
}

fn draw(random: &mut Random, partitions: usize) -> Fault {
    let down = *random.pick(&[S, 10 * S, M, 4 * M]);
    let time = *random.pick(&[10 * S, M, 3 * M, 8 * M]);
    let shards = usize::try_from(random.between(1, 5)).unwrap();
    let partition = usize::try_from(random.between(0, i64::try_from(partitions).unwrap())).unwrap();
    let moods = [Mood::Down, Mood::Failing, Mood::Slow, Mood::Busy];
    match random.between(0, 28) {
        22..26 => {
            let point = *random.pick(POINTS);
            // A process drains once, and writes few bases.
            let seldom = ["draining", "base-", "snapshots-"];
            let is_seldom = seldom.iter().any(|start| point.starts_with(start));
            let most = if is_seldom { 1 } else { 3 };
            let n = u64::try_from(random.between(1, most + 1)).unwrap();
            Fault::CrashAt { point, n, down }
        }
        26.. => Fault::Damage {
            pick: random.bits(),
            down,
        },
        0..3 => Fault::Crash { down },
        3..6 => Fault::CrashInStore {
            step: random.bits() % 60,
            down,
        },
        6..8 => {
            let tear = *random.pick(&[Tear::BeforeRename, Tear::Torn, Tear::After]);
            Fault::CrashInSnapshot { tear, down }
        }
        8 => Fault::Restart { down },
        9 => Fault::ClockStep {
            by: *random.pick(&[-60 * M, -M, M, 60 * M]),
            down,
        },
        10 => Fault::Reshard { shards, down },
        11 => Fault::Rebuild { shards, down },
        12..14 => Fault::Lag { time },
        14 => Fault::Pause { time },
        15..17 => Fault::Lost { partition, time },
        17 => Fault::FullDisk { time },
        _ => Fault::Webhook {
            endpoint: usize::try_from(random.between(0, 2)).unwrap(),
            mood: *random.pick(&moods),
            time: *random.pick(&[M, 5 * M, 20 * M]),
        },
    }
}
