//! Field names and their small numbers, so that no string key is compared on the hot path.
//!
//! The canonical fields (DESIGN.md, section 4) have fixed numbers; every other name a detector
//! reads is interned when detectors are compiled. A `Fields` never changes after that.

use std::collections::BTreeMap;

/// The number of a field in a `Fields` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldId(pub u16);

macro_rules! canonical {
    ($($name:ident = $text:literal),* $(,)?) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "index names only")]
        #[repr(u16)]
        enum Index { $($name),* }
        /// The canonical fields' numbers, e.g. `field::SOURCE_IP`.
        mod canonical_ids {
            use super::{FieldId, Index};
            $(pub const $name: FieldId = FieldId(Index::$name as u16);)*
        }
        pub use canonical_ids::*;
        /// The canonical names in the order of their numbers.
        pub const CANONICAL: &[&str] = &[$($text),*];
    };
}

canonical! {
    EVENT_KIND = "event.kind",
    EVENT_ID = "event.id",
    EVENT_OUTCOME = "event.outcome",
    EVENT_REASON = "event.reason",
    EVENT_SCHEMA = "event.schema",
    USER_ID = "user.id",
    USER_EMAIL = "user.email",
    USER_TARGET_ID = "user.target.id",
    ORGANIZATION_ID = "organization.id",
    SOURCE_IP = "source.ip",
    SOURCE_CIDR = "source.cidr",
    SOURCE_AS_NUMBER = "source.as.number",
    SOURCE_AS_NAME = "source.as.organization.name",
    SOURCE_COUNTRY = "source.geo.country_iso_code",
    SOURCE_KIND = "source.kind",
    DEVICE_ID = "device.id",
    USER_AGENT = "user_agent.original",
    SESSION_ID = "session.id",
    TOKEN_ID = "token.id",
    TOKEN_KIND = "token.kind",
    MESSAGE_ID = "message.id",
    MESSAGE_CHANNEL = "message.channel",
    MESSAGE_PROVIDER = "message.provider",
    REQUEST_ID = "http.request.id",
    REQUEST_METHOD = "http.request.method",
    URL_PATH = "url.path",
    TRACE_ID = "trace.id",
    ACTOR_KIND = "actor.kind",
    DEPLOY_ID = "deploy.id",
    DEPLOY_COMMIT = "deploy.commit",
    DEPLOY_SERVICE = "deploy.service",
    DEPLOY_ENVIRONMENT = "deploy.environment",
    HONEYTOKEN = "honeytoken.kind",
    MAILBOX_KIND = "mailbox.kind",
    PHONE_NUMBER = "phone.number",
    PHONE_KIND = "phone.kind",
    CONTAINMENT_ACTION = "containment.action_id",
    TIME = "time",
    DEPLOY_PIPELINE = "deploy.pipeline",
}

/// Other names people write for canonical fields: ECS spellings that differ from ours.
pub const ALIASES: &[(&str, &str)] = &[
    ("@timestamp", "time"),
    ("client.ip", "source.ip"),
    ("event.action", "event.kind"),
    ("source.address", "source.ip"),
    ("source.as.organization", "source.as.organization.name"),
    ("user.target.name", "user.target.id"),
    ("user.name", "user.id"),
    ("email.message_id", "message.id"),
    ("user_agent", "user_agent.original"),
    ("country", "source.geo.country_iso_code"),
];

/// All field names a plan knows, canonical ones first.
#[derive(Clone, Debug)]
pub struct Fields {
    names: Vec<String>,
    index: BTreeMap<String, FieldId>,
}

impl Default for Fields {
    fn default() -> Self {
        let names: Vec<String> = CANONICAL.iter().map(|n| (*n).to_owned()).collect();
        let index = (0u16..)
            .zip(&names)
            .map(|(i, n)| (n.clone(), FieldId(i)))
            .collect();
        Self { names, index }
    }
}

impl Fields {
    /// At most this many names: `FieldId` is 16 bits, and every event slot costs 16 bytes.
    pub const NAMES_MAX: usize = 4096;

    /// The field's number, entering a new name if need be; `None` when `NAMES_MAX` is reached.
    pub fn intern(&mut self, name: &str) -> Option<FieldId> {
        if let Some(id) = self.get(name) {
            return Some(id);
        }
        let id = u16::try_from(self.names.len())
            .ok()
            .filter(|n| usize::from(*n) < Self::NAMES_MAX)?;
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), FieldId(id));
        Some(FieldId(id))
    }

    /// The number of a name that is known, following aliases.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<FieldId> {
        self.index.get(name).copied().or_else(|| {
            let (_, canonical) = ALIASES.iter().find(|(alias, _)| *alias == name)?;
            self.index.get(*canonical).copied()
        })
    }

    #[must_use]
    pub fn name(&self, id: FieldId) -> &str {
        self.names
            .get(usize::from(id.0))
            .map_or("?", String::as_str)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All names with their numbers, in the order of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = (FieldId, &str)> {
        (0u16..)
            .map(FieldId)
            .zip(self.names.iter().map(String::as_str))
    }
}
