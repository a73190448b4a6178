//! The scenarios by name: what each tells, what must fire and what must not.
//!
//! Owns the promises the tests, the demo and the detectors' authors rely on; the numbers behind
//! them are in `plan`. Invariant: a scenario's promises hold from [`EVENTS_MIN`] events on, and no
//! detector is both promised and excluded.

use std::fmt;
use std::str::FromStr;

/// From this many events on a scenario keeps its promises; below, campaigns may stay under bounds.
pub const EVENTS_MIN: u64 = 20_000;

/// A named story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Everyday traffic only.
    Benign,
    /// A few addresses, hundreds of resets a minute.
    ResetFlood,
    /// One reset per address and account.
    RotatingIps,
    /// One address walks through many accounts, slowly.
    Enumeration,
    /// Used tokens come back from elsewhere.
    TokenTheft,
    /// A deployed retry bug multiplies mails.
    DeployRegression,
    /// Decoys are touched.
    Honeytoken,
    /// Looks bad, is not.
    NearMisses,
    /// The story of the demo.
    Incident2026,
    /// Every campaign in turn.
    Mixed,
}

/// What a scenario promises.
#[derive(Clone, Copy, Debug)]
pub struct ScenarioInfo {
    /// The scenario.
    pub scenario: Scenario,
    /// Its name on the command line.
    pub name: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// Detectors (`family/name`) that must fire.
    pub must_fire: &'static [&'static str],
    /// Detectors that must not fire; all others may.
    pub must_not_fire: &'static [&'static str],
}

const FLOOD: &str = "flood/reset-ip";
const UNUSED: &str = "token/without-use";
const SPIKE: &str = "spike/global";
const WALK: &str = "enumeration/accounts-per-ip";
const REUSE: &str = "token/reuse-other-ip";
const DOUBLE: &str = "mail/duplicates-per-token";
const DEPLOY: &str = "deploy/then-spike";
const DECOY: &str = "honeytoken/request";
const DECOY_TOKEN: &str = "honeytoken/redeem";

/// Everything that judges content. Left out: `geo/never-seen` and others that call anything new
/// suspicious before they have learnt, and `blind/*`, which rightly fires when the input ends.
const ANY: &[&str] = &[
    FLOOD,
    "flood/reset-cidr",
    "flood/reset-account",
    "flood/reset-device",
    WALK,
    "enumeration/accounts-per-asn",
    "enumeration/ordered-identifiers",
    SPIKE,
    "spike/per-account-rate",
    UNUSED,
    "token/mail-without-redemption",
    REUSE,
    "token/replay",
    "token/without-request",
    DOUBLE,
    "mail/bounce-spike",
    "mail/queue-backlog",
    "mail/log-disagreement",
    DEPLOY,
    "deploy/config-then-spike",
    "oauth/redirect-mismatch",
    DECOY,
    DECOY_TOKEN,
    "takeover/after-reset",
    "takeover/reset-mfa-device",
    "takeover/change-right-after",
    "takeover/sessions-not-revoked",
    "login/stuffing-after-reset",
];

