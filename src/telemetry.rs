//! What the program says of itself: metrics and its log.
//!
//! Owns every metric's name, unit, labels and meaning (`catalogue`, from which docs/metrics.md is
//! written), the registry behind them, and the log's set-up. Decides nothing and never blocks the
//! parts that report. Invariant: no label value and no log line carries what an attacker chose
//! unescaped.

pub mod catalogue;
pub mod escape;
pub mod log;
pub mod metric;

pub use catalogue::Metrics;
pub use escape::escape;
pub use metric::Label;
