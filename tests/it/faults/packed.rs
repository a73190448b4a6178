//! (T14) Batches that producers have packed, and that unpack to a thousand times their size: none takes more
//! than its bound (the crate `unpack`), and what all of them take is on account.
//!
//! 64 MiB on every change; `TIDEGATE_TEST_PACKED_MIB=950` for a gibibyte, the most that a client may send.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{Scene, floods, floods_from, row};
use crate::harness::daemon::Daemon;
use crate::harness::{alerts, kafka, lines, sized};

const MIB: u64 = 1 << 10;
/// By how much memory may grow, whatever is packed (T14).
const MORE_MAX: u64 = 64 * MIB;
/// The test broker holds what it checks of snappy in its heap of 256 MiB.
const SNAPPY_MAX_MIB: u64 = 64;
const CODECS: [&str; 4] = ["gzip", "lz4", "snappy", "zstd"];

/// The alert about a partition that stands still.
fn halted(daemon: &Daemon, partition: i32) -> Option<serde_json::Value> {
    let number = partition.to_string();
    let mut all = daemon.halted().into_iter();
    all.find(|a| a["key"]["partition"] == number.as_str())
}

/// What the file has that is not about tidegate itself is what the oracle has.
fn assert_as_replayed(scene: &Scene) {
    let written = lines(&scene.home.file("alerts.ndjson"));
    let told: BTreeSet<String> = written
        .iter()
        .filter(|line| !line.contains("tidegate-partition-halted"))
        .map(|line| alerts::comparable(line))
        .collect();
    let lost = scene.want.difference(&told).count();
    let extra = told.difference(&scene.want).count();
    assert_eq!((lost, extra), (0, 0), "of {}", scene.want.len());
}

#[test]
fn a_bomb_stops_its_partition_alone_and_takes_no_more_than_its_bound() {
    let usual = sized("TIDEGATE_TEST_PACKED_MIB", 64);
    let topic = "faults-packed";
    let broker = kafka::shared();
    broker.topic(topic, 5);
    let (first, second) = (floods(8, 40), floods_from(40, 8, 20));
    let scene = Scene::over(topic, topic, &(first.clone() + &second));
    let part = scene.home.file("part.jsonl");
    let honest = |lines: &str| {
        std::fs::write(&part, lines).unwrap();
        broker.produce_to(topic, 0, &part);
    };
    let second: Vec<_> = second.lines().collect();
    let mut rest = second.chunks(second.len().div_ceil(4));
    honest(&first);
    let daemon = scene.home.start().ready();
    let mut records = first.lines().count() as u64;
    daemon.settled(records);

    for (partition, codec) in (1..).zip(CODECS) {
        let mib = if codec == "snappy" {
            usual.min(SNAPPY_MAX_MIB)
        } else {
            usual
        };
        let before = daemon.memory("VmRSS");
        daemon.forget_highest();
        broker
            .produce_packed((topic, partition), codec, mib, 1)
            .unwrap();
        let begun = Instant::now();
        let alert = daemon.until(codec, |d| halted(d, partition));
        let took = begun.elapsed();
        assert!(
            took < Duration::from_secs(10),
            "{codec}: told after {took:?}"
        );
        assert_eq!(alert["detector"]["level"], "critical");
        let summary = alert["summary"].as_str().unwrap();
        assert!(
            summary.contains("the batch at 0 unpacks to more than"),
            "{summary}"
        );
        let more = rest.next().unwrap();
        honest(&(more.join("\n") + "\n"));
        records += more.len() as u64;
        daemon.until("what is elsewhere", |d| {
            (d.received() >= records).then_some(())
        });
        let most = daemon.memory("VmHWM").saturating_sub(before);
        assert!(most < MORE_MAX, "{codec}: {most} KiB more for {mib} MiB");
        row(
            "T14 a packed batch from Kafka",
            &format!("{mib} MiB of one record, {codec}"),
            &format!(
                "at most {} MiB more in memory; its partition stands, critical alert after {:.1} s, the others go on",
                most / MIB,
                took.as_secs_f64()
            ),
        );
    }
    daemon.until("not ready", |d| (d.get("/readyz").0 == 503).then_some(()));
    daemon.until("four refusals", |d| {
        let refused = d.metric("tidegate_batches_refused_total", &["oversized"]);
        (refused >= 4).then_some(())
    });
    assert_eq!(daemon.gauge("tidegate_partitions_halted", &[]), 4);
    daemon.stop();
    assert_as_replayed(&scene);

    // The operator's word for it, and each goes on behind its bomb.
    let accepted: Vec<_> = (1..=4).map(|p| format!("{topic}/{p}")).collect();
    let arguments: Vec<_> = accepted.iter().flat_map(|p| ["--accept-loss", p]).collect();
    std::fs::write(&part, floods_from(60, 1, 2)).unwrap();
    (1..=4).for_each(|partition| broker.produce_to(topic, partition, &part));
    let behind = 4 * lines(&part).len() as u64;
    let daemon = scene.home.start_and(&arguments).ready();
    daemon.settled(behind);
    assert_eq!(daemon.received(), behind, "nothing else");
    assert_eq!(daemon.metric("tidegate_batches_passed_over_total", &[]), 4);
    daemon.stop();
    // What was read behind them is where the next life begins.
    let daemon = scene.home.start().ready();
    daemon.settled(0);
    assert_eq!(daemon.received(), 0);
    daemon.stop();
    row(
        "T14 the way on",
        "--accept-loss TOPIC/PARTITION",
        "the batch alone is passed over, and that is told; what is behind it is read",
    );
}

