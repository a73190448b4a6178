//! (T1, T46) Ended in the middle of a burst: politely, and not.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::{Scene, floods, row};
use crate::harness::daemon::Daemon;
use crate::harness::kafka::Broker;
use crate::harness::proxy::{Fault, Proxy};
use crate::harness::{kafka, lines, share, sized, store};

/// `TIDEGATE_TEST_KILLS=200` for the long run.
fn kills() -> u32 {
    u32::try_from(sized("TIDEGATE_TEST_KILLS", 20)).unwrap()
}

/// Kills of a long run, which has a million events.
const LONG: u32 = 200;
const EVENTS: u64 = 1_000_000;

/// Something new to read for each life.
fn stream() -> String {
    if kills() < LONG {
        return floods(200, 600);
    }
    let twice = |line: &str| {
        let other = line.replace("203.0.113.", "198.51.100.");
        let other = other.replace("f-", "g-").replace("u-", "v-");
        format!("{line}\n{other}\n")
    };
    floods(250, 2000).lines().map(twice).collect()
}

/// Messages on their way to the file (one at a time) and the webhook (eight): as many again may have
/// arrived without that being noted yet.
const IN_FLIGHT: u32 = 2 * (1 + 8);

/// When a kill comes that waits for a start: scattered over reading, committing, snapshots and the time after.
fn moment(n: u32) -> Duration {
    Duration::from_millis(u64::from(n) * 787 % 3500)
}

/// When a kill comes that does not: scattered over the start, which takes that long.
fn amid(n: u32, start: Duration) -> Duration {
    start.mul_f64((f64::from(n) * 0.618_034).fract())
}

/// What the lives came to that a kill ended.
#[derive(Debug, Default)]
struct Lives {
    /// Told that they run, and of these went on from a snapshot.
    running: u32,
    restored: u32,
    /// Did not come so far, and of these had not taken up a state either.
    starting: u32,
    stateless: u32,
}

impl Lives {
    fn count(&mut self, log: &str) {
        let is_restored = log.contains("state restored");
        if log.contains("tidegate is running") {
            self.running += 1;
            self.restored += u32::from(is_restored);
        } else {
            self.starting += 1;
            self.stateless += u32::from(!is_restored);
        }
    }
}

#[test]
fn killed_again_and_again_in_the_middle() {
    let topic = "faults-kill";
    let events = stream();
    kafka::shared().topic(topic, 1);
    let broker = kafka::shared().bootstrap();
    // Also messages that wait for another attempt are there at a kill.
    let script = "503,200,200,".repeat(300) + "200";
    let scene = Scene::of(&broker, topic, "kill", &events, &script);
    let all: Vec<&str> = events.lines().collect();
    let mut parts = all.chunks(all.len().div_ceil(kills() as usize));
    let part = scene.home.file("part.jsonl");
    let (mut lives, mut start) = (Lives::default(), Duration::ZERO);
    for n in 0..kills() {
        if let Some(lines) = parts.next() {
            std::fs::write(&part, lines.join("\n") + "\n").unwrap();
            kafka::shared().produce(topic, &part);
        }
        // Every other one may be hit while it opens its state, the others once they are at work.
        let mut daemon = if n % 2 == 0 {
            let daemon = scene.home.start();
            start = daemon.began.elapsed();
            std::thread::sleep(moment(n));
            daemon
        } else {
            let daemon = scene.home.spawn();
            std::thread::sleep(amid(n, start).saturating_sub(daemon.began.elapsed()));
            daemon
        };
        assert!(daemon.is_alive(), "it died by itself: {}", daemon.log());
        let log = daemon.log_path();
        daemon.kill();
        lives.count(&std::fs::read_to_string(log).unwrap());
    }
    // There is a snapshot for all but the first lives.
    assert!(lives.restored * 3 >= lives.running * 2, "{lives:?}");
    assert!(lives.stateless > 0, "{lives:?}");
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    assert!(tally.alerts >= 300 && tally.actions > 0, "{tally:?}");
    let in_flight = (kills() * IN_FLIGHT) as usize;
    assert!(tally.duplicates <= in_flight, "{tally:?}");
    row(
        "T1 kill -9",
        &format!(
            "{} kills over {} records, {} of them at work ({} from a snapshot on), {} at a start ({} before a state was taken up), {}",
            share(kills().into(), LONG.into()),
            share(scene.records, EVENTS),
            lives.running,
            lives.restored,
            lives.starting,
            lives.stateless,
            store()
        ),
        &format!(
            "lost 0, extra 0 of {} alert revisions and {} actions; {} delivered again, same id and bytes",
            tally.alerts, tally.actions, tally.duplicates
        ),
    );
}

