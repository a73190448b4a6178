//! What the API needs to know and to have done: the seam between it and the rest.
//!
//! The app implements `View`; the API never learns where answers come from. Calls may block (they
//! are made on threads for that). Invariant: `decide` is the only way through here to change what
//! is enforced, and it names who asked.

use serde::Serialize;
use thiserror::Error;
use tokio::sync::watch;

use super::mutes::Mutes;
use crate::engine::alert::{Alert, Status};
use crate::engine::containment::policy::{Answer, Change};
use crate::engine::containment::{Phase, Receipt, Record};
use crate::engine::detector::plan::Mode;
use crate::model::ids::Id;
use crate::model::{EventTime, Level, WallTime};

/// The rest of the program, as the API sees it.
pub trait View: Mutes + Send + Sync + 'static {
    /// Up to `query.limit` alerts, newest first, behind `query.behind`.
    ///
    /// # Errors
    /// They cannot be read now.
    fn alerts(&self, query: &AlertQuery) -> Result<Vec<Alert>, Unavailable>;

    /// One alert: its newest revision and those before it.
    ///
    /// # Errors
    /// It cannot be read now.
    fn alert(&self, id: Id) -> Result<Option<AlertDetail>, Unavailable>;

    /// Up to `query.limit` actions, newest change first, behind `query.before`.
    ///
    /// # Errors
    /// They cannot be read now.
    fn actions(&self, query: &ActionQuery) -> Result<Vec<Record>, Unavailable>;

    /// One action with what enforcers said and where it was delivered.
    ///
    /// # Errors
    /// It cannot be read now.
    fn action(&self, id: Id) -> Result<Option<ActionDetail>, Unavailable>;

    /// Up to `limit` changes of actions after `since`, in the order of `seq`. Without `since`, or
    /// if what came after it is no longer kept, the full set of active and waiting actions.
    ///
    /// # Errors
    /// They cannot be read now.
    fn changes(&self, since: Option<u64>, limit: usize) -> Result<Changes, Unavailable>;

    /// The newest `seq`; changes whenever an action does.
    fn newest_change(&self) -> watch::Receiver<u64>;

    /// The detectors in force.
    ///
    /// # Errors
    /// They cannot be read now.
    fn detectors(&self) -> Result<Vec<DetectorView>, Unavailable>;

    /// Events, alerts and actions per stretch of time, oldest first, for the console's plot.
    ///
    /// # Errors
    /// They cannot be read now.
    fn timeline(&self) -> Result<Vec<Point>, Unavailable> {
        Ok(Vec::new())
    }

    /// Carries out what a human decided about an action.
    ///
    /// # Errors
    /// There is no such action, it is not in a state that fits, or nothing can be written now.
    fn decide(&self, decision: &Decision) -> Result<Record, Refused>;

    /// Keeps what an enforcer says it did.
    ///
    /// # Errors
    /// There is no such action, or nothing can be written now.
    fn receive(&self, receipt: &Receipt, by: &str) -> Result<(), Refused>;

    /// Whether every task of the process runs; if not, those that ended. Must not block.
    fn alive(&self) -> Result<(), Vec<String>>;

    /// Whether events flow, and if not, why. Must not block.
    fn ready(&self) -> Readiness;

    /// All metrics as OpenMetrics text.
    fn metrics(&self) -> String;
}

/// The store or the engine cannot answer now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Why something asked for is not done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no such action.
    #[error("there is no action of this id: list them at /api/v1/actions")]
    Unknown,
    /// There is nothing of this id.
    #[error("there is nothing of this id: it was never there, or gave way to newer ones")]
    NoSuch,
    /// It is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// It is not in a state that fits.
    #[error("{0}")]
    Conflict(String),
    /// Nothing can be written now.
    #[error("{0}")]
    Unavailable(String),
}

/// Which alerts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertQuery {
    /// At most this many.
    pub limit: usize,
    /// Only those that stand behind this one.
    pub behind: Option<(EventTime, Id)>,
    /// A detector's id or name.
    pub detector: Option<String>,
    /// Open or closed.
    pub status: Option<Status>,
    /// At or above this level.
    pub level_min: Option<Level>,
    /// Not before this event time.
    pub since: Option<EventTime>,
    /// Before this event time.
    pub until: Option<EventTime>,
    /// Some value of the key is this.
    pub key: Option<String>,
}

