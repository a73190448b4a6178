//! (T12, T13, T14) What attackers put into the stream: garbage, records of any size and depth, and
//! what unpacks to a thousand times its size. Each costs itself and nothing else.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::decode::{Decoded, Decoder, Limits, Reason};
use tidegate::model::event::Projection;
use tidegate::model::redact::Redactor;
use tidegate::model::{Fields, HashKey};

use super::{Scene, floods, row};
use crate::harness::{kafka, lines, memory, scratch, share, sized};

const MIB: usize = 1 << 20;
/// What a bomb unpacks to.
const BOMB_MIB: u64 = 10 << 10;
const TIME: &str = "\"time\":\"2026-01-12T08:00:00Z\"";
const KIND: &str = "\"event.kind\":\"recovery.requested\"";

/// Why each kind of them is refused.
const REASONS: [&[&str]; 13] = [
    &["invalid_json"],
    &["invalid_json"],
    &["wrong_type"],
    &["wrong_type"],
    &["missing_kind"],
    &["wrong_type"],
    &["wrong_type"],
    &["invalid_json"],
    &["invalid_time"],
    &["invalid_json"],
    &["invalid_utf8"],
    &["repeated_key"],
    &["invalid_json", "wrong_type"],
];
/// One kind of garbage after the other.
const KINDS: u32 = REASONS.len() as u32;

/// The n-th broken record; none holds a line feed, and each is one dead letter.
fn garbage(n: u32) -> Vec<u8> {
    let text = match n % KINDS {
        0 => format!("{{{KIND},{TIME},\"note\":\"\u{1}"),
        1 => format!("{{{KIND},\"time\":NaN}}"),
        2 => format!("{{{KIND},{TIME},\"source.ip\":{{\"a\":[1]}}}}"),
        3 => format!("{{{KIND},\"time\":{{}}}}"),
        4 => format!("{{{TIME},\"event.kind\":null}}"),
        5 => "null".to_owned(),
        6 => "\"a text\"".to_owned(),
        7 => format!("{{{KIND},\"time\":1e999}}"),
        8 => format!("{{{KIND},\"time\":\"tomorrow\"}}"),
        9 => format!("{{{KIND},{TIME}}} trailing"),
        10 => format!("{{{KIND},{TIME},\"note\":\"?\"}}"),
        11 => format!("{{{KIND},{TIME},\"event.kind\":\"mfa.reset\"}}"),
        _ => (0..40)
            .map(|i| char::from((n * 31 + i * 7) as u8 % 90 + 33))
            .collect(),
    };
    let mut bytes = text.into_bytes();
    if n % KINDS == 10 {
        let at = bytes.iter().position(|b| *b == b'?').unwrap();
        bytes[at] = 0xc3;
    }
    bytes
}

#[test]
fn one_percent_garbage_is_dead_letters_and_the_rest_is_as_without() {
    let topic = "faults-poison";
    kafka::shared().topic(topic, 1);
    let good: Vec<String> = floods(50, 240)
        .lines()
        .filter(|l| l.ends_with('}'))
        .map(|l| format!("{l}\n"))
        .collect();
    let scene = Scene::over(topic, "poison", &good.concat());
    let (mut mixed, mut bad, mut places) = (Vec::new(), 0, Vec::new());
    for (n, line) in good.iter().enumerate() {
        if n % 100 == 50 {
            places.push(n + bad as usize);
            mixed.extend(garbage(bad));
            mixed.push(b'\n');
            bad += 1;
        }
        mixed.extend(line.bytes());
    }
    let file = scene.home.file("mixed.jsonl");
    std::fs::write(&file, mixed).unwrap();
    kafka::shared().produce(topic, &file);
    let daemon = scene.home.start().ready();
    daemon.caught_up(|| scene.is_told());
    let dead = daemon.dead_letters();
    assert_eq!(dead.values().sum::<u64>(), u64::from(bad), "{dead:?}");
    assert!(!dead.contains_key("defect"), "{dead:?}");
    assert!(!daemon.log().contains("panicked"));
    daemon.stop();
    let letters = lines(&scene.home.file("state/dead-letters.jsonl"));
    let letters = letters.iter().map(|l| serde_json::from_str(l).unwrap());
    let letters: Vec<serde_json::Value> = letters.collect();
    let stands: Vec<_> = letters.iter().map(|l| l["offset"].as_u64()).collect();
    let places: Vec<_> = places.iter().map(|p| Some(*p as u64)).collect();
    assert_eq!(stands, places, "a dead letter for each, and no other");
    for (letter, n) in letters.iter().zip(0..) {
        let reason = letter["reason"].as_str().unwrap();
        assert!(
            REASONS[n % REASONS.len()].contains(&reason),
            "{n}: {letter}"
        );
    }
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T12 poison",
        &format!("1 % garbage of {KINDS} kinds among {} records", good.len()),
        &format!(
            "{bad} of {bad} are dead letters with {} reasons; lost 0, extra 0 of {}; 0 panics",
            dead.len(),
            tally.alerts
        ),
    );
}

/// What a record is refused for, and how long that takes at best: others use the machine, too.
fn refused(decoder: &mut Decoder, record: &[u8]) -> (Option<Reason>, Duration) {
    let mut best = (None, Duration::MAX);
    for _ in 0..20 {
        let (began, mut reason) = (Instant::now(), None);
        decoder.decode(record, None, &mut |decoded| {
            if let Decoded::Dead(letter) = decoded {
                reason = Some(letter.reason);
            }
        });
        best = (reason, best.1.min(began.elapsed()));
    }
    best
}

