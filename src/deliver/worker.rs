//! The task that empties one endpoint's outbox: it loads, sends, settles, waits.
//!
//! Owns the async shell around `Queue`, which does the thinking. A message is taken out of the
//! outbox only after its outcome is known, so a crash at any moment sends it again, never loses it.

#![expect(
    clippy::disallowed_methods,
    reason = "an edge: it sleeps between attempts"
)]

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::DeliverError;
use super::clock::Clock;
use super::counters::Counters;
use super::queue::{Pick, Queue, Rules};
use super::sink::{Failure, Fault, Outcome, Sink};
use crate::engine::outbox::{Concern, Message, Outbox, OutboxError, Settled, Verdict};
use crate::model::fault::Class;
use crate::model::{Span, WallTime};

/// Most messages of an endpoint in memory; the others wait in the store.
const LOADED_MAX: usize = 10_000;
/// How often it looks around without being woken.
const TICK: Duration = Duration::from_secs(2);
/// How long attempts under way may take to end when the process stops.
const DRAIN: Duration = Duration::from_secs(5);

/// Something people or their plots should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// One attempt has ended, well or not.
    Attempted { endpoint: String, took: Span },
    /// A message has arrived.
    Delivered(Box<Settled>),
    /// The endpoint answered 410: nothing more is sent to it until the next start.
    Disabled { endpoint: String },
    /// The endpoint is taken to be down.
    Down { endpoint: String, why: String },
    /// It is back.
    Up { endpoint: String },
    /// A message was given up.
    GaveUp {
        endpoint: String,
        webhook_id: String,
        why: String,
    },
    /// A message was not sent because its target is on the allow-list by now.
    Refused {
        endpoint: String,
        webhook_id: String,
        why: String,
    },
}

/// Tells why a target must not be acted on, if it must not: the allow-list at delivery.
pub type Gate = Arc<dyn Fn(&Concern) -> Option<String> + Send + Sync>;
/// Takes notices.
pub type Notices = Arc<dyn Fn(Notice) + Send + Sync>;

/// What every worker of a process shares.
#[derive(Clone)]
pub struct Surroundings {
    pub outbox: Arc<dyn Outbox>,
    pub clock: Arc<dyn Clock>,
    pub gate: Gate,
    pub notices: Notices,
    /// Scatters retries.
    pub seed: u64,
}

/// The worker of one endpoint.
pub struct Worker {
    endpoint: String,
    sink: Arc<dyn Sink>,
    around: Surroundings,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
    queue: Queue,
    under_way: JoinSet<Attempt>,
    unsettled: Vec<Settled>,
    look_into_store: bool,
    /// Messages in the outbox when last looked.
    stored: u64,
}

struct Attempt {
    message: Arc<Message>,
    outcome: Outcome,
    took: Span,
}

impl Worker {
    /// A worker for one endpoint; `run` starts it.
    #[must_use]
    pub fn new(endpoint: &str, sink: Arc<dyn Sink>, rules: Rules, around: Surroundings) -> Self {
        let salt = endpoint
            .bytes()
            .fold(around.seed, |n, b| super::retry::mix(n ^ u64::from(b)));
        Self {
            endpoint: endpoint.to_owned(),
            sink,
            around,
            counters: Arc::new(Counters::new(endpoint)),
            wake: Arc::new(Notify::new()),
            queue: Queue::new(rules, salt),
            under_way: JoinSet::new(),
            unsettled: Vec::new(),
            look_into_store: true,
            stored: 0,
        }
    }

