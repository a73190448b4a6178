//! What an operator accepts, and what he does not.

use rdkafka::types::RDKafkaRespErr;

use super::*;

const GONE: Partition = Partition {
    topic: 0,
    number: 1,
};

fn halted(got: &Got) -> usize {
    let halts = |n: &&Notice| matches!(n, Notice::Halted { .. });
    got.notices.iter().filter(halts).count()
}

/// It kept a place at 0 in the frontier, and halted again at the next start without the flag.
#[test]
fn a_partition_whose_absence_is_accepted_leaves_and_comes_back_from_its_beginning() {
    let cluster = cluster(&[("t", 2)]);
    let mut settings = settings(&cluster, &["t", "u"], Start::Latest);
    settings.refresh_every = crate::model::Span::seconds(1);
    let mut frontier = Frontier::default();
    frontier.advance("u", 0, 7);
    let source = KafkaSource::new(settings.clone(), frontier, NO_ENV).unwrap();
    let mut source = source.accepting(&[("u".to_owned(), 0)]);
    // The mock makes each topic that it is asked for: as if it did not know this one.
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.create_topic("u", 1, 1).unwrap();
    cluster.topic_error("u", unknown).unwrap();
    let u = Partition {
        topic: 1,
        number: 0,
    };
    let gone = Notice::Gone { partition: u };
    let got = poll(&mut source, |got| got.notices.contains(&gone));
    assert_eq!(halted(&got), 0, "{got:?}");
    assert_eq!(source.halted().count(), 0);
    assert_eq!(source.start.next("u", 0), None);

    let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    cluster.topic_error("u", none).unwrap();
    produce(&settings, "u", ["new".to_owned()]);
    let got = poll(&mut source, |got| ended(got, u, 1));
    assert_eq!(got.records, [(u, 0, "new".into())], "nothing is left out");
    let order: Vec<&Notice> = got
        .notices
        .iter()
        .filter(|n| matches!(n, Notice::Behind { .. } | Notice::Assigned { .. }))
        .filter(|n| format!("{n:?}").contains("topic: 1"))
        .collect();
    let (behind, assigned) = (
        Notice::Behind { partition: u },
        Notice::Assigned {
            partition: u,
            next: 0,
        },
    );
    assert_eq!(order[..2], [&behind, &assigned]);
    assert!(!got.notices.contains(&gone), "it is told once");
}

/// Five seconds in which the brokers did not know a topic stopped it without a word where the flag still stood.
#[test]
fn a_partition_that_was_read_and_goes_missing_halts_whatever_was_accepted() {
    let cluster = cluster(&[("t", 2)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    let source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let mut source = source.accepting(&[("t".to_owned(), 1)]);
    poll(&mut source, |got| ended(got, GONE, 0));
    let mut batch = Batch::default();
    let found = survey::Leaders::from([(0, Some(1))]);
    assert!(!source.miss(0, &found, &mut batch), "not at once");
    let long = missing::MISSING_MAX;
    *source.missing.get_mut(&GONE).unwrap() = Instant::now().checked_sub(long).unwrap();
    source.miss(0, &found, &mut batch);
    let want = Notice::Halted {
        partition: GONE,
        next: 0,
        cause: Halt::Missing,
    };
    assert_eq!(batch.notices, [want]);
}

/// Retention went on between the question for the bounds and the first record. An end that was told before in the
/// same batch would have moved the frontier on from where it goes on.
#[test]
fn an_accepted_partition_whose_position_is_refused_goes_on() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    produce(&settings, "t", (0..3).map(|i| format!("m{i}")));
    let source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let mut source = source.accepting(&[("t".to_owned(), 0)]);
    let p = Partition::default();
    poll(&mut source, |got| ended(got, p, 3));
    source.lanes.get_mut(&p).unwrap().next = 7;
    let mut batch = Batch::default();
    batch.notices.push(Notice::End {
        partition: p,
        next: 3,
    });
    let refused = KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset);
    source.fault(&refused, &mut batch).unwrap();
    let want = [
        Notice::Behind { partition: p },
        Notice::Accepted {
            partition: p,
            next: 0,
            cause: Halt::Truncated { high: 3 },
        },
    ];
    assert_eq!(batch.notices, want);
    assert_eq!(poll(&mut source, |got| ended(got, p, 3)).records.len(), 3);
}

/// Each topic of a silent leader was waited for, three seconds each.
#[test]
fn a_silent_leader_is_waited_for_once() {
    let cluster = MockCluster::new(2).unwrap();
    let topics: Vec<String> = (0..4).map(|i| format!("t{i}")).collect();
    for topic in &topics {
        cluster.create_topic(topic, 1, 1).unwrap();
        cluster.partition_leader(topic, 0, Some(2)).unwrap();
    }
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let settings = settings(&cluster, &names, Start::Earliest);
    let source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let leaders = survey::leaders(&source.consumer, "t0").unwrap();
    assert_eq!(leaders, survey::Leaders::from([(0, Some(2))]));
    cluster
        .broker_round_trip_time(2, Duration::from_secs(20))
        .unwrap();
    let (mut silent, begun) = (BTreeSet::new(), Instant::now());
    for topic in &topics {
        let (ends, trouble) = survey::ends(&source.consumer, topic, &leaders, &mut silent);
        assert!(ends.is_empty() && trouble.is_some(), "{ends:?} {trouble:?}");
    }
    let took = begun.elapsed();
    assert!(took < survey::ASK * 2, "{took:?}");
    assert_eq!(silent, BTreeSet::from([2]));
}

/// Nobody tells whether the group's coordinator took the offsets: while a frontier stood, they were not given again.
#[test]
fn a_frontier_that_stands_is_published_again() {
    let settings = Settings::new(&["127.0.0.1:1"], &["t"]);
    let mut source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    let mut frontier = Frontier::default();
    frontier.advance("t", 0, 7);
    let mut gives = |pause: Duration| {
        let before = Instant::now().checked_sub(pause).unwrap();
        source.published.0 = before;
        source.publish(&frontier);
        source.published.0 != before
    };
    assert!(!gives(PUBLISH / 2), "too early");
    assert!(gives(PUBLISH));
    assert!(!gives(PUBLISH), "the same");
    assert!(gives(PUBLISH_AGAIN));
}
