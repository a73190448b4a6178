//! The life of the daemon: build everything in order of dependence, run, drain.
//!
//! Threads: the source, the decoders, the engine (which commits), and a small runtime for delivery
//! and HTTP. The engine's thread is the only one that writes alerts and decides.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow, bail};
use crossbeam_channel::bounded;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::commit::Desk;
use super::course::Course;
use super::dead::{DeadLetters, LetterFile, LetterTopic};
use super::detectors;
use super::kafka_out::KafkaOut;
use super::measures::Measures;
use super::outgoing::{self, Fatal};
use super::pipeline::{self, Parts, Pipeline, Rules};
use super::reload::{self, Noise};
use super::restore::{Restored, restore};
use super::sample::Sample;
use super::settings;
use super::shelf::Shelf;
use super::state_dir::StateDir;
use super::tables;
use super::view::Shared;
use super::work::Work;
use crate::api;
use crate::config::shape::DeadLetters as DeadLettersShape;
use crate::config::{Config, Environment};
use crate::deliver::worker::Surroundings;
use crate::deliver::{Clock, SystemClock};
use crate::engine::containment::policy::Policy;
use crate::engine::detector::plan::Plan;
use crate::engine::detector::{self, SourceFile};
use crate::enrich::Tables;
use crate::store::outbox::StoreOutbox;
use crate::telemetry::Metrics;

/// Threads of the runtime that delivers and answers.
const RUNTIME_THREADS: usize = 2;

/// A running daemon.
pub struct Daemon {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    engine: JoinHandle<anyhow::Result<()>>,
    stopping: watch::Sender<bool>,
    runtime: Runtime,
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Those who look for changed files.
    watching: Vec<JoinHandle<()>>,
}

