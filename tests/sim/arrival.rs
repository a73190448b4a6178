//! How facts come into the log: partitions, delays, disorder within the lateness, duplicates,
//! events that are too late, events from the far future, garbage.
//!
//! Owns the producers' faults. What it does is part of the input: the fault-free run reads the very
//! same log.

use serde_json::json;

use crate::fact::Fact;
use crate::log::Written;
use crate::random::Random;

/// How many times as often as others those that lag are late.
const LAGS: i64 = 30;

/// A record and when it is appended where.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: i64,
    pub partition: usize,
    pub record: Written,
}

/// How a seed's producers behave.
#[derive(Clone, Debug)]
pub struct Producers {
    pub partitions: usize,
    /// Events of one address or account go to one partition.
    pub keyed: bool,
    /// The broker stamps records; otherwise there is only the event's own time.
    pub stamped: bool,
    /// The longest delay that disorder adds.
    pub disorder: i64,
    /// Per mille of events.
    pub disordered: i64,
    pub duplicated: i64,
    pub late: i64,
    pub garbage: i64,
    pub future: bool,
    /// How far beyond the lateness late events are.
    pub lateness: i64,
}

/// An event as producers have it before it is written.
pub struct Line {
    pub time: i64,
    pub payload: String,
    /// What it is about: a user, an organization, a service, an address, else an account.
    key: Option<String>,
    /// Goes to the partition of its key in any case.
    together: bool,
    /// It is often late, where anything is: what is told of all the same is rare.
    lags: bool,
    fact: Option<usize>,
}

impl Line {
    /// Line number `index` of the own workload.
    pub fn of_fact(index: usize, fact: &Fact) -> Self {
        let parts = [
            "user.id",
            "organization.id",
            "deploy.service",
            "source.ip",
            "user.target.id",
            "device.id",
        ];
        let key = parts.iter().find_map(|part| fact.get(part));
        Self {
            time: fact.time,
            payload: fact.json(),
            key: key.map(str::to_owned),
            // Equal times have an order within a partition only.
            together: fact.get("label") == Some("equal"),
            lags: fact.kind == "honeytoken.hit",
            fact: Some(index),
        }
    }

    /// A line of a scenario, whose facts are the product's own.
    pub fn of_scenario((time, payload): (i64, String)) -> Self {
        // Lines of one moment stay together, so that their order is that of one partition.
        Self {
            time,
            key: Some(time.to_string()),
            together: true,
            lags: false,
            payload,
            fact: None,
        }
    }
}

/// The lines as records in the order of their arrival.
pub fn arrivals(lines: &[Line], producers: &Producers, random: &mut Random) -> Vec<Arrival> {
    let mut all = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let partition = partition(index, line, producers);
        let delay = if producers.disorder > 0 {
            random.between(20, 1500)
        } else {
            100
        };
        let often = if line.lags { LAGS } else { 1 };
        let late = random.chance(often * producers.late);
        let disorder = if late {
            producers.lateness + 60_000 + random.between(0, 120_000)
        } else if random.chance(producers.disordered) {
            random.between(0, producers.disorder)
        } else {
            0
        };
        let at = line.time + delay + disorder;
        let record = |at: i64, duplicate| Written {
            stamp: producers.stamped.then_some(at),
            payload: line.payload.clone(),
            events: 1,
            duplicate,
            late,
            facts: line.fact.into_iter().collect(),
        };
        all.push(Arrival {
            at,
            partition,
            record: record(at, false),
        });
        if random.chance(producers.duplicated) {
            let at = at + random.between(1, 20_000);
            all.push(Arrival {
                at,
                partition,
                record: record(at, true),
            });
        }
        if random.chance(producers.garbage) {
            all.push(Arrival {
                at,
                partition,
                record: garbage(at, producers, random),
            });
        }
    }
    if let Some(first) = lines.first().filter(|_| producers.future) {
        for partition in 0..producers.partitions {
            // Now and then it is the very first record.
            let early = random.chance(200);
            let at = first.time
                + if early {
                    -1000
                } else {
                    random.between(0, 1_500_000)
                };
            all.push(Arrival {
                at,
                partition,
                record: future(partition, at, producers),
            });
        }
    }
    // Stable, so that a duplicate stands behind what it repeats and equal times keep their order.
    all.sort_by_key(|a| a.at);
    all
}

fn partition(index: usize, line: &Line, producers: &Producers) -> usize {
    let of_key = |key: &String| {
        key.bytes()
            .fold(7_usize, |n, b| n * 31 % 65_521 + usize::from(b))
    };
    let number = match line
        .key
        .as_ref()
        .filter(|_| producers.keyed || line.together)
    {
        Some(key) => of_key(key),
        None if producers.keyed => 0,
        None => index.wrapping_mul(2_654_435_761) >> 7,
    };
    number % producers.partitions
}

fn garbage(at: i64, producers: &Producers, random: &mut Random) -> Written {
    let payloads = [
        "{\"event.kind\":\"r1@Raw.Secret.Example",
        "[]x",
        "{\"event.kind\":\"a\",\"time\":\"never\"}",
        "\u{0}",
        "{}",
    ];
    Written {
        stamp: producers.stamped.then_some(at),
        payload: (*random.pick(&payloads)).to_owned(),
        events: 0,
        duplicate: false,
        late: false,
        facts: Vec::new(),
    }
}

/// An event dated decades ahead, of a key of its own.
fn future(n: usize, at: i64, producers: &Producers) -> Written {
    let time = at + 70 * 365 * 86_400_000;
    let event = json!({
        "event.id": format!("future{n}"), "event.kind": "recovery.requested", "time": time,
        "source.ip": "198.51.100.250", "user.target.id": format!("future{n}"),
    });
    Written {
        stamp: producers.stamped.then_some(at),
        payload: event.to_string(),
        events: 1,
        duplicate: false,
        late: false,
        facts: Vec::new(),
    }
}
