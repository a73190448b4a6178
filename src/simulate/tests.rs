//! What the generator promises, checked on its output alone: bytes, order, labels, and every bound
//! counted by brute force over the parsed lines.
//!
//! Owns the golden hashes; a changed hash means documented seeds tell another story.
//! Invariant: the counters in `count` know nothing of how the traffic is made.

mod bounds;
mod count;
mod shapes;

use super::*;

fn lines(options: &Options) -> Vec<Line> {
    Traffic::new(options).collect()
}

fn tell(scenario: Scenario, seed: u64, events: u64) -> Vec<Line> {
    lines(&Options::new(scenario, seed, events))
}

/// FNV-1a over lines and labels.
fn hash(lines: &[Line]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut label = String::new();
    for line in lines {
        label.clear();
        line.label.push_json(&mut label);
        for byte in line
            .json
            .bytes()
            .chain(label.bytes())
            .chain(line.time_ms.to_le_bytes())
        {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// First 1,000 lines and 1,000 lines from the middle of the campaign, of 20,000, seed 1.
const GOLDEN: [(&str, u64, u64); 10] = [
    ("benign", 0x6c2ee0ca6b9c2cd5, 0xb0c81854e33ff4fa),
    ("reset-flood", 0x6c2ee0ca6b9c2cd5, 0xb05463c8672e2dc4),
    ("rotating-ips", 0x6c2ee0ca6b9c2cd5, 0x52514fc56fcb86c0),
    ("enumeration", 0x6c2ee0ca6b9c2cd5, 0x8ba471bcb10d4313),
    ("token-theft", 0x6c2ee0ca6b9c2cd5, 0xfcc929380d0ffb1d),
    ("deploy-regression", 0x6c2ee0ca6b9c2cd5, 0x67bbf8f667d06e19),
    ("honeytoken", 0x6c2ee0ca6b9c2cd5, 0xdd9916074e37f7ba),
    ("near-misses", 0x51d78539cf591e18, 0x9663bb5aaa841c18),
    ("incident-2026", 0x6c2ee0ca6b9c2cd5, 0xb5993a4a9356249e),
    ("mixed", 0x51d78539cf591e18, 0xf203ad49036442d3),
];

#[test]
fn a_seed_tells_the_same_story_for_ever() {
    let now: Vec<_> = scenarios()
        .iter()
        .map(|info| {
            let told = tell(info.scenario, 1, EVENTS_MIN);
            (info.name, hash(&told[..1000]), hash(&told[9000..10_000]))
        })
        .collect();
    let text: String = now
        .iter()
        .map(|(name, first, middle)| format!("    ({name:?}, 0x{first:016x}, 0x{middle:016x}),\n"))
        .collect();
    assert_eq!(
        now, GOLDEN,
        "if this is meant, say so in the changelog and write:\n{text}"
    );
}

#[test]
fn same_options_same_bytes_other_seed_other_bytes() {
    let first = tell(Scenario::Mixed, 3, 4000);
    assert_eq!(first, tell(Scenario::Mixed, 3, 4000));
    assert_ne!(hash(&first), hash(&tell(Scenario::Mixed, 4, 4000)));
    let later = Options {
        start_ms: START_MS + 1,
        ..Options::new(Scenario::Mixed, 3, 4000)
    };
    assert_ne!(first[0].json, lines(&later)[0].json);
}

#[test]
fn every_run_has_exactly_its_lines_in_time_order() {
    for info in scenarios() {
        for events in [0, 1, 2, 97, 3000, EVENTS_MIN] {
            let told = tell(info.scenario, 2, events);
            assert_eq!(told.len() as u64, events, "{}", info.name);
            let mut before_ms = START_MS;
            for (line, number) in told.iter().zip(1..) {
                assert!(line.time_ms >= before_ms, "{} line {number}", info.name);
                assert_eq!(line.label.line, number);
                before_ms = line.time_ms;
            }
        }
    }
}

#[test]
fn a_reused_buffer_gets_the_same_lines() {
    let options = Options::new(Scenario::Incident2026, 5, 2000);
    let (mut traffic, mut json) = (Traffic::new(&options), String::new());
    for line in Traffic::new(&options) {
        json.clear();
        let (time_ms, label) = traffic.next_into(&mut json).unwrap();
        assert_eq!(
            (time_ms, &json, label),
            (line.time_ms, &line.json, line.label)
        );
    }
    assert_eq!(traffic.next_into(&mut json), None);
}

#[test]
fn labels_keep_the_scenarios_promises() {
    for info in scenarios() {
        let mut expected = std::collections::BTreeSet::new();
        for line in tell(info.scenario, 1, EVENTS_MIN) {
            let label = line.label;
            let attack = label.kind == LabelKind::Attack;
            assert_eq!(label.expect.is_empty(), !attack, "{label:?}");
            assert_eq!(
                label.campaign.is_none(),
                label.kind == LabelKind::Benign,
                "{label:?}"
            );
            expected.extend(label.expect);
        }
        let promised: std::collections::BTreeSet<_> = info.must_fire.iter().collect();
        assert_eq!(expected, promised, "{}", info.name);
    }
}

#[test]
fn the_lead_in_is_quiet() {
    for info in scenarios() {
        let from = match info.scenario {
            Scenario::Benign | Scenario::NearMisses => continue,
            Scenario::Mixed => EVENTS_MIN * 26 / 100,
            _ => EVENTS_MIN * 2 / 5,
        };
        let told = tell(info.scenario, 6, EVENTS_MIN);
        let attacks = told.iter().filter(|l| l.label.kind == LabelKind::Attack);
        let numbers: Vec<u64> = attacks.map(|l| l.label.line).collect();
        assert!(
            numbers[0] > from,
            "{}: first attack in line {}",
            info.name,
            numbers[0]
        );
        assert!(
            numbers[0] < from + 800,
            "{}: first attack in line {}",
            info.name,
            numbers[0]
        );
    }
}

#[test]
fn memory_follows_the_rate_not_the_number_of_events() {
    let mut most = Vec::new();
    for events in [20_000, 200_000] {
        let mut traffic = Traffic::new(&Options::new(Scenario::Benign, 1, events));
        let mut json = String::new();
        while traffic.next_into(&mut json).is_some() {
            json.clear();
        }
        most.push(traffic.in_progress());
    }
    assert!(most[0] < 300 && most[1] < 2000, "{most:?}");
}
