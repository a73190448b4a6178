//! (T7, T8, T43) Many keys, and a long time: memory stays where it was told to, and what matters is
//! found all the same.
//!
//! Short on every change; `TIDEGATE_TEST_KEYS=10000000` and `TIDEGATE_TEST_SOAK=7200` for the long runs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::{now, row};
use crate::harness::daemon::{Daemon, Home};
use crate::harness::receiver::Receiver;
use crate::harness::{fixture, kafka, lines, sized};

/// True floods among the made-up keys, and their least size.
const NEEDLES: u64 = 20;
const NEEDLE_MIN: u64 = 50;
/// `engine.memory` for each key, so that most of them find no room: 32 MiB for 200,000.
const BYTES_PER_KEY: u64 = 168;
/// What the rest of the process may take beside it, in KiB (docs/operations.md).
const BESIDE: u64 = 96 << 10;

fn home(topic: &str, memory: &str, receiver: &Receiver) -> Home {
    let body = super::body(&kafka::shared().bootstrap(), topic, &receiver.url());
    let home = Home::new(topic, &body);
    home.reconfigure("memory: 2GiB", memory);
    home
}

/// A request at so many milliseconds after eight o'clock.
fn request(out: &mut String, n: u64, millis: u64, address: &str) {
    let (minute, second, milli) = (millis / 60_000 % 60, millis / 1000 % 60, millis % 1000);
    writeln!(
        out,
        "{{\"event.kind\":\"recovery.requested\",\"event.id\":\"k-{n}\",\
         \"time\":\"2026-01-12T08:{minute:02}:{second:02}.{milli:03}Z\",\
         \"source.ip\":\"{address}\",\"user.target.id\":\"u-{n}\"}}"
    )
    .unwrap();
}

/// How many events the n-th flood has: 50 to 150.
fn size(needle: u64) -> u64 {
    NEEDLE_MIN + needle * 5
}

/// `keys` networks that ask once each within ten minutes, and the floods spread among them.
fn spray(keys: u64) -> String {
    let mut out = String::new();
    for n in 0..keys {
        let millis = n * 590_000 / keys;
        let [.., a, b, c, d] = n.to_be_bytes();
        request(
            &mut out,
            n,
            millis,
            &format!(
                "2001:db8:{:x}:{:x}::1",
                u16::from_be_bytes([a, b]),
                u16::from_be_bytes([c, d])
            ),
        );
        for needle in 0..NEEDLES {
            let every = keys / size(needle);
            if n % every == needle && n / every < size(needle) {
                request(
                    &mut out,
                    keys * (needle + 1) + n,
                    millis,
                    &format!("203.0.113.{needle}"),
                );
            }
        }
    }
    out
}

#[test]
fn made_up_keys_neither_fill_memory_nor_hide_a_flood() {
    let topic = "faults-keys";
    let keys = sized("TIDEGATE_TEST_KEYS", 200_000);
    kafka::shared().topic(topic, 1);
    let receiver = Receiver::start("200");
    let memory = (keys * BYTES_PER_KEY) >> 20;
    let home = home(topic, &format!("memory: {memory}MiB"), &receiver);
    let events = spray(keys);
    let records = events.lines().count() as u64;
    let file = home.file("events.jsonl");
    std::fs::write(&file, events).unwrap();
    kafka::shared().produce(topic, &file);

    let daemon = home.start().ready();
    let began = Instant::now();
    let (mut evicting, mut told) = (None, None);
    let mut look = |d: &Daemon| {
        if d.metric("tidegate_evictions_total", &[]) > 0 {
            evicting.get_or_insert_with(Instant::now);
        }
        if explosions(d) > 0 {
            told.get_or_insert_with(Instant::now);
        }
        (evicting.is_some() && told.is_some()).then_some(())
    };
    daemon.until("all records", |d| {
        let _later = look(d);
        (d.received() >= records).then_some(())
    });
    let took = began.elapsed();
    daemon.settled(records);
    daemon.until("the explosion is told", &mut look);
    let after = told.unwrap().saturating_duration_since(evicting.unwrap());
    assert!(
        after <= Duration::from_secs(10),
        "told {after:?} after the first loss"
    );
    let highest = daemon.memory("VmHWM");
    assert!(
        highest <= (memory << 10) * 115 / 100 + BESIDE,
        "{highest} KiB at most"
    );
    daemon.stop();

    let mut found = BTreeSet::new();
    for line in lines(&home.file("alerts.ndjson")) {
        let alert: serde_json::Value = serde_json::from_str(&line).unwrap();
        let Some(address) = alert["key"]["source.ip"].as_str() else {
            continue;
        };
        let number = address
            .strip_prefix("203.0.113.")
            .and_then(|n| n.parse::<u64>().ok());
        let needle = number.unwrap_or_else(|| panic!("no flood: {line}"));
        let counted = alert["observed"]["event_count"].as_f64().unwrap();
        assert!(counted <= (size(needle) + 10) as f64, "{line}");
        found.insert(needle);
    }
    assert_eq!(found.len() as u64, NEEDLES, "found {found:?}");
    row(
        "T7, T8 made-up keys",
        &format!(
            "{keys} networks, engine.memory {memory} MiB, {NEEDLES} floods of {NEEDLE_MIN} and more"
        ),
        &format!(
            "{} of {NEEDLES} found, no other; at most {} MiB resident; key explosion told after {:.1} s; {:.0} events/s",
            found.len(),
            highest / 1024,
            after.as_secs_f64(),
            records as f64 / took.as_secs_f64()
        ),
    );
}

