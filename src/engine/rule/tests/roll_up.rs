//! Roll-up: an alert names the smallest group that crosses, and what it tells of counts in no wider
//! one. Cases by hand, and any traffic against the definition, event by event, without a window.

use super::*;
use proptest::prelude::*;

pub(crate) const DETECTORS: &str = "
title: Flood
name: flood
logsource: {product: tidegate}
detection:
  asked: {event.kind: recovery.requested}
  condition: asked
correlation:
  type: event_count
  group-by: [source.ip]
  roll-up: [source.cidr, {by: source.as.number, condition: {gte: 7}}]
  timespan: 10s
  condition: {gte: 4}
";

#[test]
fn the_smallest_group_that_crosses_is_told() {
    check(
        DETECTORS,
        "0s x4/1s recovery.requested source.ip=9.9.9.{n} source.cidr=9.9.9.0/24 source.as.number=1
         1m x4/1s recovery.requested source.ip=9.9.9.1 source.cidr=9.9.9.0/24 source.as.number=1
         2m x7/1s recovery.requested source.ip=9.9.{n}.1 source.cidr=9.9.{n}.0/24 source.as.number=1
         3m x7/1s recovery.requested source.ip=9.9.{n}.1 source.cidr=9.9.{n}.0/24
         4m end",
        "3s open flood: Flood: event_count 4 (>= 4) within 10s for source.cidr 9.9.9.0/24
         10s closed flood: Flood: event_count 4 (>= 4) within 10s for source.cidr 9.9.9.0/24
         1m3s open flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1
         1m10s closed flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1
         2m6s open flood: Flood: event_count 7 (>= 7) within 10s for source.as.number 1
         2m10s closed flood: Flood: event_count 7 (>= 7) within 10s for source.as.number 1",
    );
}

/// Two hot addresses and one innocent neighbour: without claims the network would have nine events,
/// and the system seven.
#[test]
fn what_fired_pushes_nothing_wider_over_its_bound() {
    check(
        DETECTORS,
        "0s x3/10ms recovery.requested source.ip=9.9.9.1 source.cidr=9.9.9.0/24 source.as.number=1
         100ms recovery.requested source.ip=9.9.9.1 source.cidr=9.9.9.0/24 source.as.number=1
         1s x3/10ms recovery.requested source.ip=9.9.9.2 source.cidr=9.9.9.0/24 source.as.number=1
         1100ms recovery.requested source.ip=9.9.9.3 source.cidr=9.9.8.0/24 source.as.number=1
         1200ms recovery.requested source.ip=9.9.9.2 source.cidr=9.9.9.0/24 source.as.number=1
         2s recovery.requested source.ip=9.9.9.4 source.cidr=9.9.9.0/24 source.as.number=1
         1m end",
        "100ms open flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1
         1s200ms open flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.2
         10s closed flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1
         11s closed flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.2",
    );
}

/// The network was told of, then one address turns out to be all of it.
#[test]
fn a_narrower_group_that_fires_ends_the_wider_alert() {
    check(
        DETECTORS,
        "0s recovery.requested source.ip=9.9.9.2 source.cidr=9.9.9.0/24 source.as.number=1
         1s x4/1s recovery.requested source.ip=9.9.9.1 source.cidr=9.9.9.0/24 source.as.number=1
         6s recovery.requested source.ip=9.9.9.3 source.cidr=9.9.9.0/24 source.as.number=1
         1m end",
        "3s open flood: Flood: event_count 4 (>= 4) within 10s for source.cidr 9.9.9.0/24
         4s closed flood: Flood: event_count 1 (>= 4) within 10s for source.cidr 9.9.9.0/24
         4s open flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1
         11s closed flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1",
    );
}

/// A hot address, and the address that is asked for at the same moment.
#[test]
fn a_moment_is_looked_at_as_a_whole() {
    // A live stream may bring a moment in two packets; then the wider group may open for a moment.
    let script = "0s x3/1s recovery.requested source.ip=9.9.9.1 source.cidr=9.9.9.0/24
         3s recovery.requested source.ip=9.9.9.2 source.cidr=9.9.9.0/24
         3s recovery.requested source.ip=9.9.9.1 source.cidr=9.9.9.0/24
         1m end";
    compare(
        &sorted(DETECTORS, script),
        script,
        "3s open flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1
         10s closed flood: Flood: event_count 4 (>= 4) within 10s for source.ip 9.9.9.1",
    );
}

