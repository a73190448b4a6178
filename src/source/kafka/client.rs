//! One client of librdkafka, with the configuration it was made with, closed aside.
//!
//! Closing waits for what is under way, such as offsets on their way to the group: for a minute
//! (`socket.timeout.ms`) where the other side of a connection is gone without a word. Invariant: whoever lets a
//! client go waits `CLOSE_MAX` for it, unless `CLOSING_MAX` are already closing. A client tells the ids of topics only
//! in its debug log (`anew`).

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;

use super::context::Context;

/// What a client takes that has nothing to wait for, and more.
const CLOSE_MAX: Duration = Duration::from_millis(500);
/// Clients that close at once.
const CLOSING_MAX: usize = 8;

/// See the module's text.
pub(super) struct Client {
    /// `None` only while it is let go.
    consumer: Option<BaseConsumer<Context>>,
    config: ClientConfig,
    closing: Arc<AtomicUsize>,
}

impl Client {
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
        let consumer = talking.create_with_context(Context::new(&config))?;
        Ok(Self {
            consumer: Some(consumer),
            config,
            closing,
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
