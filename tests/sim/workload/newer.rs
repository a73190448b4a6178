//! Traffic for the detectors of `newer.yml`: keys with a past, evidence, heartbeats that stop, steps
//! left undone, shares and rates that leave what is usual for them.
//!
//! The estimated ones have no law: their bursts are marked, and the rest stays far from any bound.

use super::{Flow, S};

const M: i64 = 60 * S;

impl Flow {
    pub(super) fn newer(&mut self, minutes: i64) {
        self.sessions();
        self.agents();
        self.evidence();
        self.beats();
        self.tickets();
        self.decoys();
        if minutes >= 30 {
            self.bounces();
            self.steps();
        }
    }

    /// Users with a few devices, some of them seen rarely; between two of their phases all is forgotten.
    fn sessions(&mut self) {
        for n in 0..6 {
            let user = format!("s{n}");
            let devices = self.random.between(2, 7);
            let (gap, count) = (
                self.random.between(10 * S, 70 * S),
                self.random.between(4, 30),
            );
            for at in self.moments(count, gap, 360 * S) {
                // Low numbers are common.
                let device = self.random.between(0, devices) * self.random.between(0, 2);
                let device = format!("s{n}-d{device}");
                self.add(
                    at,
                    "session.started",
                    &[("user.id", &user), ("device.id", &device)],
                );
            }
        }
    }

    /// Agents and addresses of one organization; a new pair comes once, twice or often enough.
    fn agents(&mut self) {
        for n in 0..2 {
            let organization = format!("o{n}");
            for at in self.moments(40, 20 * S, 480 * S) {
                let (agent, ip) = (
                    format!("agent{}", self.random.between(0, 4)),
                    format!("10.0.{n}.{}", self.random.between(0, 3)),
                );
                let what = [
                    ("organization.id", organization.as_str()),
                    ("source.ip", &ip),
                    ("user_agent.original", &agent),
                ];
                self.add(at, "custom.agent", &what);
                for _ in 0..self.random.between(0, 4) {
                    let later = *self.random.pick(&[5 * S, 30 * S, 90 * S - 1, 90 * S]);
                    self.add(at + later, "custom.agent", &what);
                }
            }
        }
    }

    /// What adds up, before and after a reset, at the edges of window and `once` too.
    fn evidence(&mut self) {
        let kinds = [
            "mfa.reset",
            "device.registered",
            "phone.changed",
            "session.started",
        ];
        for n in 0..6 {
            let user = format!("v{n}");
            let gap = self.random.between(10 * S, 60 * S);
            for at in self.moments(18, gap, 300 * S) {
                let kind = *self.random.pick(&kinds);
                let device = format!("v{n}-d{}", self.random.between(0, 5));
                self.add(at, kind, &[("user.id", &user), ("device.id", &device)]);
            }
            let gap = self.random.between(5 * S, 30 * S);
            for at in self.moments(24, gap, 60 * S) {
                let kind = if self.random.chance(300) {
                    "phishing.reported"
                } else {
                    "challenge.failed"
                };
                self.add(at, kind, &[("user.id", &user)]);
            }
        }
    }

    /// Services that beat, pause at and around the deadline, and stop.
    fn beats(&mut self) {
        for n in 0..4 {
            let service = format!("service{n}");
            let mut at = self.random.between(super::START, super::START + 4 * M);
            let usual = self.random.between(6 * S, 30 * S);
            let end = self.end - self.random.between(0, 8 * M);
            while at < end {
                self.add(at, "custom.beat", &[("deploy.service", &service)]);
                let pauses = [50 * S, 50 * S + 1, 70 * S, 70 * S + 1, 170 * S, 200 * S];
                at += if self.random.chance(80) {
                    *self.random.pick(&pauses)
                } else {
                    self.random.between(usual / 2, usual * 3 / 2)
                };
            }
        }
    }

    /// Tickets whose next steps come in time, at the deadline, too late or never.
    fn tickets(&mut self) {
        for n in 0..5 {
            let user = format!("h{n}");
            let gap = self.random.between(10 * S, 60 * S);
            for at in self.moments(14, gap, 45 * S) {
                self.add(at, "ticket.opened", &[("user.id", &user)]);
                let shown = at + *self.random.pick(&[300, 19 * S, 20 * S, 20 * S + 1]);
                if self.random.chance(800) {
                    self.add(shown, "challenge.shown", &[("user.id", &user)]);
                }
                let passed = shown + *self.random.pick(&[900, 25 * S, 60 * S, 60 * S + 1]);
                if self.random.chance(700) {
                    self.add(passed, "challenge.passed", &[("user.id", &user)]);
                }
            }
        }
    }

    /// Planted tokens that come back, each from an address of its own.
    fn decoys(&mut self) {
        for (n, at) in (0..).zip(self.moments(16, 70 * S, 300 * S)) {
            let ip = format!("198.18.0.{n}");
            let what = [("source.ip", ip.as_str()), ("honeytoken.kind", "request")];
            self.add(at, "honeytoken.hit", &what);
        }
    }

    /// Mails of which few bounce; in a third of the seeds most do, for a while.
    fn bounces(&mut self) {
        let mut at = super::START;
        while at < self.end {
            at += self.random.between(S, 8 * S);
            let kind = if self.random.chance(20) {
                "message.bounced"
            } else {
                "message.delivered"
            };
            self.add(at, kind, &[]);
        }
        if self.random.chance(330) {
            self.burst(
                "bounce-rise",
                "message.bounced",
                22 * M,
                (90, 2 * S),
                |_| Vec::new(),
            );
        }
    }

    /// Accounts that come back and back, and then: many never seen, few very often, many that were
    /// declared, and more than were declared.
    fn steps(&mut self) {
        for reason in ["plain", "few", "declared"] {
            let mut at = super::START;
            while at < self.end {
                at += self.random.between(2 * S, 18 * S);
                let account = format!("{reason}{}", self.random.between(0, 20));
                let fields = [("event.reason", reason), ("user.target.id", &account)];
                self.add(at, "recovery.step", &fields);
            }
        }
        let accounts = |reason: &'static str, many: i64| {
            move |n: i64| {
                let account = format!("{reason}-n{}", n % many);
                vec![
                    ("event.reason", reason.to_owned()),
                    ("user.target.id", account),
                ]
            }
        };
        let kind = "recovery.step";
        if self.random.chance(330) {
            self.burst("rotating", kind, 23 * M, (150, S), accounts("plain", 150));
        }
        if self.random.chance(330) {
            self.burst("", kind, 21 * M, (200, S), accounts("few", 4));
        }
        match self.random.between(0, 3) {
            0 => self.burst("", kind, 14 * M + S, (220, S), accounts("declared", 220)),
            1 => {
                let of = accounts("declared", 900);
                self.burst("rotating", kind, 14 * M + S, (900, S / 5), of);
            }
            _ => {}
        }
    }

    /// So many events of a kind, `step` apart; `part` is the detector that must tell of them.
    fn burst(
        &mut self,
        part: &'static str,
        kind: &'static str,
        begin: i64,
        (count, step): (i64, i64),
        fields: impl Fn(i64) -> Vec<(&'static str, String)>,
    ) {
        for n in 0..count {
            let fields = fields(n);
            let fields: Vec<_> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let fact = self.add(super::START + begin + n * step + n % 7, kind, &fields);
            fact.burst = Some(part).filter(|p| !p.is_empty());
        }
    }
}