const ADDRESSES: &str = "
title: Flood
name: flood
logsource: {product: tidegate}
detection:
  asked: {event.kind: recovery.requested}
  condition: asked
correlation:
  group-by: [source.ip]
  roll-up: {by: source.cidr, condition: {requests: {gte: 4}, addresses: {gte: 3}}}
  timespan: 10s
  aggregates:
    requests: {type: event_count}
    addresses: {type: value_count, field: source.ip}
  condition: {requests: {gte: 4}}
";

/// Distinct values, too, are those of what is left.
#[test]
fn a_claim_takes_its_values_along() {
    check(
        ADDRESSES,
        "0s x4/10ms recovery.requested source.ip=9.9.9.1 source.cidr=9.9.9.0/24
         1s x2/10ms recovery.requested source.ip=9.9.9.2 source.cidr=9.9.9.0/24
         2s x2/10ms recovery.requested source.ip=9.9.9.3 source.cidr=9.9.9.0/24
         3s recovery.requested source.ip=9.9.9.4 source.cidr=9.9.9.0/24
         1m end",
        "30ms open flood: Flood: requests 4 (>= 4), addresses 1 within 10s for source.ip 9.9.9.1
         3s open flood: Flood: requests 5 (>= 4), addresses 3 (>= 3) within 10s for source.cidr 9.9.9.0/24
         10s closed flood: Flood: requests 4 (>= 4), addresses 1 within 10s for source.ip 9.9.9.1
         11s10ms closed flood: Flood: requests 5 (>= 4), addresses 3 (>= 3) within 10s for source.cidr 9.9.9.0/24",
    );
}

/// Who signs in after a flood, by network; and two floods of one system.
const BUILT_ON: &str = "---
title: In after a flood
name: in
logsource: {product: tidegate}
detection: {s: {event.kind: login.success}}
correlation: {type: temporal_ordered, rules: [flood, s], group-by: [source.cidr], timespan: 1m}
---
title: Floods of a system
name: floods
correlation: {type: event_count, rules: [flood], group-by: [source.as.number], timespan: 1m, condition: {gte: 2}}
";

/// Detections of an address and of a network are of the network; one of a system is of no network,
/// though the event that brought it about came from one. None of them alerts by itself.
#[test]
fn other_rules_build_on_the_groups_that_have_their_key() {
    let both = format!("{DETECTORS}{BUILT_ON}");
    let network = "source.cidr=9.9.9.0/24 source.as.number=1";
    let told = |script: &str, expect: &str| check(&both, script, expect);
    told(
        &format!(
            "0s x4/1s recovery.requested source.ip=9.9.9.1 {network}\n5s login.success {network}"
        ),
        "5s open in: In after a flood: flood, then s within 1m for source.cidr 9.9.9.0/24",
    );
    told(
        &format!(
            "0s x4/1s recovery.requested source.ip=9.9.9.{{n}} {network}\n5s login.success {network}"
        ),
        "5s open in: In after a flood: flood, then s within 1m for source.cidr 9.9.9.0/24",
    );
    told(
        "0s x7/1s recovery.requested source.ip=9.9.{n}.1 source.cidr=9.9.{n}.0/24 source.as.number=1
         8s login.success source.cidr=9.9.7.0/24",
        "",
    );
    // An address, then the system without it.
    told(
        &format!(
            "0s x4/1s recovery.requested source.ip=9.9.9.1 {network}
             20s x7/1s recovery.requested source.ip=9.9.{{n}}.1 source.cidr=9.9.{{n}}.0/24 source.as.number=1
             5m end"
        ),
        "26s open floods: Floods of a system: event_count 2 (>= 2) within 1m for source.as.number 1
         1m3s closed floods: Floods of a system: event_count 2 (>= 2) within 1m for source.as.number 1",
    );
}

/// An event: its time, and the group it is in at each level.
pub(crate) type Seen = (i64, [u64; 3]);

/// One group by the definition: when it fired, and while it holds.
#[derive(Clone, Copy)]
struct Open {
    since: i64,
    holds: bool,
}

/// The crossings of any traffic, from the words of the documentation alone: per moment, level by
/// level, a group counts the events of its window that no narrower group has told of.
pub(crate) struct Definition {
    span: i64,
    bounds: [usize; 3],
    pub(crate) events: Vec<Seen>,
    /// Per event the level of the alert that tells of it; 3 is none.
    told: Vec<usize>,
    open: std::collections::BTreeMap<(usize, u64), Open>,
    pub(crate) crossings: Vec<(i64, usize, u64)>,
}

