//! `containment`: what may be done about alerts.
//!
//! Owns the shape and its documentation; what the values mean is decided in
//! `engine::containment::policy`, and a test keeps the defaults equal to its own. Invariant: the
//! default enforces nothing (shadow mode).

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::outputs::Webhook;
use crate::config::value::{Cidr, Duration};
use crate::engine::containment::Verb;
use crate::engine::containment::allow::AllowSettings;
use crate::engine::containment::policy::settings as policy;
use crate::model::Span;

/// What is done about alerts.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Containment {
    /// Whether actions are real.
    pub mode: ContainmentMode,
    /// Never acted upon, whatever the detectors say.
    pub allow: Allow,
    /// Limits that hold however many alerts there are; real and simulated actions are counted
    /// apart.
    pub budgets: Budgets,
    /// What `disable_flow` needs: it stops password recovery for everyone.
    pub kill_switch: KillSwitch,
    /// How long an action lasts when its detector does not say.
    pub ttl_default: Duration,
    /// The shortest time an action may last.
    pub ttl_min: Duration,
    /// The longest time an action may last from one request or extension.
    pub ttl_max: Duration,
    /// The same for the kill-switch.
    pub kill_switch_ttl_max: Duration,
    /// The longest time one action may last with all its extensions.
    pub lifetime_max: Duration,
    /// How long an action stays away after a human reverted or denied it.
    pub human_hold: Duration,
    /// Detectors whose `spoofable` label is above this need a human for what cannot be undone and
    /// for blocking an account.
    #[schemars(range(min = 0, max = 3))]
    pub spoofable_max: u8,
    /// The shortest prefix of an IPv4 range that may be acted upon.
    #[schemars(range(min = 0, max = 32))]
    pub widest_ipv4: u8,
    /// The shortest prefix of an IPv6 range that may be acted upon.
    #[schemars(range(min = 0, max = 128))]
    pub widest_ipv6: u8,
    /// Who is told to act.
    pub webhooks: Vec<Webhook>,
}

impl Default for Containment {
    fn default() -> Self {
        Self {
            mode: ContainmentMode::Shadow,
            allow: Allow::default(),
            budgets: Budgets::default(),
            kill_switch: KillSwitch::default(),
            ttl_default: Duration(Span::minutes(15)),
            ttl_min: Duration(Span::seconds(10)),
            ttl_max: Duration(Span::hours(24)),
            kill_switch_ttl_max: Duration(Span::minutes(30)),
            lifetime_max: Duration(Span::hours(72)),
            human_hold: Duration(Span::hours(1)),
            spoofable_max: 2,
            widest_ipv4: 24,
            widest_ipv6: 48,
            webhooks: Vec::new(),
        }
    }
}

impl Containment {
    /// The policy's own settings.
    #[must_use]
    pub fn policy(&self) -> policy::Settings {
        let budgets = &self.budgets;
        policy::Settings {
            mode: match self.mode {
                ContainmentMode::Shadow => policy::Enforcement::Shadow,
                ContainmentMode::Enforce => policy::Enforcement::Enforce,
            },
            allow: AllowSettings {
                ips: self.allow.ips.iter().map(ToString::to_string).collect(),
                cidrs: self.allow.cidrs.iter().map(ToString::to_string).collect(),
                accounts: self.allow.accounts.clone(),
                asns: self.allow.asns.clone(),
                private: self.allow.private,
            },
            budgets: policy::Budgets {
                actions_per_minute: budgets.actions_per_minute,
                active_max: budgets.active_max,
                active_max_by_verb: budgets.active_max_by_verb.clone(),
                pending_max: budgets.pending_max as usize,
            },
            kill_switch: policy::KillSwitch {
                detectors_min: usize::from(self.kill_switch.detectors_min),
                within: self.kill_switch.within.0,
                pending_for: self.kill_switch.pending_for.0,
            },
            ttl_default: self.ttl_default.0,
            ttl_min: self.ttl_min.0,
            ttl_max: self.ttl_max.0,
            kill_switch_ttl_max: self.kill_switch_ttl_max.0,
            lifetime_max: self.lifetime_max.0,
            human_hold: self.human_hold.0,
            spoofable_max: self.spoofable_max,
            widest_ipv4: self.widest_ipv4,
            widest_ipv6: self.widest_ipv6,
        }
    }
}

/// Whether actions are real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ContainmentMode {
    /// Every action is decided and shown, marked as simulated, and not to be enforced.
    #[default]
    Shadow,
    /// Actions of detectors in mode `contain` are real.
    Enforce,
}

/// Targets that are never acted upon.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Allow {
    /// Addresses: your own egress, monitoring, partners.
    pub ips: Vec<IpAddr>,
    /// Address ranges, neither whole nor in part.
    pub cidrs: Vec<Cidr>,
    /// Accounts by id or e-mail address: break-glass administrators, service accounts.
    pub accounts: Vec<String>,
    /// Autonomous systems by number.
    pub asns: Vec<u32>,
    /// Loopback, private and link-local addresses too: what a broken proxy header shows.
    pub private: bool,
}

/// Limits of containment.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// The most actions that begin in any one minute.
    #[schemars(range(min = 1, max = 100_000))]
    pub actions_per_minute: u32,
    /// The most actions of one verb in force at the same time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub active_max: u32,
    /// The same for single verbs; those not named have `active_max`.
    #[schemars(schema_with = "by_verb")]
    pub active_max_by_verb: BTreeMap<Verb, u32>,
    /// The most actions that wait for approval at the same time.
    #[schemars(range(min = 1, max = 100_000))]
    pub pending_max: u32,
}

fn by_verb(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<&str> = Verb::ALL.iter().map(|(name, _)| *name).collect();
    json_schema!({
        "type": "object",
        "propertyNames": { "type": "string", "enum": names },
        "additionalProperties": { "type": "integer", "minimum": 0, "maximum": 1_000_000 },
    })
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            actions_per_minute: 60,
            active_max: 1000,
            active_max_by_verb: BTreeMap::from([(Verb::DisableFlow, 3)]),
            pending_max: 100,
        }
    }
}

/// What the kill-switch needs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KillSwitch {
    /// Different detectors that must agree; one human does as well.
    #[schemars(range(min = 2, max = 100))]
    pub detectors_min: u8,
    /// The time within which they must agree.
    pub within: Duration,
    /// How long a request waits for approval.
    pub pending_for: Duration,
}

impl Default for KillSwitch {
    fn default() -> Self {
        let (within, pending_for) = (Span::minutes(10), Span::hours(1));
        Self {
            detectors_min: 2,
            within: Duration(within),
            pending_for: Duration(pending_for),
        }
    }
}
