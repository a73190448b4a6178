//! Whole tables from files: what they add, what they leave alone, and how they are refused.

#![allow(clippy::disallowed_methods, reason = "tests write the files they load")]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::model::redact::Redactor;
use crate::model::{Event, Fields, Value};

mod files;
pub(super) mod mmdb;
mod samples;

/// A folder with one good file of each kind.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("asn.mmdb", &mmdb::systems(6, 28).bytes());
        folder.write("country.mmdb", &mmdb::countries().bytes());
        folder.write("tor.txt", b"192.0.2.7\n");
        folder.write(
            "hosting.txt",
            b"# data centres\nAS64500\n198.51.100.0/24 rack\n",
        );
        folder.write(
            "honey.txt",
            b"decoy-0001\nemail:trap@example.com\ntoken:decoy-token-0001\n",
        );
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes aside and renames, as whoever brings new tables should.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let (aside, path) = (self.path("aside"), self.path(name));
        fs::write(&aside, bytes).unwrap();
        fs::rename(&aside, &path).unwrap();
        path
    }

    pub(super) fn settings(&self) -> TablesSettings {
        let list = |name: &str, sets| ListSettings {
            name: name.to_owned(),
            file: self.path(&format!("{name}.txt")),
            sets,
        };
        TablesSettings {
            asn: Some(self.path("asn.mmdb")),
            country: Some(self.path("country.mmdb")),
            lists: vec![
                list("tor", Sets::Source(SourceKind::Tor)),
                list("hosting", Sets::Source(SourceKind::Hosting)),
            ],
            honeytokens: Some(self.path("honey.txt")),
        }
    }

    pub(super) fn load(&self) -> Result<Tables, LoadError> {
        Tables::load(&self.settings(), &HashKey::fixed())
    }
}