#[test]
fn sigterm_in_a_burst_ends_within_ten_seconds() {
    let topic = "faults-term";
    let events = floods(100, 600);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "term", &events);
    let part = scene.home.file("part.jsonl");
    let produce = |lines: &str| {
        std::fs::write(&part, lines).unwrap();
        kafka::shared().produce(topic, &part);
    };
    let half = events.match_indices('\n').nth(30_000).unwrap().0 + 1;
    produce(&events[..half]);
    let mut daemon = scene.home.start();
    let taken = daemon.until("some records", |d| {
        Some(d.received()).filter(|taken| *taken > 5000)
    });
    // The burst goes on while it stands still: when it is told to end, it cannot have come to the end of the log.
    daemon.freeze();
    produce(&events[half..]);
    let began = Instant::now();
    daemon.terminate();
    daemon.thaw();
    let status = daemon.ended(Duration::from_secs(30));
    let took = began.elapsed();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    let saved = u64::try_from(scene.frontier(topic)).unwrap();
    assert!(saved >= taken, "{saved} of {taken}");
    assert!(saved < scene.records, "it had ended by then");
    let daemon = scene.home.start().ready();
    daemon.caught_up(|| scene.is_told());
    let read = daemon.received();
    daemon.stop();
    // What was read is saved: one flush might be read again, and none is.
    assert_eq!(read, scene.records - saved, "read by the second life");
    let tally = scene.tally();
    tally.assert_once();
    // One line in a thousand is no event: whoever read more than a batch again would bury one again.
    let mut letters = lines(&scene.home.file("state/dead-letters.jsonl"));
    let written = letters.len() as u64;
    letters.sort();
    letters.dedup();
    assert_eq!((written, letters.len() as u64), (scene.wrong, scene.wrong));
    row(
        "T46 SIGTERM in a burst",
        &format!("after {taken} of {} records", scene.records),
        &format!(
            "ended in {:.1} s; {saved} are saved, and the next life reads the other {read} and none again; lost 0, extra 0, duplicates 0; no dead letter twice",
            took.as_secs_f64()
        ),
    );
}

#[test]
fn sigterm_in_a_flood_of_garbage_ends_and_every_dead_letter_reaches_its_topic() {
    const GARBAGE: u32 = 30_000;
    let (topic, letters) = ("faults-garbage", "faults-garbage-dead");
    kafka::shared().topic(topic, 1);
    kafka::shared().topic(letters, 1);
    let events = floods(8, 40);
    let scene = Scene::over(topic, "garbage", &events);
    let to = format!(
        "dead_letters: {{kind: kafka, brokers: ['{}'], topic: {letters}}}\ndetectors:",
        kafka::shared().bootstrap()
    );
    scene.reconfigure("detectors:", &to);
    let garbage = scene.home.file("garbage.txt");
    std::fs::write(&garbage, "{\n".repeat(GARBAGE as usize)).unwrap();
    kafka::shared().produce(topic, &garbage);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let mut daemon = scene.home.start();
    daemon.until("some records", |d| (d.received() > 2000).then_some(()));
    let began = Instant::now();
    daemon.terminate();
    assert!(daemon.ended(Duration::from_secs(30)).success());
    let ended = began.elapsed();
    assert!(ended < Duration::from_secs(10), "{ended:?}");
    let began = Instant::now();
    let tally = scene.recover();
    let took = began.elapsed();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    assert!(took < Duration::from_secs(60), "{took:?} for {GARBAGE}");
    let mut all = kafka::shared().consume(letters);
    all.sort();
    all.dedup();
    assert_eq!(all.len() as u64, u64::from(GARBAGE) + scene.wrong);
    row(
        "T46 SIGTERM in a flood of garbage",
        &format!("{GARBAGE} dead letters to a topic"),
        &format!(
            "ended in {:.1} s; every dead letter is there, lost 0, extra 0",
            ended.as_secs_f64()
        ),
    );
}