/// Which actions to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionQuery {
    /// At most this many.
    pub limit: usize,
    /// Only those whose `seq` is below.
    pub before: Option<u64>,
    /// Only those in this phase.
    pub phase: Option<Phase>,
}

/// One alert with its past.
#[derive(Clone, Debug, Serialize)]
pub struct AlertDetail {
    /// The newest revision.
    #[serde(flatten)]
    pub alert: Alert,
    /// Every revision kept, oldest first.
    pub revisions: Vec<Alert>,
}

/// One action with what became of it outside.
#[derive(Clone, Debug, Serialize)]
pub struct ActionDetail {
    /// The action and its life so far.
    #[serde(flatten)]
    pub record: ActionView,
    /// What enforcers said.
    pub receipts: Vec<Receipt>,
    /// Where messages about it arrived.
    pub deliveries: Vec<Delivered>,
}

/// An action as the API shows it: the contract's fields and its life beside them.
#[derive(Clone, Debug, Serialize)]
pub struct ActionView {
    /// What enforcers are told.
    #[serde(flatten)]
    pub action: crate::engine::containment::Action,
    /// Where it stands.
    pub phase: Phase,
    /// Who asked for it.
    pub detectors: Vec<String>,
    /// When it changed last.
    pub changed_at: WallTime,
    /// How often it was extended.
    pub extensions: u32,
    /// Why it waits, was denied or reverted.
    pub note: Option<String>,
}

impl From<Record> for ActionView {
    fn from(record: Record) -> Self {
        Self {
            action: record.action,
            phase: record.phase,
            detectors: record.detectors,
            changed_at: record.changed_at,
            extensions: record.extensions,
            note: record.note,
        }
    }
}

/// A message about an action that arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivered {
    /// The endpoint's name.
    pub endpoint: String,
    /// The message's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub delivered_at: WallTime,
    /// After how many attempts.
    pub attempts: u32,
}

/// What the pull stream sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// Everything that is active or waits; it replaces what the reader has.
    Full {
        /// The actions.
        active: Vec<Record>,
        /// The `seq` this state is as of.
        seq: u64,
    },
    /// What changed, in order; may be empty.
    Since(Vec<Change>),
}

/// A human's decision about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The action.
    pub action_id: Id,
    /// What is to be done.
    pub answer: Answer,
    /// The name of the token it came with; `local` without tokens.
    pub by: String,
    /// Why, in the human's words; may be empty.
    pub reason: String,
}

/// A detector in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DetectorView {
    /// Sigma's id.
    pub id: String,
    /// Sigma's name.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it looks for.
    pub description: String,
    /// Rises with every change.
    pub version: u32,
    /// How bad a match is.
    pub level: Level,
    /// What it may do.
    pub mode: Mode,
    /// ATT&CK and other tags.
    pub tags: Vec<String>,
    /// Where to read on.
    pub runbook: Option<String>,
    /// File and line.
    pub file: String,
    /// Keys with state now.
    pub keys: u64,
    /// Memory of its state now.
    pub bytes: u64,
    /// Alerts opened since the start.
    pub alerts: u64,
}

/// One stretch of time on the console's plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// When it begins.
    pub time: WallTime,
    /// Events taken in.
    pub events: u64,
    /// Alerts opened.
    pub alerts: u64,
    /// Actions requested.
    pub actions: u64,
}

/// Whether events flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// True if there are no reasons against it.
    pub ready: bool,
    /// Why not.
    pub reasons: Vec<Reason>,
    /// Partitions that have not been read to their end since the start: until it is 0, what is told
    /// may be of long ago. No reason against being ready.
    pub backlog: usize,
}

impl Readiness {
    /// Ready exactly if there are no reasons.
    #[must_use]
    pub const fn of(reasons: Vec<Reason>, backlog: usize) -> Self {
        Self {
            ready: reasons.is_empty(),
            reasons,
            backlog,
        }
    }
}

/// One reason not to be ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The part, e.g. `source kafka` or `restore`.
    pub part: String,
    /// What it waits for.
    pub reason: String,
}