fn explosions(daemon: &Daemon) -> usize {
    let all = daemon.list("/api/v1/alerts");
    let named = all
        .iter()
        .filter(|a| a["detector"]["id"] == "tidegate-key-explosion");
    named.count()
}

/// Addresses that flood, in turn, for as long as the soak lasts: their state is there within a minute.
const FLOODING: u64 = 1000;
const PARTITIONS: usize = 4;
/// Events before the soak begins: they fill what is kept of the newest records, 16 MiB.
const WARMING: u64 = 80_000;
/// The same load all the time: every three minutes a thousand actions end, and all alerts are told again and
/// act again. Without it an alert that goes on is told when its events have doubled, ever more seldom, and what a burst
/// leaves would look like growth.
const HURRIED: [(&str, &str); 2] = [
    ("ttl: 1h", "ttl: 3m"),
    (
        "suppress: 10m",
        "suppress: {for: 10m, repeat: 3m, repeat_max: 3m}",
    ),
];

/// The detectors of the other tests, hurried.
fn hurry(home: &Home) {
    let usual = fixture("detectors");
    let mut detectors = std::fs::read_to_string(usual.join("containing.yml")).unwrap();
    for (from, to) in HURRIED {
        assert!(detectors.contains(from), "{from}");
        detectors = detectors.replace(from, to);
    }
    let dir = home.file("hurried");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("containing.yml"), detectors).unwrap();
    home.reconfigure(usual.to_str().unwrap(), dir.to_str().unwrap());
}

/// Seconds after which nothing fills any more: three times the detectors' longest window. Half of a shorter soak.
const FILLED: f64 = 1800.0;
/// Not in step with the rounds: a look falls on every part of them in turn, the half second's burst and its rest.
const LOOK: Duration = Duration::from_millis(470);

/// What a look finds, seconds after the soak began.
struct Sample {
    at: f64,
    resident: f64,
    files: usize,
}

/// Looks until nobody is left at the channel's other end.
fn look(daemon: &Daemon, began: Instant, end: &mpsc::Receiver<()>) -> Vec<Sample> {
    let mut samples = Vec::new();
    while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        samples.push(Sample {
            at: began.elapsed().as_secs_f64(),
            resident: daemon.memory("VmRSS") as f64,
            files: daemon.files(),
        });
    }
    samples
}

/// By how much it grows in an hour, as a share of where it begins: the line of least squares.
fn growth(samples: &[Sample]) -> f64 {
    let n = samples.len() as f64;
    let mean = |of: fn(&Sample) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (at, resident) = (mean(|s| s.at), mean(|s| s.resident));
    let over: f64 = samples
        .iter()
        .map(|s| (s.at - at) * (s.resident - resident))
        .sum();
    let under: f64 = samples.iter().map(|s| (s.at - at).powi(2)).sum();
    over / under * 3600.0 / samples[0].resident
}

/// What it grows by between two looks, added up, in MiB: where it shrinks, the allocator gives back what the burst
/// before the soak took, and that must not hide what grows.
fn rises(samples: &[Sample]) -> f64 {
    let rise = |pair: &[Sample]| (pair[1].resident - pair[0].resident).max(0.0);
    samples.windows(2).map(rise).sum::<f64>() / 1024.0
}

/// By how many MiB these may make it grow that come within seconds: what their windows keep, and how far one look
/// is off.
fn rise_max(events: f64) -> f64 {
    const BYTES_PER_EVENT: f64 = 192.0;
    1.0 + events * BYTES_PER_EVENT / f64::from(1 << 20)
}

