//! (T14) Batches that producers have packed, and that unpack to a thousand times their size: librdkafka unpacks
//! each whole. What that costs, what bounds it, and that it is given back (docs/operations.md, "Memory").
//!
//! 64 MiB on every change; `TIDEGATE_TEST_PACKED_MIB=950` for a gibibyte, the most that a client may send.

use super::{Scene, floods, row};
use crate::harness::{kafka, sized};

const MIB: u64 = 1 << 10;
/// What librdkafka unpacks of zstd at most: its `receive.message.max.bytes`.
const ZSTD_MAX_MIB: u64 = 95;
/// The test broker holds what it checks of snappy in its heap of 256 MiB.
const SNAPPY_MAX_MIB: u64 = 64;

#[test]
fn a_packed_batch_costs_what_it_unpacks_to_and_only_for_a_moment() {
    let usual = sized("TIDEGATE_TEST_PACKED_MIB", 64);
    let topic = "faults-packed";
    let broker = kafka::shared();
    broker.topic(topic, 1);
    let scene = Scene::over(topic, topic, &floods(8, 40));
    broker.produce(topic, &scene.home.file("events.jsonl"));
    let daemon = scene.home.start().ready();
    daemon.settled(scene.records);
    for (sent, codec) in (1..).zip(["gzip", "lz4", "snappy", "zstd"]) {
        let mib = match codec {
            "zstd" => usual.min(ZSTD_MAX_MIB),
            "snappy" => usual.min(SNAPPY_MAX_MIB),
            _ => usual,
        };
        let before = daemon.memory("VmRSS");
        daemon.forget_highest();
        broker.produce_packed(topic, 0, codec, mib).unwrap();
        daemon.until(codec, |d| {
            let dead = d.dead_letters().get("too_large").copied();
            (dead == Some(sent)).then_some(())
        });
        let most = daemon.memory("VmHWM").saturating_sub(before);
        assert!(
            most <= (mib + 64) * MIB,
            "{codec}: {most} KiB more for {mib} MiB"
        );
        let kept = daemon.until("memory given back", |d| {
            let more = d.memory("VmRSS").saturating_sub(before);
            (more < 48 * MIB).then_some(more)
        });
        row(
            "T14 a packed batch from Kafka",
            &format!("{mib} MiB of one record, {codec}"),
            &format!(
                "at most {} MiB more in memory, {} MiB afterwards; a dead letter, reading goes on",
                most / MIB,
                kept / MIB
            ),
        );
    }
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
}

#[test]
fn many_packed_batches_are_unpacked_a_few_at_a_time() {
    const PARTITIONS: i32 = 6;
    const EACH: u64 = 48;
    let topic = "faults-packed-many";
    let broker = kafka::shared();
    broker.topic(topic, PARTITIONS.unsigned_abs());
    let scene = Scene::over(topic, topic, &floods(8, 40));
    // A batch of 48 KiB fills more than half of an answer here; of 2 MiB it would not.
    let small = "properties: {message.max.bytes: '1000', fetch.max.bytes: '65536'}, topics: [";
    scene.reconfigure("topics: [", small);
    broker.produce(topic, &scene.home.file("events.jsonl"));
    let daemon = scene.home.start().ready();
    daemon.settled(scene.records);
    let before = daemon.memory("VmRSS");
    daemon.stop();
    for partition in 0..PARTITIONS {
        broker
            .produce_packed(topic, partition, "gzip", EACH)
            .unwrap();
    }
    let daemon = scene.home.start().ready();
    daemon.until("all of them", |d| {
        let dead = d.dead_letters().get("too_large").copied();
        (dead == Some(PARTITIONS.unsigned_abs().into())).then_some(())
    });
    let most = daemon.memory("VmHWM").saturating_sub(before);
    assert!(most <= (3 * EACH + 32) * MIB, "{most} KiB more");
    daemon.stop();
    row(
        "T14 many packed batches at once",
        &format!("{PARTITIONS} partitions with {EACH} MiB each, an answer holds one or two"),
        &format!("at most {} MiB more in memory", most / MIB),
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
    let refused = broker.produce_packed(topic, 0, "gzip", 16);
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
