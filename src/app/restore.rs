//! Where a start goes on: sources at the frontier of the newest snapshot that can be taken up, and the
//! engine with its state.
//!
//! Owns the falling back: a snapshot with a right sum and a state that cannot be read is passed over,
//! and told, like one with a wrong sum. It starts nothing but the shards' threads.

use std::path::Path;
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
use crate::source::file::{self, FileSource, STDIN};
use crate::source::kafka::KafkaSource;
use crate::source::ledger::{Frontier, Last, Logs};
use crate::source::{RECORD_BYTES_MAX, Source, Topic};
use crate::store::{self, rows};

/// What was restored.
pub struct Restored {
    pub source: Sources,
    /// The records just before those that are read next.
    pub last: Last,
    pub logs: Logs,
    /// Where they are.
    pub frontier: Frontier,
    pub program: Arc<Program>,
    pub engine: Engine<Threads>,
    /// A newer snapshot was there and was left out. By and by it would seem to fit: a base must stand behind it
    /// before anything is committed.
    pub is_fallback: bool,
}

/// A source that reads nothing yet: what standard input has given cannot be asked for again.
enum Opened {
    Kafka(Box<KafkaSource>),
    File(FileSource),
}

impl Opened {
    fn topics(&self) -> &[Topic] {
        match self {
            Self::Kafka(source) => source.topics(),
            Self::File(source) => source.topics(),
        }
    }

    fn start(self) -> anyhow::Result<Box<dyn Source + Send>> {
        Ok(match self {
            Self::Kafka(source) => source,
            Self::File(source) => Box::new(Apart::start(source)?),
        })
    }
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
        let sources = open_sources(config, env, (&state.key, &place), accepted)?;
        let program = Arc::new(Program::new(
            Arc::clone(plan),
            state.key.clone(),
            EngineSettings {
                lateness: config.engine.lateness.0,
                sorted: false,
                memory: usize::try_from(config.engine.memory.0).unwrap_or(usize::MAX),
                sources: sources
                    .iter()
                    .flat_map(|s| s.topics().iter().map(|t| t.name.clone()))
                    .collect(),
            },
        ));
        let shards = shard_count(config, saved.as_ref());
        let mut engine = Engine::over(Arc::clone(&program), Threads::start(&program, shards)?);
        if let Some(saved) = saved {
            match engine.restore(saved, &still_read(config, &state.key, &place)?) {
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
        let started: anyhow::Result<Vec<_>> = sources.into_iter().map(Opened::start).collect();
        return Ok(Restored {
            source: Sources::new(started?),
            last: place.last,
            logs: place.logs,
            frontier: place.frontier,
            is_fallback: state.snapshots.is_fallback(),
            program,
            engine,
        });
    }
}

/// The topics of a snapshot by their numbers there; without a name is one whose positions mean nothing any more:
/// standard input is another stream in each process, and a file may be another one of the same name.
fn still_read(config: &Config, key: &HashKey, place: &Place) -> anyhow::Result<Vec<String>> {
    let mut topics = place.topics.clone();
    for source in &config.sources {
        let name = match source {
            SourceShape::Kafka(_) => continue,
            SourceShape::Stdin(_) => STDIN.to_owned(),
            SourceShape::File(s) => s.path.display().to_string(),
        };
        let Some(next) = place.frontier.next(&name, 0) else {
            continue;
        };
        if let SourceShape::File(s) = source {
            let last = place.last.before(&name, 0, next);
            if file::goes_on(&s.path, next, last, key)? {
                continue;
            }
        }
        tracing::warn!(source = %name, lines = next - 1, "another input than before: all its lines are read");
        topics
            .iter_mut()
            .filter(|t| **t == name)
            .for_each(String::clear);
    }
    Ok(topics)
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
) -> anyhow::Result<Vec<Opened>> {
    let env = |name: &str| env.get(name).map(str::to_owned);
    let mut sources = Vec::new();
    let file = |path: &Path, schema: &str| {
        let schema = (schema != "auto").then_some(schema);
        FileSource::new([path], schema, RECORD_BYTES_MAX).map(Opened::File)
    };
    for source in &config.sources {
        sources.push(match source {
            SourceShape::Kafka(s) => {
                let settings = settings::kafka_source(s);
                let source = KafkaSource::new(settings, place.frontier.clone(), &env)?;
                let source = source.proving(key, &place.last).knowing(&place.logs);
                let source = source.accepting(accepted);
                Opened::Kafka(Box::new(source))
            }
            SourceShape::File(s) => file(&s.path, &s.schema)?,
            SourceShape::Stdin(s) => file(Path::new(STDIN), &s.schema)?,
        });
    }
    if sources.is_empty() {
        bail!("no sources: add one under `sources:` in the configuration");
    }
    Ok(sources)
}
