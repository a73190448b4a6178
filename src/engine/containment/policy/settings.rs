//! `containment` in the configuration: what the deployment permits, with safe defaults.
//!
//! Owns the values and their checks. Everything defaults to the careful side: shadow mode, small
//! budgets, limited times.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::containment::allow::{AllowSettings, Cidr};
use crate::engine::containment::{Scope, Target, Verb};
use crate::model::{Span, duration};

/// Whether actions are real.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// Every action is simulated: told, marked, not to be enforced.
    #[default]
    Shadow,
    /// Actions of detectors in mode `contain` are real.
    Enforce,
}

impl Enforcement {
    /// Whether actions may be real.
    #[must_use]
    pub const fn enforces(self) -> bool {
        matches!(self, Self::Enforce)
    }
}

/// What containment may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// `shadow` simulates every action; `enforce` lets detectors in mode `contain` act.
    pub mode: Enforcement,
    /// Whom no action may ever touch.
    pub allow: AllowSettings,
    /// How much may be done.
    pub budgets: Budgets,
    /// What the kill-switch (`disable_flow`) needs.
    pub kill_switch: KillSwitch,
    /// How long an action lasts when its detector does not say.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub ttl_default: Span,
    /// The shortest time an action may last.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub ttl_min: Span,
    /// The longest time an action may last from one request or extension.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub ttl_max: Span,
    /// The same for the kill-switch.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub kill_switch_ttl_max: Span,
    /// The longest time one action may last with all its extensions.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub lifetime_max: Span,
    /// How long an action stays away after a human reverted or denied it.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub human_hold: Span,
    /// Detectors above this `spoofable` label need a human for what cannot be undone and for
    /// blocking an account.
    #[schemars(range(max = 3))]
    pub spoofable_max: u8,
    /// The shortest prefix of an IPv4 range that may be a target.
    #[schemars(range(max = 32))]
    pub widest_ipv4: u8,
    /// The shortest prefix of an IPv6 range that may be a target.
    #[schemars(range(max = 128))]
    pub widest_ipv6: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Enforcement::Shadow,
            allow: AllowSettings::default(),
            budgets: Budgets::default(),
            kill_switch: KillSwitch::default(),
            ttl_default: Span::minutes(15),
            ttl_min: Span::seconds(10),
            ttl_max: Span::hours(24),
            kill_switch_ttl_max: Span::minutes(30),
            lifetime_max: Span::hours(72),
            human_hold: Span::hours(1),
            spoofable_max: 2,
            widest_ipv4: 24,
            widest_ipv6: 48,
        }
    }
}

/// How much may be done; real and simulated actions are counted apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budgets {
    /// New actions in any minute.
    pub actions_per_minute: u32,
    /// Active actions of one verb at once.
    pub active_max: u32,
    /// The same for single verbs; those not named have `active_max`.
    pub active_max_by_verb: BTreeMap<Verb, u32>,
    /// Actions waiting for approval at once.
    pub pending_max: usize,
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

impl Budgets {
    /// How many actions of the verb may be active.
    #[must_use]
    pub fn active_max_of(&self, verb: Verb) -> u32 {
        self.active_max_by_verb
            .get(&verb)
            .copied()
            .unwrap_or(self.active_max)
    }
}

/// What it takes to disable a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KillSwitch {
    /// Different detectors that must agree; one human does as well.
    pub detectors_min: usize,
    /// The time within which they must agree.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub within: Span,
    /// How long a request waits for approval.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub pending_for: Span,
}

impl Default for KillSwitch {
    fn default() -> Self {
        Self {
            detectors_min: 2,
            within: Span::minutes(10),
            pending_for: Span::hours(1),
        }
    }
}

impl Settings {
    /// Every fault that a type cannot exclude, each with its path below `containment`.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, text: &str| {
            if !holds {
                faults.push(text.to_owned());
            }
        };
        check(self.ttl_min.0 > 0, "ttl_min must be above zero");
        check(
            self.ttl_min <= self.ttl_default,
            "ttl_default must not be below ttl_min",
        );
        check(
            self.ttl_default <= self.ttl_max,
            "ttl_default must not be above ttl_max",
        );
        check(
            self.ttl_max <= self.lifetime_max,
            "lifetime_max must not be below ttl_max",
        );
        check(
            self.kill_switch_ttl_max >= self.ttl_min,
            "kill_switch_ttl_max must not be below ttl_min",
        );
        check(self.human_hold.0 >= 0, "human_hold must not be negative");
        check(self.spoofable_max <= 3, "spoofable_max must be 0 to 3");
        check(self.widest_ipv4 <= 32, "widest_ipv4 must be 0 to 32");
        check(self.widest_ipv6 <= 128, "widest_ipv6 must be 0 to 128");
        check(
            self.kill_switch.detectors_min >= 2,
            "kill_switch.detectors_min must be at least 2: one detector alone may be wrong",
        );
        check(
            self.kill_switch.within.0 > 0,
            "kill_switch.within must be above zero",
        );
        check(
            self.kill_switch.pending_for.0 > 0,
            "kill_switch.pending_for must be above zero",
        );
        faults
    }

    /// The time an action lasts: as asked, or the default, within the caps.
    #[must_use]
    pub fn ttl(&self, verb: Verb, asked: Span) -> Span {
        let most = if verb == Verb::DisableFlow {
            self.kill_switch_ttl_max.min(self.ttl_max)
        } else {
            self.ttl_max
        };
        let wanted = if asked.0 > 0 { asked } else { self.ttl_default };
        wanted.max(self.ttl_min).min(most)
    }

    /// Whether the target is an address range that is wider than permitted.
    #[must_use]
    pub fn is_too_wide(&self, target: &Target) -> bool {
        target.scope == Scope::Cidr
            && Cidr::parse(&target.value).is_none_or(|range| {
                let widest = if range.is_ipv4() {
                    self.widest_ipv4
                } else {
                    self.widest_ipv6
                };
                range.prefix() < widest
            })
    }
}
