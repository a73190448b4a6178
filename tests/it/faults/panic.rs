//! (T40) A task panics: the process ends and says so, or goes on whole; never half-dead.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tidegate::crash::BESIDE;

use super::{Scene, floods, row};
use crate::harness::daemon::Daemon;
use crate::harness::kafka;
use crate::tidy::files::sources;

/// What a panic in a thread or task comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comes {
    /// The process ends with code 3.
    End,
    /// It costs what was under way there, which is tried again or told.
    Nothing,
    /// It cannot, or is no part of the daemon, for this reason.
    Never(&'static str),
}
use Comes::{End, Never, Nothing};

/// Every place in `src` that starts a thread or a task: its file, what it is, where it panics, what comes
/// of it. Whoever starts another one adds a row (`every_thread_and_task_is_in_the_table`).
const TASKS: &[(&str, &str, &[&str], Comes)] = &[
    (
        "api/answer.rs",
        "a request's work",
        &["request-working"],
        Nothing,
    ),
    (
        "api/serve.rs",
        "a connection",
        &["connection-opened"],
        Nothing,
    ),
    (
        "api/stream.rs",
        "a stream's feed",
        &["stream-reading"],
        Nothing,
    ),
    (
        "app/daemon.rs",
        "the engine",
        &["batch-taken", "alert-written"],
        End,
    ),
    ("app/daemon/ground.rs", "HTTP", &["http-accepting"], End),
    (
        "app/daemon/ground.rs",
        "who waits for HTTP",
        &[],
        Never("it only waits and tells"),
    ),
    (
        "app/dead.rs",
        "dead letters to a topic",
        &["letters-sending"],
        Nothing,
    ),
    (
        "app/demo.rs",
        "the demo's receiver",
        &[],
        Never("no part of the daemon"),
    ),
    (
        "app/kafka_out.rs",
        "a producer's reports",
        &["reports-served"],
        End,
    ),
    (
        "app/looking.rs",
        "who looks for changed files",
        &["files-looked-at"],
        Nothing,
    ),
    (
        "app/outgoing.rs",
        "delivery",
        &["outbox-loaded", "message-sent"],
        End,
    ),
    (
        "app/outgoing.rs",
        "who waits for delivery",
        &[],
        Never("it only waits and tells"),
    ),
    ("app/pipeline.rs", "a decoder", &["batch-decoded"], End),
    ("app/pipeline.rs", "the source", &["source-polled"], End),
    ("app/threads.rs", "a shard", &["shard-asked"], End),
    (
        "deliver/sink.rs",
        "a line to a file",
        &["file-appending"],
        Nothing,
    ),
    (
        "deliver/sink.rs",
        "a line to standard output",
        &["line-printing"],
        Nothing,
    ),
    ("deliver/worker.rs", "an attempt", &["attempt-made"], End),
    ("deliver/worker.rs", "a sink", &["sink-sending"], Nothing),
    (
        "deliver/worker.rs",
        "the outbox's store",
        &["outbox-asked"],
        End,
    ),
    ("source/apart.rs", "a file or pipe", &["input-read"], End),
    (
        "source/kafka/client.rs",
        "a client that closes",
        &[],
        Never("it lets go of a client, and nobody waits for it"),
    ),
    (
        "source/kafka/producer.rs",
        "a producer that closes",
        &[],
        Never("it lets go of a client, and nobody waits for it"),
    ),
];

/// Parts of `src` that only tests have.
const TESTS: &[&str] = &["src/deliver/stub.rs", "src/store/contract.rs"];
const FAILED: i32 = 3;
/// How long it may take until nobody sends requests to a daemon that is ending.
const NOT_READY_MAX: Duration = Duration::from_secs(5);
/// Daemons at once, no more than the smallest machine has cores: how soon one is not ready is measured.
const AT_ONCE: usize = 2;

#[test]
fn every_thread_and_task_is_in_the_table() {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources().filter(|s| !s.is_test && !TESTS.contains(&s.path.as_str())) {
        let started =
            |line: &str| line.matches("spawn(").count() + line.matches("spawn_blocking(").count();
        let count: usize = source.code().map(|(_, line)| started(line)).sum();
        if count > 0 {
            found.insert(source.path.clone(), count);
        }
    }
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    for (file, ..) in TASKS {
        *known.entry(format!("src/{file}")).or_default() += 1;
    }
    assert_eq!(
        found, known,
        "threads and tasks by file, as they are and as the table has them"
    );
    let named = |point: &&str| TASKS.iter().any(|(_, _, points, _)| points.contains(point));
    let idle: Vec<_> = BESIDE.iter().filter(|p| !named(p)).collect();
    assert!(idle.is_empty(), "points that nobody panics at: {idle:?}");
}

