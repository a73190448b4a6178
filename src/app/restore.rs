//! Where a start goes on: sources at the frontier of the newest snapshot that can be taken up, and the
//! engine with its state.
//!
//! Owns the falling back: a snapshot with a right sum and a state that cannot be read is passed over,
//! and told, like one with a wrong sum. It starts nothing but the shards' threads.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;

use super::settings;
use super::sources::Sources;
use super::state_dir::{Place, StateDir};
use super::threads::Threads;
use crate::config::shape::Source as SourceShape;
use crate::config::value::Shards as ShardCount;
use crate::config::{Config, Environment};
use crate::engine::detector::plan::Plan;
use crate::engine::program::{Program, Settings as EngineSettings};
use crate::engine::snapshot::{Refused, Saved};
use crate::engine::{Engine, snapshot};
use crate::model::HashKey;
use crate::source::apart::Apart;
use crate::source::file::FileSource;
use crate::source::kafka::KafkaSource;
use crate::source::ledger::{Frontier, Last};
use crate::source::{RECORD_BYTES_MAX, Source};
use crate::store::{self, rows};

/// What was restored.
pub struct Restored {
    pub source: Sources,
    /// The records just before those that are read next.
    pub last: Last,
    /// Where they are.
    pub frontier: Frontier,
    pub program: Arc<Program>,
    pub engine: Engine<Threads>,
}

/// Opens the sources and takes up the state. `accepted` are partitions that go on although their logs
/// have lost what comes next.
///
/// # Errors
/// A source cannot be opened, or there are snapshots and none can be taken up.
pub fn restore(
    config: &Config,
    env: &Environment,
    accepted: &[(String, i32)],
    plan: &Arc<Plan>,
    state: &mut StateDir,
) -> anyhow::Result<Restored> {
    let commits = store::read(&*state.store, |view| rows::commits(view))?;
    loop {
        let loaded = state.snapshots.load(commits)?;
        let (chain, place) = loaded.unwrap_or_default();
        let saved = match chain.as_slice() {
            [] => None,
            chain => match Saved::read(chain) {
                Ok(saved) => {
                    crate::crash::point("state-read");
                    Some(saved)
                }
                Err(Refused::Damaged(why)) => {
                    state.snapshots.pass_over(why);
                    continue;
                }
                Err(refused) => return Err(refused.into()),
            },
        };
        let source = open_sources(config, env, (&state.key, &place), accepted)?;
        let program = Arc::new(Program::new(
            Arc::clone(plan),
            state.key.clone(),
            EngineSettings {
                lateness: config.engine.lateness.0,
                sorted: false,
                memory: usize::try_from(config.engine.memory.0).unwrap_or(usize::MAX),
                sources: source.topics().iter().map(|t| t.name.clone()).collect(),
            },
        ));
        let shards = shard_count(config, saved.as_ref());
        let mut engine = Engine::over(Arc::clone(&program), Threads::start(&program, shards)?);
        if let Some(saved) = saved {
            match engine.restore(saved, &place.topics) {
                Ok(snapshot::Restored { kept, fresh }) => {
                    crate::crash::point("state-restored");
                    tracing::info!(kept, fresh, "state restored");
                }
                Err(Refused::Damaged(why)) => {
                    state.snapshots.pass_over(why);
                    continue;
                }
                Err(refused) => return Err(refused.into()),
            }
        }
        return Ok(Restored {
            last: place.last,
            frontier: place.frontier,
            source,
            program,
            engine,
        });
    }
}

fn shard_count(config: &Config, saved: Option<&Saved<'_>>) -> usize {
    match config.engine.shards {
        ShardCount::Count(n) => usize::from(n),
        // State is cut by shard: what was saved decides, so that a move to another machine goes on.
        ShardCount::Auto => saved.map(Saved::shards).unwrap_or_else(|| {
            std::thread::available_parallelism()
                .map_or(1, usize::from)
                .div_ceil(2)
        }),
    }
}

fn open_sources(
    config: &Config,
    env: &Environment,
    (key, place): (&HashKey, &Place),
    accepted: &[(String, i32)],
) -> anyhow::Result<Sources> {
    let env = |name: &str| env.get(name).map(str::to_owned);
    let mut sources: Vec<Box<dyn Source + Send>> = Vec::new();
    let schema = |s: &str| (s != "auto").then(|| s.to_owned());
    for source in &config.sources {
        sources.push(match source {
            SourceShape::Kafka(s) => {
                let settings = settings::kafka_source(s);
                let source = KafkaSource::new(settings, place.frontier.clone(), &env)?;
                Box::new(source.proving(key, &place.last).accepting(accepted))
            }
            SourceShape::File(s) => Box::new(Apart::start(FileSource::new(
                [&s.path],
                schema(&s.schema).as_deref(),
                RECORD_BYTES_MAX,
            )?)?),
            SourceShape::Stdin(s) => {
                let input = [PathBuf::from("-")];
                Box::new(Apart::start(FileSource::new(
                    input,
                    schema(&s.schema).as_deref(),
                    RECORD_BYTES_MAX,
                )?)?)
            }
        });
    }
    if sources.is_empty() {
        bail!("no sources: add one under `sources:` in the configuration");
    }
    Ok(Sources::new(sources))
}
