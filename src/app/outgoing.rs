//! The way out, set up: one worker per webhook and sink, on the runtime, and who hears of them.
//!
//! Owns no delivery (that is `deliver`); it joins configuration, secrets, workers and metrics. A
//! worker that cannot go on ends the process: a daemon that decides and never sends is half-dead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::anyhow;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use super::kafka_out::KafkaOut;
use super::measures::seconds;
use super::settings::{self, Secrets};
use crate::config::shape::Sink as SinkShape;
use crate::config::{Config, Environment};
use crate::deliver::address::SystemLookup;
use crate::deliver::queue::Rules;
use crate::deliver::settings::{STDOUT, Settings as Delivery};
use crate::deliver::sink::{FileSink, StdoutSink, TopicSink};
use crate::deliver::webhook::Webhook;
use crate::deliver::worker::{Notices, Surroundings};
use crate::deliver::{Counters, Notice, Sink, Worker};
use crate::engine::outbox::Kind;
use crate::telemetry::Metrics;
use crate::telemetry::metric::Label;

/// Records under way at once to one topic.
const TOPIC_CONCURRENCY: usize = 64;

/// The endpoints' side: whom to wake, what they count.
pub struct Outgoing {
    pub wakes: Vec<Arc<Notify>>,
    pub counters: Vec<Arc<Counters>>,
    pub tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Starts a worker for each webhook and sink of the configuration.
///
/// # Errors
/// An endpoint's secrets, certificates or address cannot be used.
pub fn start_workers(
    config: &Config,
    env: &Environment,
    delivery: &Delivery,
    around: &Surroundings,
    runtime: &Runtime,
    (stopped, fatal): (&watch::Receiver<bool>, &Fatal),
) -> anyhow::Result<Outgoing> {
    let mut outgoing = Outgoing {
        wakes: Vec::new(),
        counters: Vec::new(),
        tasks: Vec::new(),
    };
    let local = Delivery::local_rules();
    let mut start = |name: &str, sink: Arc<dyn Sink>, rules| {
        let worker = Worker::new(name, sink, rules, around.clone());
        outgoing.wakes.push(worker.wake());
        outgoing.counters.push(worker.counters());
        let (stopped, fatal) = (stopped.clone(), fatal.clone());
        let running = runtime.spawn(worker.run(stopped));
        outgoing.tasks.push(runtime.spawn(async move {
            match running.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => fatal.end(&format!("delivery has ended: {error}")),
                Err(error) => fatal.end(&format!("a delivery task has died: {error}")),
            }
        }));
    };
    for endpoint in &delivery.webhooks {
        let secrets = endpoint
            .secrets(&Secrets(env))
            .map_err(|faults| anyhow!(faults.join("; ")))?;
        let ca = endpoint
            .ca_file
            .as_deref()
            .map(super::files::read)
            .transpose()?;
        if endpoint.allow_insecure || endpoint.allow_private {
            tracing::warn!(
                endpoint = endpoint.name,
                "this endpoint may be on this machine or in a private network"
            );
        }
        let webhook = Webhook::new(endpoint, secrets, ca.as_deref(), Arc::new(SystemLookup))?;
        start(&endpoint.name, Arc::new(webhook), endpoint.rules());
    }
    for file in &delivery.files {
        let sink = FileSink {
            path: file.path.clone(),
            shape: file.shape,
            sync: file.sync,
        };
        start(&file.name, Arc::new(sink), local);
    }
    if let Some(stdout) = &delivery.stdout {
        start(
            STDOUT,
            Arc::new(StdoutSink {
                shape: stdout.shape,
            }),
            local,
        );
    }
    let kafka_sinks = config.alerts.sinks.iter().filter_map(|s| match s {
        SinkShape::Kafka(sink) => Some(sink),
        SinkShape::Stdout(_) | SinkShape::File(_) | SinkShape::Webhook(_) => None,
    });
    let env_text = |name: &str| env.get(name).map(str::to_owned);
    for (sink, topic) in kafka_sinks.zip(&delivery.topics) {
        let producer = Arc::new(KafkaOut::start(
            &settings::kafka_sink(sink),
            &env_text,
            fatal.clone(),
        )?);
        let sink = TopicSink {
            producer,
            topic: topic.topic.clone(),
            shape: topic.shape,
        };
        // A lane (an alert, a target) stays in order; different ones need not wait for each other.
        start(
            &topic.name,
            Arc::new(sink),
            Rules {
                concurrency: TOPIC_CONCURRENCY,
                ..local
            },
        );
    }
    Ok(outgoing)
}

/// A part without which the process must not go on half-dead: it ends all of it.
#[derive(Clone)]
pub struct Fatal {
    pub stop: Arc<AtomicBool>,
    /// Why, for the exit's message.
    pub failure: Arc<OnceLock<String>>,
}

impl Fatal {
    /// Ends the process, and says why.
    pub fn end(&self, why: &str) {
        tracing::error!(why, "ending");
        let _first = self.failure.set(why.to_owned());
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Tells the metrics and the log what the workers have to say.
#[must_use]
pub fn notices(metrics: Metrics) -> Notices {
    Arc::new(move |notice| match notice {
        Notice::Attempted { endpoint, took } => metrics
            .webhook_latency_seconds
            .observe([Label::configured(&endpoint)], seconds(took.0)),
        Notice::Delivered(settled) => {
            if settled.kind == Kind::AlertOpened {
                let took = settled.at - settled.created_at;
                metrics
                    .kpi_time_to_notify_seconds
                    .observe([], seconds(took.0));
            }
            if let (Kind::ActionRequested, Some(began)) = (settled.kind, settled.began_at) {
                metrics
                    .kpi_time_to_contain_seconds
                    .observe([], seconds(settled.at.0 - began.0));
            }
        }
        other => log_notice(other),
    })
}

fn log_notice(notice: Notice) {
    match notice {
        Notice::Attempted { .. } | Notice::Delivered(_) => {}
        Notice::Disabled { endpoint } => {
            tracing::error!(
                endpoint,
                "the endpoint says it is gone (410): nothing more is sent until a restart"
            );
        }
        Notice::Down { endpoint, why } => tracing::warn!(endpoint, why, "the endpoint is down"),
        Notice::Up { endpoint } => tracing::info!(endpoint, "the endpoint is back"),
        Notice::GaveUp {
            endpoint,
            webhook_id,
            why,
        } => {
            tracing::error!(endpoint, webhook_id, why, "a message was given up");
        }
        Notice::Refused {
            endpoint,
            webhook_id,
            why,
        } => {
            tracing::warn!(
                endpoint,
                webhook_id,
                why,
                "an action was refused at delivery"
            );
        }
    }
}
