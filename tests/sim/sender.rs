//! What `deliver::worker` does around its queue, in steps on virtual time: load, send, settle.
//!
//! The queue that judges and the outbox that keeps are the product's; only the waiting is simulated.
//! A crash loses what is in memory here, as it does there.

use std::sync::Arc;

use tidegate::deliver::queue::{Pick, Queue, Rules};
use tidegate::deliver::sink::Outcome;
use tidegate::engine::outbox::{Message, Outbox, OutboxError, Settled};
use tidegate::model::WallTime;

use crate::crash::Crashes;
use crate::mutant::Mutant;
use crate::node::Stopped;
use crate::random::Random;
use crate::receiver::Receiver;

/// Most messages loaded at once.
const LOAD: usize = 1000;

pub struct Sender {
    pub endpoint: String,
    queue: Queue,
    under_way: Vec<(i64, Arc<Message>, Outcome)>,
    unsettled: Vec<Settled>,
    /// Messages handed to the receiver in the last step, and when.
    pub attempted: Vec<(i64, Arc<Message>)>,
}

impl Sender {
    pub fn new(endpoint: &str, rules: Rules, seed: u64) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            queue: Queue::new(rules, seed),
            under_way: Vec::new(),
            unsettled: Vec::new(),
            attempted: Vec::new(),
        }
    }

    /// One look at everything there is to do.
    pub fn step(
        &mut self,
        outbox: &dyn Outbox,
        receiver: &mut Receiver,
        now: i64,
        random: &mut Random,
        (crashes, mutant): (&Crashes, Mutant),
    ) -> Result<(), Stopped> {
        self.attempted.clear();
        let loaded = outbox.load(&self.endpoint, self.queue.last_accepted(), LOAD);
        let mut messages = loaded.map_err(stopped)?;
        if !messages.is_empty() {
            crashes.point("outbox-loaded")?;
        }
        if mutant == Mutant::ExpiredSent {
            for message in &mut messages {
                (message.draft.expires_at, message.draft.slot) = (None, None);
            }
        }
        self.queue.accept(messages);
        self.queue.sweep(WallTime(now));
        loop {
            let due = |(at, ..): &(i64, Arc<Message>, Outcome)| *at <= now;
            while let Some(n) = self.under_way.iter().position(due) {
                let (at, message, outcome) = self.under_way.remove(n);
                crashes.point("message-sent")?;
                self.queue.sent(message.number, &outcome, WallTime(at));
            }
            match self.queue.next(WallTime(now), &|_| None) {
                Pick::Wait(_) => break,
                Pick::Send(message) => {
                    crashes.point("message-sending")?;
                    self.attempted.push((now, Arc::clone(&message)));
                    if mutant == Mutant::SettledBeforeSent {
                        self.queue
                            .sent(message.number, &Outcome::Delivered, WallTime(now));
                        self.settle(outbox, crashes)?;
                    }
                    let (outcome, took) = receiver.attempt(&message, random);
                    self.under_way.push((now + took, message, outcome));
                }
            }
        }
        self.settle(outbox, crashes)
    }

    fn settle(&mut self, outbox: &dyn Outbox, crashes: &Crashes) -> Result<(), Stopped> {
        self.unsettled.extend(self.queue.take_settled());
        if !self.unsettled.is_empty() {
            crashes.point("message-settling")?;
            let settled = outbox.settle(&self.endpoint, &self.unsettled);
            settled.map_err(stopped)?;
            self.unsettled.clear();
            crashes.point("message-settled")?;
        }
        Ok(())
    }
}

/// Trouble with a full disk passes; else the process is dead.
fn stopped(error: OutboxError) -> Stopped {
    if error.class.may_pass() {
        Stopped::Stuck
    } else {
        Stopped::Died
    }
}
