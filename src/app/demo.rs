//! The demo's stage: an embedded broker, a receiver that verifies every signature and obeys, and a
//! platform that sends simulated traffic and no longer serves whom the receiver blocks.
//!
//! Nothing is played back: the daemon is the real one, and what it says decides what the platform
//! still sends.

#![expect(
    clippy::disallowed_methods,
    reason = "paces traffic and stamps what happens"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value as Json;

use super::daemon::Daemon;
use crate::config::{self, Environment};
use crate::deliver::sign::{self, HEADER_ID, HEADER_SIGNATURE, HEADER_TIMESTAMP, Secret};
use crate::model::{EventTime, Span};
use crate::simulate::{DECOYS, LabelKind, Options, Traffic, decoy_account, decoy_token};
use crate::source::kafka::embedded::EmbeddedBroker;
use crate::source::kafka::producer::Producer;
use crate::source::kafka::settings::Settings as KafkaSettings;

const TOPIC: &str = "recovery-events";
/// Known to everyone: the receiver is on this machine and lives as long as the demo.
const SECRET: &str = "whsec_dGlkZWdhdGUgZGVtbywgbm90IGEgc2VjcmV0ISE=";

/// The part of an attack that is worth watching.
const UNFOLDING: Span = Span::minutes(15);

/// One verified message.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    /// Where the traffic's event time stood then.
    pub event_now: EventTime,
    pub kind: String,
    pub data: Json,
}

/// What the receiver has seen, and what the platform obeys.
#[derive(Debug, Default)]
pub struct Ledger {
    pub received: Vec<Received>,
    pub rejected: u64,
    pub blocked: BTreeSet<String>,
    pub mail_held: bool,
    event_now: i64,
}

/// What the platform did.
#[derive(Clone, Debug, Default)]
pub struct Traffics {
    pub sent: u64,
    /// Mails of the attack that went out, and that did not because their request was refused.
    pub mails_sent: u64,
    pub mails_prevented: u64,
    /// The same for everyone else's.
    pub mails_honest_prevented: u64,
    pub requests_refused: u64,
}

type Book = Arc<Mutex<Ledger>>;

/// The stage, set up.
pub struct Stage {
    pub daemon: Daemon,
    _broker: EmbeddedBroker,
    producer: Producer,
    book: Book,
}

