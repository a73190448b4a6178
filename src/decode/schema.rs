//! The schemas that are known, how to tell them apart, and what each reads of a document.
//!
//! One file per schema below. A schema is a list of paths (`INPUTS`) and a pure function from the
//! collected values to one event (or, for `ses`, one per recipient). It never sees bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::paths::Paths;

pub(crate) mod github;
pub(crate) mod keycloak;
pub(crate) mod okta;
pub(crate) mod ses;
pub(crate) mod tidegate;

/// A source's own form of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schema {
    Tidegate,
    Okta,
    Keycloak,
    Ses,
    Github,
}

impl Schema {
    pub const ALL: [Self; 5] = [
        Self::Tidegate,
        Self::Okta,
        Self::Keycloak,
        Self::Ses,
        Self::Github,
    ];

    /// The name in configuration, `--schema` and `event.schema`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tidegate => "tidegate",
            Self::Okta => "okta",
            Self::Keycloak => "keycloak",
            Self::Ses => "ses",
            Self::Github => "github",
        }
    }

    /// The schema of a name, in any case; `None` for any other text, `auto` among them.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|s| s.name().eq_ignore_ascii_case(name.trim()))
    }

    /// The paths the schema reads and the number of each; several paths may share a number, then
    /// the last one in the document counts.
    pub(crate) const fn inputs(self) -> &'static [(&'static str, u8)] {
        match self {
            Self::Tidegate => tidegate::INPUTS,
            Self::Okta => okta::INPUTS,
            Self::Keycloak => keycloak::INPUTS,
            Self::Ses => ses::INPUTS,
            Self::Github => github::INPUTS,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bits for the paths whose presence tells schemas apart.
pub(crate) mod marks {
    pub(crate) const KIND: u16 = 1;
    pub(crate) const TIME: u16 = 1 << 1;
    pub(crate) const EVENT_TYPE: u16 = 1 << 2;
    pub(crate) const NOTIFICATION: u16 = 1 << 3;
    pub(crate) const MAIL: u16 = 1 << 4;
    pub(crate) const SNS_MESSAGE: u16 = 1 << 5;
    pub(crate) const SNS_TOPIC: u16 = 1 << 6;
    pub(crate) const TYPE: u16 = 1 << 7;
    pub(crate) const KEYCLOAK: u16 = 1 << 8;
    pub(crate) const ADMIN: u16 = 1 << 9;
    pub(crate) const DEPLOYMENT: u16 = 1 << 10;
    pub(crate) const OKTA: u16 = 1 << 11;
    pub(crate) const HOOK: u16 = 1 << 12;

    pub(crate) const PATHS: &[(&str, u16)] = &[
        ("event.kind", KIND),
        ("time", TIME),
        ("@timestamp", TIME),
        ("eventType", EVENT_TYPE),
        ("notificationType", NOTIFICATION),
        ("mail", MAIL),
        ("Message", SNS_MESSAGE),
        ("TopicArn", SNS_TOPIC),
        ("type", TYPE),
        ("realmId", KEYCLOAK),
        ("realmName", KEYCLOAK),
        ("clientId", KEYCLOAK),
        ("userId", KEYCLOAK),
        ("ipAddress", KEYCLOAK),
        ("details", KEYCLOAK),
        ("operationType", ADMIN),
        ("resourcePath", ADMIN),
        ("authDetails", ADMIN),
        ("deployment", DEPLOYMENT),
        ("deployment_status", DEPLOYMENT),
        ("published", OKTA),
        ("actor", OKTA),
        ("outcome", OKTA),
        ("legacyEventType", OKTA),
        ("debugContext", OKTA),
        ("data.events", HOOK),
        ("detail.eventType", HOOK),
    ];
}

/// The schema of a document from the paths that are in it; the order settles overlaps.
pub(crate) const fn detect(found: u16) -> Option<Schema> {
    const fn all(found: u16, bits: u16) -> bool {
        found & bits == bits
    }
    use marks::{
        ADMIN, DEPLOYMENT, EVENT_TYPE, HOOK, KEYCLOAK, KIND, MAIL, NOTIFICATION, OKTA, SNS_MESSAGE,
        SNS_TOPIC, TIME, TYPE,
    };
    if all(found, KIND) {
        Some(Schema::Tidegate)
    } else if all(found, DEPLOYMENT) {
        Some(Schema::Github)
    } else if found & (EVENT_TYPE | NOTIFICATION) != 0 && all(found, MAIL)
        || all(found, SNS_MESSAGE | SNS_TOPIC)
    {
        Some(Schema::Ses)
    } else if all(found, EVENT_TYPE | OKTA) || all(found, HOOK) {
        Some(Schema::Okta)
    } else if all(found, ADMIN) || all(found, TYPE | KEYCLOAK) {
        Some(Schema::Keycloak)
    } else if all(found, EVENT_TYPE) {
        Some(Schema::Okta)
    } else if all(found, TIME) {
        Some(Schema::Tidegate)
    } else {
        None
    }
}

/// The path table of a schema, still without the raw paths of detectors.
pub(crate) fn paths(schema: Schema) -> Paths {
    let mut paths = Paths::new();
    for (path, mark) in marks::PATHS {
        paths.add_mark(path, *mark);
    }
    for (path, input) in schema.inputs() {
        paths.add_input(path, *input);
    }
    paths
}
