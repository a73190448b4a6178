//! The tables in config/sample: true to the world that `simulate` makes, and written by this code.
//!
//! `cargo test --lib enrich -- --ignored` writes the databases anew.

use std::path::Path;

use super::mmdb::{Datum, Writer, country};
use super::*;
use crate::simulate::{DECOYS, Options, Traffic, decoy_account, decoy_token, scenarios};

const COUNTRIES: [&str; 24] = [
    "US", "CA", "MX", "BR", "AR", "GB", "IE", "FR", "DE", "NL", "ES", "IT", "PL", "SE", "TR", "ZA",
    "NG", "EG", "IN", "ID", "SG", "JP", "KR", "AU",
];
const ACCESS: [&str; 5] = ["Telecom", "Mobile", "Cable", "Fibernet", "Broadband"];
const HOSTING: [&str; 6] = ["US", "NL", "DE", "SG", "FR", "GB"];

fn samples() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/sample")
}

/// Networks with number, name and country.
fn networks() -> Vec<(String, u32, String, &'static str)> {
    let mut all = Vec::new();
    let mut add = |network: u32, number, name: &str, country| {
        let first = Ipv4Addr::from(0x6440_0000 + network * 0x8000);
        let name = format!("Example {name} {country}");
        all.push((format!("{first}/17"), number, name.clone(), country));
        all.push((format!("2001:db8:{network:x}::/48"), number, name, country));
    };
    for network in 0..120u32 {
        let country = COUNTRIES[network as usize / 5];
        add(
            network,
            64_512 + network,
            ACCESS[network as usize % 5],
            country,
        );
    }
    add(126, 64_502, "Business Access", "DE");
    let hosted = [
        ("203.0.113.0/24", 0),
        ("198.51.100.0/24", 1),
        ("192.0.2.16/28", 2),
        ("198.18.0.0/15", 3),
        ("2001:db8:7b::/48", 3),
        ("2001:db8:7c::/48", 4),
        ("2001:db8:7d::/48", 5),
    ];
    for (network, i) in hosted {
        let name = format!("Example Cloud Hosting {}", HOSTING[i]);
        all.push((network.to_owned(), 64_496 + i as u32, name, HOSTING[i]));
    }
    all
}

fn databases() -> [(&'static str, Vec<u8>); 2] {
    let mut asn = Writer::new("tidegate-sample-ASN", 6, 24);
    let mut countries = Writer::new("tidegate-sample-Country", 6, 24);
    for (network, number, name, code) in networks() {
        let record = vec![
            ("autonomous_system_number", Datum::U32(number)),
            ("autonomous_system_organization", Datum::Long(name)),
        ];
        asn.add(&network, &Datum::Map(record));
        countries.add(&network, &country("country", code));
    }
    [
        ("asn.mmdb", asn.bytes()),
        ("country.mmdb", countries.bytes()),
    ]
}

#[test]
#[ignore = "writes the sample databases"]
fn write_sample_databases() {
    for (name, bytes) in databases() {
        fs::write(samples().join(name), bytes).unwrap();
    }
}

#[test]
fn sample_databases_are_what_is_written_here() {
    for (name, bytes) in databases() {
        let hint = "write it anew: cargo test --lib enrich -- --ignored";
        assert!(
            fs::read(samples().join(name)).unwrap() == bytes,
            "{name} is out of date; {hint}"
        );
    }
}

fn tables() -> Arc<Tables> {
    let list = |name: &str, sets| ListSettings {
        name: name.to_owned(),
        file: samples().join(format!("{name}.txt")),
        sets,
    };
    let settings = TablesSettings {
        asn: Some(samples().join("asn.mmdb")),
        country: Some(samples().join("country.mmdb")),
        lists: vec![
            list("tor", Sets::Source(SourceKind::Tor)),
            list("hosting", Sets::Source(SourceKind::Hosting)),
            list("disposable", Sets::Disposable),
            list("voip", Sets::Voip),
        ],
        honeytokens: Some(samples().join("honeytokens.txt")),
    };
    Arc::new(Tables::load(&settings, &HashKey::fixed()).unwrap_or_else(|e| panic!("{e}")))
}

#[test]
fn samples_load_and_say_what_they_are() {
    let tables = tables();
    let shown: Vec<String> = tables.loaded().map(|l| l.to_string()).collect();
    assert!(shown[0].starts_with("asn: 127 entries from "), "{shown:?}");
    assert!(
        shown[0].ends_with("asn.mmdb (tidegate-sample-ASN, made 2026-01-12T08:00:00.000Z)"),
        "{shown:?}"
    );
    let counts: Vec<_> = tables
        .loaded()
        .map(|l| (l.name.to_owned(), l.entries))
        .collect();
    let want = [
        ("asn", 127),
        ("country", 24),
        ("tor", 3),
        ("hosting", 13),
        ("disposable", 42),
        ("voip", 5),
        ("honeytokens", 120),
    ];
    assert_eq!(counts, want.map(|(name, n)| (name.to_owned(), n)));
}

#[test]
fn every_decoy_of_the_simulation_is_listed() {
    let mut enricher = Enricher::new(tables());
    for n in 1..=DECOYS {
        let (account, token) = (decoy_account(n), decoy_token(n));
        let email = Redactor::new(&HashKey::fixed()).email(&format!("{account}@example.com"));
        for (field, value, kind) in [
            (field::USER_TARGET_ID, &account, "account"),
            (field::TOKEN_ID, &token, "token"),
            (field::USER_EMAIL, &email, "email"),
        ] {
            let found = enriched(&mut enricher, &[(field, Value::Text(value))]);
            assert!(
                found.ends_with(&format!("honeytoken.kind={kind}")),
                "{found}"
            );
        }
    }
}

/// What a simulated line says of itself must be what the tables say of its address.
#[test]
fn the_tables_say_what_simulated_events_say() {
    let mut enricher = Enricher::new(tables());
    for info in scenarios() {
        let mut systems = 0;
        for line in Traffic::new(&Options::new(info.scenario, 7, 6_000)) {
            let json: serde_json::Value = serde_json::from_str(&line.json).unwrap();
            let Some(address) = json["source.ip"].as_str() else {
                continue;
            };
            let mut event = event(&[ip(address)]);
            enricher.enrich(&mut event);
            let hosting = event.text(field::SOURCE_KIND) == Some("hosting");
            assert_eq!(hosting, json["source.kind"] == "hosting", "{}", line.json);
            // Hosting ranges are shared by several systems in that world.
            if !hosting {
                let number = json["source.as.number"].as_i64().map(Value::Int);
                assert_eq!(event.get(field::SOURCE_AS_NUMBER), number, "{}", line.json);
                let name = json["source.as.organization.name"].as_str();
                assert_eq!(event.text(field::SOURCE_AS_NAME), name, "{}", line.json);
                let country = json["source.geo.country_iso_code"].as_str();
                assert_eq!(event.text(field::SOURCE_COUNTRY), country, "{}", line.json);
                systems += 1;
            }
        }
        assert!(systems > 1000, "{}: {systems}", info.name);
    }
}