/// A daemon that has every kind of thread and task.
pub(super) fn scene(topic: &str, name: &str, events: &str) -> Scene {
    let scene = Scene::over(topic, name, events);
    let brokers = kafka::shared().bootstrap();
    std::fs::write(scene.home.file("nothing.jsonl"), "").unwrap();
    scene.reconfigure(
        "sources: [",
        "sources: [{kind: file, path: nothing.jsonl}, ",
    );
    scene.reconfigure("memory: 2GiB", "memory: 2GiB, shards: 2");
    scene.reconfigure("detectors: {", "detectors: {reload: 1s, ");
    scene.reconfigure(
        "detectors:",
        &format!(
            "dead_letters: {{kind: kafka, brokers: ['{brokers}'], topic: {topic}-dead}}\ndetectors:"
        ),
    );
    scene.reconfigure(
        "  sinks:\n",
        &format!("  sinks:\n    - {{kind: stdout}}\n    - {{kind: kafka, brokers: ['{brokers}'], topic: {topic}-alerts}}\n"),
    );
    scene
}

/// Asks for everything that HTTP has a task for; an answer may fail to come.
pub(super) fn knock(address: &str) {
    for path in ["/api/v1/alerts", "/api/v1/actions/stream"] {
        let Ok(mut stream) = TcpStream::connect(address) else {
            return;
        };
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        if stream.write_all(request.as_bytes()).is_ok() {
            let _some = stream.read(&mut [0; 1024]);
        }
    }
}

fn has_panicked(daemon: &Daemon) -> bool {
    daemon.log().contains("as asked for")
}

/// One life with a panic and what comes after it; how long the daemon was ready all the same.
fn panics_at(topic: &str, task: &str, point: &str, comes: Comes, events: &str) -> Duration {
    let scene = scene(topic, &format!("panic-{point}"), events);
    let fault = format!("{point}:1");
    let mut daemon = scene.home.start_faulty("TIDEGATE_PANIC", &fault);
    if comes == End {
        daemon.until("the panic", |d| has_panicked(d).then_some(()));
        let began = Instant::now();
        daemon.until("no longer ready", |d| (!d.is_ready()).then_some(()));
        let took = began.elapsed();
        let status = daemon.ended(Duration::from_secs(30));
        assert_eq!(status.code(), Some(FAILED), "{task}: {}", daemon.log());
        assert!(took <= NOT_READY_MAX, "{task}: ready for {took:?}");
        let tally = scene.recover();
        assert_eq!((tally.lost, tally.extra), (0, 0), "{task}: {tally:?}");
        return took;
    }
    let daemon = daemon.addressed();
    daemon.until("the panic", |d| {
        knock(d.address());
        has_panicked(d).then_some(())
    });
    let daemon = daemon.ready();
    daemon.until("all told", |_| scene.is_told().then_some(()));
    daemon.settled(scene.records);
    // Also what the panic hit works again.
    assert_eq!(daemon.get("/api/v1/alerts").0, 200, "{task}");
    assert_eq!(daemon.log().matches("panicked at").count(), 1, "{task}");
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{task}: {tally:?}");
    Duration::ZERO
}

#[test]
fn a_panic_in_any_task_ends_the_process_or_costs_nothing() {
    let events = floods(4, 20);
    let topic = "faults-panic";
    for name in ["", "-dead", "-alerts"] {
        kafka::shared().topic(&format!("{topic}{name}"), 1);
    }
    let first = Scene::over(topic, "panic-produce", &events);
    kafka::shared().produce(topic, &first.home.file("events.jsonl"));
    let all = TASKS.iter().flat_map(|(_, task, points, comes)| {
        points.iter().map(move |point| (*task, *point, *comes))
    });
    let all: Vec<_> = all.collect();
    let (waiting, longest) = (Mutex::new(all.clone()), Mutex::new(Duration::ZERO));
    let next = || waiting.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((task, point, comes)) = next() {
                    let took = panics_at(topic, task, point, comes, &events);
                    let mut longest = longest.lock().unwrap();
                    *longest = took.max(*longest);
                }
            });
        }
    });
    let count = |what: Comes| all.iter().filter(|(.., comes)| *comes == what).count();
    row(
        "T40 a panic in a thread or task",
        &format!("{} points in everything that the daemon starts", all.len()),
        &format!(
            "{} end the process with code 3, not ready after at most {:.1} s, after a restart lost 0, extra 0; {} cost nothing",
            count(End),
            longest.into_inner().unwrap().as_secs_f64(),
            count(Nothing)
        ),
    );
}

#[test]
fn a_record_on_which_decoding_panics_is_a_dead_letter() {
    let events = floods(4, 20);
    let topic = "faults-defect";
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "panic-decode", &events);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let daemon = scene
        .home
        .start_faulty("TIDEGATE_PANIC", "record-decoding:3")
        .addressed()
        .ready();
    daemon.settled(scene.records);
    let dead = daemon.dead_letters();
    assert_eq!(
        (dead.get("defect"), dead.get("invalid_json")),
        (Some(&1), Some(&scene.wrong))
    );
    daemon.stop();
    row(
        "T40 a panic on a record",
        "1 of 82 records",
        "a dead letter with the reason defect; the rest goes on",
    );
}
