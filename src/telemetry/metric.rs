//! The three shapes of metric, each with a fixed number of labels.
//!
//! Owns label values and the bound on how many there may be. What comes out of `of` is a shared
//! atomic: hot paths keep it and add to it once per batch. Invariant: at most `SERIES_MAX` label
//! sets per metric; further ones are all counted as `other`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Counter as ClientCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge as ClientGauge;
use prometheus_client::metrics::histogram::Histogram as ClientHistogram;
use prometheus_client::registry::Registry;

/// The most label sets one metric may have.
pub const SERIES_MAX: usize = 2000;

/// A number that only rises.
pub type Counter = ClientCounter;
/// A number that rises and falls.
pub type Gauge = ClientGauge<f64, AtomicU64>;
/// A distribution.
pub type Histogram = ClientHistogram;

type Labels = Vec<(&'static str, String)>;

/// A label's value: a word of the program, a number of ours, or a name an operator chose. Never a
/// field of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(String);

impl From<&'static str> for Label {
    fn from(word: &'static str) -> Self {
        Self(word.to_owned())
    }
}

impl From<i32> for Label {
    fn from(number: i32) -> Self {
        Self(number.to_string())
    }
}

impl Label {
    /// A name from configuration or detector files; cut to 100 characters, odd ones replaced.
    #[must_use]
    pub fn configured(name: &str) -> Self {
        let good =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | ' ');
        Self(
            name.chars()
                .take(100)
                .map(|c| if good(c) { c } else { '_' })
                .collect(),
        )
    }
}

/// What a metric is called, without prefix and without `_total`, and how it reads.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// The name.
    pub text: &'static str,
    /// What it counts.
    pub help: &'static str,
}

fn set<const N: usize>(names: [&'static str; N], labels: [Label; N]) -> Labels {
    names
        .into_iter()
        .zip(labels.into_iter().map(|l| l.0))
        .collect()
}

fn others<const N: usize>(names: [&'static str; N]) -> Labels {
    names.into_iter().map(|n| (n, "other".to_owned())).collect()
}

macro_rules! family {
    ($(#[$doc:meta])* $name:ident, $metric:ty) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<const N: usize> {
            labels: [&'static str; N],
            family: Family<Labels, $metric>,
            /// Label sets so far; a race may count one twice, which errs on the safe side.
            series: Arc<AtomicUsize>,
        }

        impl<const N: usize> $name<N> {
            /// The metric with these label values.
            #[must_use]
            pub fn of(&self, labels: [Label; N]) -> $metric {
                let set = set(self.labels, labels);
                if let Some(metric) = self.family.get(&set) {
                    return metric.clone();
                }
                let full = self.series.fetch_add(1, Ordering::Relaxed) >= SERIES_MAX;
                let set = if full { others(self.labels) } else { set };
                self.family.get_or_create_owned(&set)
            }

            fn enter(self, name: Name, registry: &mut Registry) -> Self {
                if N == 0 {
                    // Just one metric, and zero is worth seeing.
                    let only = self.family.get_or_create_owned(&Vec::new());
                    registry.register(name.text, name.help, only);
                } else {
                    registry.register(name.text, name.help, self.family.clone());
                }
                self
            }
        }
    };
}

family! {
    /// Counters of one name.
    Counters, Counter
}
family! {
    /// Gauges of one name.
    Gauges, Gauge
}
family! {
    /// Histograms of one name.
    Histograms, Histogram
}

impl<const N: usize> Counters<N> {
    pub(super) fn new(name: Name, labels: [&'static str; N], registry: &mut Registry) -> Self {
        let family = Family::default();
        Self {
            labels,
            family,
            series: Arc::default(),
        }
        .enter(name, registry)
    }

    /// Adds to the counter with these labels.
    pub fn add(&self, labels: [Label; N], count: u64) {
        self.of(labels).inc_by(count);
    }
}

impl<const N: usize> Gauges<N> {
    pub(super) fn new(name: Name, labels: [&'static str; N], registry: &mut Registry) -> Self {
        let family = Family::default();
        Self {
            labels,
            family,
            series: Arc::default(),
        }
        .enter(name, registry)
    }

    /// Sets the gauge with these labels.
    pub fn set(&self, labels: [Label; N], value: f64) {
        self.of(labels).set(value);
    }

    /// Takes a gauge away, e.g. of a partition that went to another instance.
    pub fn remove(&self, labels: [Label; N]) {
        if self.family.remove(&set(self.labels, labels)) {
            self.series.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes all of them away.
    pub fn clear(&self) {
        self.family.clear();
        self.series.store(0, Ordering::Relaxed);
    }
}

impl<const N: usize> Histograms<N> {
    pub(super) fn new(name: Name, labels: [&'static str; N], registry: &mut Registry) -> Self {
        let family = Family::new_with_constructor(latency as fn() -> Histogram);
        Self {
            labels,
            family,
            series: Arc::default(),
        }
        .enter(name, registry)
    }

    /// Enters one value, in seconds.
    pub fn observe(&self, labels: [Label; N], seconds: f64) {
        self.of(labels).observe(seconds);
    }
}

/// 1 ms to 18 h: an attempt takes milliseconds, a containment may take hours. Fine where it is short, so that
/// a latency twice as long is seen.
fn latency() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
        300.0, 900.0, 3600.0, 14_400.0, 65_536.0,
    ])
}