#[test]
fn many_packed_batches_are_unpacked_a_few_at_a_time() {
    const PARTITIONS: i32 = 6;
    const WARM: usize = 24;
    let each = if sized("TIDEGATE_TEST_PACKED_MIB", 64) > 64 {
        34
    } else {
        8
    };
    let topic = "faults-packed-many";
    let broker = kafka::shared();
    broker.topic(topic, PARTITIONS.unsigned_abs());
    let scene = Scene::over(topic, topic, &floods(8, 40));
    broker.produce(topic, &scene.home.file("events.jsonl"));
    let daemon = scene.home.start().ready();
    daemon.settled(scene.records);
    // The newest records are kept up to 16 MiB, whoever sent them; what comes then is for the batches.
    broker.produce_packed((topic, 0), "zstd", 2, WARM).unwrap();
    let dead = |d: &Daemon, count: usize| {
        let dead = d.dead_letters().get("too_large").copied();
        (dead == Some(count as u64)).then_some(())
    };
    daemon.until("a full memory", |d| dead(d, WARM));
    let before = daemon.memory("VmRSS");
    daemon.forget_highest();
    // All of them wait when it goes on.
    daemon.freeze();
    for partition in 0..PARTITIONS {
        let codec = if partition % 2 == 0 { "gzip" } else { "zstd" };
        broker
            .produce_packed((topic, partition), codec, 8, each)
            .unwrap();
    }
    let sent = (PARTITIONS.unsigned_abs() as usize) * each;
    daemon.thaw();
    daemon.until("all of them", |d| dead(d, WARM + sent));
    let most = daemon.memory("VmHWM").saturating_sub(before);
    assert!(most < MORE_MAX, "{most} KiB more");
    let kept = daemon.until("memory given back", |d| {
        let more = d.memory("VmRSS").saturating_sub(before);
        (more < 48 * MIB).then_some(more)
    });
    assert!(daemon.halted().is_empty());
    daemon.until("nothing held", |d| {
        (d.gauge("tidegate_unpacked_bytes", &[]) == 0).then_some(())
    });
    daemon.stop();
    assert_as_replayed(&scene);
    row(
        "T14 many packed batches at once",
        &format!("{sent} batches of 8 MiB in {PARTITIONS} partitions"),
        &format!(
            "at most {} MiB more in memory, {} MiB afterwards; all of them read",
            most / MIB,
            kept / MIB
        ),
    );
}

