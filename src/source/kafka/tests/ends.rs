//! When an end is told and when it is not.

use rdkafka::ClientContext as _;

use super::super::context::Bounds;
use super::*;

const P: Partition = Partition {
    topic: 0,
    number: 0,
};

/// A report reached the source before the records that it tells of, and a batch that held but a notice was
/// taken for a drained queue: the frontier moved past what nobody had read.
#[test]
fn a_report_in_front_of_records_is_no_end() {
    let cluster = cluster(&[("t", 1)]);
    let settings = settings(&cluster, &["t"], Start::Earliest);
    let mut source = KafkaSource::new(settings.clone(), Frontier::default(), NO_ENV).unwrap();
    poll(&mut source, |got| ended(got, P, 0));
    for round in 1..=3 {
        produce(&settings, "t", (0..50).map(|i| format!("{round}-{i}")));
        // Reports pile up in front of the records; a silence longer than this would be noticed.
        std::thread::sleep(Duration::from_millis(2400));
        let (mut next, mut told) = (50 * (round - 1), false);
        let mut batch = Batch::default();
        for _ in 0..40 {
            batch.clear();
            // As after a `refresh` that nobody answered.
            batch.notices.push(Notice::Trouble {
                detail: String::new(),
            });
            source.poll(&mut batch, WAIT).unwrap();
            next = batch
                .records()
                .last()
                .map_or(next, |record| record.offset + 1);
            for notice in &batch.notices {
                if let Notice::End { next: end, .. } = notice {
                    assert_eq!(*end, next, "told before it was read");
                    told = true;
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(told, "the end is told though each batch has a notice");
    }
}

/// What the client would report of partition `number`: its log ends in a mark of a transaction at `eof`.
fn report(number: i32, eof: i64, waiting: u64) -> String {
    format!(
        r#"{{"brokers":{{"b":{{"nodeid":1,"source":"learned","state":"UP","rxidle":9,"req":{{"Fetch":9}}}}}},
        "topics":{{"t":{{"partitions":{{"{number}":{{"broker":1,"hi_offset":{eof},"eof_offset":{eof},"fetchq_cnt":{waiting}}}}}}}}}}}"#
    )
}

/// Beside a busy partition no batch was without a record, so the end of a quiet log that a transaction's mark
/// closes was never told, and its client made anew each time a stall was looked for.
#[test]
fn the_end_behind_a_mark_is_told_beside_a_busy_partition() {
    let settings = Settings::new(&["127.0.0.1:1"], &["t"]);
    let mut source = KafkaSource::new(settings, Frontier::default(), NO_ENV).unwrap();
    source.lanes.insert(P, Lane::new(5, (0, 6)));
    let mut batch = Batch::default();
    let mut step = |source: &mut KafkaSource, came: bool, tells: bool| {
        if tells {
            let context = source.consumer.context();
            context.stats_raw(report(0, 6, 2).as_bytes());
        }
        batch.clear();
        source.drain.begin();
        let beside = source.consumer.context().beside();
        source.drain.is_empty(came, beside);
        source.observe(&mut batch);
        std::mem::take(&mut batch.notices)
    };
    assert_eq!(step(&mut source, true, true), [], "one of two was given");
    let end = Notice::End {
        partition: P,
        next: 6,
    };
    assert_eq!(step(&mut source, true, false), [end]);
    assert_eq!(step(&mut source, true, true), [], "it is told once");
    assert_eq!(source.lanes[&P].reached(), 6, "nothing is missing");
}

fn record(offset: i64) -> Record<'static> {
    Record {
        partition: P,
        offset,
        stamp: Stamp::None,
        payload: b"junk",
        event_id: None,
        traceparent: None,
    }
}

/// A backlog that began with dead letters counted as idle, and what came behind them as late.
#[test]
fn records_behind_an_end_take_it_back() {
    let mut lane = Lane::new(5, (0, 5));
    lane.ended = true;
    let mut batch = Batch::default();
    let end = Notice::End {
        partition: P,
        next: 5,
    };
    batch.notices.push(end);
    assert!(lane.take(record(4), None, &mut batch));
    assert!(lane.ended, "an old record is no news");
    for offset in 5..8 {
        assert!(lane.take(record(offset), None, &mut batch));
    }
    assert_eq!(batch.notices, [Notice::Behind { partition: P }], "once");
    assert!(!lane.ended);
}

/// The first report knew no end, and with it the lag was 0 until the first fetch.
#[test]
fn a_report_without_an_end_leaves_the_one_that_was_asked_for() {
    let mut lane = Lane::new(5, (0, 9));
    for (told, high) in [(-1001, 9), (12, 12), (-1, 12)] {
        lane.see(Bounds {
            high: told,
            eof: -1,
            waiting: 0,
            heard: None,
        });
        assert_eq!(lane.high, high);
    }
}

/// All of its brokers were silent, so none was heard, nobody was given up, and detection stood still on all sources.
#[test]
fn a_source_whose_brokers_are_all_silent_is_given_up_beside_one_that_is_heard() {
    let mut settings = Settings::new(&["127.0.0.1:1"], &["t"]);
    settings.stall_after = crate::model::Span::seconds(2);
    let mut frontier = Frontier::default();
    frontier.advance("t", 0, 7);
    let waits = |heard: bool| {
        let mut source = KafkaSource::new(settings.clone(), frontier.clone(), NO_ENV).unwrap();
        let (mut all, begun) = (Vec::new(), Instant::now());
        let silent = Notice::Silent { partition: P };
        let mut batch = Batch::default();
        while begun.elapsed() < Duration::from_secs(12) && !all.contains(&silent) {
            batch.clear();
            source.beside(heard);
            source.poll(&mut batch, WAIT).unwrap();
            all.append(&mut batch.notices);
        }
        assert!(!source.is_heard());
        assert!(all.contains(&Notice::Behind { partition: P }), "{all:?}");
        !all.contains(&silent)
    };
    std::thread::scope(|scope| {
        let alone = scope.spawn(|| waits(false));
        assert!(!waits(true), "another one is heard");
        assert!(alone.join().unwrap(), "it may be this machine");
    });
}