impl Definition {
    pub(crate) fn new(span: i64, bounds: [usize; 3]) -> Self {
        Self {
            span,
            bounds,
            events: Vec::new(),
            told: Vec::new(),
            open: std::collections::BTreeMap::new(),
            crossings: Vec::new(),
        }
    }

    pub(crate) fn count(&self, level: usize, group: u64, now: i64) -> usize {
        let events = self.events.iter().zip(&self.told);
        let counts = |(e, told): &(&Seen, &usize)| {
            e.1[level] == group && e.0 > now - self.span && e.0 <= now && **told >= level
        };
        events.filter(counts).count()
    }

    /// The episode of a group is over before `now` if its count has been below the bound.
    fn close(&mut self, level: usize, group: u64, now: i64) {
        let Some(open) = self.open.get(&(level, group)).copied() else {
            return;
        };
        let fell = !open.holds && open.since < now;
        let below = |t: &i64| self.count(level, group, *t) < self.bounds[level];
        if fell || (open.since + 1..now).any(|t| below(&t)) {
            self.open.remove(&(level, group));
        }
    }

    pub(crate) fn moment(&mut self, now: i64, of: &[Seen]) {
        let open: Vec<(usize, u64)> = self.open.keys().copied().collect();
        for (level, group) in open {
            self.close(level, group, now);
        }
        // The narrowest is fed event by event, the wider ones moment by moment.
        for event in of {
            self.events.push(*event);
            self.told.push(3);
            self.weigh(0, event.1[0], now);
        }
        for level in 1..3 {
            let groups: std::collections::BTreeSet<u64> = of.iter().map(|e| e.1[level]).collect();
            for group in groups {
                self.weigh(level, group, now);
            }
        }
    }

    fn weigh(&mut self, level: usize, group: u64, now: i64) {
        let holds = self.count(level, group, now) >= self.bounds[level];
        let key = (level, group);
        match self.open.get_mut(&key) {
            Some(open) => *open = Open { since: now, holds },
            None if holds => {
                self.open.insert(key, Open { since: now, holds });
                self.crossings.push((now, level, group));
            }
            None => return,
        }
        for (event, told) in self.events.iter().zip(&mut self.told) {
            let mine = event.1[level] == group && event.0 > now - self.span;
            if mine && *told > level {
                *told = level;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn crossings_are_those_of_the_definition(
        steps in prop::collection::vec((0i64..1500, 0u64..12), 1..120),
        bounds in (2usize..5, 2usize..7, 2usize..9),
        span in 1i64..6,
    ) {
        let bounds = [bounds.0, bounds.1, bounds.2];
        let detectors = DETECTORS
            .replace("timespan: 10s", &format!("timespan: {span}s"))
            .replace("condition: {gte: 4}", &format!("condition: {{gte: {}}}", bounds[0]))
            .replace(
                "source.cidr, {by: source.as.number, condition: {gte: 7}}",
                &format!("{{by: source.cidr, condition: {{gte: {}}}}}, {{by: source.as.number, condition: {{gte: {}}}}}", bounds[1], bounds[2]),
            );
        let (mut script, mut time, mut list) = (String::new(), 0, Vec::new());
        for (step, address) in steps {
            // Coarse, so that several share a moment.
            time += step / 100 * 100;
            let groups = [address, address / 3, address / 6];
            script.push_str(&format!(
                "{time}ms recovery.requested source.ip={} source.cidr={} source.as.number={}\n",
                groups[0], groups[1], groups[2],
            ));
            list.push((time, groups));
        }
        let mut definition = Definition::new(span * 1000, bounds);
        for moment in list.chunk_by(|a, b| a.0 == b.0) {
            definition.moment(moment[0].0, moment);
        }
        let level = |name: &str| {
            ["source.ip", "source.cidr", "source.as.number"].iter().position(|n| *n == name).unwrap()
        };
        let mut got: Vec<(i64, usize, u64)> = sorted(&detectors, &script)
            .iter()
            .filter(|a| a.revision == 0)
            .map(|a| (a.time.0 - START, level(&a.key.0[0].0), a.key.0[0].1.parse().unwrap()))
            .collect();
        got.sort_unstable();
        definition.crossings.sort_unstable();
        prop_assert_eq!(got, definition.crossings, "{}", script);
    }
}