static SCENARIOS: [ScenarioInfo; 10] = [
    ScenarioInfo {
        scenario: Scenario::Benign,
        name: "benign",
        about: "A day of everyday resets and log-ins over 24 countries and 120 networks.",
        must_fire: &[],
        must_not_fire: ANY,
    },
    ScenarioInfo {
        scenario: Scenario::ResetFlood,
        name: "reset-flood",
        about: "A few hosted addresses ask for hundreds of resets a minute; nobody uses the tokens.",
        must_fire: &[FLOOD, UNUSED, SPIKE],
        must_not_fire: &[REUSE, DOUBLE, DEPLOY, DECOY, DECOY_TOKEN],
    },
    ScenarioInfo {
        scenario: Scenario::RotatingIps,
        name: "rotating-ips",
        about: "Ten times the usual resets, each from a new address for a new account, over all networks.",
        must_fire: &[SPIKE, UNUSED],
        must_not_fire: &[FLOOD, WALK, REUSE, DOUBLE, DEPLOY, DECOY, DECOY_TOKEN],
    },
    ScenarioInfo {
        scenario: Scenario::Enumeration,
        name: "enumeration",
        about: "One address tries account after account, once each, two or three a minute; half do not exist.",
        must_fire: &[WALK],
        must_not_fire: &[REUSE, DOUBLE, DEPLOY, DECOY, DECOY_TOKEN],
    },
    ScenarioInfo {
        scenario: Scenario::TokenTheft,
        name: "token-theft",
        about: "People reset their passwords; minutes later the same tokens come back from hosted addresses.",
        must_fire: &[REUSE],
        must_not_fire: &[
            FLOOD,
            WALK,
            UNUSED,
            SPIKE,
            DOUBLE,
            DEPLOY,
            DECOY,
            DECOY_TOKEN,
        ],
    },
    ScenarioInfo {
        scenario: Scenario::DeployRegression,
        name: "deploy-regression",
        about: "A mailer deploy brings a retry bug: six mails for every token until it is rolled back.",
        must_fire: &[DOUBLE, DEPLOY],
        must_not_fire: &[FLOOD, WALK, UNUSED, SPIKE, REUSE, DECOY, DECOY_TOKEN],
    },
    ScenarioInfo {
        scenario: Scenario::Honeytoken,
        name: "honeytoken",
        about: "Someone asks for resets of decoy accounts, slowly, and then uses planted tokens.",
        must_fire: &[DECOY, DECOY_TOKEN],
        must_not_fire: &[FLOOD, WALK, UNUSED, SPIKE, REUSE, DOUBLE, DEPLOY],
    },
    ScenarioInfo {
        scenario: Scenario::NearMisses,
        name: "near-misses",
        about: "An office behind one address, shared kiosks, link scanners, re-sent mails, a harmless mailer deploy.",
        must_fire: &[],
        must_not_fire: ANY,
    },
    ScenarioInfo {
        scenario: Scenario::Incident2026,
        name: "incident-2026",
        about: "A mailer deploy doubles mails; then an outside party triggers mass resets from rotating and a few hot addresses, decoys among them.",
        must_fire: &[FLOOD, UNUSED, SPIKE, DOUBLE, DEPLOY, DECOY],
        must_not_fire: &[REUSE, DECOY_TOKEN],
    },
    ScenarioInfo {
        scenario: Scenario::Mixed,
        name: "mixed",
        about: "All campaigns in turn, with near misses throughout.",
        must_fire: &[
            FLOOD,
            UNUSED,
            SPIKE,
            WALK,
            REUSE,
            DOUBLE,
            DEPLOY,
            DECOY,
            DECOY_TOKEN,
        ],
        must_not_fire: &[],
    },
];

/// Every scenario with its promises.
pub fn scenarios() -> &'static [ScenarioInfo] {
    &SCENARIOS
}

impl Scenario {
    /// Its promises.
    pub fn info(self) -> &'static ScenarioInfo {
        SCENARIOS
            .iter()
            .find(|info| info.scenario == self)
            .unwrap_or(&SCENARIOS[0])
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}

impl FromStr for Scenario {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = SCENARIOS
            .iter()
            .find(|info| info.name == name)
            .map(|info| info.scenario);
        found.ok_or_else(|| UnknownName {
            what: "scenario",
            name: name.to_owned(),
            known: SCENARIOS.iter().map(|info| info.name).collect(),
        })
    }
}

/// A scenario or schema that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    pub(super) what: &'static str,
    pub(super) name: String,
    pub(super) known: Vec<&'static str>,
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown {} {:?}; choose one of {}",
            self.what,
            self.name,
            self.known.join(", ")
        )
    }
}

impl std::error::Error for UnknownName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_promises_do_not_contradict() {
        for info in scenarios() {
            assert_eq!(info.name.parse(), Ok(info.scenario));
            assert_eq!(info.scenario.to_string(), info.name);
            let both = info
                .must_fire
                .iter()
                .find(|d| info.must_not_fire.contains(d));
            assert_eq!(both, None, "{}", info.name);
        }
        let error = "flood".parse::<Scenario>().unwrap_err().to_string();
        assert!(error.starts_with("unknown scenario \"flood\"; choose one of benign, reset-flood"));
    }
}
