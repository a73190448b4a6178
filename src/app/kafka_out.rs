//! Records to Kafka topics, each answered by its delivery report: what the alert sink and the
//! dead-letter topic write through.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::outgoing::Fatal;
use crate::deliver::Topic;
use crate::source::Error;
use crate::source::kafka::producer::{Producer, Report};
use crate::source::kafka::settings::Settings;

/// The client's poll lasts this long even if reports come earlier.
const POLL: Duration = Duration::from_millis(5);

/// How long reports are waited for at the end. Who wanted them has waited before, and what has none goes again
/// at the next start.
const LAST: Duration = Duration::from_secs(1);

type Waiting = Mutex<BTreeMap<usize, oneshot::Sender<Result<(), String>>>>;

struct Shared {
    producer: Producer,
    waiting: Waiting,
    next: AtomicUsize,
    stop: AtomicBool,
}

/// See the module's text. Ends its thread when dropped.
pub struct KafkaOut {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl KafkaOut {
    /// Starts the thread that serves delivery reports. If it dies, the process ends: whoever waits for a
    /// report would wait for ever.
    ///
    /// # Errors
    /// The settings are not sound, or the system gives no thread.
    pub fn start(
        settings: &Settings,
        env: &dyn Fn(&str) -> Option<String>,
        fatal: Fatal,
    ) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            producer: Producer::new(settings, env)?,
            waiting: Mutex::default(),
            next: AtomicUsize::new(1),
            stop: AtomicBool::new(false),
        });
        let served = Arc::clone(&shared);
        let serve = move || {
            if catch_unwind(AssertUnwindSafe(|| served.serve())).is_err() {
                fatal.end("the thread of a Kafka producer has died");
                served.let_go();
            }
        };
        let thread = std::thread::Builder::new()
            .name("kafka-out".to_owned())
            .spawn(serve);
        let thread = thread.map_err(|cause| Error::Open {
            name: "a thread".to_owned(),
            cause,
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }
}

impl Shared {
    fn serve(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let reports = self.producer.poll(POLL);
            if !reports.is_empty() {
                crate::crash::point("reports-served");
            }
            self.answer(reports);
        }
        self.answer(self.producer.flush(LAST));
    }

    /// Nobody will answer those who wait: they are told so.
    fn let_go(&self) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.clear();
    }

    fn answer(&self, reports: Vec<Report>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for report in reports {
            if let Some(sender) = waiting.remove(&report.ticket) {
                let _no_longer_wanted =
                    sender.send(report.result.map(|_| ()).map_err(|e| e.to_string()));
            }
        }
    }
}

impl Topic for KafkaOut {
    fn produce<'a>(
        &'a self,
        topic: &'a str,
        key: &'a str,
        payload: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        let ticket = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(ticket, sender);
        let sent =
            self.shared
                .producer
                .send(topic, Some(key.as_bytes()), payload.as_bytes(), &[], ticket);
        Box::pin(async move {
            if let Err(error) = sent {
                self.shared
                    .waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&ticket);
                return Err(error.to_string());
            }
            receiver
                .await
                .unwrap_or_else(|_| Err("the producer was stopped".to_owned()))
        })
    }
}

impl Drop for KafkaOut {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