fn event(fields: &[(FieldId, Value<'_>)]) -> Event {
    let mut event = Event::default();
    event.clear(Fields::default().len());
    for (id, value) in fields {
        event.set(*id, *value);
    }
    event
}

/// The event after enrichment, as text.
fn enriched(enricher: &mut Enricher, fields: &[(FieldId, Value<'_>)]) -> String {
    let mut event = event(fields);
    enricher.enrich(&mut event);
    let fields = Fields::default();
    let shown = event.present(&fields).map(|(name, value)| match value {
        Value::Text(text) => format!("{name}={text}"),
        Value::Int(n) => format!("{name}={n}"),
        other => format!("{name}={other:?}"),
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn ip(text: &str) -> (FieldId, Value<'_>) {
    (field::SOURCE_IP, Value::Text(text))
}

#[test]
fn adds_what_the_tables_know() {
    let folder = Folder::new();
    let mut enricher = Enricher::new(Arc::new(folder.load().unwrap()));
    // Twice: once from the tables, once from the cache.
    for _ in 0..2 {
        let mut check = |address, want: &str| {
            assert_eq!(
                enriched(&mut enricher, &[ip(address)]),
                format!("source.ip={address} {want}")
            );
        };
        check(
            "192.0.2.7",
            "source.cidr=192.0.2.0/24 source.as.number=64500 source.as.organization.name=Example Hosting NL source.geo.country_iso_code=NL source.kind=tor",
        );
        check(
            "192.0.2.8",
            "source.cidr=192.0.2.0/24 source.as.number=64500 source.as.organization.name=Example Hosting NL source.geo.country_iso_code=NL source.kind=hosting",
        );
        check(
            "203.0.113.9",
            "source.cidr=203.0.113.0/24 source.as.number=64503 source.geo.country_iso_code=FR",
        );
        check(
            "2001:db8:1:2:3::4",
            "source.cidr=2001:db8:1:2::/64 source.as.number=64511 source.as.organization.name=Example Mobile FR source.geo.country_iso_code=FR",
        );
        check("10.0.0.1", "source.cidr=10.0.0.0/24");
    }
}

#[test]
fn what_the_event_carries_wins() {
    let folder = Folder::new();
    let mut enricher = Enricher::new(Arc::new(folder.load().unwrap()));
    let carried = [
        ip("192.0.2.8"),
        (field::SOURCE_CIDR, Value::Text("192.0.2.0/25")),
        (field::SOURCE_AS_NUMBER, Value::Int(1)),
        (field::SOURCE_COUNTRY, Value::Text("US")),
        (field::SOURCE_KIND, Value::Text("proxy")),
        (field::HONEYTOKEN, Value::Text("none")),
        (field::USER_ID, Value::Text("decoy-0001")),
    ];
    // No name either: the one in the table is another system's.
    assert_eq!(
        enriched(&mut enricher, &carried),
        "user.id=decoy-0001 source.ip=192.0.2.8 source.cidr=192.0.2.0/25 source.as.number=1 source.geo.country_iso_code=US source.kind=proxy honeytoken.kind=none"
    );
    let number = |n| {
        [
            ip("198.51.100.200"),
            (field::SOURCE_AS_NUMBER, Value::Int(n)),
        ]
    };
    assert!(enriched(&mut enricher, &number(64999)).ends_with("source.kind=hosting"));
    let same = [
        ip("192.0.2.8"),
        (field::SOURCE_AS_NUMBER, Value::Int(64500)),
    ];
    assert!(enriched(&mut enricher, &same).contains("Example Hosting NL"));
}

#[test]
fn the_carried_system_decides_the_kind() {
    let folder = Folder::new();
    let mut enricher = Enricher::new(Arc::new(folder.load().unwrap()));
    let carries = |n| (field::SOURCE_AS_NUMBER, Value::Int(n));
    assert_eq!(
        enriched(&mut enricher, &[carries(64500)]),
        "source.as.number=64500 source.kind=hosting"
    );
    // The table would have said 64500, which is hosting.
    let other = enriched(&mut enricher, &[ip("192.0.2.8"), carries(64501)]);
    assert!(!other.contains("source.kind"), "{other}");
    // An earlier list beats a later one, whether by address or by system.
    let tor = enriched(&mut enricher, &[ip("192.0.2.7"), carries(64500)]);
    assert!(tor.contains("source.kind=tor"), "{tor}");
}

#[test]
fn finds_decoys() {
    let folder = Folder::new();
    let mut enricher = Enricher::new(Arc::new(folder.load().unwrap()));
    let trap = Redactor::new(&HashKey::fixed()).email("Trap@example.com");
    let found = enriched(&mut enricher, &[(field::USER_EMAIL, Value::Text(&trap))]);
    assert!(found.ends_with("honeytoken.kind=email"), "{found}");
    let found = enriched(
        &mut enricher,
        &[(field::USER_TARGET_ID, Value::Text("decoy-0001"))],
    );
    assert!(found.ends_with("honeytoken.kind=account"), "{found}");
    let found = enriched(
        &mut enricher,
        &[(field::TOKEN_ID, Value::Text("decoy-token-0001"))],
    );
    assert!(found.ends_with("honeytoken.kind=token"), "{found}");
}

#[test]
fn without_tables_only_the_network_is_derived() {
    let mut enricher = Enricher::new(Arc::new(Tables::default()));
    let text = "source.ip=192.0.2.7 source.cidr=192.0.2.0/24";
    assert_eq!(enriched(&mut enricher, &[ip("192.0.2.7")]), text);
    let mut nothing = enricher.giving(&Projection::of([field::SOURCE_IP]));
    assert_eq!(
        enriched(&mut nothing, &[ip("192.0.2.7")]),
        "source.ip=192.0.2.7"
    );
    assert!(Tables::default().is_empty() && !Tables::default().stale());
    assert_eq!(
        (Tables::default().needs(), Tables::default().gives()),
        (vec![], vec![])
    );
}

#[test]
fn gives_only_what_is_read() {
    let folder = Folder::new();
    let tables = Arc::new(folder.load().unwrap());
    let keeps = Projection::of([field::SOURCE_COUNTRY, field::SOURCE_IP]);
    assert_eq!(tables.needs_for(&keeps), [field::SOURCE_IP]);
    assert_eq!(tables.needs_for(&Projection::default()), []);
    let kind = Projection::of([field::SOURCE_KIND]);
    assert_eq!(
        tables.needs_for(&kind),
        [field::SOURCE_IP, field::SOURCE_AS_NUMBER]
    );
    let mut enricher = Enricher::new(Arc::clone(&tables)).giving(&keeps);
    let got = enriched(
        &mut enricher,
        &[ip("192.0.2.7"), (field::USER_ID, Value::Text("decoy-0001"))],
    );
    assert_eq!(
        got,
        "user.id=decoy-0001 source.ip=192.0.2.7 source.geo.country_iso_code=NL"
    );
    assert_eq!(tables.needs().len(), 6);
    assert_eq!(tables.gives().len(), 5);
}

#[test]
fn an_address_that_is_none_gives_nothing() {
    let folder = Folder::new();
    let mut enricher = Enricher::new(Arc::new(folder.load().unwrap()));
    for text in ["", "ten", "192.0.2", "192.0.2.7:80", "192.0.2.0/24"] {
        assert_eq!(
            enriched(&mut enricher, &[ip(text)]),
            format!("source.ip={text}")
        );
    }
    let mapped = enriched(&mut enricher, &[ip("::ffff:192.0.2.7")]);
    assert!(
        mapped.contains("source.cidr=192.0.2.0/24 source.as.number=64500"),
        "{mapped}"
    );
}
