//! The schemas lines can be written in, and what each of them knows.
//!
//! Owns the choice and the ids' text forms; each schema's own shape is in its file. Invariant: a
//! schema writes exactly the kinds it says it knows, each as one JSON object without a newline.

mod github;
mod keycloak;
mod okta;
mod ses;
mod tidegate;

use std::fmt;
use std::str::FromStr;

use super::fact::Kind;
use super::flow::{Flow, Step, Subject};
use super::random::mix;
use super::scenario::UnknownName;
use super::text::{push_hex, push_number, push_padded};
use super::world::Origin;

/// As which system writes its events. Only tidegate's own schema knows every kind; the others leave
/// out what they have no word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// tidegate's own, complete.
    Tidegate,
    /// Okta System Log.
    Okta,
    /// Keycloak user events.
    Keycloak,
    /// Amazon SES event publishing.
    Ses,
    /// GitHub `deployment_status` webhooks.
    Github,
}

const SCHEMAS: [(Schema, &str); 5] = [
    (Schema::Tidegate, "tidegate"),
    (Schema::Okta, "okta"),
    (Schema::Keycloak, "keycloak"),
    (Schema::Ses, "ses"),
    (Schema::Github, "github"),
];

impl Schema {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        SCHEMAS
            .iter()
            .find(|(schema, _)| *schema == self)
            .map_or("tidegate", |(_, name)| name)
    }

    /// Whether it has a word for a kind.
    pub(super) fn knows(self, kind: Kind) -> bool {
        match self {
            Self::Tidegate => true,
            Self::Okta => okta::word(kind).is_some(),
            Self::Keycloak => keycloak::word(kind).is_some(),
            Self::Ses => ses::word(kind).is_some(),
            Self::Github => kind.is_deploy(),
        }
    }

    /// Appends a fact as one JSON object; false, and nothing written, if the schema has no word.
    pub(super) fn write(self, fact: &Fact<'_>, out: &mut String) -> bool {
        // Only our own schema knows that a link was merely opened; the others tell of its use.
        let untold = fact.is_opening() && self != Self::Tidegate;
        if untold || !self.knows(fact.step.kind) {
            return false;
        }
        match self {
            Self::Tidegate => tidegate::write(fact, out),
            Self::Okta => okta::write(fact, out),
            Self::Keycloak => keycloak::write(fact, out),
            Self::Ses => ses::write(fact, out),
            Self::Github => github::write(fact, out),
        }
        true
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Schema {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = SCHEMAS
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(schema, _)| *schema);
        found.ok_or_else(|| UnknownName {
            what: "schema",
            name: name.to_owned(),
            known: SCHEMAS.iter().map(|(_, name)| *name).collect(),
        })
    }
}

/// One event about to be written.
#[derive(Debug)]
pub(super) struct Fact<'a> {
    pub(super) time_ms: i64,
    pub(super) seed: u64,
    pub(super) line: u64,
    pub(super) step: Step,
    pub(super) flow: &'a Flow,
}

impl Fact<'_> {
    /// A unique id of this event.
    fn event_id(&self) -> u64 {
        mix(mix(self.seed) ^ self.line)
    }

    /// A stable number for its account, for schemas with opaque ids.
    fn account_key(&self) -> u64 {
        let (class, number) = match self.flow.subject {
            Subject::Account(number) => (1, number),
            Subject::Decoy(number) => (2, number),
            Subject::Deploy(service) => (3, u64::from(service)),
        };
        mix(mix(self.seed ^ 0x00ac_c047) ^ (class << 56 | number))
    }

    /// A link that somebody else (a scanner) opens, and nothing more.
    fn is_opening(&self) -> bool {
        let by_other = self.step.kind == Kind::TokenUsed && self.step.who == 1;
        by_other && self.flow.other_method != "POST"
    }

    /// Where it comes from.
    fn origin(&self) -> &Origin {
        &self.flow.origins[usize::from(self.step.who.min(1))]
    }

    fn push_account(&self, out: &mut String) {
        match self.flow.subject {
            Subject::Account(number) => {
                out.push_str("u-");
                push_padded(out, number, 6);
            }
            Subject::Decoy(number) => push_decoy_account(out, number),
            Subject::Deploy(_) => {}
        }
    }

    fn push_email(&self, out: &mut String) {
        match self.flow.subject {
            Subject::Account(number) => {
                out.push_str("user");
                push_padded(out, number, 6);
            }
            Subject::Decoy(number) => push_decoy_account(out, number),
            Subject::Deploy(_) => out.push_str("deploy-bot"),
        }
        out.push_str(match self.flow.subject {
            Subject::Account(number) if number % 3 == 1 => "@example.net",
            Subject::Account(number) if number % 3 == 2 => "@example.org",
            Subject::Account(_) | Subject::Decoy(_) | Subject::Deploy(_) => "@example.com",
        });
    }

    fn push_token(&self, out: &mut String) {
        if self.flow.decoy_token > 0 {
            push_decoy_token(out, self.flow.decoy_token);
            return;
        }
        out.push_str("tok-");
        push_hex(out, self.flow.token_id(), 16);
    }

    /// The secret a link carries: never what `token.id` says.
    fn push_secret(&self, out: &mut String) {
        let id = self.flow.token_id();
        push_hex(out, mix(id ^ 0x005e_c4e7), 16);
        push_hex(out, mix(id ^ 0x015e_c4e7), 16);
    }

    fn push_request(&self, out: &mut String) {
        out.push_str("req-");
        push_hex(out, self.flow.request_id(), 16);
    }

    fn push_commit(&self, out: &mut String) {
        let id = self.flow.request_id();
        push_hex(out, id, 16);
        push_hex(out, mix(id), 16);
        push_hex(out, mix(!id), 8);
    }

    fn push_as_name(&self, out: &mut String) {
        let (kind, country) = self.origin().as_name();
        out.push_str("Example ");
        out.push_str(kind);
        out.push(' ');
        out.push_str(country);
    }

    fn push_as_number(&self, out: &mut String) {
        push_number(out, self.origin().as_number());
    }
}

pub(super) fn push_decoy_account(out: &mut String, number: u64) {
    out.push_str("decoy-");
    push_padded(out, number, 4);
}

pub(super) fn push_decoy_token(out: &mut String, number: u64) {
    out.push_str("decoy-token-");
    push_padded(out, number, 4);
}
