use super::*;
use crate::deliver::address::SystemLookup;
use crate::deliver::body;
use crate::deliver::clock::SystemClock;
use crate::deliver::retry::Backoff;
use crate::deliver::settings::{Shape, Sync};
use crate::deliver::sign::Secret;
use crate::deliver::sink::FileSink;
use crate::deliver::stub::{Answer, Stub};
use crate::deliver::webhook::{Webhook, tests::settings};
use crate::engine::containment::{Scope, Target, Verb};
use crate::engine::outbox::{Draft, Kind};
use crate::model::ids::Id;
use std::sync::Mutex;
use std::time::Instant;

/// The outbox in memory, with a switch that lets it fail.
#[derive(Default)]
struct Memory {
    rows: Mutex<Vec<Message>>,
    settled: Mutex<Vec<Settled>>,
    full: Mutex<u32>,
    gave_way: Mutex<u64>,
}

impl Memory {
    fn push(&self, endpoint: &str, draft: Draft) {
        let mut rows = self.rows.lock().unwrap();
        let settled = self.settled.lock().unwrap().len() as u64;
        let number = rows.last().map_or(settled, |m| m.number) + 1;
        rows.push(Message {
            number,
            endpoint: endpoint.into(),
            draft,
        });
    }
}

impl Outbox for Memory {
    fn load(&self, endpoint: &str, after: u64, limit: usize) -> Result<Vec<Message>, OutboxError> {
        let rows = self.rows.lock().unwrap();
        let mine = rows
            .iter()
            .filter(|m| m.endpoint == endpoint && m.number > after);
        Ok(mine.take(limit).cloned().collect())
    }
    fn depth(&self, endpoint: &str) -> Result<u64, OutboxError> {
        Ok(self
            .rows
            .lock()
            .unwrap()
            .iter()
            .filter(|m| m.endpoint == endpoint)
            .count() as u64)
    }
    fn gave_way(&self, _endpoint: &str) -> Result<u64, OutboxError> {
        Ok(*self.gave_way.lock().unwrap())
    }
    fn settle(&self, _endpoint: &str, settled: &[Settled]) -> Result<(), OutboxError> {
        let mut full = self.full.lock().unwrap();
        if *full > 0 {
            *full -= 1;
            return Err(OutboxError {
                class: Class::Retry,
                what: "full".into(),
            });
        }
        self.rows
            .lock()
            .unwrap()
            .retain(|m| settled.iter().all(|s| s.number != m.number));
        self.settled.lock().unwrap().extend_from_slice(settled);
        Ok(())
    }
}

struct Bench {
    outbox: Arc<Memory>,
    notices: Arc<Mutex<Vec<Notice>>>,
    around: Surroundings,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<Result<(), DeliverError>>>,
}

impl Bench {
    fn new() -> Self {
        let outbox = Arc::new(Memory::default());
        let notices: Arc<Mutex<Vec<Notice>>> = Arc::default();
        let heard = Arc::clone(&notices);
        let around = Surroundings {
            outbox: Arc::clone(&outbox) as Arc<dyn Outbox>,
            clock: Arc::new(SystemClock::new()),
            gate: Arc::new(|c: &Concern| {
                (c.target.value == "192.0.2.1").then(|| "on the allow-list".to_owned())
            }),
            notices: Arc::new(move |n| heard.lock().unwrap().push(n)),
            seed: 1,
        };
        Self {
            outbox,
            notices,
            around,
            stop: watch::channel(false).0,
            tasks: Vec::new(),
        }
    }

    fn start(&mut self, name: &str, sink: Arc<dyn Sink>) -> Arc<Counters> {
        let rules = Rules {
            backoff: Backoff {
                first: Span(20),
                longest: Span(100),
            },
            attempts_max: 5,
            age_max: Span::hours(1),
            concurrency: 4,
        };
        let worker = Worker::new(name, sink, rules, self.around.clone());
        let counters = worker.counters();
        self.tasks
            .push(tokio::spawn(worker.run(self.stop.subscribe())));
        counters
    }

    fn hook(&mut self, name: &str, stub: &Stub) -> Arc<Counters> {
        self.start(name, Arc::new(webhook(&stub.url())))
    }

