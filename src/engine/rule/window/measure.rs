//! The numbers a window rule watches: which stores it needs, how they are filled and read, and
//! whether the bounds hold.
//!
//! Plain functions of the stores and a time; no episodes here.

mod runs;
mod stores;

pub use self::stores::Stores;
use self::stores::{Store, StoreKind};
use crate::engine::detector::plan::{Aggregate, Bound, Function, Kind, Op, Rule};
use crate::engine::exchange::{Observation, VALUES_INLINE, VALUES_MAX};
use crate::engine::program::slot_of;
use crate::engine::rule::Bounds;
use crate::engine::rule::episode::Episode;
use crate::engine::window::buckets::Buckets;
use crate::engine::window::stamps::Stamps;
use crate::model::FieldId;

/// Counts up to this bound are exact to the millisecond; larger ones to 1/64 of the window.
pub const EXACT_MAX: usize = 1024;
/// Stamps kept beyond the bound, so that stragglers find the crossing sorted input would have had.
const SLACK: usize = 8;
/// Stamps of a count that has no bound of its own.
const UNBOUNDED: usize = 128;

#[derive(Clone, Copy, Debug, PartialEq)]
struct StoreSpec {
    kind: StoreKind,
    /// Which value of the observation it takes.
    slot: Option<usize>,
    input: Option<usize>,
}

/// What the stores say at one time.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    pub observed: Vec<(String, f64)>,
    /// Relative error of estimated values.
    pub error: Option<f64>,
    /// Events in the window, if counted exactly.
    pub events: Option<u64>,
    /// The oldest event in the window, if known.
    pub first: Option<i64>,
}

/// See the module's text. Made once per rule.
#[derive(Clone, Debug)]
pub struct Measure {
    specs: Vec<StoreSpec>,
    /// Per aggregate: its store.
    places: Vec<usize>,
    aggregates: Vec<Aggregate>,
    bounds: Vec<Bound>,
    ratio: Option<(Op, f64, u64)>,
    /// The store that counts every event, for `events` and `first`.
    all: usize,
    /// Different values it reads.
    slots: usize,
    /// The whole condition is "count >= n": crossing times are found exactly.
    single: Option<usize>,
}

impl Measure {
    #[must_use]
    pub fn new(rule: &Rule) -> Self {
        let (aggregates, bounds, ratio) = match &rule.kind {
            Kind::Window { aggregates, bounds } => (aggregates.clone(), bounds.clone(), None),
            Kind::Ratio {
                bound,
                value,
                denominator_min,
            } => (
                vec![count_of("numerator", 0), count_of("denominator", 1)],
                Vec::new(),
                Some((*bound, *value, *denominator_min)),
            ),
            _ => (Vec::new(), Vec::new(), None),
        };
        let mut measure = Self {
            specs: Vec::new(),
            places: Vec::new(),
            aggregates: Vec::new(),
            bounds,
            ratio,
            all: 0,
            slots: 0,
            single: None,
        };
        let mut slots = Vec::new();
        for (i, aggregate) in aggregates.iter().enumerate() {
            let slot = slot_of(aggregate).map(|s| {
                slots
                    .iter()
                    .position(|known| *known == s)
                    .unwrap_or_else(|| {
                        slots.push(s);
                        slots.len() - 1
                    })
            });
            let groups_by = |f: &FieldId| rule.inputs.iter().all(|i| i.group_by.contains(f));
            let own = !rule.inputs.is_empty() && aggregate.fields.iter().all(groups_by);
            let kind = match aggregate.function {
                Function::Distinct if own => StoreKind::Own,
                _ => measure.kind_of(i, aggregate),
            };
            let place = measure.place(StoreSpec {
                kind,
                slot,
                input: aggregate.input,
            });
            measure.places.push(place);
        }
        measure.slots = slots.len();
        let counts_all = |s: &StoreSpec| {
            s.input.is_none() && matches!(s.kind, StoreKind::Count { .. } | StoreKind::Rate)
        };
        measure.all = measure
            .specs
            .iter()
            .position(counts_all)
            .unwrap_or_else(|| {
                let kind = StoreKind::Count { cap: UNBOUNDED };
                measure.place(StoreSpec {
                    kind,
                    slot: None,
                    input: None,
                })
            });
        measure.aggregates = aggregates;
        measure.single = measure.single_count();
        measure
    }

