//! What each detector of `newer.yml` means, once more and by definition.

use std::collections::BTreeSet;

use super::{FAILED, HIT, IP, Item, Law, M, Meaning, PASSWORD, PAYOUT, S, Stream, accounts, law};
use crate::oracle::first::First;
use crate::oracle::score::Weights;

const USER: &[&str] = &["user.id"];
const ACCOUNT: &[&str] = &["user.target.id"];
const SERVICE: &[&str] = &["deploy.service"];
const REMOVED: Stream = Stream::Events(|f| f.kind == "mfa.removed");
const MAIL: Stream = Stream::Events(|f| f.kind == "email.changed");
const OPENED: Stream = Stream::Events(|f| f.kind == "ticket.opened");
const PASSED: Stream = Stream::Events(|f| f.kind == "challenge.passed");
const BEAT: Stream = Stream::Events(|f| f.kind == "custom.beat");

/// In the order in which they build on each other.
pub const LAWS: &[Law] = &[
    law(
        "new-device",
        &[Stream::Events(|f| f.kind == "session.started")],
        USER,
        (6 * M, 0),
        Meaning::First(First {
            fields: &["device.id"],
            known_min: 2,
            warmup: M,
            burst: None,
        }),
    ),
    law(
        "new-agent",
        &[Stream::Events(|f| f.kind == "custom.agent")],
        &["organization.id"],
        (8 * M, M),
        Meaning::First(First {
            fields: &["source.ip", "user_agent.original"],
            known_min: 3,
            warmup: 2 * M,
            burst: Some((3, 90 * S)),
        }),
    ),
    law(
        "taken-over",
        &[
            Stream::Events(|f| f.kind == "mfa.reset"),
            Stream::Events(|f| f.kind == "device.registered"),
            Stream::Events(|f| f.kind == "phone.changed"),
            Stream::Of("new-device"),
        ],
        USER,
        (5 * M, M),
        Meaning::Score(Weights {
            after: true,
            weights: &[30.0, 40.0, 35.0],
            once: 5 * M,
            half_life: Some(150 * S),
            bound: 60.0,
        }),
    ),
    law(
        "suspect",
        &[
            Stream::Events(|f| f.kind == "challenge.failed"),
            Stream::Events(|f| f.kind == "phishing.reported"),
        ],
        USER,
        (3 * M, 0),
        Meaning::Score(Weights {
            after: false,
            weights: &[10.0, 25.0],
            once: 20 * S,
            half_life: None,
            bound: 60.0,
        }),
    ),
    law(
        "silent-service",
        &[BEAT],
        SERVICE,
        (70 * S, 0),
        Meaning::Quiet((4, 2 * M)),
    ),
    law(
        "silent-held",
        &[BEAT],
        SERVICE,
        (50 * S, 2 * M),
        Meaning::Quiet((2, 3 * M)),
    ),
    law(
        "stalled-ticket",
        &[
            OPENED,
            Stream::Events(|f| f.kind == "challenge.shown"),
            PASSED,
        ],
        USER,
        (0, 0),
        Meaning::Chain(&[20 * S, M]),
    ),
    law(
        "stalled-held",
        &[
            OPENED,
            Stream::Events(|f| f.kind == "challenge.passed" || f.kind == "ticket.opened"),
        ],
        USER,
        (0, 90 * S),
        Meaning::Chain(&[45 * S]),
    ),
    law(
        "half-fail-ip",
        &[
            FAILED,
            Stream::Events(|f| f.kind == "login.failure" || f.kind == "login.success"),
        ],
        IP,
        (2 * M, 0),
        Meaning::Holds(|w| {
            let failures = w.iter().filter(|i| i.inputs & 1 != 0).count();
            failures * 10 >= w.len() * 9 && w.len() >= 6 && accounts(w).len() <= 3
        }),
    ),
    law(
        "pairs-ip",
        &[FAILED],
        IP,
        (3 * M, 0),
        Meaning::Holds(|w| pairs(w) >= 7),
    ),
    law(
        "three-account",
        &[REMOVED, PASSWORD, PAYOUT, MAIL],
        ACCOUNT,
        (100 * S, 0),
        Meaning::Holds(|w| steps(w) >= 3),
    ),
    law(
        "either-account",
        &[REMOVED, PAYOUT, MAIL],
        ACCOUNT,
        (80 * S, 30 * S),
        Meaning::Holds(|w| steps(w) >= 2 && w.iter().any(|i| i.inputs & 1 != 0)),
    ),
    Law {
        late: true,
        ..law("planted-token", &[HIT], &[], (0, 0), Meaning::Each)
    },
    Law {
        late: true,
        ..law(
            "planted-ip",
            &[HIT],
            IP,
            (10 * M, 0),
            Meaning::Holds(|w| !w.is_empty()),
        )
    },
];

/// What holds against an estimate has no exact law: only what it sees, and for how long.
pub const ESTIMATES: &[Law] = &[
    law(
        "mail-spike",
        &[Stream::Events(|f| f.kind == "message.sent")],
        &[],
        (5 * M, 0),
        Meaning::Estimate,
    ),
    law(
        "bounce-rise",
        &[Stream::Events(|f| {
            f.kind == "message.bounced" || f.kind == "message.delivered"
        })],
        &[],
        (5 * M, 0),
        Meaning::Estimate,
    ),
    law(
        "rotating",
        &[Stream::Events(|f| f.kind == "recovery.step")],
        &["event.reason"],
        (4 * M, 0),
        Meaning::Estimate,
    ),
];

fn pairs(window: &[Item<'_>]) -> usize {
    let both = |i: &Item<'_>| {
        let part = |name| i.fact.get(name).map(str::to_owned);
        Some((part("user.target.id")?, part("session.id")?))
    };
    window
        .iter()
        .filter_map(both)
        .collect::<BTreeSet<_>>()
        .len()
}

/// How many of the steps occurred; here an event is never two of them.
fn steps(window: &[Item<'_>]) -> u32 {
    window.iter().fold(0, |all, i| all | i.inputs).count_ones()
}
