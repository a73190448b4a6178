//! Labelled traffic for `simulate`, `demo`, benches and tests: everyday recoveries with campaigns in
//! them, as the schemas of real systems write them.
//!
//! Owns the truth about each line (what it is part of, which detectors must find it); detects
//! nothing and touches nothing outside: no I/O, no clock, no environment.
//! Invariant: the same options give the same bytes for ever; `tests` holds the hashes.

mod arrive;
mod fact;
mod flow;
mod plan;
mod random;
mod scenario;
mod schema;
mod text;
mod traffic;
mod world;

#[cfg(test)]
mod tests;

pub use fact::{Label, LabelKind};
pub use scenario::{EVENTS_MIN, Scenario, ScenarioInfo, UnknownName, scenarios};
pub use schema::Schema;
pub use traffic::Traffic;

/// When a run begins unless told otherwise: Monday 2026-01-12 at 08:00 UTC.
pub const START_MS: i64 = 1_768_204_800_000;
/// How many decoy accounts, and how many planted tokens, the scenarios may touch.
pub const DECOYS: u64 = 40;

/// What to generate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which story.
    pub scenario: Scenario,
    /// Which of its tellings.
    pub seed: u64,
    /// Exactly so many lines.
    pub events: u64,
    /// Written as which system writes it.
    pub schema: Schema,
    /// Event time of the beginning, epoch milliseconds.
    pub start_ms: i64,
}

impl Options {
    /// A scenario in the tidegate schema, beginning at [`START_MS`].
    pub fn new(scenario: Scenario, seed: u64, events: u64) -> Self {
        Self {
            scenario,
            seed,
            events,
            schema: Schema::Tidegate,
            start_ms: START_MS,
        }
    }
}

/// One line of traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Event time, epoch milliseconds.
    pub time_ms: i64,
    /// One JSON object, without a newline.
    pub json: String,
    /// The truth about it.
    pub label: Label,
}

/// The id of a decoy account, by number from 1: what a honeytoken list must hold.
pub fn decoy_account(number: u64) -> String {
    let mut out = String::new();
    schema::push_decoy_account(&mut out, number);
    out
}

/// The id of a planted token, by number from 1: what a honeytoken list must hold.
pub fn decoy_token(number: u64) -> String {
    let mut out = String::new();
    schema::push_decoy_token(&mut out, number);
    out
}
