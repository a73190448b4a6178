//! Every metric: its name, labels and meaning, in one table.
//!
//! Owns the contract with dashboards (CONTRACTS "Metrics"): prefix `tidegate_`, base units,
//! counters end in `_total`. docs/metrics.md is written from it. Invariant: a metric that is not in
//! this table does not exist.

use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::metric::{Counters, Gauges, Histograms, Name};

/// One line of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The full name as it is scraped.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The labels' names.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! count {
    ($($label:ident)*) => { 0usize $(+ { let _ = stringify!($label); 1 })* };
}
macro_rules! scraped {
    (Counters, $field:ident) => {
        concat!("tidegate_", stringify!($field), "_total")
    };
    ($kind:ident, $field:ident) => {
        concat!("tidegate_", stringify!($field))
    };
}
macro_rules! word {
    (Counters) => {
        "counter"
    };
    (Gauges) => {
        "gauge"
    };
    (Histograms) => {
        "histogram"
    };
}

macro_rules! catalogue {
    ($($kind:ident $field:ident [$($label:ident),*] $help:literal;)*) => {
        /// All metrics of this process; cheap to clone, shared by every part.
        #[derive(Clone, Debug)]
        pub struct Metrics {
            $(#[doc = $help] pub $field: $kind<{ count!($($label)*) }>,)*
            registry: Arc<Registry>,
        }

        impl Metrics {
            /// A set of metrics that all stand at zero.
            #[must_use]
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix("tidegate");
                $(
                    let name = Name { text: stringify!($field), help: $help };
                    let $field = $kind::new(name, [$(stringify!($label)),*], &mut registry);
                )*
                Self { $($field,)* registry: Arc::new(registry) }
            }
        }

        /// Every metric, in the order of the page.
        pub const CATALOGUE: &[Entry] = &[$(Entry {
            name: scraped!($kind, $field),
            kind: word!($kind),
            labels: &[$(stringify!($label)),*],
            help: $help,
        },)*];
    };
}

