//! What happens in a run: everyday recoveries, and for each detector traffic that lingers around its
//! bounds, so that it fires, nearly fires, falls below, fires again.
//!
//! Owns the facts in order of event time, each with a time of its own (but for the floods that test
//! equal times); knows nothing of partitions, disorder or faults.

mod newer;

use std::collections::BTreeSet;

use tidegate::model::HashKey;
use tidegate::model::redact::Redactor;
use tidegate::simulate::{Options, START_MS, Scenario, Traffic};

use crate::fact::Fact;
use crate::random::Random;

/// When event time begins.
pub const START: i64 = START_MS;
const S: i64 = 1000;

/// The own detectors' traffic over `minutes` of event time.
pub fn own(seed: u64, minutes: i64, sprays: bool) -> Vec<Fact> {
    let mut flow = Flow {
        random: Random::new(seed, "workload"),
        end: START + minutes * 60 * S,
        facts: Vec::new(),
    };
    flow.everyday();
    flow.requests();
    flow.failures();
    flow.payouts();
    flow.takeovers();
    flow.tokens();
    flow.mails(minutes);
    flow.newer(minutes);
    if sprays {
        flow.spray();
    }
    finish(flow.facts)
}

/// Lines of one of the product's own scenarios, for the shipped detectors: time and JSON.
pub fn scenario(scenario: Scenario, seed: u64, events: u64) -> Vec<(i64, String)> {
    let traffic = Traffic::new(&Options::new(scenario, seed, events));
    traffic.map(|line| (line.time_ms, line.json)).collect()
}

/// Gives each fact its id and its secrets, and, unless it insists, a time that no other one has.
fn finish(mut facts: Vec<Fact>) -> Vec<Fact> {
    facts.sort_by_key(|f| f.time);
    let mut taken = BTreeSet::new();
    let mut kept = Vec::new();
    for fact in facts {
        let equal_times = fact.get("label") == Some("equal");
        if taken.insert(fact.time) || equal_times {
            kept.push(fact);
        }
    }
    let redactor = Redactor::new(&HashKey::fixed());
    for (id, fact) in (1..).zip(&mut kept) {
        fact.id = id;
        fact.hide(&redactor);
    }
    kept
}

struct Flow {
    random: Random,
    end: i64,
    facts: Vec<Fact>,
}

impl Flow {
    /// One request from each of very many addresses for as many accounts.
    fn spray(&mut self) {
        let mut at = START + 600 * S;
        for n in 0..4000 {
            at += self.random.between(5, 80);
            let (ip, user) = (format!("100.64.{}.{}", n / 250, n % 250), format!("x{n}"));
            let who = [("source.ip", ip.as_str()), ("user.target.id", &user)];
            self.add(at, "recovery.requested", &who);
        }
    }

    /// Some moments whose gaps are around `gap`, every third one a round part of `span` after an
    /// earlier one: the window's edges are where mistakes live.
    fn moments(&mut self, count: i64, gap: i64, span: i64) -> Vec<i64> {
        let mut at = self.random.between(START, self.end - 60 * S);
        let mut moments: Vec<i64> = Vec::new();
        for _ in 0..count {
            let before = (!moments.is_empty()).then(|| *self.random.pick(&moments));
            let time = match before.filter(|_| self.random.chance(330)) {
                Some(before) => {
                    before + span * self.random.between(1, 4) / *self.random.pick(&[1, 2, 3])
                }
                None => {
                    at += self.random.between(1, 2 * gap);
                    at
                }
            };
            moments.push(time);
        }
        moments.retain(|t| *t < self.end);
        moments
    }

