//! Against librdkafka's mock cluster, which speaks the real protocol.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::producer::{Producer, Report, SendError};
use super::*;

const NO_ENV: &dyn Fn(&str) -> Option<String> = &|_| None;
const WAIT: Duration = Duration::from_millis(50);

type Mock = MockCluster<'static, DefaultProducerContext>;

fn cluster(topics: &[(&str, i32)]) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1).unwrap();
    }
    cluster
}

fn settings(cluster: &Mock, topics: &[&str], start: Start) -> Settings {
    let servers = cluster.bootstrap_servers();
    Settings {
        start,
        ..Settings::new(&[&servers], topics)
    }
}

fn produce(settings: &Settings, topic: &str, payloads: impl IntoIterator<Item = String>) {
    let producer = Producer::new(settings, NO_ENV).unwrap();
    for (ticket, payload) in payloads.into_iter().enumerate() {
        let headers = [
            ("traceparent", "00-ab-cd-01"),
            ("event.id", payload.as_str()),
        ];
        producer
            .send(topic, Some(b"k"), payload.as_bytes(), &headers, ticket)
            .unwrap();
    }
    let reports = producer.flush(Duration::from_secs(10));
    assert!(reports.iter().all(|r| r.result.is_ok()), "{reports:?}");
    assert_eq!(producer.in_flight(), 0);
}

#[derive(Debug, Default)]
struct Got {
    records: Vec<(Partition, i64, String)>,
    notices: Vec<Notice>,
}

/// Polls until `enough` or for 15 s.
fn poll(source: &mut KafkaSource, enough: impl Fn(&Got) -> bool) -> Got {
    let (mut got, mut batch) = (Got::default(), Batch::default());
    let begun = Instant::now();
    while !enough(&got) {
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "waited too long; got {got:?}"
        );
        batch.clear();
        source.poll(&mut batch, WAIT).unwrap();
        for r in batch.records() {
            got.records.push((
                r.partition,
                r.offset,
                String::from_utf8_lossy(r.payload).into_owned(),
            ));
            assert_eq!(r.traceparent, Some("00-ab-cd-01"));
            assert_eq!(r.event_id, Some(got.records.last().unwrap().2.as_str()));
            assert_ne!(r.stamp, Stamp::None);
        }
        got.notices.append(&mut batch.notices);
    }
    got
}

fn ended(got: &Got, partition: Partition, next: i64) -> bool {
    got.notices.contains(&Notice::End { partition, next })
}

#[test]
fn reads_from_the_start_reports_the_end_and_goes_on_from_a_frontier() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    produce(&settings, "t", (0..500).map(|i| format!("m{i}")));
    let p = Partition {
        topic: 0,
        number: 0,
    };
    let mut source = KafkaSource::new(settings.clone(), Frontier::default(), NO_ENV).unwrap();
    let got = poll(&mut source, |got| ended(got, p, 500));
    assert_eq!(got.records.len(), 500);
    assert_eq!(got.records[499], (p, 499, "m499".into()));
    assert!(got.notices.contains(&Notice::Assigned {
        partition: p,
        next: 0
    }));
    assert_eq!(
        source.lag(),
        [Lag {
            partition: p,
            next: 500,
            records: 0
        }]
    );

    produce(&settings, "t", ["more".to_owned()]);
    let got = poll(&mut source, |got| ended(got, p, 501));
    assert_eq!(got.records, [(p, 500, "more".into())]);
    drop(source);

    let mut frontier = Frontier::default();
    frontier.advance("t", 0, 498);
    let mut source = KafkaSource::new(settings, frontier.clone(), NO_ENV).unwrap();
    let got = poll(&mut source, |got| ended(got, p, 501));
    assert_eq!(got.records.len(), 3);
    frontier.advance("t", 0, 501);
    source.publish(&frontier);
}

#[test]
fn latest_leaves_out_what_was_there() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Latest);
    produce(&settings, "t", ["old".to_owned()]);
    let p = Partition {
        topic: 0,
        number: 0,
    };
    let mut source = KafkaSource::new(settings.clone(), Frontier::default(), NO_ENV).unwrap();
    poll(&mut source, |got| ended(got, p, 1));
    produce(&settings, "t", ["new".to_owned()]);
    let got = poll(&mut source, |got| !got.records.is_empty());
    assert_eq!(got.records, [(p, 1, "new".into())]);
}

