//! Lines of every kind, and lists against a scan in the order of the settings.

use proptest::prelude::*;

use super::*;

fn read(lists: &[(&str, SourceKind)]) -> (Lists, Vec<String>) {
    let (mut draft, mut faults) = (Draft::default(), Vec::new());
    for (text, sets) in lists {
        draft.add(*sets, "list.txt".as_ref(), text, &mut faults);
    }
    (
        draft.finish().unwrap(),
        faults.iter().map(ToString::to_string).collect(),
    )
}

fn kind(lists: &Lists, ip: &str) -> Option<&'static str> {
    lists
        .of_address(ip.parse().unwrap())
        .and_then(|l| lists.kind(l))
        .map(SourceKind::as_str)
}

#[test]
fn lines() {
    let text = "# tor exits\n\n  192.0.2.1  \n192.0.2.8/30\texit one\n198.51.100.0/24,label, more\r\n\
                2001:db8::/32 # remark\n; SBL remark\n203.0.113.0/25 ; SBL1\nAS64500 Example\nas64501\n\
                ::ffff:10.0.0.0/104\n";
    let (lists, faults) = read(&[(text, SourceKind::Tor)]);
    assert_eq!(faults, [""; 0]);
    for (ip, want) in [
        ("192.0.2.1", true),
        ("192.0.2.2", false),
        ("192.0.2.8", true),
        ("192.0.2.11", true),
        ("192.0.2.12", false),
        ("198.51.100.255", true),
        ("203.0.113.127", true),
        ("203.0.113.128", false),
        ("2001:db8:ffff::1", true),
        ("2001:db9::", false),
        ("10.255.0.1", true),
        ("11.0.0.0", false),
    ] {
        assert_eq!(kind(&lists, ip), want.then_some("tor"), "{ip}");
    }
    assert_eq!(
        [64499, 64500, 64501].map(|n| lists.of_system(n)),
        [None, Some(0), Some(0)]
    );
}

#[test]
fn the_first_list_decides() {
    let (lists, faults) = read(&[
        ("192.0.2.0/24\nAS64500", SourceKind::Proxy),
        ("192.0.2.7\n192.0.0.0/16\nAS64500\nAS64501", SourceKind::Tor),
        ("0.0.0.0/0", SourceKind::Residential),
    ]);
    assert_eq!(faults, [""; 0]);
    assert_eq!(kind(&lists, "192.0.2.7"), Some("proxy"));
    assert_eq!(kind(&lists, "192.0.3.7"), Some("tor"));
    assert_eq!(kind(&lists, "8.8.8.8"), Some("residential"));
    assert_eq!(kind(&lists, "2001:db8::1"), None);
    assert_eq!(
        (lists.of_system(64500), lists.of_system(64501)),
        (Some(0), Some(1))
    );
}

#[test]
fn everything_of_one_family_is_nothing_of_the_other() {
    let (lists, _) = read(&[("::/0", SourceKind::Hosting)]);
    assert_eq!(kind(&lists, "ff::1"), Some("hosting"));
    assert_eq!(kind(&lists, "8.8.8.8"), None);
}

#[test]
fn faults_name_file_and_line() {
    let (_, faults) = read(&[(
        "192.0.2.1/24\nhost.example\n192.0.2.0/33\nAS0\nASX\n64500\n,192.0.2.1\n10.0.0.0/\n10.0.0.0/+8\n2001:db8::1/32\nAS4294967296\nx\ny",
        SourceKind::Tor,
    )]);
    assert_eq!(
        faults,
        [
            "list.txt:1: \"192.0.2.1/24\" has bits behind its prefix; did you mean 192.0.2.0/24?",
            "list.txt:2: \"host.example\" is not a range; write it like 192.0.2.0/24, 2001:db8::/32 or AS64500",
            "list.txt:3: \"192.0.2.0/33\" has a prefix longer than 32",
            "list.txt:4: \"AS0\" is not an autonomous system; write it like AS64500",
            "list.txt:5: \"ASX\" is not an autonomous system; write it like AS64500",
            "list.txt:6: \"64500\" is not a range; write it like 192.0.2.0/24, 2001:db8::/32 or AS64500",
            "list.txt:7: begins with a comma; write the range first",
            "list.txt:8: \"10.0.0.0/\" is not a range; write it like 192.0.2.0/24, 2001:db8::/32 or AS64500",
            "list.txt:9: \"10.0.0.0/+8\" is not a range; write it like 192.0.2.0/24, 2001:db8::/32 or AS64500",
            "list.txt:10: \"2001:db8::1/32\" has bits behind its prefix; did you mean 2001:db8::/32?",
            "list.txt: 3 more lines like these",
        ]
    );
}

/// An address and whether a written range has it, told without the code under test.
fn inside(ip: u32, network: u32, length: u32) -> bool {
    (0..length).all(|i| ip >> (31 - i) & 1 == network >> (31 - i) & 1)
}

proptest! {
    #[test]
    fn finds_what_a_scan_finds(
        written in prop::collection::vec((any::<u32>(), 0u32..=32, 0u32..3), 0..25),
        asked in prop::collection::vec(any::<u32>(), 20)
    ) {
        let kinds = [SourceKind::Tor, SourceKind::Proxy, SourceKind::Hosting];
        let mut texts = [String::new(), String::new(), String::new()];
        let mut ranges = Vec::new();
        for (address, length, list) in &written {
            let network = if *length == 0 { 0 } else { address >> (32 - length) << (32 - length) };
            let four = std::net::Ipv4Addr::from(network);
            texts[*list as usize] += &format!("{four}/{length}\n");
            ranges.push((network, *length, *list));
        }
        let (lists, faults) = read(&[0, 1, 2].map(|i| (texts[i].as_str(), kinds[i])));
        prop_assert!(faults.is_empty());
        // Random addresses, and those at the edges.
        let edges = ranges.iter().flat_map(|(n, _, _)| [*n, n.wrapping_sub(1), n.wrapping_add(1)]);
        for ip in asked.iter().copied().chain(edges) {
            let want = ranges.iter().filter(|(n, l, _)| inside(ip, *n, *l)).map(|(_, _, i)| *i).min();
            let found = lists.of_address(IpAddr::V4(ip.into()));
            prop_assert_eq!(found, want);
            let mapped = "::".parse::<std::net::Ipv6Addr>().unwrap();
            prop_assert_eq!(lists.of_address(IpAddr::V6(mapped)), None);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-fASx:./#,; \\n]{0,40}") {
        read(&[(&text, SourceKind::Tor)]);
    }
}
