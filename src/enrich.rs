//! Look-ups over loaded tables that add to an event what its source did not know.
//!
//! Owns the tables and which field each of them gives; `load` is the only file here that does I/O,
//! everything else works on what it has read. Mail domains and numbers are read here, and looked up
//! by `decode`. Invariants: what an event already carries is never
//! changed, what no table knows stays missing, and no look-up can fail once a table is loaded.

mod cache;
mod contacts;
mod enricher;
mod fault;
mod honeytokens;
mod lists;
mod load;
mod loaded;
mod maxmind;
mod ranges;

use std::path::PathBuf;
use std::sync::Arc;

pub use enricher::Enricher;
pub use fault::{LoadError, TableFault};
pub use load::{Look, Watch};
pub use loaded::Loaded;

use crate::model::contacts::Contacts;
use crate::model::event::Projection;
use crate::model::{FieldId, HashKey, field};
use honeytokens::Honeytokens;
use lists::Lists;
use maxmind::{AsRecord, Country, Database};

/// Which files to load; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TablesSettings {
    /// MaxMind database with autonomous systems; gives `source.as.*`.
    pub asn: Option<PathBuf>,
    /// MaxMind database with countries; gives `source.geo.country_iso_code`.
    pub country: Option<PathBuf>,
    /// Lists of addresses, mail domains or numbers; of several that have an address, the first one
    /// decides its `source.kind`.
    pub lists: Vec<ListSettings>,
    /// Decoy accounts, e-mail addresses and tokens; gives `honeytoken.kind`.
    pub honeytokens: Option<PathBuf>,
}

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSettings {
    /// How it is called in logs.
    pub name: String,
    /// One entry per line.
    pub file: PathBuf,
    /// What is in it, and what is said of it.
    pub sets: Sets,
}

/// What a list holds, and the field it gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sets {
    /// Ranges, addresses and autonomous systems: gives this `source.kind`.
    Source(SourceKind),
    /// Mail domains: gives `mailbox.kind`.
    Disposable,
    /// Prefixes of telephone numbers: gives `phone.kind`.
    Voip,
}

impl Sets {
    /// All there are, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::Source(SourceKind::Hosting),
        Self::Source(SourceKind::Proxy),
        Self::Source(SourceKind::Tor),
        Self::Source(SourceKind::Residential),
        Self::Disposable,
        Self::Voip,
    ];

    /// The name in `enrich.lists` and on the command line: the value of the field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source(kind) => kind.as_str(),
            Self::Disposable => "disposable",
            Self::Voip => "voip",
        }
    }
}

/// What stands behind an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// A data centre.
    Hosting,
    /// A proxy or VPN.
    Proxy,
    /// A Tor exit.
    Tor,
    /// A home connection.
    Residential,
}

impl SourceKind {
    /// The value of `source.kind`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hosting => "hosting",
            Self::Proxy => "proxy",
            Self::Tor => "tor",
            Self::Residential => "residential",
        }
    }
}

/// All loaded tables. Never changes; a reload makes another one.
#[derive(Clone, Debug)]
pub struct Tables {
    asn: Option<Arc<Database<AsRecord>>>,
    country: Option<Arc<Database<Country>>>,
    lists: Option<Arc<Lists>>,
    contacts: Option<Arc<Contacts>>,
    honeytokens: Option<Arc<Honeytokens>>,
    key: HashKey,
    origin: load::Origin,
}

impl Default for Tables {
    /// No tables at all.
    fn default() -> Self {
        Self {
            asn: None,
            country: None,
            lists: None,
            contacts: None,
            honeytokens: None,
            key: HashKey::fixed(),
            origin: load::Origin::default(),
        }
    }
}

impl Tables {
    /// Whether nothing is loaded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.asn.is_none()
            && self.country.is_none()
            && self.lists.is_none()
            && self.contacts.is_none()
            && self.honeytokens.is_none()
    }

    /// What the lists of mail domains and numbers know. It is for `decode` to ask: what events carry
    /// of addresses and numbers are pseudonyms.
    #[must_use]
    pub const fn contacts(&self) -> Option<&Arc<Contacts>> {
        self.contacts.as_ref()
    }

    /// The fields that look-ups read: they must be in the projection. Depends on which files are
    /// named, not on what is in them, so a reload never needs other fields.
    #[must_use]
    pub fn needs(&self) -> Vec<FieldId> {
        self.needs_of(|_| true)
    }

    /// The fields that look-ups read to give those that `projection` keeps.
    #[must_use]
    pub fn needs_for(&self, projection: &Projection) -> Vec<FieldId> {
        self.needs_of(|field| projection.wants(field))
    }

    fn needs_of(&self, wants: impl Fn(FieldId) -> bool) -> Vec<FieldId> {
        let autonomous = wants(field::SOURCE_AS_NUMBER) || wants(field::SOURCE_AS_NAME);
        let asn = self.asn.is_some() && autonomous;
        let country = self.country.is_some() && wants(field::SOURCE_COUNTRY);
        let lists = self.lists.is_some() && wants(field::SOURCE_KIND);
        let mut needs = Vec::new();
        if asn || country || lists {
            needs.push(field::SOURCE_IP);
        }
        if asn || lists {
            needs.push(field::SOURCE_AS_NUMBER);
        }
        if self.honeytokens.is_some() && wants(field::HONEYTOKEN) {
            needs.extend(honeytokens::READS);
        }
        needs
    }

    /// The fields that the tables can add.
    #[must_use]
    pub fn gives(&self) -> Vec<FieldId> {
        let mut gives = Vec::new();
        if self.asn.is_some() {
            gives.extend([field::SOURCE_AS_NUMBER, field::SOURCE_AS_NAME]);
        }
        if self.country.is_some() {
            gives.push(field::SOURCE_COUNTRY);
        }
        if self.lists.is_some() {
            gives.push(field::SOURCE_KIND);
        }
        if self.contacts.is_some() {
            gives.extend([field::MAILBOX_KIND, field::PHONE_KIND]);
        }
        if self.honeytokens.is_some() {
            gives.push(field::HONEYTOKEN);
        }
        gives
    }
}

#[cfg(test)]
mod tests;