/// How long it takes to read the record as any JSON.
fn parsed(record: &[u8]) -> Duration {
    let began = Instant::now();
    drop(serde_json::from_slice::<serde_json::Value>(record));
    began.elapsed()
}

/// What a record may take that is refused.
const REFUSED_MAX: Duration = Duration::from_millis(5);
/// The one that is small enough to be looked over whole: where this crate is built without optimisation, which it
/// may be here and serde_json never is, it may take as long as that.
const LOOKED_OVER: &str = "80,000 fields in 1 MiB";

fn monsters() -> [(&'static str, Reason, Vec<u8>); 5] {
    let start = format!("{{{KIND},{TIME},\"a\":");
    let record = |inside: String| format!("{start}{inside}}}").into_bytes();
    let fields = |count: u32| {
        let fields: Vec<String> = (0..count).map(|n| format!("\"f{n}\":0")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    [
        (
            "10 MiB",
            Reason::TooLarge,
            record(format!("\"{}\"", "x".repeat(10 * MIB))),
        ),
        (
            "a depth of 100,000",
            Reason::TooDeep,
            record(format!("{open}{close}")),
        ),
        (
            "1,000,000 elements",
            Reason::TooLarge,
            record(format!("[{}0]", "0,".repeat(999_999))),
        ),
        (LOOKED_OVER, Reason::TooManyFields, record(fields(80_000))),
        (
            "1,000,000 fields",
            Reason::TooLarge,
            record(fields(1_000_000)),
        ),
    ]
}

#[test]
fn records_of_any_size_depth_and_width_cost_little() {
    let (fields, key) = (Fields::default(), HashKey::fixed());
    let projection = Arc::new(Projection::of(fields.iter().map(|(id, _)| id)));
    let mut decoder = Decoder::new(&fields, projection, Redactor::new(&key), Limits::default());
    let topic = "faults-monsters";
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "monsters", &floods(8, 40));
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let daemon = scene.home.start().ready();
    daemon.settled(scene.records);
    let file = scene.home.file("monster");
    for (sent, (what, reason, record)) in (1..).zip(monsters()) {
        let (found, took) = refused(&mut decoder, &record);
        assert_eq!(found, Some(reason), "{what}");
        let limit = match what {
            LOOKED_OVER => REFUSED_MAX.max(parsed(&record)),
            _ => REFUSED_MAX,
        };
        assert!(took < limit, "{what}: {took:?}, {limit:?} allowed");

        std::fs::write(&file, &record).unwrap();
        daemon.forget_highest();
        let before = daemon.memory("VmRSS");
        kafka::shared().produce_whole(topic, &file);
        daemon.until(what, |d| {
            (d.dead_letters().values().sum::<u64>() >= scene.wrong + sent).then_some(())
        });
        let more = daemon.memory("VmHWM").saturating_sub(before);
        assert!(more < 20 << 10, "{what}: {more} KiB more");
        row(
            "T13 a record of",
            what,
            &format!(
                "refused as {reason} in {:.2} ms of {:.2} allowed; at most {:.1} MiB more in memory",
                took.as_secs_f64() * 1e3,
                limit.as_secs_f64() * 1e3,
                more as f64 / 1024.0
            ),
        );
    }
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
}

/// So many MiB of zeros or line feeds, packed: the same member again and again.
fn bomb(dir: &Path, packing: &str, of: u8, mib: u64) -> PathBuf {
    let chunk = vec![of; 64 * MIB];
    let member = if packing == "gz" {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(&chunk).unwrap();
        packer.finish().unwrap()
    } else {
        zstd::encode_all(&chunk[..], 3).unwrap()
    };
    let path = dir.join(format!("bomb-{of}.{packing}"));
    let mut file = std::fs::File::create(&path).unwrap();
    for _ in 0..mib.div_ceil(64) {
        file.write_all(&member).unwrap();
    }
    path
}

/// The most memory `replay` of the file took, in KiB, and what it said at its end.
fn replaying(file: &Path) -> (u64, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["replay", "--input"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut highest = 0;
    while child.try_wait().unwrap().is_none() {
        highest = memory(child.id(), "VmHWM").unwrap_or(0).max(highest);
        std::thread::sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().unwrap();
    (
        highest,
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn what_unpacks_to_a_thousand_times_its_size_takes_no_memory() {
    let dir = scratch("bombs");
    let plain = dir.join("plain.jsonl");
    std::fs::write(&plain, floods(8, 40)).unwrap();
    let (usual, said) = replaying(&plain);
    assert!(!said.contains("panicked"), "{said}");
    // A line without end is given up, whatever its size; empty lines are read to the last one, which takes long.
    let lines = sized("TIDEGATE_TEST_BOMB_MIB", 32).min(BOMB_MIB);
    for (packing, of) in [("gz", 0), ("zst", 0), ("gz", b'\n'), ("zst", b'\n')] {
        let mib = if of == 0 { BOMB_MIB } else { lines };
        let file = bomb(&dir, packing, of, mib);
        let size = std::fs::metadata(&file).unwrap().len();
        let began = Instant::now();
        let (highest, said) = replaying(&file);
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(said.contains("one line unpacks to more"), of == 0, "{said}");
        let more = highest.saturating_sub(usual);
        assert!(more < 64 << 10, "{packing}: {more} KiB more\n{said}");
        row(
            "T14 a bomb",
            &format!(
                "{:.1} MiB of {packing} that are {} MiB of {}",
                size as f64 / MIB as f64,
                share(mib, BOMB_MIB),
                if of == 0 { "one line" } else { "empty lines" }
            ),
            &format!(
                "at most {:.1} MiB more in memory, over after {:.1} s",
                more as f64 / 1024.0,
                began.elapsed().as_secs_f64()
            ),
        );
    }
}
