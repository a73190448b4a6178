//! The webhook's other end: takes messages, loses answers, breaks, and dedupes on the id.
//!
//! Owns what it has received. Invariant it checks for us: one id never comes with other bytes.

use std::collections::BTreeMap;

use tidegate::deliver::sink::{Failure, Fault, Outcome};
use tidegate::engine::outbox::Message;
use tidegate::model::Span;

use crate::random::Random;

/// How it behaves at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Well,
    /// No connection.
    Down,
    /// 5xx, mostly.
    Failing,
    /// It takes messages, but the answer comes late or never.
    Slow,
    /// 429 with a wish.
    Busy,
}

/// A message as it was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub message: Message,
    pub times: u32,
}

#[derive(Debug, Default)]
pub struct Receiver {
    pub mood: Mood,
    /// By webhook id.
    pub taken: BTreeMap<String, Taken>,
    /// Ids in the order in which they first came.
    pub order: Vec<String>,
    /// An id that came with other bytes than before.
    pub forged: Option<String>,
    /// An id that came under another number than before.
    pub renumbered: Option<String>,
}

impl Receiver {
    /// An attempt: how it ends, and how long the sender waits for that.
    pub fn attempt(&mut self, message: &Message, random: &mut Random) -> (Outcome, i64) {
        let failed = |fault, asked: Option<i64>| {
            let mut failure = Failure::new(fault, "simulated");
            failure.retry_after = asked.map(Span);
            Outcome::Failed(failure)
        };
        match self.mood {
            Mood::Well => {
                self.take(message);
                (Outcome::Delivered, random.between(1, 300))
            }
            Mood::Down => (failed(Fault::Connection, None), random.between(1, 50)),
            Mood::Failing if random.chance(300) => {
                self.take(message);
                (Outcome::Delivered, random.between(1, 300))
            }
            Mood::Failing => (failed(Fault::Server, None), random.between(1, 300)),
            // The answer is lost: the sender has to try again, the receiver has it twice.
            Mood::Slow => {
                self.take(message);
                let lost = random.chance(500);
                let outcome = if lost {
                    failed(Fault::Timeout, None)
                } else {
                    Outcome::Delivered
                };
                (
                    outcome,
                    if lost {
                        15_000
                    } else {
                        random.between(1000, 14_000)
                    },
                )
            }
            Mood::Busy => (failed(Fault::Busy, Some(random.between(1000, 60_000))), 20),
        }
    }

    fn take(&mut self, message: &Message) {
        let id = &message.draft.webhook_id;
        match self.taken.get_mut(id) {
            Some(before) => {
                before.times += 1;
                if before.message.draft.body != message.draft.body {
                    self.forged = Some(id.clone());
                }
                if before.message.number != message.number {
                    self.renumbered = Some(id.clone());
                }
            }
            None => {
                let taken = Taken {
                    message: message.clone(),
                    times: 1,
                };
                self.taken.insert(id.clone(), taken);
                self.order.push(id.clone());
            }
        }
    }
}
