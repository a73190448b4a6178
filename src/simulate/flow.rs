//! One story of one account (or one deployment): which steps happen when, fixed at its beginning.
//!
//! Owns the realistic delays and the ids of a flow; does not choose people, rates or labels' truth.
//! Invariant: a flow's steps are in time order, and its token, request and message ids are unique
//! in the run.

use super::fact::{Campaign, Kind};
use super::random::{Random, mix, small};
use super::world::Origin;

/// How long a token lives.
pub(super) const TOKEN_LIFE_MS: u32 = 1_800_000;
/// At most this many mails carry one token.
pub(super) const COPIES_MAX: u8 = 6;
const STEPS_MAX: usize = 32;

/// What a flow is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// An ordinary account, by number.
    Account(u64),
    /// A decoy account, by number from 1.
    Decoy(u64),
    /// A deployment of a service, by its place in [`SERVICES`].
    Deploy(u8),
}

/// Services that get deployed; only the last one sends mail.
pub(super) const SERVICES: [&str; 5] = ["web", "search", "catalog", "billing", "mailer"];
/// The mailer's place in [`SERVICES`].
pub(super) const MAILER: u8 = 4;

/// One event to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) after_ms: u32,
    pub(super) kind: Kind,
    /// 0: the account's own client; 1: the other party (thief, scanner).
    pub(super) who: u8,
    /// Which of the mails for one token.
    pub(super) copy: u8,
    pub(super) label: Campaign,
}

const NO_STEP: Step = Step {
    after_ms: u32::MAX,
    kind: Kind::LoginSuccess,
    who: 0,
    copy: 0,
    label: Campaign::None,
};

/// The mails for a token: how many, and what the extra ones are part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mails {
    pub(super) copies: u8,
    pub(super) extra: Campaign,
    pub(super) bounce: bool,
}

impl Mails {
    /// One mail that arrives.
    pub(super) const ONE: Self = Self {
        copies: 1,
        extra: Campaign::None,
        bounce: false,
    };
}

/// A story in progress.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    pub(super) started_ms: i64,
    pub(super) subject: Subject,
    pub(super) origins: [Origin; 2],
    /// False when the account asked for does not exist.
    pub(super) known: bool,
    /// Number of the planted token that is used, if one is.
    pub(super) decoy_token: u64,
    /// Method of the other party's use of the token.
    pub(super) other_method: &'static str,
    sent_ms: [u32; COPIES_MAX as usize],
    serial: u64,
    key: u64,
    label: Campaign,
    steps: [Step; STEPS_MAX],
    planned: usize,
    done: usize,
}

impl Flow {
    pub(super) fn new(
        started_ms: i64,
        (serial, key): (u64, u64),
        subject: Subject,
        origin: Origin,
        label: Campaign,
    ) -> Self {
        Self {
            started_ms,
            subject,
            origins: [origin; 2],
            known: true,
            decoy_token: 0,
            other_method: "POST",
            sent_ms: [0; COPIES_MAX as usize],
            serial,
            key,
            label,
            steps: [NO_STEP; STEPS_MAX],
            planned: 0,
            done: 0,
        }
    }

    /// Adds a step of the account's own client.
    pub(super) fn at(&mut self, after_ms: u32, kind: Kind) {
        let label = self.label;
        self.push(Step {
            after_ms,
            kind,
            who: 0,
            copy: 0,
            label,
        });
    }

    /// Adds a step of the other party.
    pub(super) fn other_at(&mut self, after_ms: u32, kind: Kind, label: Campaign) {
        self.push(Step {
            after_ms,
            kind,
            who: 1,
            copy: 0,
            label,
        });
    }

    fn push(&mut self, step: Step) {
        debug_assert!(
            self.planned < STEPS_MAX,
            "a flow has at most {STEPS_MAX} steps"
        );
        let before = self.steps.iter().take(self.planned);
        let place = before.filter(|s| s.after_ms <= step.after_ms).count();
        if let Some(tail) = self.steps.get_mut(place..=self.planned) {
            tail.rotate_right(1);
            tail[0] = step;
            self.planned += 1;
        }
    }

