//! The life of the daemon: build everything in order of dependence, run, drain.
//!
//! Threads: the source, the decoders, the engine (which commits), and a small runtime for delivery
//! and HTTP. The engine's thread is the only one that writes alerts and decides. How each part is built
//! stands in `ground`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{anyhow, bail};
use crossbeam_channel::bounded;
use tokio::runtime::Runtime;
use tokio::sync::watch;

mod ground;

use self::ground::Ground;
use super::commit::Desk;
use super::course::Course;
use super::detectors;
use super::measures::Measures;
use super::restore::restore;
use super::settings;
use super::state_dir::StateDir;
use super::turn::Turn;
use super::view::Shared;
use super::work::{Edges, Report, Work};
use crate::config::{Config, Environment};
use crate::engine::containment::policy::Policy;
use crate::engine::detector::plan::Plan;
use crate::engine::detector::{self, SourceFile};
use crate::enrich::Tables;

/// Wishes of people that wait for the engine's thread.
const ASKS_MAX: usize = 16;

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
        let mut state = StateDir::open(
            &config.state.dir,
            config.state.store,
            config.engine.hash_key_file.as_deref(),
        )?;
        let tables = Tables::load(&settings::tables(config), &state.key)?;
        let ground = Ground::new(config, env)?;
        let door = ground.bind()?;
        let desk = open_desk(config, &state, &plan)?;
        let (asks_in, asks) = bounded(ASKS_MAX);
        let shared = ground.shared(&state, &plan, asks_in);
        // From here on it says that it is alive, and restoring.
        let (address, http) = ground.serve(door, &shared);
        let restored = restore(config, env, accepted, &plan, &mut state)?;
        let outgoing = ground.send(&state, &desk)?;
        shared.restored(outgoing.counters);
        let dead = ground.dead_letters()?;
        let reading = ground.read(restored.source, &restored.program, tables, files)?;
        let (rules, names) = (
            reading.rules.get(),
            restored.program.settings.sources.clone(),
        );
        let mut measures = Measures::new(ground.metrics.clone(), names.clone());
        let mut engine = restored.engine;
        // What a restored state has lost before was told then.
        measures.reloaded(&plan, engine.stats().usage);
        let edges = Edges {
            pipeline: reading.pipeline,
            state,
            dead,
            rules: reading.rules,
            clock: Arc::clone(&ground.clock),
            report: Report {
                names: names.clone(),
                shared: Arc::clone(&shared),
                measures,
                wakes: outgoing.wakes,
            },
        };
        let course = Course::new(engine, desk, names).after(restored.last, restored.logs);
        let turn = Turn::new(course, edges, rules, restored.frontier, ground.turn());
        let work = Work {
            turn: turn.falling_back(restored.is_fallback),
            asks,
            stop: Arc::clone(&ground.fatal.stop),
            failure: Arc::clone(&ground.fatal.failure),
        };
        let engine = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || work.run())?;
        let mut tasks = outgoing.tasks;
        tasks.push(ground.watch_over(http));
        Ok(Self {
            shared,
            address,
            stop: ground.fatal.stop,
            engine,
            stopping: ground.stopping,
            runtime: ground.runtime,
            tasks,
            watching: reading.watching,
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

fn load_detectors(config: &Config) -> anyhow::Result<(Vec<SourceFile>, Arc<Plan>)> {
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
    Ok((files, Arc::new(compiled.plan)))
}

fn open_desk(config: &Config, state: &StateDir, plan: &Arc<Plan>) -> anyhow::Result<Desk> {
    let policy = Policy::new(config.containment.policy(), &state.key)
        .map_err(|faults| anyhow!("containment: {}", faults.join("; ")))?;
    let delivery = settings::delivery(config);
    let (store, plan) = (Arc::clone(&state.store), Arc::clone(plan));
    Ok(Desk::open(store, policy, delivery, plan)?)
}