    fn now(&self) -> WallTime {
        self.around.clock.now()
    }

    async fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "waited in vain: {what}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn empty(&self) -> bool {
        self.outbox.rows.lock().unwrap().is_empty()
    }

    fn verdicts(&self) -> Vec<Verdict> {
        self.outbox
            .settled
            .lock()
            .unwrap()
            .iter()
            .map(|s| s.verdict.clone())
            .collect()
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        for task in self.tasks {
            task.await.unwrap().unwrap();
        }
    }
}

fn webhook(url: &str) -> Webhook {
    let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    Webhook::new(&settings(url), vec![secret], None, Arc::new(SystemLookup)).unwrap()
}

fn draft(n: u8, now: WallTime) -> Draft {
    body::test(Id([n; 32]), now)
}

fn action(n: u8, target: &str, now: WallTime, ttl: Span) -> Draft {
    let target = Target {
        scope: Scope::Ip,
        value: target.into(),
    };
    Draft {
        kind: Kind::ActionRequested,
        lane: target.to_string(),
        slot: Some(target.to_string()),
        concerns: Some(Concern {
            target,
            verb: Verb::Block,
            simulated: false,
        }),
        expires_at: Some(now + ttl),
        ..draft(n, now)
    }
}

#[tokio::test]
async fn an_error_is_tried_again_with_the_same_id_and_bytes() {
    let stub = Stub::start(|n| Answer::Status(if n < 2 { 500 } else { 200 })).await;
    let mut bench = Bench::new();
    bench.outbox.push("soc", draft(1, bench.now()));
    let counters = bench.hook("soc", &stub);
    bench.until("delivery", Bench::empty).await;
    assert_eq!(bench.verdicts(), [Verdict::Delivered]);
    let requests = stub.requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 3);
    let id = |i: usize| &requests[i].headers["webhook-id"];
    assert!(id(0) == id(2) && requests[0].body == requests[2].body);
    bench.end().await;
    let read = counters.read();
    assert_eq!((read.attempts, read.delivered, read.depth), (3, 1, 0));
    assert!(read.faults.contains(&("server", 2)));
    assert_eq!(read.delivered, 1);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let stub = Stub::start(|n| {
        if n == 0 {
            Answer::With(429, "retry-after: 1")
        } else {
            Answer::Status(200)
        }
    })
    .await;
    let mut bench = Bench::new();
    bench.outbox.push("soc", draft(1, bench.now()));
    let start = Instant::now();
    bench.hook("soc", &stub);
    bench.until("delivery", Bench::empty).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    bench.end().await;
}

#[tokio::test]
async fn gone_disables_and_is_told() {
    let stub = Stub::start(|_| Answer::Status(410)).await;
    let mut bench = Bench::new();
    for n in 1..=3 {
        bench.outbox.push("soc", draft(n, bench.now()));
    }
    let counters = bench.hook("soc", &stub);
    let want = Notice::Disabled {
        endpoint: "soc".into(),
    };
    bench
        .until("the notice", |b| b.notices.lock().unwrap().contains(&want))
        .await;
    let told = stub.count();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(stub.count(), told, "nothing more is sent");
    assert!(counters.read().disabled);
    assert!(!bench.empty(), "kept for the next start");
    bench.end().await;
}

/// One that answers 500 without end, one that is not there and one that never answers: the others
/// have all of theirs, at once.
#[tokio::test]
async fn peer_dead_endpoint_slows_no_other() {
    let good = Stub::start(|_| Answer::Status(200)).await;
    let broken = Stub::start(|_| Answer::Status(500)).await;
    let hung = Stub::start(|_| Answer::Hang).await;
    let mut bench = Bench::new();
    for n in 0..100 {
        for endpoint in ["dead", "broken", "hung", "good"] {
            let lane = n.to_string();
            let draft = draft(n, bench.now());
            bench.outbox.push(endpoint, Draft { lane, ..draft });
        }
    }
    let start = Instant::now();
    bench.start("dead", Arc::new(webhook("http://127.0.0.1:1/")));
    bench.hook("broken", &broken);
    bench.hook("hung", &hung);
    bench.hook("good", &good);
    bench
        .until("the good one", |b| b.verdicts().len() >= 100)
        .await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(good.count(), 100);
    let down = |b: &Bench| {
        let notices = b.notices.lock().unwrap();
        notices
            .iter()
            .any(|n| matches!(n, Notice::Down { endpoint, .. } if endpoint == "dead"))
    };
    bench.until("the notice", down).await;
    bench.end().await;
}