    /// The machine's part: request, token, mails. Returns when the last first-copy mail was sent
    /// and when it arrived.
    pub(super) fn request(&mut self, random: &mut Random, after_ms: u32, mails: Mails) -> Sent {
        self.at(after_ms, Kind::RecoveryRequested);
        let issued_ms = after_ms + random.between(20, 120);
        self.at(issued_ms, Kind::TokenIssued);
        let mut first = Sent {
            issued_ms,
            sent_ms: issued_ms,
            arrived_ms: issued_ms,
        };
        let mut queued_ms = issued_ms + random.between(5, 40);
        for copy in 0..mails.copies.min(COPIES_MAX) {
            let sent_ms = queued_ms + random.between(200, 2500);
            let arrived_ms = sent_ms + random.between(800, 8000);
            let label = if copy == 0 { self.label } else { mails.extra };
            let end = if mails.bounce {
                Kind::MessageBounced
            } else {
                Kind::MessageDelivered
            };
            for (after_ms, kind) in [
                (queued_ms, Kind::MessageQueued),
                (sent_ms, Kind::MessageSent),
                (arrived_ms, end),
            ] {
                self.push(Step {
                    after_ms,
                    kind,
                    who: 0,
                    copy,
                    label,
                });
            }
            self.sent_ms[usize::from(copy)] = sent_ms;
            if copy == 0 {
                first = Sent {
                    issued_ms,
                    sent_ms,
                    arrived_ms,
                };
            }
            queued_ms = arrived_ms + random.between(10_000, 40_000);
        }
        first
    }

    /// The person's part: reads the mail and finishes. Returns when the token was used.
    pub(super) fn redeem(&mut self, random: &mut Random, sent: Sent) -> u32 {
        let thinking_ms = small(random.exponential(150_000.0).min(1_380_000.0));
        let used_ms = sent.arrived_ms + 20_000 + thinking_ms;
        self.at(used_ms - random.between(300, 1500), Kind::MessageClicked);
        self.at(used_ms, Kind::TokenUsed);
        let changed_ms = used_ms + random.between(15_000, 90_000);
        self.at(changed_ms, Kind::PasswordChanged);
        self.at(changed_ms + random.between(500, 4000), Kind::SessionRevoked);
        self.at(
            changed_ms + random.between(5000, 30_000),
            Kind::LoginSuccess,
        );
        used_ms
    }

    /// The token dies unused.
    pub(super) fn expire(&mut self, random: &mut Random, sent: Sent) {
        self.at(
            sent.issued_ms + TOKEN_LIFE_MS + random.below(900),
            Kind::TokenExpired,
        );
    }

    /// The time of the next step, if one is left.
    pub(super) fn next_ms(&self) -> Option<i64> {
        let left = self.steps.get(self.done..self.planned)?;
        left.first()
            .map(|step| self.started_ms + i64::from(step.after_ms))
    }

    /// Takes the next step.
    pub(super) fn take(&mut self) -> Option<Step> {
        let step = self.steps.get(self.done..self.planned)?.first().copied();
        self.done += 1;
        step
    }

    /// Id of the request that began it.
    pub(super) fn request_id(&self) -> u64 {
        mix(self.key ^ self.serial)
    }

    /// Id of its token (also the secret in its link, which is another function of it).
    pub(super) fn token_id(&self) -> u64 {
        mix(self.key.rotate_left(17) ^ self.serial)
    }

    /// Id of one of its mails.
    pub(super) fn message_id(&self, copy: u8) -> u64 {
        mix(self.key.rotate_left(31) ^ (self.serial << 3 | u64::from(copy)))
    }

    /// Id of the session a log-in began or a password change ended.
    pub(super) fn session_id(&self, old: bool) -> u64 {
        mix(self.key.rotate_left(45) ^ (self.serial << 1 | u64::from(old)))
    }

    /// The serial number, which is unique in the run.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// When one of its mails was sent.
    pub(super) fn mail_sent_ms(&self, copy: u8) -> i64 {
        let after = self.sent_ms.get(usize::from(copy)).copied().unwrap_or(0);
        self.started_ms + i64::from(after)
    }
}

/// When the machine did its part, in ms after the flow's beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) issued_ms: u32,
    pub(super) sent_ms: u32,
    pub(super) arrived_ms: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::world;

    #[test]
    fn steps_come_out_in_time_order() {
        let mut random = Random::new(1, 1);
        for serial in 0..500 {
            let subject = Subject::Account(serial);
            let origin = world::hosting_core(0);
            let mut flow = Flow::new(1000, (serial, 77), subject, origin, Campaign::None);
            let mails = Mails {
                copies: 6,
                extra: Campaign::DeployRegression,
                bounce: false,
            };
            let sent = flow.request(&mut random, 5000, mails);
            let used_ms = flow.redeem(&mut random, sent);
            assert!(
                used_ms < sent.issued_ms + TOKEN_LIFE_MS,
                "a token is used while it lives"
            );
            flow.at(0, Kind::LoginFailure);
            flow.expire(&mut random, sent);
            let (mut before, mut count) = (i64::MIN, 0);
            while let Some(next_ms) = flow.next_ms() {
                let step = flow.take().unwrap();
                assert_eq!(next_ms, 1000 + i64::from(step.after_ms));
                assert!(next_ms >= before);
                (before, count) = (next_ms, count + 1);
            }
            assert_eq!(count, 27);
        }
    }
}