#[test]
fn a_batch_of_a_million_small_records_takes_no_more_than_its_bound() {
    const RECORDS: usize = 1_000_000;
    let topic = "faults-packed-small";
    let broker = kafka::shared();
    broker.topic(topic, 2);
    let scene = Scene::over(topic, topic, &floods(8, 40));
    broker.produce_to(topic, 0, &scene.home.file("events.jsonl"));
    let daemon = scene.home.start().ready();
    daemon.settled(scene.records);
    let before = daemon.memory("VmRSS");
    daemon.forget_highest();
    // Seven bytes each in the batch, and half a KiB each for whoever holds them.
    broker.produce_batches((topic, 1), "gzip", 20_000_000, &"0\n".repeat(RECORDS));
    let alert = daemon.until("the alert", |d| halted(d, 1));
    let summary = alert["summary"].as_str().unwrap();
    assert!(summary.contains("unpacks to more than"), "{summary}");
    let most = daemon.memory("VmHWM").saturating_sub(before);
    assert!(most < MORE_MAX, "{most} KiB more for {RECORDS} records");
    daemon.stop();
    assert_as_replayed(&scene);
    row(
        "T14 a packed batch of small records",
        &format!("{RECORDS} of one byte, gzip"),
        &format!(
            "at most {} MiB more in memory; its partition stands",
            most / MIB
        ),
    );
}

#[test]
fn packed_traffic_is_read_as_if_it_were_not() {
    let topic = "faults-packed-honest";
    let broker = kafka::shared();
    broker.topic(topic, 4);
    // Four MiB, of which each address keeps to one partition.
    let events = floods(40, 600);
    let scene = Scene::over(topic, topic, &events);
    for (partition, codec) in (0..).zip(CODECS) {
        let own = |line: &&str| {
            let (_, address) = line.split_once("203.0.113.").unwrap_or_default();
            let address = address
                .split('"')
                .next()
                .and_then(|a| a.parse::<i32>().ok());
            address.unwrap_or(0) % 4 == partition
        };
        let lines: Vec<_> = events.lines().filter(own).collect();
        // Batches of 64 KiB, a mebibyte and whatever there is.
        for (part, bytes) in lines
            .chunks(lines.len().div_ceil(3))
            .zip([64 << 10, 1 << 20, 8 << 20])
        {
            broker.produce_batches((topic, partition), codec, bytes, &part.join("\n"));
        }
    }
    let daemon = scene.home.start().ready();
    daemon.caught_up(|| scene.is_told());
    let read = |codec| daemon.metric("tidegate_batches_unpacked_total", &[codec]);
    let batches = CODECS.map(read);
    assert!(batches.iter().all(|count| *count >= 3), "{batches:?}");
    assert_eq!(daemon.metric("tidegate_batches_refused_total", &[]), 0);
    assert_eq!(daemon.metric("tidegate_unpack_waits_total", &[]), 0);
    daemon.stop();
    let tally = scene.tally();
    tally.assert_once();
    row(
        "T14 packed traffic",
        "gzip, lz4, snappy and zstd, batches of 64 KiB and more",
        &format!(
            "{batches:?} batches, {} alerts as replayed, no wait",
            tally.alerts
        ),
    );
}

#[test]
fn a_topic_that_packs_nothing_lets_no_bomb_in() {
    let topic = "faults-unpacked";
    let broker = kafka::shared();
    broker.topic_with(
        topic,
        "1",
        &["compression.type=uncompressed", "max.message.bytes=1048576"],
    );
    let refused = broker.produce_packed((topic, 0), "gzip", 16, 1);
    assert!(
        refused.is_err(),
        "16 MiB in a topic whose records are at most 1 MiB"
    );
    row(
        "T14 a packed batch",
        "compression.type=uncompressed on the topic",
        "the broker unpacks it, and refuses what is larger than max.message.bytes",
    );
}