/// So many events dated just now, a round of the soak; `n` counts them all.
fn some(count: u64, round: u64, n: &mut u64) -> String {
    let mut some = String::new();
    let now = now().cast_unsigned();
    for i in 0..count {
        // One in ten is part of a flood: ten addresses of five requests in each round.
        let kind = if i % 10 == 0 {
            "recovery.requested"
        } else {
            "login.success"
        };
        let address = (round * 10 + i / 10 % 10) % FLOODING;
        writeln!(
            some,
            "{{\"event.kind\":\"{kind}\",\"event.id\":\"s-{n}\",\"time\":{},\
             \"source.ip\":\"198.18.{}.{}\",\"user.target.id\":\"u-{}\"}}",
            now - (count - i) / 4,
            address / 250,
            address % 250,
            *n % 997
        )
        .unwrap();
        *n += 1;
    }
    some
}

#[test]
fn hours_of_events_leave_memory_and_files_as_they_are() {
    let topic = "faults-soak";
    let seconds = sized("TIDEGATE_TEST_SOAK", 20);
    let rate = sized("TIDEGATE_TEST_RATE", 1000);
    kafka::shared().topic(topic, PARTITIONS as u32);
    let receiver = Receiver::start("200");
    let home = home(topic, "memory: 64MiB", &receiver);
    hurry(&home);
    let daemon = home.start().ready();
    let file = home.file("some.jsonl");
    let mut n = 0;
    // What is kept of the newest records is full from here on (`app::sample`, event ids): a slope over
    // what follows is not that of buffers.
    std::fs::write(&file, some(WARMING, 0, &mut n)).unwrap();
    let began = Instant::now();
    kafka::shared().produce(topic, &file);
    daemon.until("the first of all", |d| (d.received() >= n).then_some(()));
    // What it takes at the least when there is enough.
    let capacity = n as f64 / began.elapsed().as_secs_f64();
    daemon.settled(n);
    let began = Instant::now();
    let (looking, end) = mpsc::channel();
    let samples = std::thread::scope(|threads| {
        let daemon = &daemon;
        let looks = threads.spawn(move || look(daemon, began, &end));
        let mut rounds = 0;
        while began.elapsed() < Duration::from_secs(seconds) && !looks.is_finished() {
            std::fs::write(&file, some(rate / 2, rounds, &mut n)).unwrap();
            kafka::shared().produce(topic, &file);
            rounds += 1;
            let next = Duration::from_millis(500 * rounds);
            std::thread::sleep(next.saturating_sub(began.elapsed()));
        }
        drop(looking);
        looks.join().expect("the daemon is alive")
    });
    daemon.settled(n);
    let lags = daemon.values("tidegate_consumer_lag_events", &[]);
    assert_eq!(lags, [0.0; PARTITIONS]);
    daemon.stop();
    // Windows and buffers fill at first.
    let filled = FILLED.min(seconds as f64 / 2.0);
    let steady = &samples[samples.partition_point(|s| s.at < filled)..];
    let (first, last) = (&steady[0], &steady[steady.len() - 1]);
    let an_hour = growth(steady);
    let (before, after) = steady.split_at(steady.len() / 2);
    let most = |part: &[Sample]| part.iter().map(|s| s.files).max().unwrap();
    let (before, after) = (most(before), most(after));
    // By the same line, not from first to last: single samples are off by what the allocator keeps.
    let more = an_hour * steady[0].resident * (last.at - first.at) / 3600.0 / 1024.0;
    let (usual, risen) = ((n - WARMING) / seconds, rises(steady));
    row(
        "T43 soak",
        &format!(
            "{seconds} s, {usual} events/s, {:.0} % of the {capacity:.0} it took at the least when there were more",
            usual as f64 * 100.0 / capacity
        ),
        &format!(
            "{:.0} MiB resident, {more:+.1} MiB over the last {:.0} s, all rises in it {risen:.1} MiB, a slope of {:+.1} % an hour; {before} and {after} open files at most in its two parts; lag 0",
            last.resident / 1024.0,
            last.at - first.at,
            an_hour * 100.0
        ),
    );
    // Connections that nobody uses are closed, and opened again.
    assert!(after <= before + 8, "{before}, then {after} open files");
    // The detectors' windows of ten minutes fill for as long.
    assert!(more < 8.0, "{more:.1} MiB more memory when all is full");
    // A slope says something of hours, not of seconds; the sum of all rises the other way round.
    if seconds < 600 {
        let most = rise_max(usual as f64 * (last.at - first.at));
        assert!(risen < most, "{risen:.1} MiB risen, {most:.1} at most");
    }
    if seconds >= 3600 {
        assert!(
            an_hour < 0.01,
            "{:.1} % more memory in an hour",
            an_hour * 100.0
        );
    }
}