impl Daemon {
    /// Builds all parts and starts them. `accepted` are partitions that go on although their logs
    /// have lost what comes next.
    ///
    /// # Errors
    /// Any part cannot be built; nothing keeps running then.
    pub fn start(
        config: &Config,
        env: &Environment,
        accepted: &[(String, i32)],
    ) -> anyhow::Result<Self> {
        let (files, plan) = load_detectors(config)?;
        let plan = Arc::new(plan);
        let metrics = Metrics::new();
        let mut state = StateDir::open(
            &config.state.dir,
            config.state.store,
            config.engine.hash_key_file.as_deref(),
        )?;
        let tables = Shelf::new(Arc::new(Tables::load(
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
        tracing::info!(%address, "listening");
        let delivery = settings::delivery(config);
        let desk = Desk::open(
            Arc::clone(&state.store),
            policy,
            delivery.clone(),
            Arc::clone(&plan),
        )?;
        let allow = desk.allow_list();
        let (stopping, stopped) = watch::channel(false);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let stop = Arc::new(AtomicBool::new(false));
        let failure = Arc::new(OnceLock::new());
        let fatal = Fatal {
            stop: Arc::clone(&stop),
            failure: Arc::clone(&failure),
        };
        let (asks_in, asks) = bounded(16);
        let shared = Arc::new(Shared::new(
            Arc::clone(&state.store),
            Arc::clone(&plan),
            metrics.clone(),
            asks_in,
            Arc::clone(&clock),
        ));
        // From here on it says that it is alive, and restoring.
        let http = {
            let (view, metrics, mut until) =
                (Arc::clone(&shared), metrics.clone(), stopped.clone());
            let shutdown = async move { drop(until.wait_for(|stop| *stop).await) };
            runtime.spawn(api::serve(listener, api_settings, view, metrics, shutdown))
        };
        let Restored {
            source,
            last,
            frontier,
            program,
            mut engine,
        } = restore(config, env, accepted, &plan, &mut state)?;
        let names = program.settings.sources.clone();
        let gate_clock = Arc::clone(&clock);
        let around = Surroundings {
            outbox: Arc::new(StoreOutbox::new(Arc::clone(&state.store))),
            clock: Arc::clone(&clock),
            gate: Arc::new(move |concern| {
                let covered = allow.get().covers(&concern.target, gate_clock.now());
                covered.then(|| "the target is on the allow-list".to_owned())
            }),
            notices: outgoing::notices(metrics.clone()),
            seed: u64::from_le_bytes(state.key.derive("tidegate 2026 retry seed")[..8].try_into()?),
        };
        let mut outgoing = outgoing::start_workers(
            config,
            env,
            &delivery,
            &around,
            &runtime,
            (&stopped, &fatal),
        )?;
        let dead = open_dead_letters(config, env, &runtime, fatal.clone())?;
        let decoders = std::thread::available_parallelism().map_or(2, usize::from);
        let rules = Shelf::new(Rules::new(Arc::clone(&program), &tables.get()));
        let sample = Arc::new(Sample::default());
        let parts = Parts {
            rules: Arc::clone(&rules),
            tables: Arc::clone(&tables),
            sample: Some(Arc::clone(&sample)),
        };
        let noise = Noise {
            per_thousand_max: config.detectors.alerts_per_thousand_max.into(),
        };
        #[expect(clippy::cast_precision_loss, reason = "gauges are floating point")]
        metrics
            .memory_budget_bytes
            .set([], config.engine.memory.0 as f64);
        let mut measures = Measures::new(metrics.clone(), names.clone());
        // What a restored state has lost before was told then.
        measures.reloaded(&plan, engine.stats().usage);
        shared.restored(outgoing.counters);
        let watch = reload::Watch {
            dir: config.detectors.dir.clone(),
            rules: Arc::clone(&rules),
            tables: Arc::clone(&tables),
            sample,
            hints: pipeline::hints(&source),
            noise,
            metrics: metrics.clone(),
            seen: files,
        };
        let pipeline = Pipeline::start(Box::new(source), &parts, decoders)?;
        let mut watching = Vec::new();
        if config.detectors.dir.is_dir() {
            watching.push(watch.start(config.detectors.reload.std(), Arc::clone(&stop))?);
        }
        let every = config.enrich.reload.std();
        watching.push(tables::watch(
            tables,
            every,
            metrics.clone(),
            Arc::clone(&stop),
        )?);
        let work = Work {
            measures,
            rules: rules.get(),
            shelf: rules,
            probation: None,
            noise,
            course: Course::new(engine, desk, names).after(last),
            pipeline,
            state,
            dead,
            shared: Arc::clone(&shared),
            wakes: outgoing.wakes,
            asks,
            clock,
            snapshot_every: config.state.snapshot_every.std(),
            kept: frontier,
            keep: config.state.keep.0,
            stop: Arc::clone(&stop),
            failure,
        };
        let engine = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || work.run())?;
        outgoing.tasks.push(runtime.spawn(async move {
            if let Err(error) = http.await {
                fatal.end(&format!("the HTTP task has died: {error}"));
            }
        }));
        Ok(Self {
            shared,
            address,
            stop,
            engine,
            stopping,
            runtime,
            tasks: outgoing.tasks,
            watching,
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
        for thread in self.watching {
            let _panicked = thread.join();
        }
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

fn load_detectors(config: &Config) -> anyhow::Result<(Vec<SourceFile>, Plan)> {
    let dir = &config.detectors.dir;
    let files = detectors::files(dir.is_dir().then_some(dir.as_path()))?;
    let files = detectors::sources(&files);
    let compiled = detector::compile(&files, &detector::Options::default());
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
    Ok((files, compiled.plan))
}

fn open_dead_letters(
    config: &Config,
    env: &Environment,
    runtime: &Runtime,
    fatal: Fatal,
) -> anyhow::Result<DeadLetters> {
    let env = |name: &str| env.get(name).map(str::to_owned);
    if let Some((settings, topic)) = settings::dead_letter_topic(config) {
        let out = Arc::new(KafkaOut::start(&settings, &env, fatal)?);
        let to = LetterTopic::new(out, topic, runtime.handle().clone());
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
