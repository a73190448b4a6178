//! A slow and plain reader of generated lines: parses the JSON, counts in windows by brute force.
//!
//! Owns the reading of tidegate's schema for tests; shares no code with the generator.
//! Invariant: windows are `(t - span, t]`, as the engine's.

use std::collections::{BTreeMap, BTreeSet};

use super::Line;

pub(super) const MINUTE: i64 = 60_000;

/// One parsed line.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) time_ms: i64,
    pub(super) kind: String,
    fields: serde_json::Map<String, serde_json::Value>,
}

impl Seen {
    pub(super) fn get(&self, name: &str) -> &str {
        self.fields
            .get(name)
            .and_then(|v| v.as_str())
            .unwrap_or_default()
    }

    pub(super) fn ip(&self) -> &str {
        self.get("source.ip")
    }

    pub(super) fn account(&self) -> &str {
        self.get("user.target.id")
    }

    pub(super) fn token(&self) -> &str {
        self.get("token.id")
    }

    pub(super) fn as_number(&self) -> u64 {
        self.fields
            .get("source.as.number")
            .and_then(serde_json::Value::as_u64)
            .unwrap_or(0)
    }
}

pub(super) fn read(lines: &[Line]) -> Vec<Seen> {
    lines
        .iter()
        .map(|line| {
            let value: serde_json::Value = serde_json::from_str(&line.json).unwrap();
            let serde_json::Value::Object(fields) = value else {
                panic!("not an object")
            };
            let kind = fields["event.kind"].as_str().unwrap().to_owned();
            Seen {
                time_ms: line.time_ms,
                kind,
                fields,
            }
        })
        .collect()
}

/// The most events of some kinds in any window, over all keys; events without a key do not count.
pub(super) fn most<'a>(
    seen: &'a [Seen],
    kinds: &[&str],
    span_ms: i64,
    key: impl Fn(&'a Seen) -> String,
) -> usize {
    let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for event in seen.iter().filter(|e| kinds.contains(&e.kind.as_str())) {
        let key = key(event);
        if !key.is_empty() {
            times.entry(key).or_default().push(event.time_ms);
        }
    }
    times
        .values()
        .map(|times| most_times(times, span_ms))
        .max()
        .unwrap_or(0)
}

fn most_times(times: &[i64], span_ms: i64) -> usize {
    let mut from = 0;
    let mut most = 0;
    for (at, time_ms) in times.iter().enumerate() {
        while times[from] <= time_ms - span_ms {
            from += 1;
        }
        most = most.max(at + 1 - from);
    }
    most
}

/// The most distinct accounts one address asks for in any window, and the share asked for once.
pub(super) fn most_accounts_per_ip(seen: &[Seen], span_ms: i64) -> (usize, f64) {
    let mut asked: BTreeMap<&str, Vec<&Seen>> = BTreeMap::new();
    for event in seen.iter().filter(|e| e.kind == "recovery.requested") {
        asked.entry(event.ip()).or_default().push(event);
    }
    let mut best = (0, 0.0);
    for events in asked.values() {
        let mut tries: BTreeMap<&str, usize> = BTreeMap::new();
        let mut from = 0;
        for last in events {
            *tries.entry(last.account()).or_default() += 1;
            while events[from].time_ms <= last.time_ms - span_ms {
                let left = tries.entry(events[from].account()).or_default();
                *left -= 1;
                if *left == 0 {
                    tries.remove(events[from].account());
                }
                from += 1;
            }
            if tries.len() > best.0 {
                let once = tries.values().filter(|tries| **tries == 1).count();
                best = (tries.len(), once as f64 / tries.len() as f64);
            }
        }
    }
    best
}

/// Tokens issued and unused at their end, per key and window of issue: the windows with at least
/// `least` tokens, as (key, issued, unused share), the worst first.
pub(super) fn unused_shares<'a>(
    seen: &'a [Seen],
    span_ms: i64,
    least: usize,
    key: impl Fn(&'a Seen) -> String,
) -> Vec<(String, usize, f64)> {
    let used: BTreeSet<&str> = seen
        .iter()
        .filter(|e| e.kind == "token.used")
        .map(Seen::token)
        .collect();
    let mut issued: BTreeMap<String, Vec<(i64, bool)>> = BTreeMap::new();
    for event in seen.iter().filter(|e| e.kind == "token.issued") {
        issued
            .entry(key(event))
            .or_default()
            .push((event.time_ms, used.contains(event.token())));
    }
    let mut worst = Vec::new();
    for (key, tokens) in issued {
        let (mut from, mut unused) = (0, 0_usize);
        let mut best: Option<(usize, f64)> = None;
        for (at, (time_ms, used)) in tokens.iter().enumerate() {
            unused += usize::from(!used);
            while tokens[from].0 <= time_ms - span_ms {
                unused -= usize::from(!tokens[from].1);
                from += 1;
            }
            let issued = at + 1 - from;
            let share = unused as f64 / issued as f64;
            if issued >= least && best.is_none_or(|(_, most)| share > most) {
                best = Some((issued, share));
            }
        }
        worst.extend(best.map(|(issued, share)| (key, issued, share)));
    }
    worst.sort_by(|a, b| b.2.total_cmp(&a.2));
    worst
}

/// The most tokens with a second mail in any ten minutes.
pub(super) fn most_doubled_tokens(seen: &[Seen], kind: &str) -> usize {
    let mut mails: BTreeMap<&str, usize> = BTreeMap::new();
    let mut doubled = Vec::new();
    for event in seen.iter().filter(|e| e.kind == kind) {
        let count = mails.entry(event.token()).or_default();
        *count += 1;
        if *count == 2 {
            doubled.push(event.time_ms);
        }
    }
    most_times(&doubled, 10 * MINUTE)
}

/// A link scanner, as the catalogue defines it: HEAD or GET from a hosting network.
pub(super) fn is_scanner(event: &Seen) -> bool {
    matches!(event.get("http.request.method"), "HEAD" | "GET")
        && event.get("source.kind") == "hosting"
}

/// Tokens used more than once, or from elsewhere than asked for, scanners aside.
pub(super) fn misused_tokens(seen: &[Seen]) -> BTreeSet<&str> {
    let mut asked_from: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut used = BTreeSet::new();
    let mut misused = BTreeSet::new();
    for event in seen {
        let from = (event.ip(), event.get("device.id"));
        match event.kind.as_str() {
            "token.issued" => {
                asked_from.insert(event.token(), from);
            }
            "token.used" if !is_scanner(event) => {
                let elsewhere = asked_from
                    .get(event.token())
                    .is_some_and(|asked| *asked != from);
                if !used.insert(event.token()) || elsewhere {
                    misused.insert(event.token());
                }
            }
            _ => {}
        }
    }
    misused
}

/// Per window of ten minutes from the beginning on: how many events of a kind.
pub(super) fn per_ten_minutes(seen: &[Seen], kind: &str) -> Vec<usize> {
    let start_ms = seen[0].time_ms;
    let mut counts = Vec::new();
    for event in seen.iter().filter(|e| e.kind == kind) {
        let slot = usize::try_from((event.time_ms - start_ms) / (10 * MINUTE)).unwrap();
        if counts.len() <= slot {
            counts.resize(slot + 1, 0);
        }
        counts[slot] += 1;
    }
    counts
}
