//! The life of the daemon: build everything in order of dependence, run, drain.
//!
//! Threads: the source, the decoders, the engine (which commits), and a small runtime for delivery
//! and HTTP. The engine's thread is the only one that writes alerts and decides.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow, bail};
use crossbeam_channel::bounded;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use super::commit::Desk;
use super::dead::DeadLetters;
use super::detectors;
use super::kafka_out::KafkaOut;
use super::pipeline::{Parts, Pipeline};
use super::settings::{self, Secrets};
use super::sources::Sources;
use super::state_dir::{Place, StateDir};
use super::tables::{self, Shelf};
use super::threads::Threads;
use super::view::Shared;
use super::work::Work;
use crate::api;
use crate::config::shape::{
    DeadLetters as DeadLettersShape, Sink as SinkShape, Source as SourceShape,
};
use crate::config::value::Shards as ShardCount;
use crate::config::{Config, Environment};
use crate::deliver::address::SystemLookup;
use crate::deliver::queue::Rules;
use crate::deliver::settings::{STDOUT, Settings as Delivery};
use crate::deliver::sink::{FileSink, StdoutSink, TopicSink};
use crate::deliver::webhook::Webhook;
use crate::deliver::worker::Surroundings;
use crate::deliver::{Clock, Counters, Notice, Sink, SystemClock, Worker};
use crate::engine::containment::policy::Policy;
use crate::engine::detector::plan::Plan;
use crate::engine::program::{Program, Settings as EngineSettings};
use crate::engine::{Engine, snapshot};
use crate::enrich::Tables;
use crate::source::Source;
use crate::source::file::FileSource;
use crate::source::kafka::KafkaSource;
use crate::store::outbox::StoreOutbox;
use crate::telemetry::Metrics;

/// Threads of the runtime that delivers and answers.
const RUNTIME_THREADS: usize = 2;
/// Records under way at once to one topic.
const TOPIC_CONCURRENCY: usize = 64;
/// A line longer than this is a dead letter.
const LINE_MAX: usize = 1 << 20;

/// A running daemon.
pub struct Daemon {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    engine: JoinHandle<anyhow::Result<()>>,
    stopping: watch::Sender<bool>,
    runtime: Runtime,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    tables: JoinHandle<()>,
}

/// The endpoints' side: whom to wake, what they count.
struct Outgoing {
    wakes: Vec<Arc<Notify>>,
    counters: Vec<Arc<Counters>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Daemon {
    /// Builds all parts and starts them.
    ///
    /// # Errors
    /// Any part cannot be built; nothing keeps running then.
    pub fn start(config: &Config, env: &Environment) -> anyhow::Result<Self> {
        let plan = Arc::new(load_plan(config)?);
        let metrics = Metrics::new();
        let mut state = StateDir::open(&config.state.dir, config.engine.hash_key_file.as_deref())?;
        let shelf = Shelf::new(Arc::new(Tables::load(
            &settings::tables(config),
            &state.key,
        )?));
        let policy = Policy::new(config.containment.policy(), &state.key)
            .map_err(|faults| anyhow!("containment: {}", faults.join("; ")))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("deliver")
            .enable_all()
            .build()?;
        let api_settings = settings::api(config, env)?;
        let listener = runtime.block_on(api::bind(&api_settings))?;
        let address = listener.local_addr()?;
        let saved = state.load()?;
        let (place, body) = saved.map_or((Place::default(), None), |(body, place)| {
            (place, Some(body))
        });
        let source = open_sources(config, env, &place)?;
        let names: Vec<String> = source.topics().iter().map(|t| t.name.clone()).collect();
        let shards = shard_count(config, body.as_deref());
        let program = Arc::new(Program::new(
            Arc::clone(&plan),
            state.key.clone(),
            EngineSettings {
                lateness: config.engine.lateness.0,
                sorted: false,
                memory: usize::try_from(config.engine.memory.0).unwrap_or(usize::MAX),
                sources: names.clone(),
            },
        ));
        let mut engine = Engine::over(Arc::clone(&program), Threads::start(&program, shards)?);
        if let Some(body) = body {
            let restored = engine.restore(&body, &place.topics)?;
            tracing::info!(
                kept = restored.kept,
                fresh = restored.fresh,
                "state restored"
            );
        }
        let delivery = settings::delivery(config);
        let allow = policy.allow().clone();
        let desk = Desk::open(
            Arc::clone(&state.store),
            policy,
            delivery.clone(),
            Arc::clone(&plan),
        )?;
        let (stopping, stopped) = watch::channel(false);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let gate_clock = Arc::clone(&clock);
        let around = Surroundings {
            outbox: Arc::new(StoreOutbox::new(Arc::clone(&state.store))),
            clock: Arc::clone(&clock),
            gate: Arc::new(move |concern| {
                let covered = allow.covers(&concern.target, gate_clock.now());
                covered.then(|| "the target is on the allow-list".to_owned())
            }),
            notices: Arc::new(log_notice),
            seed: u64::from_le_bytes(state.key.derive("tidegate 2026 retry seed")[..8].try_into()?),
        };
        let mut outgoing = start_workers(config, env, &delivery, &around, &runtime, &stopped)?;
        let dead = open_dead_letters(config, env, &runtime)?;
        let decoders = std::thread::available_parallelism().map_or(2, usize::from);
        let projection = program.projection(&shelf.tables().needs());
        let parts = Parts {
            program: Arc::clone(&program),
            projection,
            tables: Arc::clone(&shelf),
        };
        let (decisions_in, decisions) = bounded(16);
        let shared = Arc::new(Shared::new(
            Arc::clone(&state.store),
            plan,
            metrics.clone(),
            outgoing.counters,
            decisions_in,
            Arc::clone(&clock),
        ));
        let pipeline = Pipeline::start(Box::new(source), &parts, decoders)?;
        let stop = Arc::new(AtomicBool::new(false));
        let reload = config.enrich.reload.std();
        let tables = tables::watch(shelf, reload, metrics.clone(), Arc::clone(&stop))?;
        let work = Work {
            engine,
            pipeline,
            desk,
            state,
            names,
            dead,
            shared: Arc::clone(&shared),
            metrics: metrics.clone(),
            wakes: outgoing.wakes,
            decisions,
            clock,
            snapshot_every: config.state.snapshot_every.std(),
            stop: Arc::clone(&stop),
        };
        let engine = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || work.run())?;
        let view = Arc::clone(&shared);
        let mut until = stopped;
        outgoing.tasks.push(runtime.spawn(async move {
            let shutdown = async move { drop(until.wait_for(|stop| *stop).await) };
            api::serve(listener, api_settings, view, metrics, shutdown).await;
        }));
        Ok(Self {
            shared,
            address,
            stop,
            engine,
            stopping,
            runtime,
            tasks: outgoing.tasks,
            tables,
        })
    }