#[tokio::test]
async fn a_target_keeps_its_order_while_attempts_fail() {
    let stub = Stub::start(|n| Answer::Status(if n % 3 == 0 { 500 } else { 200 })).await;
    let mut bench = Bench::new();
    for n in 1..=30u8 {
        let target = format!("203.0.113.{}", n % 3);
        let one = Draft {
            slot: None,
            ..action(n, &target, bench.now(), Span::hours(1))
        };
        bench.outbox.push("soc", one);
    }
    bench.hook("soc", &stub);
    bench.until("delivery", Bench::empty).await;
    let requests = stub.requests.lock().unwrap().clone();
    let mut last = [0u8; 3];
    for request in requests.iter().filter(|r| r.answered == 200) {
        let n = u8::from_str_radix(request.headers["webhook-id"].get(..2).unwrap(), 16).unwrap();
        let lane = &mut last[usize::from(n % 3)];
        assert!(n > *lane, "{n} after {lane}");
        *lane = n;
    }
    bench.end().await;
}

#[tokio::test]
async fn expired_and_protected_targets_are_not_sent() {
    let stub = Stub::start(|_| Answer::Status(200)).await;
    let mut bench = Bench::new();
    bench
        .outbox
        .push("soc", action(1, "203.0.113.1", bench.now(), Span::ZERO));
    bench
        .outbox
        .push("soc", action(2, "192.0.2.1", bench.now(), Span::hours(1)));
    bench
        .outbox
        .push("soc", action(3, "203.0.113.3", bench.now(), Span::hours(1)));
    let counters = bench.hook("soc", &stub);
    bench.until("all settled", Bench::empty).await;
    assert_eq!(stub.count(), 1);
    bench.end().await;
    let read = counters.read();
    assert_eq!((read.expired, read.refused, read.delivered), (1, 1, 1));
}

#[tokio::test]
async fn a_full_store_makes_it_wait_not_fail() {
    let stub = Stub::start(|_| Answer::Status(200)).await;
    let mut bench = Bench::new();
    *bench.outbox.full.lock().unwrap() = 1;
    bench.outbox.push("soc", draft(1, bench.now()));
    bench.hook("soc", &stub);
    bench.until("delivery", Bench::empty).await;
    assert_eq!(
        stub.count(),
        1,
        "not sent again while it cannot be taken out"
    );
    bench.end().await;
}

#[tokio::test]
async fn a_file_gets_each_line_once_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.ndjson");
    let sink = FileSink {
        path: path.clone(),
        shape: Shape::Data,
        sync: Sync::Each,
    };
    let mut bench = Bench::new();
    for n in 1..=5 {
        let data = serde_json::json!({ "n": n });
        let one = body::incident(
            Kind::IncidentOpened,
            Id::default(),
            n,
            None,
            &data,
            bench.now(),
        );
        bench.outbox.push("file", one);
    }
    bench.start("file", Arc::new(sink));
    bench.until("delivery", Bench::empty).await;
    bench.end().await;
    let lines: String = (1..=5).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert_eq!(std::fs::read_to_string(path).unwrap(), lines);
}

struct Panics;
impl Sink for Panics {
    fn send<'a>(&'a self, _message: &'a Message, _stamp: i64) -> crate::deliver::sink::Sending<'a> {
        Box::pin(async { panic!("on purpose") })
    }
}

#[tokio::test]
async fn a_sink_that_panics_is_a_failed_attempt() {
    let mut bench = Bench::new();
    bench.outbox.push("bad", draft(1, bench.now()));
    let counters = bench.start("bad", Arc::new(Panics));
    bench
        .until("attempts", |_| counters.read().attempts >= 2)
        .await;
    assert!(
        counters
            .read()
            .faults
            .contains(&("local", counters.read().attempts))
    );
    bench.end().await;
}
