//! Against librdkafka's mock cluster, which stores batches as they come.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

use super::super::super::ledger::Frontier;
use super::super::super::{Batch, Halt, Notice, Partition, RECORD_BYTES_MAX, Source as _};
use super::super::{Settings, Start};
use super::*;

type Mock = MockCluster<'static, DefaultProducerContext>;

const MIB: usize = 1 << 20;

/// Sends each payload in a batch of its own.
fn produce(cluster: &Mock, partition: i32, codec: &str, payloads: &[&[u8]]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap_servers())
        .set("compression.codec", codec)
        .set("message.max.bytes", "1000000000")
        .set("batch.num.messages", "1")
        .create()
        .unwrap();
    for payload in payloads {
        let record = BaseRecord::<(), _>::to("t")
            .partition(partition)
            .payload(*payload);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}

fn source(cluster: &Mock, accepted: &[(String, i32)]) -> KafkaSource {
    let servers = cluster.bootstrap_servers();
    let settings = Settings {
        start: Start::Earliest,
        ..Settings::new(&[&servers], &["t"])
    };
    let source = KafkaSource::new(settings, Frontier::default(), &|_| None).unwrap();
    source.accepting(accepted)
}

#[derive(Debug, Default)]
struct Got {
    /// Partition, offset and length.
    records: Vec<(i32, i64, usize)>,
    notices: Vec<Notice>,
}

fn poll(source: &mut KafkaSource, enough: impl Fn(&Got) -> bool) -> Got {
    let (mut got, mut batch) = (Got::default(), Batch::default());
    let begun = Instant::now();
    while !enough(&got) {
        assert!(begun.elapsed() < Duration::from_secs(30), "got {got:?}");
        batch.clear();
        source.poll(&mut batch, Duration::from_millis(50)).unwrap();
        let records = batch.records();
        got.records
            .extend(records.map(|r| (r.partition.number, r.offset, r.payload.len())));
        got.notices.append(&mut batch.notices);
    }
    got
}

const fn of(number: i32) -> Partition {
    Partition { topic: 0, number }
}

#[test]
fn a_batch_beyond_the_bound_stops_its_partition_until_its_loss_is_accepted() {
    for (index, codec) in CODECS.into_iter().enumerate() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 2, 1).unwrap();
        let bomb = vec![0; 40 * MIB];
        // Long enough to become shorter; else they would be sent as they are.
        produce(&cluster, 1, codec, &[&[1; 600], &bomb, &[3; 700]]);
        produce(&cluster, 0, codec, &[&[4; 900]]);
        let before = numbers();
        let mut source_ = source(&cluster, &[]);
        let cause = Halt::Oversized { offset: 1 };
        let (partition, next) = (of(1), 1);
        let halted = Notice::Halted {
            partition,
            next,
            cause,
        };
        let got = poll(&mut source_, |got| {
            got.notices.contains(&halted) && got.records.len() >= 2
        });
        let is_loss = |n: &Notice| matches!(n, Notice::Accepted { .. });
        assert!(!got.notices.iter().any(is_loss), "nobody has accepted it");
        let mut records = got.records;
        records.sort_unstable();
        assert_eq!(records, [(0, 0, 900), (1, 0, 600)], "{codec}");
        assert_eq!(source_.halted().collect::<Vec<_>>(), [(partition, cause)]);
        drop(source_);

        let mut source_ = source(&cluster, &[("t".to_owned(), 1)]);
        let got = poll(&mut source_, |got| got.records.len() >= 3);
        let mut records = got.records;
        records.sort_unstable();
        assert_eq!(records, [(0, 0, 900), (1, 0, 600), (1, 2, 700)], "{codec}");
        let told = Notice::Accepted {
            partition,
            next,
            cause,
        };
        let times = got.notices.iter().filter(|n| **n == told).count();
        assert_eq!(times, 1, "{codec}: {:?}", got.notices);
        assert_eq!(source_.halted().count(), 0);
        let now = numbers();
        assert!(now.unpacked[index] >= before.unpacked[index] + 5, "{codec}");
        assert!(now.refused[0] >= before.refused[0] + 2, "{codec}");
        assert!(now.passed_over > before.passed_over, "{codec}");
    }
}

#[test]
fn large_batches_wait_for_those_before_them_and_all_are_read() {
    const EACH: usize = 6;
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("t", 4, 1).unwrap();
    let large = vec![0; 8 * MIB];
    for (partition, codec) in (0..).zip(CODECS) {
        produce(&cluster, partition, codec, &[&large[..]; EACH]);
    }
    let mut source = source(&cluster, &[]);
    let assigned = |n: &Notice| matches!(n, Notice::Assigned { .. });
    let mut got = poll(&mut source, |got| {
        got.notices.iter().filter(|n| assigned(n)).count() == 4
    });
    // Nobody reads for longer than anybody waits.
    std::thread::sleep(Duration::from_millis(2500));
    let rest = poll(&mut source, |more| {
        got.records.len() + more.records.len() >= 4 * EACH
    });
    got.records.extend(rest.records);
    got.records.sort_unstable();
    let want: Vec<_> = (0..4)
        .flat_map(|p| (0..6).map(move |offset| (p, offset, RECORD_BYTES_MAX + 1)))
        .collect();
    assert_eq!(got.records, want);
    assert_eq!(source.halted().count(), 0, "{:?}", rest.notices);
    let numbers = numbers();
    assert!(numbers.waits > 0, "{numbers:?}");
    // Other tests of this process unpack, too: each thread may be a mebibyte above.
    assert!(numbers.most <= unpack::HELD_MAX + 8 * MIB, "{numbers:?}");
}
