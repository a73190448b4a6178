//! The configuration file's shape: every section and key with its type, default and meaning.
//!
//! Owns the one description from which file checks, defaults, environment names, the JSON Schema
//! and docs/configuration.md are all derived: the doc comments below are what users read. Decides
//! nothing that needs two keys at once; that is `validate`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{Duration, Name, Shards, Size};
use crate::model::Span;

mod contain;
mod outputs;
mod serve;
mod sources;

pub use contain::{Allow, Budgets, Containment, ContainmentMode, KillSwitch};
pub use outputs::{
    Alerts, DeadLetterFile, DeadLetterTopic, DeadLetters, Endpoint, FileSink, KafkaSink, Sink,
    StdoutSink, Webhook, WebhookSink,
};
pub use serve::{Http, Log, LogFormat, LogLevel, Scope, Token};
pub use sources::{
    FileSource, KafkaSource, Mechanism, Protocol, Security, Source, Start, StdinSource, TopicSource,
};

/// Settings of tidegate. Every key may also be set by the environment: TIDEGATE_ and its path in
/// capitals, joined by `_` (TIDEGATE_ENGINE_MEMORY, TIDEGATE_SOURCES_0_BROKERS); lists of plain
/// values are separated by commas. The environment beats the file, the file beats the default.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The version of this file's shape.
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// Where events come from.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Tables that add to events what their source did not know.
    #[serde(default)]
    pub enrich: Enrich,
    /// What is looked for.
    #[serde(default)]
    pub detectors: Detectors,
    /// Time and memory of detection.
    #[serde(default)]
    pub engine: Engine,
    /// Where alerts go.
    #[serde(default)]
    pub alerts: Alerts,
    /// Where input goes that could not be read, without its secrets.
    #[serde(default)]
    pub dead_letters: DeadLetters,
    /// What is done about alerts.
    #[serde(default)]
    pub containment: Containment,
    /// What must outlive a restart.
    #[serde(default)]
    pub state: State,
    /// Health, metrics, API and console.
    #[serde(default)]
    pub http: Http,
    /// The program's own log, on standard error.
    #[serde(default)]
    pub log: Log,
}

/// Look-up tables. All are optional; a table that cannot be read stops the start.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Enrich {
    /// MaxMind database with autonomous systems (GeoLite2-ASN or alike); gives `source.as.*`.
    pub asn: Option<PathBuf>,
    /// MaxMind database with countries; gives `source.geo.country_iso_code`.
    pub country: Option<PathBuf>,
    /// Lists of address ranges, autonomous systems, mail domains and beginnings of telephone numbers.
    pub lists: Vec<ListedTable>,
    /// File of honeytokens, one per line: accounts and tokens that no honest user touches.
    pub honeytokens: Option<PathBuf>,
    /// How often changed files are looked for; a damaged new version is reported and the old kept.
    pub reload: Duration,
}

impl Default for Enrich {
    fn default() -> Self {
        Self {
            asn: None,
            country: None,
            lists: Vec::new(),
            honeytokens: None,
            reload: Duration(Span::seconds(30)),
        }
    }
}

/// One list of what is known: addresses, mail domains or telephone numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedTable {
    /// How the list is called in logs and metrics.
    pub name: Name,
    /// One entry per line; text after `#` is a remark. Addresses, ranges and `AS64500`; for
    /// disposable mail domains, for voip beginnings of numbers such as `+1500`.
    pub file: PathBuf,
    /// What an event gets whose address is in the list: `source.kind` (of several lists the first
    /// decides), `mailbox.kind` for disposable, `phone.kind` for voip.
    pub sets: Sets,
}

/// What a list holds, and what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sets {
    /// A data centre.
    Hosting,
    /// A proxy or VPN.
    Proxy,
    /// A Tor exit.
    Tor,
    /// A home connection.
    Residential,
    /// A domain of throw-away mailboxes, and all below it.
    Disposable,
    /// Numbers that a VOIP provider gives out.
    Voip,
}

/// Detector files.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detectors {
    /// Folder; every *.yml below it is loaded.
    pub dir: PathBuf,
    /// How often changed files are looked for; a set with a fault is reported and the old kept.
    pub reload: Duration,
    /// A changed detector that opens more alerts than this per 1,000 events, over the last hour's
    /// records or in its first minute, is refused or taken back.
    pub alerts_per_thousand_max: u32,
}

impl Default for Detectors {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("detectors"),
            reload: Duration(Span::seconds(30)),
            alerts_per_thousand_max: 20,
        }
    }
}

/// Event time and memory.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// How much later than its successors an event may come and still count in its own window.
    pub lateness: Duration,
    /// The most memory that counters, sketches and baselines may take, all detectors together.
    pub memory: Size,
    /// How many parts work side by side; `auto` is one per core.
    pub shards: Shards,
    /// 32 bytes as 64 hex digits that key all hashes. Default: made on the first start and kept
    /// in the state folder. Needed only where several instances share state.
    pub hash_key_file: Option<PathBuf>,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            lateness: Duration(Span::minutes(5)),
            memory: Size::mib(512),
            shards: Shards::Auto,
            hash_key_file: None,
        }
    }
}

/// A store of rows: alerts, actions, messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// What is committed survives a crash and a power cut.
    #[default]
    Redb,
    /// Only in builds with the feature `sled`; what is committed survives a crash, not always a
    /// power cut.
    Sled,
}

/// Durable state.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Folder; made if missing, readable by the owner only.
    pub dir: PathBuf,
    /// Where rows that must not be lost are kept.
    pub store: StoreKind,
    /// How often the engine's state is written; after a crash at most this much is read again. Large
    /// state is written less often: at most a tenth of the time goes into it.
    pub snapshot_every: Duration,
    /// How long closed alerts and ended actions are kept.
    pub keep: Duration,
    /// The most messages that may wait for one endpoint. Beyond, its oldest alert is given up for the new
    /// one and counted; a message about an action never is.
    #[schemars(range(min = 100, max = 10_000_000))]
    pub outbox_max: u64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            dir: PathBuf::from("state"),
            store: StoreKind::Redb,
            snapshot_every: Duration(Span::seconds(30)),
            keep: Duration(Span::days(90)),
            outbox_max: 100_000,
        }
    }
}

impl Config {
    /// Where dead letters go if the file does not say so.
    #[must_use]
    pub fn dead_letters_path(&self) -> Option<PathBuf> {
        match &self.dead_letters {
            DeadLetters::File(file) => {
                let inside = || self.state.dir.join("dead-letters.jsonl");
                Some(file.path.clone().unwrap_or_else(inside))
            }
            DeadLetters::Kafka(_) => None,
        }
    }
}