/// How long it takes to end after SIGTERM, and with which code.
fn end(daemon: &mut Daemon) -> (Duration, Option<i32>) {
    let began = Instant::now();
    daemon.terminate();
    let status = daemon.ended(Duration::from_secs(30));
    let took = began.elapsed();
    assert!(
        took <= Duration::from_secs(10),
        "{took:?}\n{}",
        daemon.log()
    );
    (took, status.code())
}

#[test]
fn sigterm_does_not_wait_for_standard_input() {
    let topic = "faults-stdin";
    let scene = Scene::over(topic, "stdin", &floods(8, 40));
    let file = scene.home.file("tidegate.yaml");
    let config = std::fs::read_to_string(&file).unwrap();
    let sources = config.lines().find(|l| l.starts_with("sources:")).unwrap();
    scene.reconfigure(sources, "sources: [{kind: stdin}]");
    let (daemon, mut pipe) = scene.home.spawn_piped();
    let mut daemon = daemon.addressed();
    let events = std::fs::read(scene.home.file("events.jsonl")).unwrap();
    pipe.write_all(&events).unwrap();
    daemon.until("all records", |d| {
        (d.received() >= scene.records).then_some(())
    });
    daemon.until("all told", |_| scene.is_told().then_some(()));
    let (took, code) = end(&mut daemon);
    drop(pipe);
    assert_eq!(code, Some(0), "{}", daemon.log());
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T46 SIGTERM while standard input stays open",
        &format!("{} records through a pipe", scene.records),
        &format!("ended in {:.1} s; lost 0, extra 0", took.as_secs_f64()),
    );
}

#[test]
fn sigterm_while_no_broker_answers_ends_within_ten_seconds() {
    let topic = "unreachable";
    let proxy = Proxy::start();
    let broker = Broker::behind(&proxy, "faults-unreachable");
    broker.topic(topic, 1);
    let bootstrap = format!("127.0.0.1:{}", proxy.port());
    let events = floods(8, 40);
    let scene = Scene::of(&bootstrap, topic, topic, &events, "200");
    // Everything that speaks to a broker: a second source, a sink, dead letters.
    let brokers = format!("brokers: ['{bootstrap}']");
    let second =
        format!("sources: [{{kind: kafka, name: second, {brokers}, topics: [{{name: other}}]}}, ");
    scene.reconfigure("sources: [", &second);
    let dead = format!("dead_letters: {{kind: kafka, {brokers}, topic: dead}}\ndetectors:");
    scene.reconfigure("detectors:", &dead);
    let sink = format!("  sinks:\n    - {{kind: kafka, {brokers}, topic: alerts}}\n");
    scene.reconfigure("  sinks:\n", &sink);
    for name in ["other", "dead", "alerts"] {
        broker.topic(name, 1);
    }
    broker.produce(topic, &scene.home.file("events.jsonl"));

    proxy.set(Fault::Blackhole);
    let mut daemon = scene.home.start();
    std::thread::sleep(Duration::from_secs(2));
    let (never, code) = end(&mut daemon);
    assert_eq!(code, Some(0), "{}", daemon.log());

    proxy.set(Fault::None);
    let mut daemon = scene.home.start().ready();
    daemon.until("some records", |d| (d.received() > 0).then_some(()));
    proxy.set(Fault::Blackhole);
    std::thread::sleep(Duration::from_secs(2));
    let (since, code) = end(&mut daemon);
    // Where dead letters could not be written, that is what it says.
    let unwritten = daemon
        .log()
        .contains("the broker has not confirmed them yet");
    assert_eq!(
        code,
        Some(if unwritten { 3 } else { 0 }),
        "{}",
        daemon.log()
    );

    proxy.set(Fault::None);
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T46 SIGTERM while no broker answers",
        "a black hole before two sources, a sink and dead letters",
        &format!(
            "ended in {:.1} s where none ever answered, in {:.1} s in the middle; lost 0, extra 0",
            never.as_secs_f64(),
            since.as_secs_f64()
        ),
    );
}