    /// Its counters, for metrics.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// To be notified after each commit that put messages into its outbox.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Sends until `stop` becomes true (or its sender is gone), then ends what is under way.
    ///
    /// # Errors
    /// When the outbox fails for good.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<(), DeliverError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !*stop.borrow() {
            self.load().await?;
            let until = self.send_what_may_go();
            self.settle().await?;
            self.report();
            let pause = self.pause(until);
            tokio::select! {
                Some(done) = self.under_way.join_next() => self.ended(done),
                () = self.wake.notified() => self.look_into_store = true,
                _ = tick.tick() => {
                    self.look_into_store = true;
                    self.queue.sweep(self.around.clock.now());
                }
                () = tokio::time::sleep(pause) => {}
                changed = stop.changed() => if changed.is_err() { break },
            }
            while let Some(done) = self.under_way.try_join_next() {
                self.ended(done);
            }
        }
        self.drain().await
    }

    /// How long until the queue wants to be asked again.
    fn pause(&self, until: Option<WallTime>) -> Duration {
        let wait = until.map_or(i64::MAX, |at| (at - self.around.clock.now()).0.max(1));
        Duration::from_millis(u64::try_from(wait).unwrap_or(0)).min(TICK * 2)
    }

    async fn load(&mut self) -> Result<(), DeliverError> {
        let room = LOADED_MAX.saturating_sub(self.queue.len());
        if !self.look_into_store {
            return Ok(());
        }
        let (outbox, endpoint) = (Arc::clone(&self.around.outbox), self.endpoint.clone());
        let after = self.queue.last_accepted();
        let room = if room < LOADED_MAX / 2 { 0 } else { room };
        let loaded = blocking(move || {
            let depth = outbox.depth(&endpoint)?;
            let messages = outbox.load(&endpoint, after, room)?;
            // Last: of what was loaded some may have given way meanwhile.
            Ok((depth, messages, outbox.gave_way(&endpoint)?))
        });
        match loaded.await {
            Ok((depth, messages, gave_way)) => {
                if !messages.is_empty() {
                    crate::crash::point("outbox-loaded");
                }
                self.stored = depth;
                self.look_into_store = room > 0 && messages.len() == room;
                self.queue.accept(messages);
                self.queue.give_way(gave_way);
                Ok(())
            }
            Err(error) => self.survive(error),
        }
    }

    fn send_what_may_go(&mut self) -> Option<WallTime> {
        let gate = Arc::clone(&self.around.gate);
        loop {
            match self.queue.next(self.around.clock.now(), &*gate) {
                Pick::Wait(until) => return until,
                Pick::Send(message) => {
                    crate::crash::point("message-sending");
                    let sink = Arc::clone(&self.sink);
                    let clock = Arc::clone(&self.around.clock);
                    self.under_way.spawn(async move {
                        let (start, stamp) = (clock.now(), clock.stamp());
                        let sent = Arc::clone(&message);
                        // A task of its own: a sink that panics is one failed attempt.
                        let outcome = tokio::spawn(async move {
                            crate::crash::point("sink-sending");
                            sink.send(&sent, stamp).await
                        });
                        let outcome = outcome.await.unwrap_or_else(|_| {
                            Outcome::Failed(Failure::new(Fault::Local, "the sink panicked"))
                        });
                        crate::crash::point("attempt-made");
                        Attempt {
                            message,
                            outcome,
                            took: clock.now() - start,
                        }
                    });
                }
            }
        }
    }

    fn ended(&mut self, done: Result<Attempt, tokio::task::JoinError>) {
        let attempt = match done {
            Ok(attempt) => attempt,
            // Its message would be under way for ever, and hold back all behind it: the worker dies, too.
            Err(died) => match died.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_stopped) => return,
            },
        };
        crate::crash::point("message-sent");
        let now = self.around.clock.now();
        let was = (self.queue.is_down(), self.queue.is_disabled());
        self.queue
            .sent(attempt.message.number, &attempt.outcome, now);
        let is = (self.queue.is_down(), self.queue.is_disabled());
        let endpoint = self.endpoint.clone();
        let failure = match &attempt.outcome {
            Outcome::Delivered => None,
            Outcome::Failed(failure) => Some(failure),
        };
        self.counters.attempted(failure.map(|f| f.fault));
        (self.around.notices)(Notice::Attempted {
            endpoint: endpoint.clone(),
            took: attempt.took,
        });
        if let Some(failure) = failure {
            tracing::warn!(
                endpoint = %self.endpoint,
                webhook_id = %attempt.message.draft.webhook_id,
                fault = failure.fault.name(),
                detail = %failure.detail,
                "a delivery failed"
            );
        }
        if is.1 && !was.1 {
            (self.around.notices)(Notice::Disabled { endpoint });
        } else if is.0 && !was.0 {
            let why = failure.map(|f| f.detail.clone()).unwrap_or_default();
            (self.around.notices)(Notice::Down { endpoint, why });
        } else if was.0 && !is.0 {
            (self.around.notices)(Notice::Up { endpoint });
        }
    }

    /// Makes durable what was settled. It is kept and tried again while the store cannot write.
    async fn settle(&mut self) -> Result<(), DeliverError> {
        let fresh = self.queue.take_settled();
        for one in &fresh {
            self.counters.settled(&one.verdict);
            self.tell(one);
        }
        self.unsettled.extend(fresh);
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.unsettled);
        let (outbox, endpoint) = (Arc::clone(&self.around.outbox), self.endpoint.clone());
        let kept = batch.clone();
        crate::crash::point("message-settling");
        match blocking(move || outbox.settle(&endpoint, &batch)).await {
            Ok(()) => {
                crate::crash::point("message-settled");
                Ok(())
            }
            Err(error) => {
                self.unsettled = kept;
                self.survive(error)
            }
        }
    }

    fn tell(&self, one: &Settled) {
        let (endpoint, webhook_id) = (self.endpoint.clone(), one.webhook_id.clone());
        match &one.verdict {
            Verdict::Dead(why) => {
                let why = why.clone();
                (self.around.notices)(Notice::GaveUp {
                    endpoint,
                    webhook_id,
                    why,
                });
            }
            Verdict::Refused(why) => {
                let why = why.clone();
                (self.around.notices)(Notice::Refused {
                    endpoint,
                    webhook_id,
                    why,
                });
            }
            Verdict::Delivered => (self.around.notices)(Notice::Delivered(Box::new(one.clone()))),
            Verdict::Expired | Verdict::Coalesced(_) => {}
        }
    }

    fn survive(&self, error: OutboxError) -> Result<(), DeliverError> {
        match error.class {
            Class::Retry => {
                tracing::warn!(endpoint = %self.endpoint, %error, "the outbox has to wait");
                Ok(())
            }
            Class::Poison | Class::Fatal | Class::Operator => Err(DeliverError::Outbox {
                endpoint: self.endpoint.clone(),
                source: error,
            }),
        }
    }

    fn report(&self) {
        let loaded = u64::try_from(self.queue.len()).unwrap_or(u64::MAX);
        // What is not loaded is known as of the last look.
        let full = self.queue.len() >= LOADED_MAX / 2;
        let depth = if full {
            self.stored.max(loaded)
        } else {
            loaded
        };
        self.counters.waiting(depth, self.queue.oldest());
        self.counters
            .state(self.queue.is_down(), self.queue.is_disabled());
    }

    async fn drain(mut self) -> Result<(), DeliverError> {
        let ended = tokio::time::timeout(DRAIN, async {
            while let Some(done) = self.under_way.join_next().await {
                self.ended(done);
            }
        });
        if ended.await.is_err() {
            tracing::warn!(endpoint = %self.endpoint, "attempts under way were stopped and go again at the next start");
        }
        self.settle().await?;
        self.report();
        Ok(())
    }
}

/// The store's calls block: they run beside the async tasks.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, OutboxError> + Send + 'static,
) -> Result<T, OutboxError> {
    let work = || {
        crate::crash::point("outbox-asked");
        work()
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(OutboxError {
            class: Class::Fatal,
            what: "the outbox task was stopped".to_owned(),
        })
    })
}

#[cfg(test)]
mod tests;
