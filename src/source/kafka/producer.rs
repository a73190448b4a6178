//! Records to Kafka: the alert topic and the dead-letter topic.
//!
//! A bounded queue with delivery reports: nothing counts as sent before the broker has said so, and
//! a full queue is told to the caller instead of waiting or dropping. A client that has failed for good, as an
//! idempotent one does that is refused its id, is made anew; what it held is reported as not sent. Knows no formats.

#![expect(
    clippy::disallowed_methods,
    reason = "times its looks, and how often it is made anew"
)]

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use super::super::Error;
use super::context;
use super::settings::Settings;

/// A client is not made anew more often: what has ended one mostly lasts.
const RENEW_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks for reports.
const NAP: Duration = Duration::from_millis(5);

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The caller's number of the record.
    pub ticket: usize,
    /// Partition and offset, or why the record was not taken.
    pub result: Result<(i32, i64), String>,
}

/// Why a record was not even queued.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SendError {
    #[error("the queue is full; poll and send again")]
    Full,
    #[error("the record cannot be sent: {0}")]
    Refused(String),
}

/// What one client after the other has reported.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<Report>>>);

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        context::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "kafka", %error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = match result {
            Ok(message) => Ok((message.partition(), message.offset())),
            Err((error, _)) => Err(error.to_string()),
        };
        if let Ok(mut reports) = self.0.lock() {
            reports.push(Report { ticket, result });
        }
    }
}

/// A producer. Delivery reports come out of `poll` and `flush`.
pub struct Producer {
    config: ClientConfig,
    reports: Reports,
    inner: RwLock<BaseProducer<Reports>>,
    renewed: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Producer({} in flight)", self.in_flight())
    }
}

impl Producer {
    /// A producer for the brokers of `settings`. Does not wait for them.
    ///
    /// # Errors
    /// If the settings are not sound; the text says what to change.
    pub fn new(settings: &Settings, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let config = settings.producer(env).map_err(Error::Settings)?;
        let reports = Reports::default();
        let inner = config
            .create_with_context(reports.clone())
            .map_err(|e| Error::Settings(e.to_string()))?;
        Ok(Self {
            config,
            reports,
            inner: RwLock::new(inner),
            renewed: Mutex::new(None),
        })
    }

    fn inner(&self) -> RwLockReadGuard<'_, BaseProducer<Reports>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the client anew if it has failed for good: it takes nothing any more, however long it is asked.
    fn renew(&self) {
        let Some((code, why)) = self.inner().client().fatal_error() else {
            return;
        };
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        if renewed.is_some_and(|at| at.elapsed() < RENEW_PAUSE) {
            return;
        }
        *renewed = Some(Instant::now());
        tracing::warn!(target: "kafka", %code, why, "a producer's client has failed for good; it is made anew");
        match self.config.create_with_context(self.reports.clone()) {
            Ok(fresh) => {
                let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
                let old = std::mem::replace(&mut *inner, fresh);
                drop(inner);
                // Its end reports what it held, and may wait for a broker that is gone without a word.
                let aside = std::thread::Builder::new().name("kafka-closing".to_owned());
                let _none_left = aside.spawn(move || drop(old));
            }
            Err(error) => tracing::warn!(target: "kafka", %error, "there is no other client"),
        }
    }

    /// Queues a record. Its report carries `ticket`.
    ///
    /// # Errors
    /// If the queue is full, or the record as such cannot be sent.
    pub fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        payload: &[u8],
        headers: &[(&str, &str)],
        ticket: usize,
    ) -> Result<(), SendError> {
        let mut record = BaseRecord::with_opaque_to(topic, ticket).payload(payload);
        if let Some(key) = key {
            record = record.key(key);
        }
        if !headers.is_empty() {
            let empty = OwnedHeaders::new_with_capacity(headers.len());
            let add = |list: OwnedHeaders, (key, value): &(&str, &str)| {
                list.insert(Header {
                    key,
                    value: Some(*value),
                })
            };
            record = record.headers(headers.iter().fold(empty, add));
        }
        self.inner().send(record).map_err(|(error, _)| match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => SendError::Full,
            other => SendError::Refused(other.to_string()),
        })
    }

    /// Serves the client for up to `wait` and returns what was reported. The client itself is not waited for: it does
    /// that by the wall clock, which may be stepped back.
    #[must_use]
    pub fn poll(&self, wait: Duration) -> Vec<Report> {
        let end = Instant::now() + wait;
        loop {
            self.inner().poll(Duration::ZERO);
            let (reports, now) = (self.take(), Instant::now());
            if !reports.is_empty() || now >= end {
                self.renew();
                return reports;
            }
            std::thread::sleep(NAP.min(end - now));
        }
    }

    /// Waits up to `wait` until nothing is in flight and returns what was reported.
    #[must_use]
    pub fn flush(&self, wait: Duration) -> Vec<Report> {
        // A time-out shows in `in_flight`.
        let _ = self.inner().flush(wait);
        self.take()
    }

    /// Records queued and not reported yet.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.inner().in_flight_count()).unwrap_or(0)
    }

    fn take(&self) -> Vec<Report> {
        self.reports
            .0
            .lock()
            .map(|mut reports| std::mem::take(&mut *reports))
            .unwrap_or_default()
    }
}
