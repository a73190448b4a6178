//! The stored form of each row type: its name and version. Raising a version needs an `upgrade`
//! and a compat fixture.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::alert::Alert;
use crate::engine::alert::silence::Silence;
use crate::engine::containment::allow::AllowEntry;
use crate::engine::containment::policy::{Change, Journal};
use crate::engine::containment::{Receipt, Record};
use crate::engine::outbox::{Kind, Message};
use crate::model::WallTime;
use crate::model::ids::Id;
use crate::store::format::Form;

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub message: Message,
    pub reason: String,
    pub attempts: u32,
    pub at: WallTime,
}

/// A message about an action that reached its endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub endpoint: String,
    pub webhook_id: String,
    pub kind: Kind,
    pub created_at: WallTime,
    pub delivered_at: WallTime,
    pub attempts: u32,
}

/// An open alert that a silence keeps from being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Muted {
    pub alert_id: Id,
    pub silence_id: Id,
    /// Whether it had been told before the silence began.
    pub told: bool,
}

/// What each detector in force is, by its id: a number that changes with its definition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definitions(pub BTreeMap<String, u64>);

macro_rules! forms {
    ($($type:ty: $name:literal v $version:literal;)*) => {
        $(impl Form for $type {
            const NAME: &'static str = $name;
            const VERSION: u32 = $version;
        })*
    };
}

forms! {
    Alert: "alert" v 1;
    Record: "action" v 1;
    Change: "action change" v 1;
    Journal: "policy journal" v 1;
    Message: "outbox message" v 1;
    DeadLetter: "dead letter" v 1;
    Delivery: "delivery" v 1;
    AllowEntry: "allow-list entry" v 1;
    Receipt: "receipt" v 1;
    Silence: "silence" v 1;
    Muted: "muted alert" v 1;
    Definitions: "definitions" v 1;
}
