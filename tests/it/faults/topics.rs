//! (T22) A topic is deleted and made anew, or retention takes what comes next, on a broker that goes on: its
//! partitions stand still and say so, whatever the new log holds, and go on when an operator has decided.

use std::time::{Duration, Instant};

use rdkafka::Offset;

use super::{Scene, floods, floods_from, revisions, row};
use crate::harness::daemon::Daemon;
use crate::harness::kafka::{send, shared};
use crate::harness::lines;

/// How soon a partition that stands still is told.
const TOLD_MAX: Duration = Duration::from_secs(10);

/// A topic that something happens to, and one beside it that must not notice.
struct Pair {
    scene: Scene,
    topic: &'static str,
    beside: String,
}

impl Pair {
    /// Both, empty; `events` is what the oracle judges.
    fn new(topic: &'static str, partitions: u32, events: &str) -> Self {
        let beside = format!("{topic}-beside");
        shared().topic(topic, partitions);
        shared().topic(&beside, 1);
        let scene = Scene::over(topic, topic, events);
        let topics = format!("topics: [{{name: {beside}}}, ");
        scene.reconfigure("topics: [", &topics);
        Self {
            scene,
            topic,
            beside,
        }
    }

    /// Both, and the daemon that has read what is in the first partition of the one.
    fn read(topic: &'static str, partitions: u32, before: &str) -> (Self, Daemon) {
        let pair = Self::new(topic, partitions, before);
        pair.produce(0, before);
        pair.scene
            .reconfigure("kind: kafka", "kind: kafka, start: earliest");
        let daemon = pair.scene.home.start().ready();
        pair.has_read(&daemon, pair.scene.records);
        daemon.settled(pair.scene.records);
        (pair, daemon)
    }

    fn source(&self) -> String {
        format!("source=\"{}\"", self.topic)
    }

    fn produce(&self, partition: i32, lines: &str) {
        send_to(self.topic, partition, lines);
    }

    /// So many records of the topic were read in this life, and no more are.
    fn has_read(&self, daemon: &Daemon, records: u64) {
        let source = self.source();
        daemon.until(&format!("{records} of {}", self.topic), |d| {
            (received(d, &source) >= records).then_some(())
        });
        assert_eq!(received(daemon, &source), records);
    }

    /// These partitions stand still, which was told soon, for this reason; all else goes on. How long it took.
    fn stands(&self, daemon: &Daemon, since: Instant, partitions: &[i32], why: &str) -> Duration {
        let mine = |d: &Daemon| {
            let mut all = d.halted();
            all.retain(|a| a["summary"].as_str().unwrap().contains(why));
            (all.len() == partitions.len()).then_some(all)
        };
        let alerts = daemon.until(why, mine);
        let took = since.elapsed();
        assert!(took < TOLD_MAX, "told after {took:?}");
        let (_, reasons) = daemon.until("not ready", |d| {
            Some(d.get("/readyz")).filter(|(status, _)| *status == 503)
        });
        for partition in partitions {
            let number = partition.to_string();
            let own = |a: &&serde_json::Value| a["key"]["partition"] == number.as_str();
            let alert = alerts.iter().find(own).expect("its alert");
            assert_eq!(alert["detector"]["level"], "critical");
            assert_eq!(alert["key"]["source"], self.topic);
            assert!(
                reasons.contains(&format!("{}/{partition}", self.topic)),
                "{reasons}"
            );
        }
        let source = self.source();
        let halted = daemon.values("tidegate_partitions_halted", &[&source]);
        assert_eq!(halted, [partitions.len() as f64]);

        let source = format!("source=\"{}\"", self.beside);
        let before = received(daemon, &source);
        send(&shared().producer(), &self.beside, "{}\n{}");
        daemon.until("what is beside it", |d| {
            (received(d, &source) == before + 2).then_some(())
        });
        took
    }

    /// A life without the flag: the same is told again to nobody, and nothing is read.
    fn stands_again(&self, partitions: usize) {
        let told = |d: &Daemon| d.halted().len();
        let daemon = self.scene.home.start();
        let source = self.source();
        let halted = "tidegate_partitions_halted";
        daemon.until("stands again", |d| {
            (d.values(halted, &[&source]) == [partitions as f64]).then_some(())
        });
        assert_eq!(daemon.get("/readyz").0, 503);
        assert_eq!(told(&daemon), partitions, "{:?}", daemon.halted());
        assert_eq!(received(&daemon, &source), 0);
        daemon.stop();
    }

