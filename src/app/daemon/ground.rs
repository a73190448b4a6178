//! What the daemon's parts stand on, and how each of them is built on it.
//!
//! Owns what all of them share: the configuration, clocks, metrics, the runtime, and the ways to stop.
//! Owns no order: that is `Daemon::start`.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use anyhow::Context as _;
use crossbeam_channel::Sender;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task;

use crate::api;
use crate::app::ask::Ask;
use crate::app::commit::Desk;
use crate::app::dead::{DeadLetters, LetterFile, LetterTopic};
use crate::app::kafka_out::KafkaOut;
use crate::app::outgoing::{self, Fatal, Outgoing};
use crate::app::pipeline::{self, Parts, Pipeline, Rules};
use crate::app::reload::{Noise, Watch};
use crate::app::sample::Sample;
use crate::app::settings;
use crate::app::shelf::Shelf;
use crate::app::sources::Sources;
use crate::app::state_dir::StateDir;
use crate::app::tables;
use crate::app::turn;
use crate::app::view::Shared;
use crate::config::shape::DeadLetters as DeadLettersShape;
use crate::config::{Config, Environment};
use crate::deliver::worker::Surroundings;
use crate::deliver::{Clock, SystemClock};
use crate::engine::detector::SourceFile;
use crate::engine::detector::plan::Plan;
use crate::engine::program::Program;
use crate::enrich::Tables;
use crate::model::Span;
use crate::store::outbox::StoreOutbox;
use crate::telemetry::Metrics;

/// Threads of the runtime that delivers and answers.
const RUNTIME_THREADS: usize = 2;
/// How often actions' ends are looked at.
const HOUSE_EVERY: Span = Span(500);
/// How often rows that are kept long enough are looked for.
const PRUNE_EVERY: Span = Span::seconds(60);

/// See the module's text.
pub(super) struct Ground<'a> {
    config: &'a Config,
    env: &'a Environment,
    pub(super) metrics: Metrics,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Runtime,
    /// Ends delivery and HTTP; the engine, the source and those who look for files end by `fatal.stop`.
    pub(super) stopping: watch::Sender<bool>,
    pub(super) fatal: Fatal,
}

/// Where HTTP comes in, bound but not served yet.
pub(super) struct Door {
    listener: TcpListener,
    settings: api::Settings,
    address: SocketAddr,
}

/// Stage 1, and those who look for changed files.
pub(super) struct Reading {
    pub(super) pipeline: Pipeline,
    pub(super) rules: Arc<Shelf<Rules>>,
    pub(super) watching: Vec<JoinHandle<()>>,
}