    /// Where HTTP is served.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the API shows.
    #[must_use]
    pub fn view(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Whether the engine has ended by itself (its sources have, or it failed).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.engine.is_finished()
    }

    /// Drains: stops reading, finishes what was read, writes a snapshot, ends deliveries under way.
    ///
    /// # Errors
    /// What the engine's thread failed of.
    pub fn stop(self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let result = self
            .engine
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the engine's thread panicked")));
        self.stopping.send_replace(true);
        let _panicked = self.tables.join();
        self.runtime.block_on(async {
            for task in self.tasks {
                let _ended = task.await;
            }
        });
        result
    }

    /// The runtime, for those who wait beside the daemon.
    #[must_use]
    pub const fn runtime(&self) -> &Runtime {
        &self.runtime
    }
}

fn load_plan(config: &Config) -> anyhow::Result<Plan> {
    let dir = &config.detectors.dir;
    let files = detectors::files(dir.is_dir().then_some(dir.as_path()))?;
    let compiled = detectors::compiled(&files);
    let faults = compiled.diagnostics.iter().filter(|d| d.is_fault());
    let faults: Vec<String> = faults.map(ToString::to_string).collect();
    if !faults.is_empty() {
        bail!(
            "{} fault(s) in detector files:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }
    tracing::info!(
        detectors = compiled.plan.detectors.len(),
        "detectors loaded"
    );
    Ok(compiled.plan)
}

fn shard_count(config: &Config, saved: Option<&[u8]>) -> usize {
    match config.engine.shards {
        ShardCount::Count(n) => usize::from(n),
        // State is cut by shard: what was saved decides, so that a move to another machine goes on.
        ShardCount::Auto => saved.and_then(snapshot::shards).unwrap_or_else(|| {
            std::thread::available_parallelism()
                .map_or(1, usize::from)
                .div_ceil(2)
        }),
    }
}

fn open_sources(config: &Config, env: &Environment, place: &Place) -> anyhow::Result<Sources> {
    let env = |name: &str| env.get(name).map(str::to_owned);
    let mut sources: Vec<Box<dyn Source + Send>> = Vec::new();
    let schema = |s: &str| (s != "auto").then(|| s.to_owned());
    for source in &config.sources {
        sources.push(match source {
            SourceShape::Kafka(s) => {
                let settings = settings::kafka_source(s);
                Box::new(KafkaSource::new(settings, place.frontier.clone(), &env)?)
            }
            SourceShape::File(s) => Box::new(FileSource::new(
                [&s.path],
                schema(&s.schema).as_deref(),
                LINE_MAX,
            )?),
            SourceShape::Stdin(s) => {
                let input = [PathBuf::from("-")];
                Box::new(FileSource::new(
                    input,
                    schema(&s.schema).as_deref(),
                    LINE_MAX,
                )?)
            }
        });
    }
    if sources.is_empty() {
        bail!("no sources: add one under `sources:` in the configuration");
    }
    Ok(Sources::new(sources))
}

fn open_dead_letters(
    config: &Config,
    env: &Environment,
    runtime: &Runtime,
) -> anyhow::Result<DeadLetters> {
    let env = |name: &str| env.get(name).map(str::to_owned);
    if let Some((settings, topic)) = settings::dead_letter_topic(config) {
        let out = Arc::new(KafkaOut::start(&settings, &env)?);
        return Ok(DeadLetters::Topic {
            out,
            topic,
            runtime: runtime.handle().clone(),
        });
    }
    let path = config
        .dead_letters_path()
        .context("dead letters have no file")?;
    let size_max = match &config.dead_letters {
        DeadLettersShape::File(file) => file.size_max.0,
        DeadLettersShape::Kafka(_) => u64::MAX,
    };
    Ok(DeadLetters::File { path, size_max })
}

fn start_workers(
    config: &Config,
    env: &Environment,
    delivery: &Delivery,
    around: &Surroundings,
    runtime: &Runtime,
    stopped: &watch::Receiver<bool>,
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
        let (stopped, name) = (stopped.clone(), name.to_owned());
        outgoing.tasks.push(runtime.spawn(async move {
            if let Err(error) = worker.run(stopped).await {
                tracing::error!(endpoint = name, %error, "delivery has ended");
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
        let producer = Arc::new(KafkaOut::start(&settings::kafka_sink(sink), &env_text)?);
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

fn log_notice(notice: Notice) {
    match notice {
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