    fn add(&mut self, time: i64, kind: &'static str, fields: &[(&'static str, &str)]) -> &mut Fact {
        self.facts.push(Fact::new(time, kind, fields));
        self.facts.last_mut().unwrap()
    }

    /// People who forgot a password, one after the other.
    fn everyday(&mut self) {
        let mut at = START;
        let mut n = 0;
        while at < self.end {
            n += 1;
            at += self.random.between(S, 16 * S);
            let home = self.random.between(1, 60);
            let ip = format!("198.51.100.{home}");
            let user = format!("user{home}-{}", self.random.between(0, 5));
            let token = format!("token{n}");
            let who = [("source.ip", ip.as_str()), ("user.target.id", &user)];
            self.add(at, "recovery.requested", &who);
            let whose = [who[0], who[1], ("token.id", token.as_str())];
            let issued = at + self.random.between(100, 2 * S);
            self.add(issued, "token.issued", &whose);
            if self.random.chance(850) {
                let used = issued + self.random.between(5 * S, 200 * S);
                self.add(used, "token.used", &whose);
                self.add(used + 700, "password.changed", &who);
                self.add(used + 1500, "login.success", &who);
            }
        }
    }

    /// Requests from a few addresses: counts, distinct accounts, unknown ones, equal times.
    fn requests(&mut self) {
        for n in 0..8 {
            let ip = format!("203.0.113.{n}");
            let (gap, count) = (
                self.random.between(5 * S, 40 * S),
                self.random.between(5, 40),
            );
            let accounts = self.random.between(1, 25);
            let unknown = *self.random.pick(&[0, 300, 750]);
            let span = *self.random.pick(&[120 * S, 180 * S, 300 * S]);
            let equal = self.random.chance(250);
            for at in self.moments(count, gap, span) {
                let user = format!("r{n}-{}", self.random.between(0, accounts));
                let fact = self.add(
                    at,
                    "recovery.requested",
                    &[("source.ip", &ip), ("user.target.id", &user)],
                );
                if equal {
                    fact.fields.insert("label", "equal".to_owned());
                    fact.time = at / (5 * S) * (5 * S);
                }
                if self.random.chance(unknown) {
                    let fact = self.facts.last_mut().unwrap();
                    fact.fields
                        .insert("event.reason", "unknown_account".to_owned());
                }
            }
        }
    }

    /// Failed log-ins: bursts on accounts, sprays over them, and now and then a success.
    fn failures(&mut self) {
        for n in 0..8 {
            let ip = format!("192.0.2.{n}");
            let (gap, count) = (
                self.random.between(3 * S, 25 * S),
                self.random.between(5, 50),
            );
            let accounts = self.random.between(1, 6);
            for at in self.moments(count, gap, 60 * S) {
                let user = format!("f{n}-{}", self.random.between(0, accounts));
                let kind = if self.random.chance(120) {
                    "login.success"
                } else {
                    "login.failure"
                };
                let session = format!("f{n}-s{}", self.random.between(0, 4));
                let who = [("source.ip", ip.as_str()), ("user.target.id", &user)];
                self.add(at, kind, &[who[0], who[1], ("session.id", &session)]);
            }
        }
    }

    /// Amounts of accounts and risks of devices.
    fn payouts(&mut self) {
        for n in 0..5 {
            let user = format!("p{n}");
            let (gap, count) = (
                self.random.between(10 * S, 90 * S),
                self.random.between(3, 25),
            );
            for at in self.moments(count, gap, 180 * S) {
                let amount = self.random.between(0, 600);
                self.add(at, "payout.changed", &[("user.target.id", &user)])
                    .amount = Some(amount);
            }
            let device = format!("d{n}");
            for at in self.moments(count, gap, 120 * S) {
                let amount = self.random.between(20, 100);
                self.add(at, "custom.risk", &[("device.id", &device)])
                    .amount = Some(amount);
            }
        }
    }

    /// Steps of a takeover in any order, complete or not, and decoys touched.
    fn takeovers(&mut self) {
        let steps = [
            "mfa.removed",
            "password.changed",
            "payout.changed",
            "email.changed",
        ];
        for n in 0..6 {
            let user = format!("t{n}");
            let (gap, count) = (
                self.random.between(10 * S, 80 * S),
                self.random.between(3, 25),
            );
            for at in self.moments(count, gap, 300 * S) {
                let step = *self.random.pick(&steps);
                self.add(at, step, &[("user.target.id", &user)]).amount = Some(1);
            }
        }
        for at in self.moments(6, 80 * S, 120 * S) {
            self.add(at, "honeytoken.hit", &[("honeytoken.kind", "token")]);
        }
    }

    /// Tokens that are issued in numbers, asked for or not, used or not, at the deadline itself too.
    fn tokens(&mut self) {
        for n in 0..5 {
            let ip = format!("203.0.113.{}", 100 + n);
            let (gap, count) = (
                self.random.between(3 * S, 20 * S),
                self.random.between(5, 30),
            );
            let (asked, used) = (self.random.between(0, 1000), self.random.between(0, 500));
            for (i, at) in (0..).zip(self.moments(count, gap, 240 * S)) {
                let (user, token) = (format!("i{n}-{}", i % 7), format!("i{n}-token{i}"));
                let whose = [
                    ("source.ip", ip.as_str()),
                    ("user.target.id", &user),
                    ("token.id", &token),
                ];
                if self.random.chance(asked) {
                    let before = *self.random.pick(&[1, 700, 119 * S, 120 * S, 120 * S + 1]);
                    self.add(at - before, "recovery.requested", &whose[..2]);
                }
                self.add(at, "token.issued", &whose);
                if self.random.chance(used) {
                    let after = *self
                        .random
                        .pick(&[1, 90 * S, 180 * S - 1, 180 * S, 180 * S + 1]);
                    self.add(at + after, "token.used", &whose);
                }
            }
        }
    }

    /// Mails at a steady rate, in half of the seeds with a burst near the end.
    fn mails(&mut self, minutes: i64) {
        let mut at = START;
        while at < self.end {
            at += self.random.between(2 * S, 22 * S);
            self.add(at, "message.sent", &[]);
        }
        if minutes >= 30 && self.random.chance(500) {
            let mut at = self.end - 8 * 60 * S;
            for _ in 0..200 {
                at += self.random.between(200, 1500);
                self.add(at, "message.sent", &[]).burst = Some("mail-spike");
            }
        }
    }
}