fn lock(book: &Book) -> MutexGuard<'_, Ledger> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// Starts broker, receiver and daemon, with state below `dir`.
    ///
    /// # Errors
    /// Any of them does not start.
    pub fn set(dir: &Path) -> anyhow::Result<Self> {
        let broker = EmbeddedBroker::start(&[TOPIC], 1)?;
        let book = Book::default();
        let receiver = start_receiver(Arc::clone(&book))?;
        let decoys = dir.join("honeytokens.txt");
        std::fs::write(&decoys, decoy_list())?;
        let text = configuration(&broker.bootstrap(), &receiver, dir, &decoys);
        let env: Environment = [("DEMO_SECRET", SECRET)].into_iter().collect();
        let config = config::read("demo.yaml", &text, &env).into_result()?;
        let daemon = Daemon::start(&config, &env, &[])?;
        let kafka = KafkaSettings::new(&[&broker.bootstrap()], &[TOPIC]);
        let producer = Producer::new(&kafka, &|_| None)?;
        Ok(Self {
            daemon,
            _broker: broker,
            producer,
            book,
        })
    }

    #[must_use]
    pub fn book(&self) -> Book {
        Arc::clone(&self.book)
    }

    /// Sends the traffic, event time running `speed` times as fast as the clock from the attack on
    /// (what comes before it goes at once). `watch` is called now and then with what was received.
    ///
    /// # Errors
    /// The broker does not take it.
    pub fn play(
        &self,
        options: &Options,
        speed: f64,
        mut watch: impl FnMut(&Ledger, &Traffics),
    ) -> anyhow::Result<Traffics> {
        let begin = attack_begin(options).unwrap_or(options.start_ms);
        let (mut traffic, mut json) = (Traffic::new(options), String::new());
        let mut done = Traffics::default();
        let mut refused: BTreeSet<String> = BTreeSet::new();
        let mut started: Option<Instant> = None;
        while let Some((time, label)) = traffic.next_into(&mut json) {
            if time >= begin - 10_000 {
                let since = *started.get_or_insert_with(Instant::now);
                let due = since + wall_after(time - begin + 10_000, speed);
                while Instant::now() < due {
                    self.settle(Duration::from_millis(5));
                    watch(&lock(&self.book), &done);
                }
            }
            lock(&self.book).event_now = time;
            if self.serves(
                &json,
                label.kind == LabelKind::Attack,
                &mut refused,
                &mut done,
            )? {
                self.send(json.as_bytes())?;
                done.sent += 1;
            }
            json.clear();
        }
        let _reports = self.producer.flush(Duration::from_secs(10));
        self.wait_until_read(done.sent);
        watch(&lock(&self.book), &done);
        Ok(done)
    }

    /// Whether the platform still does what the line says, given what it was told.
    fn serves(
        &self,
        json: &str,
        attack: bool,
        refused: &mut BTreeSet<String>,
        done: &mut Traffics,
    ) -> anyhow::Result<bool> {
        let line: BTreeMap<String, Json> =
            serde_json::from_str(json).context("the traffic is no JSON")?;
        let text = |name: &str| line.get(name).and_then(Json::as_str).unwrap_or_default();
        let (kind, request) = (text("event.kind"), text("http.request.id"));
        let book = lock(&self.book);
        if kind == "recovery.requested" && book.blocked.contains(text("source.ip")) {
            refused.insert(request.to_owned());
            done.requests_refused += 1;
            return Ok(false);
        }
        let held = kind.starts_with("message.") && book.mail_held;
        let gone = held || (!request.is_empty() && refused.contains(request));
        if kind == "message.sent" {
            match (attack, gone) {
                (true, true) => done.mails_prevented += 1,
                (true, false) => done.mails_sent += 1,
                (false, true) => done.mails_honest_prevented += 1,
                (false, false) => {}
            }
        }
        Ok(!gone)
    }

    fn send(&self, payload: &[u8]) -> anyhow::Result<()> {
        use crate::source::kafka::producer::SendError;
        loop {
            match self.producer.send(TOPIC, None, payload, &[], 0) {
                Ok(()) => return Ok(()),
                Err(SendError::Full) => self.settle(Duration::from_millis(10)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn settle(&self, wait: Duration) {
        let _reports = self.producer.poll(wait);
    }

    fn wait_until_read(&self, sent: u64) {
        let began = Instant::now();
        while self.daemon.view().events() < sent && began.elapsed() < Duration::from_secs(20) {
            self.settle(Duration::from_millis(20));
        }
        // Deliveries of the last alerts.
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// How long after the start of the attack's part a line is due: `speed` times as fast as the clock
/// while the story unfolds, eight times that afterwards.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a demo")]
fn wall_after(event_ms: i64, speed: f64) -> Duration {
    let slow = event_ms.min(UNFOLDING.0) as f64 + (event_ms - UNFOLDING.0).max(0) as f64 / 8.0;
    Duration::from_secs_f64((slow / 1000.0 / speed).max(0.0))
}

/// Event time of the first line that is part of an attack.
#[must_use]
pub fn attack_begin(options: &Options) -> Option<i64> {
    let (mut traffic, mut json) = (Traffic::new(options), String::new());
    while let Some((time, label)) = traffic.next_into(&mut json) {
        // A deploy that brings a bug is a cause, not yet an attack.
        if label.kind == LabelKind::Attack && !json.contains("\"deploy.") {
            return Some(time);
        }
        json.clear();
    }
    None
}

/// The traffic's end is this near (ms) before now, or nearer.
const NEAR: i64 = 60_000;
/// Steps in which that is found.
const STEPS_MAX: usize = 12;

/// A start such that the traffic ends now, and not later: a broker's clock bounds what events may say.
/// How long the traffic is depends on the hours it falls in, so the start is found step by step.
#[must_use]
pub fn ending_now(mut options: Options) -> Options {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    for _ in 0..STEPS_MAX {
        let last = Traffic::new(&options).map(|l| l.time_ms).last();
        let early = now - last.unwrap_or(now);
        if (0..NEAR).contains(&early) {
            break;
        }
        options.start_ms += early;
    }
    options
}

fn decoy_list() -> String {
    let accounts = (1..=DECOYS).map(|n| format!("account:{}\n", decoy_account(n)));
    accounts
        .chain((1..=DECOYS).map(|n| format!("token:{}\n", decoy_token(n))))
        .collect()
}

fn configuration(broker: &str, receiver: &str, dir: &Path, decoys: &Path) -> String {
    format!(
        "version: 1\n\
         sources:\n  - {{kind: kafka, brokers: [\"{broker}\"], topics: [{{name: {TOPIC}}}],\n\
         \x20    properties: {{fetch.wait.max.ms: \"20\"}}}}\n\
         enrich: {{honeytokens: \"{}\"}}\n\
         alerts:\n  sinks:\n    - {{kind: webhook, name: soc, url: \"http://{receiver}/soc\", secret_env: DEMO_SECRET}}\n\
         containment:\n  mode: enforce\n  webhooks:\n    - {{name: enforcer, url: \"http://{receiver}/enforcer\", secret_env: DEMO_SECRET}}\n\
         state: {{dir: \"{}\", snapshot_every: 5s}}\n\
         http: {{listen: \"127.0.0.1:0\"}}\n",
        decoys.display(),
        dir.join("state").display()
    )
}

/// Starts the receiver on a thread of its own; returns its address.
fn start_receiver(book: Book) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?.to_string();
    let secret = Secret::parse(SECRET).map_err(|e| anyhow!("{e}"))?;
    let router = axum::Router::new()
        .route("/soc", axum::routing::post(receive))
        .route("/enforcer", axum::routing::post(receive))
        .with_state((book, Arc::new(secret)));
    std::thread::Builder::new()
        .name("receiver".to_owned())
        .spawn(move || {
            // It ends with the process.
            runtime
                .block_on(async { axum::serve(listener, router).await })
                .unwrap_or_default();
        })?;
    Ok(address)
}

async fn receive(
    State((book, secret)): State<(Book, Arc<Secret>)>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let at = Instant::now();
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let stamp = text(HEADER_TIMESTAMP).parse().unwrap_or(0);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(0);
    let secrets = std::slice::from_ref(&*secret);
    let valid = sign::verify(
        secrets,
        &text(HEADER_ID),
        stamp,
        &body,
        &text(HEADER_SIGNATURE),
        now,
    );
    let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(message) = serde_json::from_slice::<Json>(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    if valid.is_err() {
        book.rejected += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let kind = message["type"].as_str().unwrap_or_default().to_owned();
    obey(&mut book, &kind, &message["data"]);
    let event_now = EventTime(book.event_now);
    book.received.push(Received {
        at,
        event_now,
        kind,
        data: message["data"].clone(),
    });
    StatusCode::NO_CONTENT
}

/// The demo's enforcer: refuses blocked and throttled addresses, holds mail while told to. It obeys
/// simulated actions too, to show what they would do.
fn obey(book: &mut Ledger, kind: &str, action: &Json) {
    let on = match kind {
        "tidegate.action.requested.v1" | "tidegate.action.extended.v1" => true,
        "tidegate.action.reverted.v1" | "tidegate.action.expired.v1" => false,
        _ => return,
    };
    let value = action["target"]["value"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    match (action["verb"].as_str().unwrap_or_default(), on) {
        ("block" | "throttle", true) => drop(book.blocked.insert(value)),
        ("block" | "throttle", false) => drop(book.blocked.remove(&value)),
        ("hold_mail", on) => book.mail_held = on,
        _ => {}
    }
}
