//! Databases of our own making: read right in every form, refused in every damaged one.

use proptest::prelude::*;

use super::*;
use crate::enrich::tests::mmdb::{Datum, Writer, countries, country, system, systems};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn refused<R: Record>(bytes: Vec<u8>) -> Refused {
    match Database::<R>::new(bytes) {
        Ok(table) => panic!("taken: {table:?}"),
        Err(refused) => refused,
    }
}

fn damaged<R: Record>(bytes: Vec<u8>) -> String {
    match refused::<R>(bytes) {
        Refused::Damaged(reason) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn systems_in_every_form() {
    for record_size in [24, 28, 32] {
        for ip_version in [4, 6] {
            let table =
                Database::<AsRecord>::new(systems(ip_version, record_size).bytes()).unwrap();
            let get = |text: &str| {
                let record = table.record(table.find(ip(text))?)?;
                Some((record.number, record.name.as_deref()))
            };
            assert_eq!(
                get("192.0.2.255"),
                Some((64500, Some("Example Hosting NL")))
            );
            assert_eq!(
                get("198.51.100.6"),
                Some((64501, Some("Example Telecom DE")))
            );
            assert_eq!(get("198.51.100.7"), Some((64502, Some("Example Cable DE"))));
            assert_eq!(
                get("198.51.100.8"),
                Some((64501, Some("Example Telecom DE")))
            );
            assert_eq!(get("198.51.100.128"), None);
            assert_eq!(get("203.0.113.1"), Some((64503, None)));
            assert_eq!(get("10.0.0.1"), None);
            let six = |n, name| (ip_version == 6).then_some((n, Some(name)));
            assert_eq!(get("2001:db8::1"), six(64510, "Example Fibernet FR"));
            assert_eq!(get("2001:db8:1::1"), six(64511, "Example Mobile FR"));
            assert_eq!(get("2001:db9::"), None);
            assert_eq!(
                (table.kind(), table.built_s()),
                ("GeoLite2-ASN", 1_768_204_800)
            );
            assert_eq!(table.len(), if ip_version == 6 { 6 } else { 4 });
        }
    }
}

#[test]
fn countries_with_the_registered_one_as_stand_in() {
    let table = Database::<Country>::new(countries().bytes()).unwrap();
    let get = |text: &str| table.record(table.find(ip(text))?).map(Country::as_str);
    assert_eq!(get("192.0.2.1"), Some("NL"));
    assert_eq!(get("203.0.113.1"), Some("FR"));
    assert_eq!(get("203.0.113.200"), None);
    assert_eq!(get("2001:db8::1"), Some("FR"));
    let mut both = Writer::new("x", 4, 24);
    let Datum::Map(mut members) = country("registered_country", "NL") else {
        panic!()
    };
    let Datum::Map(first) = country("country", "DE") else {
        panic!()
    };
    members.extend(first);
    both.add("192.0.2.0/24", &Datum::Map(members));
    let table = Database::<Country>::new(both.bytes()).unwrap();
    assert_eq!(table.records, [Country(*b"DE")]);
}

#[test]
fn a_database_of_something_else() {
    assert!(matches!(
        refused::<Country>(systems(6, 28).bytes()),
        Refused::WrongKind(kind) if kind == "GeoLite2-ASN"
    ));
    assert!(matches!(
        refused::<AsRecord>(countries().bytes()),
        Refused::WrongKind(_)
    ));
    assert!(matches!(
        refused::<AsRecord>(Writer::new("none", 4, 24).bytes()),
        Refused::WrongKind(_)
    ));
    // A record of another shape altogether.
    let mut other = Writer::new("other", 4, 24);
    other.add("192.0.2.0/24", &Datum::Text("AS64500"));
    damaged::<AsRecord>(other.bytes());
    let mut other = Writer::new("other", 4, 24);
    let text = Datum::Map(vec![("autonomous_system_number", Datum::Text("64500"))]);
    other.add("192.0.2.0/24", &text);
    damaged::<AsRecord>(other.bytes());
}

#[test]
fn numbers_of_any_width() {
    for number in [Datum::U16(64500), Datum::U32(64500), Datum::U64(64500)] {
        let mut writer = Writer::new("x", 4, 24);
        writer.add(
            "192.0.2.0/24",
            &Datum::Map(vec![("autonomous_system_number", number)]),
        );
        let table = Database::<AsRecord>::new(writer.bytes()).unwrap();
        assert_eq!(
            table.records,
            [AsRecord {
                number: 64500,
                name: None
            }]
        );
    }
}

#[test]
fn names_are_bounded() {
    let mut writer = Writer::new("x", 4, 24);
    let record = Datum::Map(vec![
        ("autonomous_system_number", Datum::U32(64500)),
        (
            "autonomous_system_organization",
            Datum::Long("é".repeat(40_000)),
        ),
    ]);
    writer
        .add("192.0.2.0/24", &record)
        .add("198.51.100.0/24", &system(0, "none"));
    let table = Database::<AsRecord>::new(writer.bytes()).unwrap();
    let name = table.records[0].name.as_deref().unwrap();
    assert_eq!((table.len(), name.len()), (1, NAME_MAX));
    assert!(name.chars().all(|c| c == 'é'));
}

#[test]
fn aliases_of_the_address_space() {
    let mut writer = systems(6, 24);
    // 2002::/16 leads to where IPv4 stands, as in MaxMind's own files.
    writer.alias(0x2002 << 112, 16, 0, 96);
    writer.alias(0xffff << 32, 96, 0, 96);
    let table = Database::<AsRecord>::new(writer.bytes()).unwrap();
    let get = |text: &str| table.record(table.find(ip(text))?).map(|r| r.number);
    assert_eq!(get("2002:c000:201::1"), Some(64500));
    assert_eq!(get("::ffff:192.0.2.1"), Some(64500));
}

#[test]
fn one_record_for_all_of_ipv4() {
    for networks in [
        &["::/1", "8000::/1"][..],
        &["::/64"],
        &["::/96"],
        &["0.0.0.0/1", "::/97"],
    ] {
        let mut writer = Writer::new("x", 6, 24);
        for network in networks {
            writer.add(network, &system(64500, "one"));
        }
        let reader = Reader::from_source(writer.bytes()).unwrap();
        let table = Database::<AsRecord>::new(writer.bytes()).unwrap();
        for text in [
            "0.0.0.0",
            "10.0.0.1",
            "255.255.255.255",
            "::1:0:0:5",
            "7fff::",
            "8000::1",
        ] {
            let want = reader.lookup(ip(text)).unwrap().has_data();
            assert_eq!(table.find(ip(text)).is_some(), want, "{networks:?} {text}");
        }
    }
}

#[test]
fn tree_and_records_must_meet() {
    let writer = systems(6, 28);
    let end = writer.nodes() * 28 / 4;
    for at in [end, end + 15] {
        let mut bytes = writer.bytes();
        bytes[at] = 1;
        assert_eq!(
            damaged::<AsRecord>(bytes),
            "search tree and records do not meet"
        );
    }
}

#[test]
fn not_a_database() {
    for bytes in [
        vec![],
        b"\xab\xcd\xefMaxMind.com".to_vec(),
        b"192.0.2.0/24\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 4096],
    ] {
        damaged::<AsRecord>(bytes);
    }
}

#[test]
fn cut_anywhere_it_is_refused() {
    let whole = systems(6, 28).bytes();
    for len in 0..whole.len() {
        assert!(
            Database::<AsRecord>::new(whole[..len].to_vec()).is_err(),
            "{len}"
        );
        assert!(
            Database::<AsRecord>::new(whole[len..].to_vec()).is_err() || len == 0,
            "{len}"
        );
    }
}

#[test]
fn metadata_that_lies() {
    let writer = systems(6, 28);
    let with = |name: &str, value: Datum| {
        let mut metadata = writer.metadata();
        metadata.iter_mut().find(|(n, _)| *n == name).unwrap().1 = value;
        writer.bytes_with(&metadata)
    };
    let nodes = u32::try_from(writer.nodes()).unwrap();
    for bytes in [
        with("record_size", Datum::U16(24)),
        with("record_size", Datum::U16(32)),
        with("record_size", Datum::U16(26)),
        with("record_size", Datum::U16(0)),
        with("ip_version", Datum::U16(5)),
        with("binary_format_major_version", Datum::U16(3)),
        with("node_count", Datum::U32(0)),
        with("node_count", Datum::U32(nodes - 1)),
        with("node_count", Datum::U32(nodes + 1)),
        with("node_count", Datum::U32(u32::MAX)),
        with("node_count", Datum::Text("many")),
        with("database_type", Datum::Pointer(u32::MAX)),
        with("build_epoch", Datum::U64(u64::MAX)),
        with("languages", Datum::Pointer(0)),
    ] {
        damaged::<AsRecord>(bytes);
    }
}

#[test]
fn records_that_lead_astray() {
    for pointer in [0, 4, 60, u32::MAX] {
        let mut writer = systems(4, 24);
        writer.add(
            "10.0.0.0/8",
            &Datum::Map(vec![("autonomous_system_number", Datum::Pointer(pointer))]),
        );
        let _ = Database::<AsRecord>::new(writer.bytes());
    }
    // A tree that runs in a circle.
    let mut bytes = systems(4, 32).bytes();
    bytes[..8].fill(0);
    damaged::<AsRecord>(bytes);
}

/// A network for a test: few bits vary, so that networks meet and overlap.
fn networks() -> impl Strategy<Value = Vec<(bool, u16, u8, u32)>> {
    prop::collection::vec((any::<bool>(), any::<u16>(), 1u8..=16, 1u32..6), 1..30)
}

proptest! {
    #[test]
    fn finds_what_the_file_s_own_tree_finds(
        written in networks(), six in any::<bool>(), aliases in any::<bool>(), asked in prop::collection::vec(any::<u16>(), 30)
    ) {
        let mut writer = Writer::new("x", if six { 6 } else { 4 }, 28);
        let mut written: Vec<_> = written.into_iter().filter(|(is_six, ..)| six || !is_six).collect();
        // A network inside another one must come after it; in IPv6 all of IPv4 is deep inside.
        written.sort_by_key(|(is_six, _, length, _)| (!is_six, *length));
        for (is_six, bits, length, number) in written {
            let bits = bits >> (16 - length) << (16 - length);
            let network = if is_six {
                format!("{bits:x}::/{length}")
            } else {
                format!("{}.{}.0.0/{length}", bits >> 8, bits & 255)
            };
            writer.add(&network, &system(number, if number == 5 { "" } else { "name" }));
        }
        writer.add("7.7.7.7/32", &system(7, "always one"));
        if six && aliases {
            writer.alias(0x2002 << 112, 16, 0, 96);
        }
        let bytes = writer.bytes();
        let reader = Reader::from_source(bytes.clone()).unwrap();
        let table = Database::<AsRecord>::new(bytes).unwrap();
        for bits in asked.into_iter().chain([0, 1, 255, 0x7fff, 0x8000, 0xffff]) {
            let v4 = Ipv4Addr::from(u32::from(bits) << 16 | 7);
            let v6 = std::net::Ipv6Addr::from(u128::from(bits) << 112 | 7);
            let to4 = std::net::Ipv6Addr::from(0x2002 << 112 | u128::from(v4.to_bits()) << 80 | 7);
            let mut ips = vec![IpAddr::V4(v4)];
            if six && bits != 0 && bits != 0x2002 {
                ips.push(v6.into());
            }
            if six && aliases {
                ips.push(to4.into());
            }
            for ip in ips {
                let want = AsRecord::read(&reader.lookup(ip).unwrap()).unwrap();
                prop_assert_eq!(table.find(ip).and_then(|n| table.record(n)), want.as_ref(), "{}", ip);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn changed_anywhere_it_is_refused_or_still_answers(
        size in 0usize..3, at in any::<prop::sample::Index>(), bit in 0u8..8, more in any::<[u8; 4]>()
    ) {
        let mut bytes = systems(6, [24, 28, 32][size]).bytes();
        let i = at.index(bytes.len() - 4);
        if bit < 6 {
            bytes[i] ^= 1 << bit;
        } else {
            bytes[i..i + 4].copy_from_slice(&more);
        }
        if let Ok(table) = Database::<AsRecord>::new(bytes) {
            for text in ["192.0.2.1", "198.51.100.7", "203.0.113.1", "2001:db8::1", "::", "ff::"] {
                if let Some(number) = table.find(ip(text)) {
                    prop_assert!(table.record(number).is_some());
                }
            }
        }
    }
}