    /// A life in which these losses are accepted.
    fn accepts(&self, partitions: &[i32]) -> Daemon {
        let place = |partition| format!("{}/{partition}", self.topic);
        let places: Vec<String> = partitions.iter().map(place).collect();
        let arguments = places.iter().flat_map(|place| ["--accept-loss", place]);
        let arguments: Vec<&str> = arguments.collect();
        self.scene.home.start_and(&arguments)
    }

    /// Ends the last life once all that was ever read is judged: `after` behind what was read at first. Nothing of
    /// it is lost or told twice, and there are so many messages about tidegate itself.
    fn ends(mut self, daemon: Daemon, after: &str, own: usize) {
        let file = self.scene.home.file("events.jsonl");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, before + after).unwrap();
        self.scene = self.scene.with_oracle();
        let all = self.scene.want.len() + own;
        daemon.caught_up(|| {
            let written = lines(&self.scene.home.file("alerts.ndjson")).len();
            revisions(&self.scene.receiver).len().min(written) >= all
        });
        daemon.stop();
        let tally = self.scene.tally();
        assert_eq!((tally.lost, tally.duplicates), (0, 0), "{tally:?}");
        assert_eq!(tally.extra, own, "only about itself: {tally:?}");
    }
}

fn send_to(topic: &str, partition: i32, lines: &str) {
    let producer = shared().producer();
    for line in lines.lines() {
        let record = rdkafka::producer::BaseRecord::<(), _>::to(topic)
            .partition(partition)
            .payload(line);
        producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    rdkafka::producer::Producer::flush(&producer, Duration::from_secs(30)).unwrap();
}

fn received(daemon: &Daemon, source: &str) -> u64 {
    daemon.metric("tidegate_events_received_total", &[source])
}

fn count(lines: &str) -> u64 {
    lines.lines().count() as u64
}

#[test]
fn a_topic_made_anew_while_it_is_read_stands_still_and_is_read_from_its_beginning_once_accepted() {
    let (pair, daemon) = Pair::read("anew", 1, &floods(4, 20));
    let began = Instant::now();
    shared().recreate("anew", 1);
    let after = floods_from(60, 2, 12);
    pair.produce(0, &after);
    let took = pair.stands(&daemon, began, &[0], "made anew");
    pair.has_read(&daemon, pair.scene.records);
    daemon.stop();
    pair.stands_again(1);

    let daemon = pair.accepts(&[0]).ready();
    pair.has_read(&daemon, count(&after));
    pair.ends(daemon, &after, 2);
    row(
        "T22 a topic made anew while it is read",
        "its log is shorter than what was read",
        &told(took),
    );
}

/// librdkafka goes on at the old offset in the new log, without a word.
#[test]
fn a_topic_made_anew_while_it_is_read_is_known_also_where_it_has_grown_past_what_was_read() {
    let (pair, daemon) = Pair::read("anew-grown", 1, &floods(4, 20));
    daemon.freeze();
    shared().recreate("anew-grown", 1);
    let after = floods_from(60, 4, 40);
    pair.produce(0, &after);
    daemon.thaw();
    let took = pair.stands(&daemon, Instant::now(), &[0], "made anew");
    pair.has_read(&daemon, pair.scene.records);
    daemon.stop();
    pair.stands_again(1);

    let daemon = pair.accepts(&[0]).ready();
    pair.has_read(&daemon, count(&after));
    pair.ends(daemon, &after, 2);
    row(
        "T22 a topic made anew while it is read",
        "its log has grown past what was read",
        &told(took),
    );
}

/// What had been fetched of the new log when its topic's id was heard is read again, also where nothing stands still.
#[test]
fn a_topic_made_anew_while_it_was_empty_is_read_whole() {
    let topic = "anew-empty";
    let after = floods(4, 40);
    let pair = Pair::new(topic, 1, &after);
    pair.scene
        .reconfigure("kind: kafka", "kind: kafka, start: earliest");
    let daemon = pair.scene.home.start().ready();
    daemon.settled(0);
    daemon.freeze();
    shared().recreate(topic, 1);
    pair.produce(0, &after);
    daemon.thaw();
    pair.has_read(&daemon, count(&after));
    assert!(daemon.halted().is_empty(), "{:?}", daemon.halted());
    daemon.stop();
    let daemon = pair.scene.home.start().ready();
    daemon.settled(0);
    pair.has_read(&daemon, 0);
    assert!(daemon.halted().is_empty(), "{:?}", daemon.halted());
    daemon.stop();
}

fn told(took: Duration) -> String {
    format!(
        "the partition stands, critical alert after {:.1} s, the topic beside it goes on; all of the new log is read with --accept-loss",
        took.as_secs_f64()
    )
}

/// Read, stopped, made anew with `after` in it, and started: it stands for this reason until that is accepted.
fn made_anew_while_stopped(topic: &'static str, after: &str, why: &str, how: &str) {
    let (pair, daemon) = Pair::read(topic, 1, &floods(4, 20));
    daemon.stop();
    shared().recreate(topic, 1);
    pair.produce(0, after);
    let daemon = pair.scene.home.start();
    let took = pair.stands(&daemon, Instant::now(), &[0], why);
    pair.has_read(&daemon, 0);
    daemon.stop();
    pair.stands_again(1);

    let daemon = pair.accepts(&[0]).ready();
    pair.has_read(&daemon, count(after));
    pair.ends(daemon, after, 2);
    row("T22 a topic made anew between two lives", how, &told(took));
}

#[test]
fn a_topic_made_anew_between_two_lives_stands_still_and_is_read_from_its_beginning_once_accepted() {
    made_anew_while_stopped(
        "anew-stopped",
        &floods_from(60, 2, 12),
        "its log ends at",
        "its log is shorter than what was read",
    );
}

#[test]
fn a_topic_made_anew_between_two_lives_is_known_also_where_it_has_grown_past_what_was_read() {
    made_anew_while_stopped(
        "anew-stopped-grown",
        &floods_from(60, 4, 40),
        "not the one that was read",
        "its log has grown past what was read",
    );
}

/// No record tells the logs from one another; what stood before the old place was left out.
#[test]
fn a_topic_made_anew_between_two_lives_is_known_also_where_nothing_was_read_of_it() {
    let topic = "anew-unread";
    let before = floods(4, 20);
    let pair = Pair::new(topic, 1, &before);
    pair.produce(0, &before);
    pair.scene
        .reconfigure("kind: kafka", "kind: kafka, start: latest");
    let daemon = pair.scene.home.start().ready();
    daemon.settled(0);
    pair.has_read(&daemon, 0);
    daemon.stop();
    shared().recreate(topic, 1);
    let after = floods_from(60, 4, 40);
    pair.produce(0, &after);
    let daemon = pair.scene.home.start();
    let took = pair.stands(&daemon, Instant::now(), &[0], "made anew");
    pair.has_read(&daemon, 0);
    daemon.stop();
    pair.stands_again(1);

    let daemon = pair.accepts(&[0]).ready();
    pair.has_read(&daemon, count(&after));
    daemon.stop();
    let daemon = pair.scene.home.start().ready();
    daemon.settled(0);
    daemon.stop();
    row(
        "T22 a topic made anew between two lives",
        "nothing was read of the one before",
        &told(took),
    );
}

#[test]
fn a_topic_made_anew_with_fewer_partitions_stands_still_and_goes_on_with_those_it_has() {
    let topic = "anew-fewer";
    let (pair, daemon) = Pair::read(topic, 3, &floods(4, 20));
    let second = floods_from(60, 3, 12);
    pair.produce(1, &second);
    let first = pair.scene.records;
    pair.has_read(&daemon, first + count(&second));
    daemon.settled(0);

    let began = Instant::now();
    shared().recreate(topic, 1);
    let took = pair.stands(&daemon, began, &[0, 1], "made anew");
    daemon.until("the third one, too", |d| {
        (halted(d, topic) == [3.0]).then_some(())
    });
    assert!(
        began.elapsed() < TOLD_MAX,
        "told after {:?}",
        began.elapsed()
    );
    daemon.stop();
    let third = floods_from(120, 2, 12);
    pair.produce(0, &third);
    pair.stands_again(3);

    // Those that are missing are forgotten.
    let daemon = pair.accepts(&[0, 1, 2]).ready();
    pair.has_read(&daemon, count(&third));
    daemon.settled(0);

    // They come back, and are read from their beginnings; the loss of what is before them was accepted.
    shared().recreate(topic, 3);
    let fourth = floods_from(180, 2, 12);
    (0..3).for_each(|partition| pair.produce(partition, &fourth));
    pair.has_read(&daemon, count(&third) + 3 * count(&fourth));
    daemon.settled(0);
    daemon.stop();

    // More than there were: nothing is lost of those that are new.
    let daemon = pair.scene.home.start().ready();
    let began = Instant::now();
    shared().recreate(topic, 5);
    let fifth = floods_from(240, 2, 12);
    (0..5).for_each(|partition| pair.produce(partition, &fifth));
    daemon.until("three stand", |d| (halted(d, topic) == [3.0]).then_some(()));
    assert!(
        began.elapsed() < TOLD_MAX,
        "told after {:?}",
        began.elapsed()
    );
    pair.has_read(&daemon, 2 * count(&fifth));
    daemon.stop();
    let daemon = pair.accepts(&[0, 1, 2]).ready();
    pair.has_read(&daemon, 3 * count(&fifth));
    daemon.stop();
    row(
        "T22 a topic made anew with fewer partitions",
        "one of three, while it is read",
        &told(took),
    );
}

/// It had the same place as the first one, so it was taken for it and told to nobody.
#[test]
fn a_topic_made_anew_twice_at_one_place_is_told_twice() {
    let topic = "anew-twice";
    let (pair, daemon) = Pair::read(topic, 1, &floods(4, 20));
    shared().recreate(topic, 1);
    pair.stands(&daemon, Instant::now(), &[0], "made anew");
    daemon.stop();
    let second = floods_from(60, 4, 20);
    pair.produce(0, &second);
    let daemon = pair.accepts(&[0]).ready();
    pair.has_read(&daemon, count(&second));
    daemon.settled(0);
    daemon.stop();

    let daemon = pair.scene.home.start().ready();
    shared().recreate(topic, 1);
    daemon.until("it stands", |d| (halted(d, topic) == [1.0]).then_some(()));
    daemon.until("both alerts", |d| (d.halted().len() == 2).then_some(()));
    pair.ends(daemon, &second, 3);
}

/// Retention takes what was not read yet, up to `expired` of the log, while nothing is read.
fn expires(topic: &'static str, stopped: bool) {
    let (pair, daemon) = Pair::read(topic, 1, &floods(4, 20));
    let daemon = if stopped {
        daemon.stop();
        None
    } else {
        daemon.freeze();
        Some(daemon)
    };
    let (lost, left) = (floods_from(60, 2, 12), floods_from(120, 2, 12));
    pair.produce(0, &lost);
    pair.produce(0, &left);
    let low = pair.scene.records + count(&lost);
    shared().expire_before(topic, Offset::Offset(i64::try_from(low).unwrap()));
    let began = Instant::now();
    let (daemon, read) = match daemon {
        Some(daemon) => {
            daemon.thaw();
            (daemon, pair.scene.records)
        }
        None => (pair.scene.home.start(), 0),
    };
    let why = format!("its log begins at {low}, {} offsets on", count(&lost));
    let took = pair.stands(&daemon, began, &[0], &why);
    pair.has_read(&daemon, read);
    daemon.stop();
    pair.stands_again(1);

    let daemon = pair.accepts(&[0]).ready();
    pair.has_read(&daemon, count(&left));
    let gone = daemon.metric("tidegate_records_lost_total", &[&pair.source()]);
    assert_eq!(gone, count(&lost));
    pair.ends(daemon, &left, 2);
    let how = if stopped {
        "while stopped"
    } else {
        "while it stood still"
    };
    row("T22 retention has passed what was read", how, &told(took));
}

#[test]
fn what_expired_between_two_lives_is_told_and_counted_once_accepted() {
    expires("expired-stopped", true);
}

#[test]
fn what_expired_while_nothing_was_read_is_told_and_counted_once_accepted() {
    expires("expired-frozen", false);
}

fn halted(daemon: &Daemon, topic: &str) -> Vec<f64> {
    daemon.values(
        "tidegate_partitions_halted",
        &[&format!("source=\"{topic}\"")],
    )
}