impl<'a> Ground<'a> {
    pub(super) fn new(config: &'a Config, env: &'a Environment) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        metrics
            .memory_budget_bytes
            .set([], config.engine.memory.0 as f64);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("deliver")
            .enable_all()
            .build()?;
        Ok(Self {
            config,
            env,
            metrics,
            clock: Arc::new(SystemClock::new()),
            runtime,
            stopping: watch::Sender::new(false),
            fatal: Fatal {
                stop: Arc::new(AtomicBool::new(false)),
                failure: Arc::new(OnceLock::new()),
            },
        })
    }

    pub(super) fn bind(&self) -> anyhow::Result<Door> {
        let settings = settings::api(self.config, self.env)?;
        let listener = self.runtime.block_on(api::bind(&settings))?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "listening");
        Ok(Door {
            listener,
            settings,
            address,
        })
    }

    pub(super) fn shared(
        &self,
        state: &StateDir,
        plan: &Arc<Plan>,
        asks: Sender<Ask>,
    ) -> Arc<Shared> {
        Arc::new(Shared::new(
            Arc::clone(&state.store),
            Arc::clone(plan),
            self.metrics.clone(),
            asks,
            Arc::clone(&self.clock),
        ))
    }

    /// Answers HTTP with what `shared` has.
    pub(super) fn serve(
        &self,
        door: Door,
        shared: &Arc<Shared>,
    ) -> (SocketAddr, task::JoinHandle<()>) {
        let (view, metrics) = (Arc::clone(shared), self.metrics.clone());
        let mut until = self.stopping.subscribe();
        let shutdown = async move { drop(until.wait_for(|stop| *stop).await) };
        let served = api::serve(door.listener, door.settings, view, metrics, shutdown);
        (door.address, self.runtime.spawn(served))
    }

    /// Without HTTP nobody could answer for an action: its end is that of the process.
    pub(super) fn watch_over(&self, http: task::JoinHandle<()>) -> task::JoinHandle<()> {
        let fatal = self.fatal.clone();
        self.runtime.spawn(async move {
            if let Err(error) = http.await {
                fatal.end(&format!("the HTTP task has died: {error}"));
            }
        })
    }

    /// Starts to send what waits in the outboxes.
    pub(super) fn send(&self, state: &StateDir, desk: &Desk) -> anyhow::Result<Outgoing> {
        let (allow, clock) = (desk.allow_list(), Arc::clone(&self.clock));
        let seed = state.key.derive("tidegate 2026 retry seed");
        let around = Surroundings {
            outbox: Arc::new(StoreOutbox::new(Arc::clone(&state.store))),
            clock: Arc::clone(&self.clock),
            gate: Arc::new(move |concern| {
                let covered = allow.get().covers(&concern.target, clock.now());
                covered.then(|| "the target is on the allow-list".to_owned())
            }),
            notices: outgoing::notices(self.metrics.clone()),
            seed: u64::from_le_bytes(seed[..8].try_into()?),
        };
        let stopped = self.stopping.subscribe();
        outgoing::start_workers(
            self.config,
            self.env,
            &settings::delivery(self.config),
            &around,
            &self.runtime,
            (&stopped, &self.fatal),
        )
    }

    pub(super) fn dead_letters(&self) -> anyhow::Result<DeadLetters> {
        let config = self.config;
        let env = |name: &str| self.env.get(name).map(str::to_owned);
        if let Some((settings, topic)) = settings::dead_letter_topic(config) {
            let out = Arc::new(KafkaOut::start(&settings, &env, self.fatal.clone())?);
            let to = LetterTopic::new(out, topic, self.runtime.handle().clone());
            return Ok(DeadLetters::Topic(to));
        }
        let path = config
            .dead_letters_path()
            .context("dead letters have no file")?;
        let size_max = match &config.dead_letters {
            DeadLettersShape::File(file) => file.size_max.0,
            DeadLettersShape::Kafka(_) => u64::MAX,
        };
        Ok(DeadLetters::File(LetterFile::new(path, size_max)))
    }

    /// Starts to read and to decode, and to look for files that change; `files` are the detectors' now.
    pub(super) fn read(
        &self,
        source: Sources,
        program: &Arc<Program>,
        tables: Tables,
        files: Vec<SourceFile>,
    ) -> anyhow::Result<Reading> {
        let tables = Shelf::new(Arc::new(tables));
        let rules = Shelf::new(Rules::new(Arc::clone(program), &tables.get()));
        let sample = Arc::new(Sample::default());
        let parts = Parts {
            rules: Arc::clone(&rules),
            tables: Arc::clone(&tables),
            sample: Some(Arc::clone(&sample)),
        };
        let watch = Watch {
            dir: self.config.detectors.dir.clone(),
            rules: Arc::clone(&rules),
            tables: Arc::clone(&tables),
            sample,
            hints: pipeline::hints(&source),
            noise: self.noise(),
            metrics: self.metrics.clone(),
            seen: files,
        };
        let decoders = std::thread::available_parallelism().map_or(2, usize::from);
        let pipeline = Pipeline::start(Box::new(source), &parts, decoders)?;
        let (stop, mut watching) = (&self.fatal.stop, Vec::new());
        if self.config.detectors.dir.is_dir() {
            let every = self.config.detectors.reload.std();
            watching.push(watch.start(every, Arc::clone(stop))?);
        }
        let every = self.config.enrich.reload.std();
        let metrics = self.metrics.clone();
        watching.push(tables::watch(tables, every, metrics, Arc::clone(stop))?);
        Ok(Reading {
            pipeline,
            rules,
            watching,
        })
    }

    fn noise(&self) -> Noise {
        Noise {
            per_thousand_max: self.config.detectors.alerts_per_thousand_max.into(),
        }
    }

    pub(super) fn turn(&self) -> turn::Settings {
        turn::Settings {
            house_every: HOUSE_EVERY,
            snapshot_every: self.config.state.snapshot_every.0,
            prune_every: PRUNE_EVERY,
            keep: self.config.state.keep.0,
            noise: self.noise(),
        }
    }
}