#[test]
fn several_topics_and_partitions_end_apart() {
    let cluster = cluster(&[("a", 3), ("b", 3)]);
    let settings = settings(&cluster, &["a", "b"], Start::Earliest);
    produce(&settings, "a", (0..30).map(|i| format!("a{i}")));
    produce(&settings, "b", (0..30).map(|i| format!("b{i}")));
    let mut source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let ends = |got: &Got| {
        got.notices
            .iter()
            .filter(|n| matches!(n, Notice::End { .. }))
            .count()
    };
    let got = poll(&mut source, |got| got.records.len() == 60 && ends(got) >= 6);
    assert!(
        got.records
            .iter()
            .all(|(p, _, text)| text.starts_with(if p.topic == 0 { 'a' } else { 'b' }))
    );
}

#[test]
fn a_log_shorter_than_the_frontier_halts_its_partition_alone() {
    let cluster = cluster(&[("t", 2)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    let mut frontier = Frontier::default();
    frontier.advance("t", 0, 1000);
    frontier.advance("t", 1, 0);
    produce(&settings, "t", (0..50).map(|i| format!("m{i}")));
    let mut source = KafkaSource::new(settings, frontier, NO_ENV).unwrap();
    let good = Partition {
        topic: 0,
        number: 1,
    };
    let got = poll(&mut source, |got| {
        got.notices
            .iter()
            .any(|n| matches!(n, Notice::End { partition, .. } if *partition == good))
    });
    assert!(got.records.iter().all(|(p, ..)| *p == good));
    let halted: Vec<_> = source.halted().collect();
    assert!(
        matches!(
            halted[..],
            [(
                Partition {
                    topic: 0,
                    number: 0
                },
                Halt::Truncated { .. }
            )]
        ),
        "{halted:?}"
    );
    assert!(
        got.notices
            .iter()
            .any(|n| matches!(n, Notice::Halted { next: 1000, .. }))
    );
}

/// It was passed over in silence, and held event time back for good.
#[test]
fn a_partition_that_the_brokers_no_longer_name_halts_and_the_others_go_on() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    let mut frontier = Frontier::default();
    frontier.advance("t", 0, 0);
    frontier.advance("t", 3, 7);
    produce(&settings, "t", ["x".to_owned()]);
    let gone = Partition {
        topic: 0,
        number: 3,
    };
    let halted = Notice::Halted {
        partition: gone,
        next: 7,
        cause: Halt::Missing,
    };
    let mut source = KafkaSource::new(settings.clone(), frontier.clone(), NO_ENV).unwrap();
    let got = poll(&mut source, |got| got.notices.contains(&halted));
    assert_eq!(got.records.len(), 1);
    let told = got
        .notices
        .iter()
        .filter(|n| matches!(n, Notice::Halted { .. }));
    assert_eq!(told.count(), 1, "{got:?}");
    assert_eq!(source.halted().collect::<Vec<_>>(), [(gone, Halt::Missing)]);
}

/// A topic that is looked at piece by piece is not half old, and what lacks hides nothing.
#[test]
fn a_partition_without_a_leader_hides_no_other_and_begins_where_they_did() {
    let cluster = cluster(&[("t", 2)]);
    let settings = settings(&cluster, &["t"], Start::Latest);
    let of = |number| Partition { topic: 0, number };
    produce(&settings, "t", (0..50).map(|i| format!("m{i}")));
    cluster.partition_leader("t", 0, None).unwrap();
    let mut source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let assigned = |got: &Got, p: Partition| {
        let to_p = |n: &Notice| matches!(n, Notice::Assigned { partition, .. } if *partition == p);
        got.notices.iter().any(to_p)
    };
    let got = poll(&mut source, |got| assigned(got, of(1)));
    let leaderless = |n: &Notice| matches!(n, Notice::Trouble { detail } if detail.contains("[0] of t have no leader"));
    assert!(got.notices.iter().any(leaderless), "{got:?}");
    assert!(!assigned(&got, of(0)));
    cluster.partition_leader("t", 0, Some(1)).unwrap();
    let got = poll(&mut source, |got| {
        got.notices
            .iter()
            .any(|n| matches!(n, Notice::End { partition, .. } if *partition == of(0)))
    });
    assert!(got.records.is_empty(), "{got:?}");
}

/// An end that nobody can vouch for is none; but one broker that stays away does not stop the others.
#[test]
fn an_end_is_taken_back_when_its_broker_is_silent_and_given_up_after_long() {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("t", 2, 2).unwrap();
    cluster.partition_leader("t", 0, Some(1)).unwrap();
    cluster.partition_leader("t", 1, Some(2)).unwrap();
    let mut settings = settings(&cluster, &["t"], Start::Earliest);
    settings.stall_after = crate::model::Span::seconds(5);
    let of = |number| Partition { topic: 0, number };
    let mut source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let mut all = Got::default();
    while !(ended(&all, of(0), 0) && ended(&all, of(1), 0)) {
        let mut got = poll(&mut source, |got| !got.notices.is_empty());
        all.notices.append(&mut got.notices);
    }
    cluster.broker_down(2).unwrap();
    let (behind, silent) = (of(1), Notice::Silent { partition: of(1) });
    let behind = Notice::Behind { partition: behind };
    let got = poll(&mut source, |got| got.notices.contains(&behind));
    assert!(!got.notices.contains(&silent), "{got:?}");
    let got = poll(&mut source, |got| got.notices.contains(&silent));
    assert!(!got.notices.contains(&behind), "{got:?}");
    assert!(source.lanes[&of(0)].ended, "the other one is heard");
    cluster.broker_up(2).unwrap();
    let (began, mut batch) = (Instant::now(), Batch::default());
    while source.lanes[&of(1)].given_up {
        assert!(
            began.elapsed() < Duration::from_secs(15),
            "{:?}",
            source.lanes
        );
        source.poll(&mut batch, WAIT).unwrap();
    }
}

#[test]
fn a_log_that_holds_another_record_before_the_frontier_halts() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    produce(&settings, "t", (0..5).map(|i| format!("m{i}")));
    let (key, p) = (HashKey::fixed(), Partition::default());
    let mut source = KafkaSource::new(settings.clone(), Frontier::default(), NO_ENV).unwrap();
    let (mut batch, mut prints) = (Batch::default(), Vec::new());
    while prints.len() < 5 {
        batch.clear();
        source.poll(&mut batch, WAIT).unwrap();
        prints.extend(batch.records().map(|r| r.fingerprint(&key)));
    }
    let mut frontier = Frontier::default();
    frontier.advance("t", 0, 3);
    let over = |offset: i64, is: usize| {
        let mut last = Last::default();
        last.note("t", 0, offset, prints[is]);
        let source = KafkaSource::new(settings.clone(), frontier.clone(), NO_ENV).unwrap();
        source.proving(&key, &last)
    };

    let got = poll(&mut over(2, 2), |got| ended(got, p, 5));
    let offsets: Vec<i64> = got.records.iter().map(|r| r.1).collect();
    assert_eq!(
        offsets,
        [3, 4],
        "the one that was looked at is not given again"
    );

    let mut other = over(2, 1);
    let halted = Notice::Halted {
        partition: p,
        next: 3,
        cause: Halt::Replaced,
    };
    let got = poll(&mut other, |got| got.notices.contains(&halted));
    assert!(got.records.is_empty(), "{got:?}");
    assert_eq!(other.halted().collect::<Vec<_>>(), [(p, Halt::Replaced)]);

    let mut accepting = over(2, 1).accepting(&[("t".to_owned(), 0)]);
    let got = poll(&mut accepting, |got| ended(got, p, 5));
    assert_eq!(got.records.len(), 5, "what the log holds");
    let accepted = Notice::Accepted {
        partition: p,
        next: 0,
        cause: Halt::Replaced,
    };
    assert!(got.notices.contains(&accepted), "{got:?}");

    // Of a record elsewhere nothing follows.
    let got = poll(&mut over(1, 4), |got| ended(got, p, 5));
    assert_eq!(got.records.len(), 2);
}