catalogue! {
    Counters events_received [source] "Records taken from a source";
    Counters received_bytes [source] "Bytes taken from a source, after decompression";
    Counters events_decoded [source] "Events decoded and taken in; one record may hold several";
    Counters events_dead_lettered [source, reason] "Records that could not be read, by reason";
    Counters events_late [source] "Events later than the allowed lateness; they still meet honeytoken and token detectors";
    Counters events_duplicate [source] "Events seen before and not counted again";
    Counters events_uncounted [detector] "Events a detector matched but could not group, because a group-by field was missing";
    Counters events_contained [] "Events that name an action of ours, which our containment brought about; they feed only detectors that ask for them";
    Counters detections [detector] "Matches of a detector on a key, before deduplication";
    Counters alerts [detector, level] "Alerts opened";
    Counters alerts_suppressed [detector, reason] "Alerts held back, by reason: suppress (an earlier one still holds) or silence (a person mutes it)";
    Counters evictions [detector] "Keys that lost their state to the memory budget";
    Counters actions [verb, state] "Containment actions by what became of them: requested, simulated, approved, denied, delivered, expired, reverted or failed";
    Counters actions_withheld [reason] "Actions not taken: allow, budget, gate, expired or invariant";
    Counters webhook_attempts [endpoint] "Attempts to deliver a webhook";
    Counters webhook_failures [endpoint, reason] "Attempts that failed, by reason";
    Counters messages_dropped [endpoint, reason] "Messages not sent: expired, superseded, on the allow-list, given up, or given up because the outbox was full";
    Counters reloads [what, outcome] "Reloads of detectors and tables, by outcome";
    Counters batches_unpacked [codec] "Batches of Kafka that were unpacked";
    Counters batches_refused [reason] "Batches not unpacked: oversized, damaged, or busy for those that found no room in time and are fetched again";
    Counters batches_passed_over [] "Batches left out because their loss was accepted";
    Counters records_lost [source] "Offsets that retention took before they were read, and whose loss was accepted";
    Counters unpack_waits [] "Times that unpacking a batch waited for others to be read";
    Counters http_requests [route, status] "Requests to the API, by route and status";
    Counters http_refused [reason] "Requests refused before any route: token, scope, lockout, size, load or time";
    Gauges ready [] "1 if the process is ready, else 0";
    Gauges start_time_seconds [] "When the process began, in seconds since 1970";
    Gauges consumer_lag_events [source, partition] "Records behind the end of a partition";
    Gauges watermark_delay_seconds [] "How far event time is behind the clock";
    Gauges partitions_halted [source] "Partitions that stopped because their log no longer holds what comes next, or it cannot be read";
    Gauges unpacked_bytes [] "What batches cost that were unpacked and are not yet read, with half a KiB for each of their records";
    Gauges unpacked_bytes_most [] "The most of that since the process began";
    Gauges detectors_loaded [mode] "Detectors in force, by mode";
    Gauges keys [detector] "Keys with state";
    Gauges state_bytes [detector] "Memory of a detector's state";
    Gauges memory_budget_bytes [] "The most memory that all state together may take";
    Gauges actions_active [verb] "Actions in force now";
    Gauges outbox_depth [endpoint] "Messages that wait to be delivered";
    Gauges outbox_age_seconds [endpoint] "Age of the oldest message that waits";
    Gauges snapshot_age_seconds [] "Age of the newest good snapshot";
    Gauges snapshot_bytes [kind] "Size of the newest snapshot: a base, which is all of the state, or an increment, which is what has changed since the one before";
    Histograms detection_latency_event_seconds [] "From the event that crossed a bound to its alert";
    Histograms detection_latency_ingest_seconds [] "From taking that event in to its alert";
    Histograms webhook_latency_seconds [endpoint] "Time of one delivery attempt";
    Histograms snapshot_duration_seconds [kind] "Time to make and write a snapshot: a base or an increment";
    Histograms http_latency_seconds [route] "Time to answer a request";
    Histograms kpi_time_to_detect_seconds [] "MTTD: from the first contributing event to the alert";
    Histograms kpi_time_to_contain_seconds [] "MTTC: from the first contributing event to the delivered action; simulated ones do not count";
    Histograms kpi_time_to_notify_seconds [] "From the alert to its delivery to a sink";
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// The media type of `text`.
    pub const MEDIA_TYPE: &'static str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// Everything as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(16 * 1024);
        // Writing to a String cannot fail; if it could, what was written so far would be the best
        // there is.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

const HEAD: &str = "# Metrics\n
Written from the program's own catalogue (src/telemetry/catalogue.rs); do not edit by hand.\n
Scraped at `/metrics` as OpenMetrics text. All names begin with `tidegate_`, units are base units,
counters end in `_total`. Histograms have `_bucket`, `_sum` and `_count`. Label values are words of the program
or names an operator chose, never fields of events; beyond 2,000 label sets of one metric further ones
are `other`.

| metric | kind | labels | meaning |
|---|---|---|---|
";

/// docs/metrics.md.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(HEAD);
    for entry in CATALOGUE {
        let labels = entry.labels.join(", ");
        let Entry {
            name, kind, help, ..
        } = entry;
        page.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::super::metric::{Label, SERIES_MAX};
    use super::*;

    #[test]
    fn scraped_names_are_those_of_the_catalogue() {
        let metrics = Metrics::new();
        metrics.events_received.add(["kafka".into()], 3);
        metrics
            .consumer_lag_events
            .set([Label::configured("t"), 4.into()], 12.0);
        metrics.webhook_latency_seconds.observe(["soc".into()], 0.2);
        let text = metrics.text();
        for want in [
            "tidegate_events_received_total{source=\"kafka\"} 3\n",
            "tidegate_consumer_lag_events{source=\"t\",partition=\"4\"} 12.0\n",
            "tidegate_webhook_latency_seconds_count{endpoint=\"soc\"} 1\n",
            "tidegate_ready 0.0\n",
            "# EOF\n",
        ] {
            assert!(text.contains(want), "{want}\n{text}");
        }
        // A family without label sets yet is not written at all.
        for entry in CATALOGUE.iter().filter(|e| e.labels.is_empty()) {
            let family = entry.name.strip_suffix("_total").unwrap_or(entry.name);
            assert!(
                text.contains(&format!("# TYPE {family} {}\n", entry.kind)),
                "{}",
                entry.name
            );
        }
    }

    #[test]
    fn a_shared_counter_is_one_number() {
        let metrics = Metrics::new();
        let counter = metrics.evictions.of(["d".into()]);
        counter.inc_by(2);
        metrics.clone().evictions.add(["d".into()], 1);
        assert_eq!(counter.get(), 3);
    }

    #[test]
    fn label_sets_are_bounded_and_clean() {
        let metrics = Metrics::new();
        for i in 0..SERIES_MAX + 100 {
            metrics
                .evictions
                .add([Label::configured(&format!("d{i}"))], 1);
        }
        let text = metrics.text();
        assert!(text.matches("tidegate_evictions_total{").count() <= SERIES_MAX + 1);
        assert!(text.contains("tidegate_evictions_total{detector=\"other\"} 100\n"));
        metrics
            .keys
            .set([Label::configured("a\"} 1\nforged 1")], 1.0);
        assert!(!metrics.text().contains("\nforged"));
    }

    #[test]
    fn every_metric_is_documented() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        if std::env::var_os("TIDEGATE_UPDATE").is_some() {
            std::fs::write(&file, page()).unwrap();
        }
        let is = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            is == page(),
            "docs/metrics.md is stale: run once with TIDEGATE_UPDATE=1"
        );
        for entry in CATALOGUE {
            assert!(
                !entry.help.is_empty() && !entry.help.ends_with('.'),
                "{}",
                entry.name
            );
        }
    }
}