    fn kind_of(&self, index: usize, aggregate: &Aggregate) -> StoreKind {
        match aggregate.function {
            Function::Count if self.ratio.is_some() => StoreKind::Tally,
            Function::Count if self.is_compared(index) => StoreKind::Tally,
            Function::Count => {
                let needs = self
                    .bounds
                    .iter()
                    .filter(|b| b.aggregate == index)
                    .map(|b| needed(*b));
                match needs.max() {
                    None => StoreKind::Count { cap: UNBOUNDED },
                    Some(n) if n > EXACT_MAX => StoreKind::Rate,
                    Some(n) => StoreKind::Count { cap: n + SLACK },
                }
            }
            Function::Distinct | Function::OnceShare => StoreKind::Distinct,
            Function::Sum | Function::Average => StoreKind::Sums,
            Function::Order => StoreKind::Order,
        }
    }

    /// Whether the number is held against another one, so that a cap would bend the comparison.
    fn is_compared(&self, index: usize) -> bool {
        let compared = |b: &Bound| b.of == Some(index) || b.aggregate == index;
        self.bounds.iter().any(|b| b.of.is_some() && compared(b))
    }

    /// Whether several numbers must fit together: then one event is looked at as a whole.
    #[must_use]
    pub fn compares(&self) -> bool {
        self.aggregates.len() > 1
    }

    fn place(&mut self, spec: StoreSpec) -> usize {
        self.specs
            .iter()
            .position(|s| *s == spec)
            .unwrap_or_else(|| {
                self.specs.push(spec);
                self.specs.len() - 1
            })
    }

    fn single_count(&self) -> Option<usize> {
        let [bound] = self.bounds.as_slice() else {
            return None;
        };
        let exact = matches!(
            self.specs.get(*self.places.get(bound.aggregate)?)?.kind,
            StoreKind::Count { .. }
        );
        let rising = matches!(bound.op, Op::Gt | Op::Gte);
        (exact && rising && self.places.first() == Some(&0) && self.aggregates.len() == 1)
            .then(|| needed(*bound))
    }

    #[must_use]
    pub fn fresh(&self, span: i64) -> Stores {
        let mut all = self.specs.iter().map(|spec| spec.kind.fresh(span));
        Stores {
            first: all.next().unwrap_or(Store::Count(Stamps::default())),
            rest: all.collect(),
        }
    }

    /// The values of an observation, as `insert` wants them.
    #[must_use]
    pub fn values(&self, o: &Observation, text: &[u8]) -> [Option<u64>; VALUES_MAX] {
        o.values_of(self.slots.saturating_sub(VALUES_INLINE), text)
    }