#[test]
fn a_missing_topic_and_missing_brokers_are_said_and_waited_for() {
    let settings = Settings {
        start: Start::Earliest,
        ..Settings::new(&["127.0.0.1:1"], &["t"])
    };
    let mut source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let got = poll(&mut source, |got| !got.notices.is_empty());
    assert!(
        matches!(&got.notices[0], Notice::Trouble { detail } if detail.contains("topic t")),
        "{got:?}"
    );
}

#[test]
fn a_partition_that_is_refused_while_running_is_checked() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    produce(&settings, "t", ["x".to_owned()]);
    let mut source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let p = Partition {
        topic: 0,
        number: 0,
    };
    poll(&mut source, |got| ended(got, p, 1));
    // As if records had been acknowledged that the broker then lost.
    source.lanes.get_mut(&p).unwrap().next = 7;
    let mut batch = Batch::default();
    let refused = KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset);
    source.fault(&refused, &mut batch).unwrap();
    let want = Notice::Halted {
        partition: p,
        next: 7,
        cause: Halt::Truncated { high: 1 },
    };
    assert_eq!(batch.notices, [want]);
    assert_eq!(source.halted().count(), 1);
}

#[test]
fn all_assigned_anew_again_at_once_does_not_end_the_process() {
    let cluster = cluster(&[("t", 4)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    produce(&settings, "t", (0..40).map(|n| n.to_string()));
    let mut source = KafkaSource::new(settings.clone(), Frontier::default(), NO_ENV).unwrap();
    poll(&mut source, |got| got.records.len() == 40);
    let mut batch = Batch::default();
    for _ in 0..20 {
        source.reassigned_at = None;
        source.reassign(&mut batch);
    }
    assert_eq!(batch.notices, []);
    produce(&settings, "t", (40..50).map(|n| n.to_string()));
    let got = poll(&mut source, |got| got.records.len() >= 10);
    assert_eq!(got.records.len(), 10, "nothing is read twice");
}

/// It was tried again at each poll, and nobody waited in between: that took a whole core.
#[test]
fn a_client_that_cannot_be_made_is_tried_again_after_a_while() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    produce(&settings, "t", (0..10).map(|n| n.to_string()));
    let mut source = KafkaSource::new(settings.clone(), Frontier::default(), NO_ENV).unwrap();
    poll(&mut source, |got| ended(got, Partition::default(), 10));
    let config = source.consumer.config.clone();
    // As where a file of the configuration is not there for a moment.
    source.consumer.config.set("plugin.library.paths", "none");
    let mut batch = Batch::default();
    source.reassign(&mut batch);
    let behind = Notice::Behind {
        partition: Partition::default(),
    };
    assert!(
        batch.notices.len() == 2 && batch.notices.contains(&behind),
        "{batch:?}"
    );
    let (again, begun) = (source.stale, Instant::now());
    assert!(again.is_some());
    produce(&settings, "t", (10..20).map(|n| n.to_string()));
    for _ in 0..5 {
        batch.clear();
        assert_eq!(source.poll(&mut batch, WAIT).unwrap(), Polled::Nothing);
        assert_eq!(source.stale, again);
    }
    assert!(begun.elapsed() >= WAIT * 5);
    // Where others are heard, its silence is known, and told once.
    source.settings.stall_after = crate::model::Span(100);
    source.beside(true);
    let silent = Notice::Silent {
        partition: Partition::default(),
    };
    let got = poll(&mut source, |got| got.notices.contains(&silent));
    assert_eq!(got.records, []);
    for _ in 0..5 {
        batch.clear();
        source.poll(&mut batch, WAIT).unwrap();
        assert!(batch.notices.is_empty(), "{batch:?}");
    }
    source.consumer.config = config;
    let got = poll(&mut source, |got| got.records.len() >= 10);
    assert_eq!(got.records.len(), 10, "nothing is left out or read twice");
}

/// An idempotent producer that was once refused its id took nothing more for as long as the process lived.
#[test]
fn a_producer_that_has_failed_for_good_is_made_anew() {
    use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

    let cluster = cluster(&[("t", 1)]);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[refused]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    let producer = Producer::new(&settings, NO_ENV).unwrap();
    let (begun, mut reports) = (Instant::now(), Vec::new());
    let mut ticket = 0;
    while !reports.iter().any(|r: &Report| r.result.is_ok()) {
        assert!(begun.elapsed() < Duration::from_secs(15), "{reports:?}");
        if producer.send("t", None, b"x", &[], ticket).is_ok() {
            ticket += 1;
        }
        reports.extend(producer.poll(WAIT));
    }
    while reports.len() < ticket {
        assert!(begun.elapsed() < Duration::from_secs(15), "{reports:?}");
        reports.extend(producer.poll(WAIT));
    }
    let refused = reports.iter().filter(|r| r.result.is_err()).count();
    assert!(refused > 0, "what the first one held is told as not sent");
    let mut tickets: Vec<usize> = reports.iter().map(|r| r.ticket).collect();
    tickets.sort_unstable();
    assert_eq!(tickets, Vec::from_iter(0..ticket), "each is told once");
}

#[test]
fn a_full_queue_is_told() {
    let mut settings = Settings::new(&["127.0.0.1:1"], &["t"]);
    settings
        .properties
        .insert("queue.buffering.max.messages".into(), "2".into());
    settings
        .properties
        .insert("message.timeout.ms".into(), "300".into());
    let producer = Producer::new(&settings, NO_ENV).unwrap();
    assert_eq!(producer.send("t", None, b"1", &[], 1), Ok(()));
    assert_eq!(producer.send("t", None, b"2", &[], 2), Ok(()));
    assert_eq!(producer.send("t", None, b"3", &[], 3), Err(SendError::Full));
    let mut reports: Vec<Report> = producer.flush(Duration::from_secs(5));
    reports.sort_by_key(|r| r.ticket);
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|r| r.result.is_err()));
}

mod ends;
mod losses;
