//! An alert as the outside sees it (CONTRACTS.md, "An alert"). Its JSON form is a contract.
//!
//! Owns the shape. `silence` owns which alerts people mute.

use serde::{Deserialize, Serialize};

use crate::engine::detector::plan::Mode;
use crate::model::ids::Id;
use crate::model::{EventTime, Level};

pub mod silence;

/// One revision of one episode of one detector on one key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub alert_id: Id,
    /// 0 when it opens, rising by one with each later state of the same episode.
    pub revision: u32,
    pub status: Status,
    pub detector: DetectorRef,
    /// Event time at which the bound was crossed; for an absence the deadline.
    pub time: EventTime,
    /// `group-by` names and the key's values, in the order of `group-by`.
    pub key: Pairs<String>,
    pub observed: Pairs<Number>,
    pub bound: Pairs<Pairs<Number>>,
    pub window: Window,
    pub first: EventTime,
    pub last: EventTime,
    /// Contributing events so far.
    pub events: u64,
    /// Relative standard error of an estimated `observed` value; null when exact.
    pub error: Option<f64>,
    pub summary: String,
    pub mode: Mode,
    pub tags: Vec<String>,
    pub runbook: Option<String>,
    pub actions: Vec<Id>,
    pub positions: Vec<Positions>,
    /// The highest `observed` of the first bound so far.
    pub peak: Number,
    /// Values of the last contributing event for the detector's `fields`.
    #[serde(default, skip_serializing_if = "Pairs::is_empty")]
    pub context: Pairs<String>,
    /// Detections since the revision before that this alert holds back.
    #[serde(default, skip_serializing_if = "is_none")]
    pub suppressed: u64,
    /// The silence that kept this revision from being told; set when it is first committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced: Option<Id>,
}

/// Why an alert is closed whose detector is not as it was.
const LOST: &str = "; closed because its detector was changed or taken out";
/// Why one is closed about what stood still until an operator decided.
const DECIDED: &str = "; closed because the loss was accepted";

impl Alert {
    /// The revision behind this one that closes it, since its detector is not as it was and nothing watches
    /// the episode any more.
    #[must_use]
    pub fn lost(self) -> Self {
        self.closed(LOST)
    }

    /// The revision behind this one that closes it, since an operator has decided.
    #[must_use]
    pub fn decided(self) -> Self {
        self.closed(DECIDED)
    }

    fn closed(mut self, why: &str) -> Self {
        self.revision += 1;
        self.status = Status::Closed;
        self.summary.push_str(why);
        self
    }

    /// Whether this is what `lost` or `decided` made of `before`. A summary may end in what somebody chose as a key, so
    /// that its end alone says nothing.
    #[must_use]
    pub fn is_loss_of(&self, before: &Self) -> bool {
        let said = |why| self.summary.strip_suffix(why) == Some(before.summary.as_str());
        self.status == Status::Closed
            && self.revision.checked_sub(1) == Some(before.revision)
            && [LOST, DECIDED].into_iter().any(said)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub(super) const fn is_none(count: &u64) -> bool {
    *count == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Open,
    Closed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectorRef {
    pub id: String,
    pub name: String,
    pub version: u32,
    pub level: Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub start: EventTime,
    pub end: EventTime,
}

/// A range of positions in one partition of one source, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Positions {
    pub source: String,
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

/// An ordered list of names and values that is an object in JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs<T>(pub Vec<(String, T)>);

impl<T> Default for Pairs<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Pairs<T> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

impl<T: Serialize> Serialize for Pairs<T> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = Pairs<T>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Pairs<T>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    pairs.push(entry);
                }
                Ok(Pairs(pairs))
            }
        }
        d.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

/// A number that is written without a fraction when it is whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl Serialize for Number {
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 9e15 {
            s.serialize_i64(self.0 as i64)
        } else {
            s.serialize_f64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        f64::deserialize(d).map(Self)
    }
}
