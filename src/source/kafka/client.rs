//! One client of librdkafka, with the configuration it was made with, closed aside.
//!
//! Closing waits for what is under way, such as offsets on their way to the group: for a minute
//! (`socket.timeout.ms`) where the other side of a connection is gone without a word. Invariant: whoever lets a
//! client go waits `CLOSE_MAX` for it, unless `CLOSING_MAX` are already closing. A client tells the ids of topics only
//! in its debug log (`anew`).

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;

use super::context::Context;

/// What a client takes that has nothing to wait for, and more.
const CLOSE_MAX: Duration = Duration::from_millis(500);
/// Clients that close at once.
const CLOSING_MAX: usize = 8;

/// See the module's text.
pub(super) struct Client {
    /// `None` only while it is let go.
    consumer: Option<BaseConsumer<Context>>,
    pub(super) config: ClientConfig,
    closing: Arc<AtomicUsize>,
    bell: Arc<Bell>,
}

/// Rung when the client's queue has something.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn ring(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.1.notify_one();
    }

    /// Waits until it has been rung since it was last heard, or for so long by the monotonic clock.
    fn hear(&self, wait: Duration) {
        let rung = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = self.1.wait_timeout_while(rung, wait, |rung| !*rung);
        *heard.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

impl Client {
    /// As the client's own, which waits by the wall clock: where that is stepped back an hour, for an hour.
    pub(super) fn poll(&self, wait: Duration) -> Option<KafkaResult<BorrowedMessage<'_>>> {
        let before = self.context().beside();
        let polled = BaseConsumer::poll(self, Duration::ZERO);
        if polled.is_some() || wait.is_zero() || self.context().beside() != before {
            return polled;
        }
        self.bell.hear(wait);
        BaseConsumer::poll(self, Duration::ZERO)
    }

    pub(super) fn new(config: ClientConfig) -> Result<Self, KafkaError> {
        Self::beside(config, Arc::default())
    }

    /// Another one with the same configuration.
    pub(super) fn another(&self) -> Result<Self, KafkaError> {
        Self::beside(self.config.clone(), Arc::clone(&self.closing))
    }

    fn beside(config: ClientConfig, closing: Arc<AtomicUsize>) -> Result<Self, KafkaError> {
        let mut talking = config.clone();
        let debug = config.get("debug").map(|more| format!("metadata,{more}"));
        talking.set("debug", debug.as_deref().unwrap_or("metadata"));
        talking.set_log_level(RDKafkaLogLevel::Debug);
        let mut consumer: BaseConsumer<Context> =
            talking.create_with_context(Context::new(&config))?;
        let bell = Arc::new(Bell::default());
        let rung = Arc::clone(&bell);
        consumer.set_nonempty_callback(move || rung.ring());
        Ok(Self {
            consumer: Some(consumer),
            config,
            closing,
            bell,
        })
    }
}

impl Deref for Client {
    type Target = BaseConsumer<Context>;

    fn deref(&self) -> &Self::Target {
        match &self.consumer {
            Some(consumer) => consumer,
            None => unreachable!("it goes with its client"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let (consumer, closing) = (self.consumer.take(), Arc::clone(&self.closing));
        let before = self.closing.fetch_add(1, Ordering::SeqCst);
        // Nothing is sent: that it is gone says that the client is closed.
        let (open, end) = mpsc::channel::<()>();
        let close = move || {
            drop(consumer);
            closing.fetch_sub(1, Ordering::SeqCst);
            drop(open);
        };
        let aside = std::thread::Builder::new().name("kafka-closing".to_owned());
        if aside.spawn(close).is_err() {
            // There is no thread for it: it was closed here and now.
            self.closing.fetch_sub(1, Ordering::SeqCst);
        }
        if before < CLOSING_MAX {
            let _ = end.recv_timeout(CLOSE_MAX);
        } else {
            let _ = end.recv();
        }
    }
}
