//! What each detector of `detectors.yml` means, once more and by definition.
//!
//! A law is data and one predicate over the contents of a window; the order of laws is such that a
//! law stands behind those it builds on.

pub mod newer;

use std::collections::{BTreeMap, BTreeSet};

use super::Item;
use super::first::First;
use super::score::Weights;
use crate::fact::Fact;

/// What feeds a law.
pub enum Stream {
    Events(fn(&Fact) -> bool),
    /// Detections of another law.
    Of(&'static str),
    /// Those, and every item that finds it still true.
    While(&'static str),
    /// Every `after` of an absence at its deadline, answered or not.
    Settled(&'static str),
}

/// What a law says about its items.
#[derive(Clone, Copy)]
pub enum Meaning {
    /// Detected when this becomes true of the window's contents.
    Holds(fn(&[Item<'_>]) -> bool),
    Absence {
        lookback: i64,
    },
    Each,
    First(First),
    Score(Weights),
    /// So many events within so long make a stream that is missed.
    Quiet((usize, i64)),
    /// The time of each step after the first.
    Chain(&'static [i64]),
    /// A rise against its own past: never judged by items.
    Estimate,
}

/// One detector.
pub struct Law {
    pub name: &'static str,
    pub inputs: &'static [Stream],
    pub group_by: &'static [&'static str],
    pub span: i64,
    pub suppress: i64,
    pub meaning: Meaning,
    pub alerts: bool,
    /// It sees events however late they come.
    pub late: bool,
}

const S: i64 = 1000;
const M: i64 = 60 * S;
const IP: &[&str] = &["source.ip"];
const ACCOUNT: &[&str] = &["user.target.id"];

const fn law(
    name: &'static str,
    inputs: &'static [Stream],
    group_by: &'static [&'static str],
    (span, suppress): (i64, i64),
    meaning: Meaning,
) -> Law {
    Law {
        name,
        inputs,
        group_by,
        span,
        suppress,
        meaning,
        alerts: true,
        late: false,
    }
}

const REQUESTED: Stream = Stream::Events(|f| f.kind == "recovery.requested");
const FAILED: Stream = Stream::Events(|f| f.kind == "login.failure");
const ISSUED: Stream = Stream::Events(|f| f.kind == "token.issued");
const PASSWORD: Stream = Stream::Events(|f| f.kind == "password.changed");
pub const HIT: Stream = Stream::Events(|f| f.kind == "honeytoken.hit");
const PAYOUT: Stream = Stream::Events(|f| f.kind == "payout.changed");

/// In the order in which they build on each other.
pub const LAWS: &[Law] = &[
    law(
        "count-ip",
        &[REQUESTED],
        IP,
        (2 * M, 0),
        Meaning::Holds(|w| w.len() >= 5),
    ),
    law(
        "held-ip",
        &[FAILED],
        IP,
        (M, 3 * M),
        Meaning::Holds(|w| w.len() > 3),
    ),
    law(
        "distinct-ip",
        &[REQUESTED],
        IP,
        (3 * M, 0),
        Meaning::Holds(|w| accounts(w).len() >= 6),
    ),
    law(
        "once-ip",
        &[REQUESTED],
        IP,
        (5 * M, 2 * M),
        Meaning::Holds(many_once),
    ),
    law(
        "sum-account",
        &[PAYOUT],
        ACCOUNT,
        (3 * M, 0),
        Meaning::Holds(|w| sum(w) >= 1000),
    ),
    law(
        "avg-device",
        &[Stream::Events(|f| f.kind == "custom.risk")],
        &["device.id"],
        (2 * M, 0),
        Meaning::Holds(|w| !w.is_empty() && sum(w) >= 70 * i64::try_from(w.len()).unwrap()),
    ),
    law(
        "pair-account",
        &[PASSWORD, Stream::Events(|f| f.kind == "email.changed")],
        ACCOUNT,
        (2 * M, 0),
        Meaning::Holds(|w| {
            [0, 1]
                .iter()
                .all(|step| w.iter().any(|i| i.inputs & (1 << step) != 0))
        }),
    ),
    law(
        "takeover-account",
        &[
            Stream::Events(|f| f.kind == "mfa.removed"),
            PASSWORD,
            PAYOUT,
        ],
        ACCOUNT,
        (5 * M, M),
        Meaning::Holds(|w| in_order(w, 3)),
    ),
    Law {
        late: true,
        ..law(
            "unused-token",
            &[ISSUED, Stream::Events(|f| f.kind == "token.used")],
            &["token.id"],
            (3 * M, 0),
            Meaning::Absence { lookback: 0 },
        )
    },
    law(
        "unasked-token",
        &[ISSUED, REQUESTED],
        ACCOUNT,
        (20 * S, M),
        Meaning::Absence { lookback: 2 * M },
    ),
    law(
        "unused-share-ip",
        &[Stream::Of("unused-token"), Stream::Settled("unused-token")],
        IP,
        (4 * M, 0),
        Meaning::Holds(|w| share(w, 8, 8)),
    ),
    law(
        "unknown-share-ip",
        &[Stream::Events(unknown), REQUESTED],
        IP,
        (3 * M, M),
        Meaning::Holds(|w| share(w, 6, 7)),
    ),
    Law {
        alerts: false,
        ..law(
            "burst-account",
            &[FAILED],
            ACCOUNT,
            (M, 0),
            Meaning::Holds(|w| w.len() >= 3),
        )
    },
    law(
        "spray-ip",
        &[Stream::Of("burst-account")],
        IP,
        (5 * M, 0),
        Meaning::Holds(|w| w.len() >= 3),
    ),
    law(
        "broken-in-account",
        &[
            Stream::While("burst-account"),
            Stream::Events(|f| f.kind == "login.success"),
        ],
        ACCOUNT,
        (3 * M, 0),
        Meaning::Holds(|w| in_order(w, 2)),
    ),
    Law {
        late: true,
        ..law("decoy", &[HIT], &[], (0, 2 * M), Meaning::Each)
    },
];

fn unknown(fact: &Fact) -> bool {
    fact.kind == "recovery.requested" && fact.get("event.reason") == Some("unknown_account")
}

fn accounts<'a>(window: &[Item<'a>]) -> BTreeSet<&'a str> {
    window
        .iter()
        .filter_map(|i| i.fact.get("user.target.id"))
        .collect()
}

fn many_once(window: &[Item<'_>]) -> bool {
    let mut tries: BTreeMap<&str, u32> = BTreeMap::new();
    for account in window.iter().filter_map(|i| i.fact.get("user.target.id")) {
        *tries.entry(account).or_default() += 1;
    }
    let once = tries.values().filter(|n| **n == 1).count();
    tries.len() >= 8 && once * 10 >= tries.len() * 8
}

fn sum(window: &[Item<'_>]) -> i64 {
    window.iter().filter_map(|i| i.fact.amount).sum()
}

/// Input 0 is at least `tenths` tenths of input 1, of which there are `least`.
fn share(window: &[Item<'_>], least: usize, tenths: usize) -> bool {
    let count = |input: u8| {
        window
            .iter()
            .filter(|i| i.inputs & (1 << input) != 0)
            .count()
    };
    count(1) >= least && count(0) * 10 >= count(1) * tenths
}

/// Different items in their order serve steps 0 to n.
fn in_order(window: &[Item<'_>], steps: u32) -> bool {
    let mut next = 0;
    for item in window {
        if next < steps && item.inputs & (1 << next) != 0 {
            next += 1;
        }
    }
    next == steps
}