    /// Adds an observation with its values; returns its place in the first store if that is an exact count.
    pub fn insert(
        &self,
        stores: &mut Stores,
        o: &Observation,
        values: &[Option<u64>; VALUES_MAX],
        span: i64,
    ) -> Option<usize> {
        let mut place = None;
        let all = std::iter::once(&mut stores.first).chain(&mut stores.rest);
        for (i, (store, spec)) in all.zip(&self.specs).enumerate() {
            // Whatever does not ask for an input counts an event once.
            let counts = match spec.input {
                Some(input) => input == usize::from(o.input),
                None => !o.is_again(),
            };
            if !counts {
                continue;
            }
            let value = spec.slot.and_then(|s| values.get(s).copied().flatten());
            match (store, spec.kind, value) {
                (Store::Count(stamps), StoreKind::Count { cap }, _) => {
                    let at = stamps.insert(o.time, cap);
                    if i == 0 {
                        place = at;
                    }
                }
                (Store::Count(stamps), _, _) => drop(stamps.insert(o.time, 1)),
                (Store::Rate(rate), _, _) => rate.add(o.time, 1),
                (Store::Tally(tally), _, _) => tally.insert(o.time, span),
                (Store::Order(order), _, Some(place)) => order.insert(place, o.time, span),
                (Store::Distinct(distinct), _, Some(value)) => distinct.insert(value, o.time, span),
                (Store::Sums(sums), _, Some(bits)) => {
                    sums.insert(o.time, f64::from_bits(bits), span)
                }
                _ => {}
            }
        }
        place
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn value(&self, stores: &Stores, aggregate: usize, now: i64, span: i64) -> (f64, Option<f64>) {
        let from = now - span;
        let function = self.aggregates.get(aggregate).map(|a| a.function);
        let store = self.places.get(aggregate).and_then(|p| stores.get(*p));
        match (store, function) {
            (Some(Store::Count(stamps)), _) => (stamps.count(from, now) as f64, None),
            (Some(Store::Rate(rate)), _) => (rate.total() as f64, Some(Buckets::RESOLUTION)),
            (Some(Store::Tally(tally)), _) => (tally.count(now, span) as f64, tally.error()),
            (Some(Store::Distinct(d)), Some(Function::OnceShare)) => {
                (d.once_share(from), d.error())
            }
            (Some(Store::Distinct(d)), _) => (d.count(from), d.error()),
            (Some(Store::Sums(s)), Some(Function::Average)) => (s.average(from, now), None),
            (Some(Store::Sums(s)), _) => (s.sum(from, now), None),
            (Some(Store::Order(o)), _) => {
                let (steps, turns) = o.count(from);
                (runs::tail(steps, turns), None)
            }
            (None, _) => (0.0, None),
        }
    }

    /// The time at which the bounds are crossed now that something was inserted at place `at`;
    /// `None` if they do not hold.
    #[must_use]
    pub fn crossing(
        &self,
        stores: &Stores,
        at: Option<usize>,
        newest: i64,
        span: i64,
    ) -> Option<i64> {
        if let (Some(n), Store::Count(stamps)) = (self.single, &stores.first) {
            let index = stamps.crossing(at?, n, span)?;
            return stamps.get(index);
        }
        self.holds(stores, newest, span).then_some(newest)
    }

    /// Whether the bounds hold of the window that ends at `now`.
    #[must_use]
    pub fn holds(&self, stores: &Stores, now: i64, span: i64) -> bool {
        if let Some((op, bound, min)) = self.ratio {
            let (numerator, _) = self.value(stores, 0, now, span);
            let (denominator, _) = self.value(stores, 1, now, span);
            #[expect(clippy::cast_precision_loss, reason = "a configured minimum")]
            let enough = denominator >= min as f64 && denominator > 0.0;
            return enough && op.holds(numerator / denominator, bound);
        }
        !self.bounds.is_empty()
            && self.bounds.iter().all(|b| {
                let (value, _) = self.value(stores, b.aggregate, now, span);
                let of = b.of.map(|of| self.value(stores, of, now, span).0);
                b.op.holds(value, b.value * of.unwrap_or(1.0))
            })
    }

    /// Until when the bounds hold if nothing more comes, given that they hold at `now`. Exact but
    /// for `is_uneven` measures, which may fall earlier.
    #[must_use]
    pub fn holds_until(&self, stores: &Stores, now: i64, span: i64) -> i64 {
        if let (Some(n), Store::Count(stamps)) = (self.single, &stores.first) {
            let first = stamps.len() - stamps.count(now - 1, i64::MAX);
            let Some(at) = stamps.crossing(first, n, span) else {
                return now;
            };
            return stamps.holds_until(at, n, span).max(now);
        }
        let until = self.bounds.iter().map(|b| {
            let store = self.places.get(b.aggregate).and_then(|p| stores.get(*p));
            let function = self.aggregates.get(b.aggregate).map(|a| a.function);
            match (store.filter(|_| b.of.is_none()), function, b.op) {
                (Some(Store::Count(s)), _, Op::Gt | Op::Gte) => {
                    s.latest(needed(*b)).map_or(now, |t| t + span)
                }
                (Some(Store::Rate(r)), _, Op::Gt | Op::Gte) => r.holds_until(needed(*b) as u64),
                (Some(Store::Distinct(d)), Some(Function::Distinct), Op::Gt | Op::Gte) => {
                    d.holds_until(needed(*b), span)
                }
                _ => now + span,
            }
        });
        until.min().unwrap_or(now + span).max(now)
    }

    /// Whether time alone may take a value up or down, so that it has to be read anew whenever
    /// something leaves the window: shares, sums, means, and parts of other numbers.
    #[must_use]
    pub fn is_uneven(&self) -> bool {
        let uneven = |b: &Bound| {
            let function = self.aggregates.get(b.aggregate).map(|a| a.function);
            let counts = matches!(function, Some(Function::Count | Function::Distinct));
            !counts || b.of.is_some() || matches!(b.op, Op::Eq | Op::Neq)
        };
        self.ratio.is_some() || self.bounds.iter().any(uneven)
    }

    /// The first time after `now` at which something leaves the window; when nothing is left in it
    /// at the latest.
    #[must_use]
    pub fn next_leaving(&self, stores: &Stores, now: i64, newest: i64, span: i64) -> i64 {
        let first = (0..self.specs.len()).filter_map(|i| match stores.get(i)? {
            Store::Count(stamps) => stamps.first_after(now - span),
            Store::Distinct(distinct) => distinct.first_after(now - span),
            Store::Sums(sums) => sums.first_after(now - span),
            Store::Tally(tally) => tally.first_after(now - span, span),
            Store::Order(order) => order.first_after(now - span),
            Store::Rate(_) => None,
        });
        first.min().unwrap_or(newest).saturating_add(span)
    }

    #[must_use]
    pub fn read(&self, stores: &Stores, now: i64, span: i64) -> Reading {
        let mut reading = Reading::default();
        for (i, aggregate) in self.aggregates.iter().enumerate() {
            let (value, error) = self.value(stores, i, now, span);
            reading.observed.push((aggregate.name.clone(), value));
            reading.error = reading.error.max_by(error);
        }
        if self.ratio.is_some() {
            let share = match reading.observed.as_slice() {
                [(_, n), (_, d), ..] if *d > 0.0 => n / d,
                _ => 0.0,
            };
            reading.observed.insert(0, ("ratio".to_owned(), share));
        }
        if let Some(Store::Count(stamps)) = stores.get(self.all) {
            let count = stamps.count(now - span, now);
            let full = matches!(self.specs.get(self.all).map(|s| s.kind), Some(StoreKind::Count { cap }) if count >= cap);
            reading.events = (!full).then_some(count as u64);
            reading.first = stamps.first_after(now - span);
        }
        reading
    }

    /// A running count for an episode on an exact count, whose own stamps reach little beyond the bound.
    #[must_use]
    pub fn rate(&self, stores: &Stores, now: i64, span: i64) -> Option<Box<Buckets>> {
        self.single?;
        let Store::Count(stamps) = &stores.first else {
            return None;
        };
        let mut rate = Box::new(Buckets::new(span));
        for time in (0..stamps.len())
            .filter_map(|i| stamps.get(i))
            .filter(|t| *t > now - span)
        {
            rate.add(time, 1);
        }
        Some(rate)
    }

    /// In a later revision the exact count shows no more than its stamps; the episode knows more.
    #[expect(
        clippy::cast_precision_loss,
        reason = "event counts are far below 2^53"
    )]
    pub fn count_episode(&self, reading: &mut Reading, episode: &Episode) {
        let (Some(n), Some((_, value))) = (self.single, reading.observed.first_mut()) else {
            return;
        };
        if let Some(rate) = &episode.rate
            && *value >= (n + SLACK) as f64
        {
            *value = value.max(rate.total() as f64);
            reading.error = Some(Buckets::RESOLUTION);
        }
    }

    /// The bounds as an alert shows them; those on other numbers as these are, where they are known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a configured minimum")]
    pub fn bound(&self, reading: Option<&Reading>) -> Bounds {
        if let Some((op, value, min)) = self.ratio {
            return vec![
                ("ratio".to_owned(), vec![(op.name(), value)]),
                ("denominator".to_owned(), vec![("gte", min as f64)]),
            ];
        }
        let mut shown = Bounds::new();
        for b in &self.bounds {
            let Some(aggregate) = self.aggregates.get(b.aggregate) else {
                continue;
            };
            let of = |of: usize| Some(reading?.observed.get(of)?.1 * b.value);
            let Some(value) = b.of.map_or(Some(b.value), of) else {
                continue;
            };
            let op = (b.op.name(), value);
            match shown.iter_mut().find(|(n, _)| *n == aggregate.name) {
                Some((_, ops)) => ops.push(op),
                None => shown.push((aggregate.name.clone(), vec![op])),
            }
        }
        shown
    }
}

trait MaxBy {
    fn max_by(self, other: Self) -> Self;
}
impl MaxBy for Option<f64> {
    fn max_by(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

fn count_of(name: &str, input: usize) -> Aggregate {
    Aggregate {
        name: name.to_owned(),
        function: Function::Count,
        fields: Vec::new(),
        input: Some(input),
    }
}

/// The count at which a bound on it is decided.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 1..2^40"
)]
fn needed(bound: Bound) -> usize {
    let n = match bound.op {
        Op::Gte => bound.value.ceil(),
        Op::Gt | Op::Lte | Op::Lt | Op::Eq | Op::Neq => bound.value.floor() + 1.0,
    };
    n.clamp(1.0, 1e12) as usize
}
