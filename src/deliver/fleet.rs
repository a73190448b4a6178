//! All workers of a deployment: one per endpoint, made from the settings, run and stopped together.
//!
//! Owns no judgement. A fault in any endpoint's settings is told together with all others, before
//! anything is sent.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::DeliverError;
use super::address::Lookup;
use super::counters::{Counters, Reading};
use super::queue::Rules;
use super::retry::Backoff;
use super::settings::{STDOUT, SecretSource, Settings};
use super::sink::{FileSink, Sink, StdoutSink, Topic, TopicSink};
use super::webhook::Webhook;
use super::worker::{Surroundings, Worker};
use crate::model::Span;

/// Files, topics and standard output keep their order over all messages: one at a time.
const LOCAL: Rules = Rules {
    backoff: Backoff { first: Span::seconds(1), longest: Span::seconds(10) },
    attempts_max: u32::MAX,
    age_max: Span::hours(24),
    concurrency: 1,
};

/// What the endpoints need from the app.
pub struct Means<'a> {
    pub secrets: &'a dyn SecretSource,
    /// Resolves the names of webhooks; `SystemLookup` outside tests.
    pub lookup: Arc<dyn Lookup>,
    /// Where topics write; none if no Kafka is configured.
    pub topic: Option<Arc<dyn Topic>>,
}

/// The workers, ready to run.
pub struct Fleet {
    workers: Vec<Worker>,
    handles: Handles,
}

/// What stays with the app once the workers run.
#[derive(Clone, Debug, Default)]
pub struct Handles {
    wakes: Vec<Arc<Notify>>,
    counters: Vec<Arc<Counters>>,
}

impl Handles {
    /// Tells every worker that a commit may have put messages into its outbox.
    pub fn wake(&self) {
        self.wakes.iter().for_each(|wake| wake.notify_one());
    }

    /// All counters now, for metrics.
    #[must_use]
    pub fn read(&self) -> Vec<Reading> {
        self.counters.iter().map(|counters| counters.read()).collect()
    }
}

impl Fleet {
    /// Makes a worker for each endpoint.
    ///
    /// # Errors
    /// Every fault of every endpoint.
    pub fn new(
        settings: &Settings,
        means: &Means<'_>,
        around: &Surroundings,
    ) -> Result<Self, Vec<String>> {
        let mut faults = settings.faults();
        let mut workers = Vec::new();
        let mut add = |name: &str, sink: Arc<dyn Sink>, rules| {
            workers.push(Worker::new(name, sink, rules, around.clone()));
        };
        for endpoint in &settings.webhooks {
            let ca = endpoint.ca_file.as_ref().map(|path| {
                let text = path.to_string_lossy();
                means.secrets.file(&text).map_err(|e| {
                    format!("webhook {}: ca_file {text} cannot be read: {e}", endpoint.name)
                })
            });
            let secrets = endpoint.secrets(means.secrets);
            match (secrets, ca.transpose()) {
                (Ok(secrets), Ok(ca)) => {
                    let ca = ca.as_deref().map(str::as_bytes);
                    match Webhook::new(endpoint, secrets, ca, Arc::clone(&means.lookup)) {
                        Ok(webhook) => add(&endpoint.name, Arc::new(webhook), endpoint.rules()),
                        Err(error) => faults.push(error.to_string()),
                    }
                }
                (secrets, ca) => {
                    faults.extend(secrets.err().into_iter().flatten());
                    faults.extend(ca.err());
                }
            }
        }
        for file in &settings.files {
            let (path, shape, sync) = (file.path.clone(), file.shape, file.sync);
            add(&file.name, Arc::new(FileSink { path, shape, sync }), LOCAL);
        }
        if let Some(stdout) = &settings.stdout {
            add(STDOUT, Arc::new(StdoutSink { shape: stdout.shape }), LOCAL);
        }
        for topic in &settings.topics {
            let Some(producer) = means.topic.as_ref().map(Arc::clone) else {
                faults.push(format!("topic {}: no kafka to write to is configured", topic.name));
                continue;
            };
            let sink = TopicSink { producer, topic: topic.topic.clone(), shape: topic.shape };
            add(&topic.name, Arc::new(sink), LOCAL);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let handles = Handles {
            wakes: workers.iter().map(Worker::wake).collect(),
            counters: workers.iter().map(Worker::counters).collect(),
        };
        Ok(Self { workers, handles })
    }

    /// To wake the workers and to read what they count.
    #[must_use]
    pub fn handles(&self) -> Handles {
        self.handles.clone()
    }

    /// Runs all workers until `stop` becomes true, or one of them fails for good.
    ///
    /// # Errors
    /// The first failure; the other workers have ended what was under way by then.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), DeliverError> {
        let (halt, halted) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for worker in self.workers {
            tasks.spawn(worker.run(halted.clone()));
        }
        let mut outer = stop;
        let mut result = Ok(());
        loop {
            tokio::select! {
                // Gone or true: both mean that it is over.
                _ = outer.wait_for(|stop| *stop), if !*halt.borrow() => {
                    halt.send_replace(true);
                }
                ended = tasks.join_next() => match ended {
                    None => return result,
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => {
                        halt.send_replace(true);
                        result = result.and(Err(error));
                    }
                    Some(Err(error)) => {
                        halt.send_replace(true);
                        let what = format!("a worker stopped: {error}; report this as a bug");
                        let endpoint = "?".to_owned();
                        result = result.and(Err(DeliverError::Settings { endpoint, what }));
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
