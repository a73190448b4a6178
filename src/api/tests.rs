//! The server as clients meet it: over a socket, against a `View` in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::mutes::{AllowView, Mutes, Preview, SilenceView};
use super::route::{ROUTES, Route};
use super::view::*;
use super::*;
use crate::engine::alert::silence::{self, Silence, Wanted};
use crate::engine::alert::{Alert, DetectorRef, Number, Pairs, Status, Window};
use crate::engine::containment::allow::{AllowEntry, Wanted as WantedEntry};
use crate::engine::containment::policy::{Answer, Change, Step};
use crate::engine::containment::{
    Action, Phase, Reason as Why, Receipt, Record, Scope as On, Target, Undo, Verb,
};
use crate::engine::detector::plan::Mode;
use crate::model::ids::Id;
use crate::model::{EventTime, Level, Span, WallTime};

const NASTY: &str = "<img src=x>\u{202e}\x1b[2J\r\nx";
const READ: &str = "read-token-0123456789abcdef";
const CONTAIN: &str = "contain-token-0123456789abcdef";

struct Fake {
    alerts: Vec<Alert>,
    records: Mutex<BTreeMap<Id, Record>>,
    changes: Mutex<Vec<Change>>,
    newest: watch::Sender<u64>,
    decided: Mutex<Vec<Decision>>,
    reasons: Mutex<Vec<Reason>>,
    ended: Mutex<Vec<String>>,
    silences: Mutex<Vec<Silence>>,
    entries: Mutex<Vec<AllowEntry>>,
    metrics: Metrics,
}

fn alert(n: u8) -> Alert {
    let time = EventTime(i64::from(n) * 1000);
    Alert {
        alert_id: Id([n; 32]),
        revision: 0,
        status: Status::Open,
        detector: DetectorRef {
            id: "d".into(),
            name: "flood".into(),
            version: 1,
            level: Level::High,
        },
        time,
        key: Pairs(vec![("user.id".into(), NASTY.into())]),
        observed: Pairs::default(),
        bound: Pairs::default(),
        window: Window {
            start: time,
            end: time,
        },
        first: time,
        last: time,
        events: 5,
        error: None,
        summary: NASTY.into(),
        mode: Mode::Shadow,
        tags: vec![],
        runbook: None,
        actions: vec![],
        positions: vec![],
        peak: Number(5.0),
        context: Pairs::default(),
        suppressed: 0,
        silenced: None,
    }
}

fn record(n: u8, phase: Phase) -> Record {
    Record {
        action: Action {
            action_id: Id([n; 32]),
            target: Target {
                scope: On::Ip,
                value: "203.0.113.7".into(),
            },
            verb: Verb::Block,
            seq: u64::from(n),
            issued_at: WallTime(0),
            expires_at: WallTime(60_000),
            supersedes: None,
            simulated: true,
            undo: Undo { verb: Verb::Allow },
            reason: Why {
                alerts: vec![Id([1; 32])],
                incident_id: None,
            },
            parameters: BTreeMap::new(),
        },
        phase,
        detectors: vec!["d".into()],
        ttl: Span::minutes(1),
        changed_at: WallTime(0),
        extensions: 0,
        note: None,
    }
}

impl Fake {
    fn new() -> Arc<Self> {
        let records = [record(1, Phase::Active), record(2, Phase::PendingApproval)];
        Arc::new(Self {
            alerts: (1..=5).rev().map(alert).collect(),
            records: Mutex::new(
                records
                    .into_iter()
                    .map(|r| (r.action.action_id, r))
                    .collect(),
            ),
            changes: Mutex::default(),
            newest: watch::Sender::new(2),
            decided: Mutex::default(),
            reasons: Mutex::default(),
            ended: Mutex::default(),
            silences: Mutex::default(),
            entries: Mutex::default(),
            metrics: Metrics::new(),
        })
    }
}

fn shown(silence: &Silence) -> SilenceView {
    let active = !silence.is_over(WallTime(1));
    SilenceView {
        silence: silence.clone(),
        active,
    }
}

fn entry_shown(entry: &AllowEntry) -> AllowView {
    AllowView {
        allow_id: entry.id(),
        active: !entry.is_over(WallTime(1)),
        entry: entry.clone(),
    }
}

impl Mutes for Fake {
    fn silences(&self) -> Result<Vec<SilenceView>, Unavailable> {
        Ok(self.silences.lock().unwrap().iter().map(shown).collect())
    }
    fn preview(&self, wanted: &Wanted) -> Result<Preview, Unavailable> {
        let takes = |a: &&Alert| silence::takes(&wanted.matchers, a);
        Ok(Preview {
            looked_at: self.alerts.len(),
            muted: self.alerts.iter().filter(takes).count(),
            ..Preview::default()
        })
    }
    fn silence(&self, wanted: &Wanted, by: &str) -> Result<SilenceView, Refused> {
        let made = Silence::new(1, wanted.clone(), by, WallTime(0));
        self.silences.lock().unwrap().push(made.clone());
        Ok(shown(&made))
    }
    fn end_silence(&self, id: Id) -> Result<SilenceView, Refused> {
        let mut all = self.silences.lock().unwrap();
        let found = all.iter_mut().find(|s| s.silence_id == id);
        let silence = found.ok_or(Refused::NoSuch)?;
        silence.expires_at = WallTime(1);
        Ok(shown(silence))
    }
    fn allowed(&self) -> Result<Vec<AllowView>, Unavailable> {
        Ok(self
            .entries
            .lock()
            .unwrap()
            .iter()
            .map(entry_shown)
            .collect())
    }
    fn allow(&self, wanted: &WantedEntry) -> Result<AllowView, Refused> {
        let entry = wanted
            .clone()
            .entry(WallTime(0))
            .map_err(Refused::Malformed)?;
        self.entries.lock().unwrap().push(entry.clone());
        Ok(entry_shown(&entry))
    }
    fn end_allow(&self, id: Id) -> Result<AllowView, Refused> {
        let all = self.entries.lock().unwrap();
        let found = all.iter().find(|e| e.id() == id).ok_or(Refused::NoSuch)?;
        Ok(entry_shown(found))
    }
}

impl View for Fake {
    fn alerts(&self, query: &AlertQuery) -> Result<Vec<Alert>, Unavailable> {
        let behind = |a: &&Alert| {
            query
                .behind
                .is_none_or(|(time, id)| (a.time, a.alert_id) < (time, id))
        };
        Ok(self
            .alerts
            .iter()
            .filter(behind)
            .take(query.limit)
            .cloned()
            .collect())
    }
    fn alert(&self, id: Id) -> Result<Option<AlertDetail>, Unavailable> {
        let alert = self.alerts.iter().find(|a| a.alert_id == id).cloned();
        Ok(alert.map(|alert| AlertDetail {
            revisions: vec![alert.clone()],
            alert,
        }))
    }
    fn actions(&self, query: &ActionQuery) -> Result<Vec<Record>, Unavailable> {
        let records = self.records.lock().unwrap();
        let fits = |r: &&Record| {
            query.before.is_none_or(|b| r.action.seq < b)
                && query.phase.is_none_or(|p| p == r.phase)
        };
        Ok(records
            .values()
            .rev()
            .filter(fits)
            .take(query.limit)
            .cloned()
            .collect())
    }
    fn action(&self, id: Id) -> Result<Option<ActionDetail>, Unavailable> {
        let found = self.records.lock().unwrap().get(&id).cloned();
        Ok(found.map(|r| ActionDetail {
            record: r.into(),
            receipts: vec![],
            deliveries: vec![],
        }))
    }
    fn changes(&self, since: Option<u64>, limit: usize) -> Result<Changes, Unavailable> {
        let Some(since) = since else {
            let active = self.records.lock().unwrap().values().cloned().collect();
            return Ok(Changes::Full {
                active,
                seq: *self.newest.borrow(),
            });
        };
        let changes = self.changes.lock().unwrap();
        let after = changes.iter().filter(|c| c.record.action.seq > since);
        Ok(Changes::Since(after.take(limit).cloned().collect()))
    }
    fn newest_change(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }
    fn detectors(&self) -> Result<Vec<DetectorView>, Unavailable> {
        Err(Unavailable("the engine is restoring".into()))
    }
    fn decide(&self, decision: &Decision) -> Result<Record, Refused> {
        let mut records = self.records.lock().unwrap();
        let record = records
            .get_mut(&decision.action_id)
            .ok_or(Refused::Unknown)?;
        if decision.answer == Answer::Approve && record.phase != Phase::PendingApproval {
            return Err(Refused::Conflict("it does not wait for approval".into()));
        }
        record.phase = if decision.answer == Answer::Approve {
            Phase::Active
        } else {
            Phase::Reverted
        };
        record.action.seq = *self.newest.borrow() + 1;
        let change = Change {
            step: Step::Requested,
            record: record.clone(),
        };
        self.changes.lock().unwrap().push(change);
        self.newest.send_replace(record.action.seq);
        self.decided.lock().unwrap().push(decision.clone());
        Ok(record.clone())
    }
    fn receive(&self, receipt: &Receipt, _: &str) -> Result<(), Refused> {
        let known = self
            .records
            .lock()
            .unwrap()
            .contains_key(&receipt.action_id);
        if known { Ok(()) } else { Err(Refused::Unknown) }
    }
    fn alive(&self) -> Result<(), Vec<String>> {
        let ended = self.ended.lock().unwrap().clone();
        if ended.is_empty() { Ok(()) } else { Err(ended) }
    }
    fn ready(&self) -> Readiness {
        Readiness::of(self.reasons.lock().unwrap().clone(), 0)
    }
    fn metrics(&self) -> String {
        self.metrics.text()
    }
}

/// A server for one test; ends with it.
struct Server {
    address: SocketAddr,
    view: Arc<Fake>,
    _end: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

async fn server(tokens: Vec<Token>, limits: Limits) -> Server {
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        tokens,
        limits,
    };
    let listener = bind(&settings).await.unwrap();
    let address = listener.local_addr().unwrap();
    let view = Fake::new();
    let (_end, ended) = oneshot::channel::<()>();
    let seen: Arc<dyn View> = Arc::clone(&view) as Arc<dyn View>;
    let metrics = view.metrics.clone();
    let task = tokio::spawn(serve(listener, settings, seen, metrics, async {
        drop(ended.await)
    }));
    Server {
        address,
        view,
        _end,
        task,
    }
}

fn tokens() -> Vec<Token> {
    vec![
        Token::new("reader", vec![Scope::Read], READ),
        Token::new("actor", vec![Scope::Contain], CONTAIN),
    ]
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl Server {
    async fn raw(&self, text: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .unwrap_or(0);
        Reply {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let length = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}",
            self.address
        ))
        .await
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "", "").await
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn health_and_readiness_say_why() {
    let server = server(vec![], Limits::default()).await;
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.json()["ready"], true);
    let reason = Reason {
        part: "source kafka".into(),
        reason: "not connected".into(),
    };
    server.view.reasons.lock().unwrap().push(reason);
    server.view.ended.lock().unwrap().push("shard 1".into());
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["reasons"][0]["part"], "source kafka");
    let health = server.get("/healthz").await;
    assert_eq!(
        (health.status, health.json()["ended"][0].as_str()),
        (503, Some("shard 1"))
    );
}

#[tokio::test]
async fn alerts_come_in_pages() {
    let server = server(vec![], Limits::default()).await;
    let mut path = "/api/v1/alerts?limit=2".to_owned();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let page = server.get(&path).await.json();
        ids.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a["alert_id"].to_string()),
        );
        match page["next"].as_str() {
            Some(next) => path = format!("/api/v1/alerts?limit=2&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 5, "{ids:?}");
    let one = server
        .get(&format!("/api/v1/alerts/{}", Id([3; 32])))
        .await
        .json();
    assert_eq!(one["revisions"][0]["alert_id"], one["alert_id"]);
    let page = server.get("/api/v1/actions?limit=1").await.json();
    assert_eq!(page["items"][0]["phase"], "pending_approval");
    assert_eq!(page["items"][0]["target"]["value"], "203.0.113.7");
    let path = format!("/api/v1/actions?cursor={}", page["next"].as_str().unwrap());
    assert_eq!(
        server.get(&path).await.json()["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn answers_hold_no_raw_control_characters() {
    let server = server(vec![], Limits::default()).await;
    let reply = server.get("/api/v1/alerts").await;
    assert!(
        !reply.body.contains(crate::telemetry::escape::is_unsafe),
        "{}",
        reply.body
    );
    assert_eq!(reply.json()["items"][0]["summary"], NASTY);
    assert!(
        reply.head.contains("content-type: application/json"),
        "{}",
        reply.head
    );
    assert!(
        reply.head.contains("x-content-type-options: nosniff"),
        "{}",
        reply.head
    );
    assert!(
        reply.head.contains("cache-control: no-store"),
        "{}",
        reply.head
    );
}

#[tokio::test]
async fn every_error_is_a_problem_document() {
    let server = server(vec![], Limits::default()).await;
    let id = Id([9; 32]);
    let big = "x".repeat(70_000);
    for (method, path, headers, body, status) in [
        ("GET", "/nothing".to_owned(), "", "", 404),
        ("GET", "/api/v1/alerts/../../x".to_owned(), "", "", 404),
        ("GET", format!("/api/v1/alerts/{id}"), "", "", 404),
        ("GET", "/api/v1/alerts/%ff".to_owned(), "", "", 400),
        ("GET", "/api/v1/alerts/xyz".to_owned(), "", "", 400),
        ("GET", "/api/v1/alerts?limit=-1".to_owned(), "", "", 400),
        ("GET", "/api/v1/alerts?limt=1".to_owned(), "", "", 400),
        ("DELETE", "/api/v1/alerts".to_owned(), "", "", 405),
        ("GET", "/api/v1/receipts".to_owned(), "", "", 405),
        ("GET", "/api/v1/detectors".to_owned(), "", "", 503),
        ("POST", format!("/api/v1/actions/{id}/approve"), "", "", 404),
        (
            "POST",
            format!("/api/v1/actions/{}/approve", Id([1; 32])),
            "",
            "",
            409,
        ),
        (
            "POST",
            format!("/api/v1/actions/{id}/approve"),
            "",
            "{}",
            415,
        ),
        (
            "POST",
            format!("/api/v1/actions/{id}/approve"),
            JSON,
            "{\"reson\":1}",
            400,
        ),
        (
            "POST",
            format!("/api/v1/actions/{id}/approve"),
            JSON,
            &big,
            413,
        ),
        ("POST", "/api/v1/receipts".to_owned(), JSON, "", 400),
    ] {
        let reply = server.ask(method, &path, headers, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.body);
        assert!(
            reply
                .head
                .contains("content-type: application/problem+json"),
            "{path}: {}",
            reply.head
        );
        let problem = reply.json();
        assert_eq!(problem["status"], status, "{path}");
        for field in ["type", "title", "detail"] {
            assert!(
                !problem[field].as_str().unwrap().is_empty(),
                "{path} {field}"
            );
        }
    }
    let wrong = server.ask("DELETE", "/api/v1/alerts", "", "").await;
    assert!(wrong.head.contains("allow: get"), "{}", wrong.head);
}

#[tokio::test]
async fn decisions_name_who_made_them_and_need_the_scope() {
    let server = server(tokens(), Limits::default()).await;
    let path = format!("/api/v1/actions/{}/approve", Id([2; 32]));
    assert_eq!(server.ask("POST", &path, "", "").await.status, 401);
    assert_eq!(
        server.ask("POST", &path, &bearer(READ), "").await.status,
        403
    );
    let headers = format!("{}{JSON}", bearer(CONTAIN));
    let reply = server
        .ask("POST", &path, &headers, "{\"reason\":\"seen\"}")
        .await;
    assert_eq!(
        (reply.status, reply.json()["phase"].as_str()),
        (200, Some("active")),
        "{}",
        reply.body
    );
    let decided = server.view.decided.lock().unwrap().clone();
    assert_eq!(
        (decided[0].by.as_str(), decided[0].reason.as_str()),
        ("actor", "seen")
    );
    let receipt = format!(
        "{{\"action_id\":\"{}\",\"enforcer\":\"gw\",\"outcome\":\"applied\",\"at\":\"2026-01-12T08:12:03.000Z\"}}",
        Id([2; 32])
    );
    assert_eq!(
        server
            .ask("POST", "/api/v1/receipts", &headers, &receipt)
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn silences_are_previewed_begun_listed_and_ended() {
    let server = server(vec![], Limits::default()).await;
    let post = |path: &'static str, body: &'static str| server.ask("POST", path, JSON, body);
    let flood = r#"{"matchers":["detector=flood"],"author":"ada","comment":"a test","lasts":"2h"}"#;
    let preview = post("/api/v1/silences/preview", flood).await;
    assert_eq!(preview.json()["muted"], 5, "{}", preview.body);
    let made = post("/api/v1/silences", flood).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let made = made.json();
    assert_eq!(
        (&made["via"], &made["author"]),
        (&"local".into(), &"ada".into())
    );
    assert_eq!(made["expires_at"], "1970-01-01T02:00:00.000Z");
    let listed = server.get("/api/v1/silences").await.json();
    assert_eq!(listed["items"][0]["active"], true);
    let path = format!("/api/v1/silences/{}", made["silence_id"].as_str().unwrap());
    let ended = server.ask("DELETE", &path, "", "").await;
    assert_eq!(ended.json()["active"], false, "{}", ended.body);
    let unknown = format!("/api/v1/silences/{}", Id([9; 32]));
    assert_eq!(server.ask("DELETE", &unknown, "", "").await.status, 404);
    for bad in [
        r#"{"matchers":["detector=~.*"],"author":"ada","comment":"all"}"#,
        r#"{"matchers":["detector=flood"],"author":"","comment":"a test"}"#,
        r#"{"matchers":["detector=~("],"author":"ada","comment":"a test"}"#,
        r#"{"matchers":["detector=flood"],"author":"ada","comment":"a test","lasts":"1y"}"#,
        r#"{"matchers":["detector=flood"],"author":"ada","comment":"a test","expires_at":1}"#,
    ] {
        assert_eq!(post("/api/v1/silences", bad).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn the_allow_list_takes_entries_with_an_end() {
    let server = server(vec![], Limits::default()).await;
    let post = |body: &'static str| server.ask("POST", "/api/v1/allow", JSON, body);
    let made = post(
        r#"{"target":{"scope":"cidr","value":"203.0.113.0/24"},"author":"ada","reason":"partner"}"#,
    )
    .await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.json()["expires_at"], "1970-01-02T00:00:00.000Z");
    assert_eq!(
        server.get("/api/v1/allow").await.json()["items"][0]["active"],
        true
    );
    let bad = post(r#"{"target":{"scope":"ip","value":"x"},"author":"ada","reason":"y"}"#).await;
    assert_eq!(bad.status, 400);
    let path = format!(
        "/api/v1/allow/{}",
        made.json()["allow_id"].as_str().unwrap()
    );
    assert_eq!(server.ask("DELETE", &path, "", "").await.status, 200);
}

#[tokio::test]
async fn the_table_s_scopes_hold_for_every_route() {
    let server = server(tokens(), Limits::default()).await;
    for route in ROUTES.iter().filter(|r| !r.path.ends_with("/stream")) {
        let path = route.path.replace("{id}", &Id([9; 32]).to_string());
        let method = route.method.to_uppercase();
        let bare = server.ask(&method, &path, "", "").await;
        assert_ne!(bare.status, 405, "{path}");
        assert_eq!(
            bare.status == 401,
            route.scope.is_some(),
            "{method} {path}: {}",
            bare.status
        );
        let read = server.ask(&method, &path, &bearer(READ), "").await;
        assert_eq!(
            read.status == 403,
            route.scope.is_some_and(|s| s != Scope::Read),
            "{path}: {}",
            read.status
        );
        assert!(
            ![401, 405].contains(&read.status),
            "{path}: {}",
            read.status
        );
    }
    let text = server.ask("GET", "/metrics", &bearer(READ), "").await.body;
    assert!(
        text.contains("tidegate_http_refused_total{reason=\"token\"}"),
        "{text}"
    );
    assert!(
        text.contains("route=\"/api/v1/alerts/{id}\",status=\"404\""),
        "{text}"
    );
    assert!(!text.contains(READ));
}

#[tokio::test]
async fn guessing_tokens_is_locked_out() {
    let server = server(tokens(), Limits::default()).await;
    let mut last = 0;
    for _ in 0..12 {
        last = server
            .ask("GET", "/api/v1/alerts", &bearer("guess"), "")
            .await
            .status;
    }
    assert_eq!(last, 429);
    let reply = server.ask("GET", "/api/v1/alerts", &bearer(READ), "").await;
    assert!(
        reply.status == 429 && reply.head.contains("retry-after: 60"),
        "{}",
        reply.head
    );
    assert_eq!(server.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn pages_of_other_sites_can_do_nothing() {
    let open = server(vec![], Limits::default()).await;
    let id = Id([2; 32]);
    let rebound = format!(
        "GET /api/v1/alerts HTTP/1.1\r\nHost: evil.example:{}\r\nConnection: close\r\n\r\n",
        open.address.port()
    );
    assert_eq!(open.raw(&rebound).await.status, 403);
    let path = format!("/api/v1/actions/{id}/approve");
    for headers in [
        "Origin: https://evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Origin: null\r\n",
    ] {
        assert_eq!(
            open.ask("POST", &path, headers, "").await.status,
            403,
            "{headers}"
        );
    }
    let same = format!(
        "Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\n",
        open.address
    );
    assert_eq!(open.ask("POST", &path, &same, "").await.status, 200);
}

#[tokio::test]
async fn it_refuses_to_be_open_to_the_network_without_tokens() {
    let settings = |listen: &str, tokens| Settings {
        listen: listen.parse().unwrap(),
        tokens,
        limits: Limits::default(),
    };
    assert!(matches!(
        bind(&settings("0.0.0.0:0", vec![])).await,
        Err(ApiError::Open(_))
    ));
    assert!(matches!(
        bind(&settings("[::]:0", vec![])).await,
        Err(ApiError::Open(_))
    ));
    assert!(bind(&settings("0.0.0.0:0", tokens())).await.is_ok());
    let short = vec![Token::new("x", vec![Scope::Read], "short")];
    assert!(matches!(
        bind(&settings("127.0.0.1:0", short)).await,
        Err(ApiError::ShortToken(_))
    ));
}

#[tokio::test]
async fn slow_heads_and_slow_bodies_are_cut_off() {
    let limits = Limits {
        time_max: Duration::from_millis(200),
        head_time_max: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = server(vec![], limits).await;
    let mut head = TcpStream::connect(server.address).await.unwrap();
    head.write_all(b"GET / HTTP/1.1\r\nHost: loc")
        .await
        .unwrap();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let slow = "POST /api/v1/receipts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    let reply = tokio::time::timeout(Duration::from_secs(5), server.raw(slow))
        .await
        .unwrap();
    assert_eq!(reply.status, 408, "{}", reply.body);
    let mut rest = Vec::new();
    for stream in [&mut head, &mut silent] {
        let ended = stream.read_to_end(&mut rest);
        tokio::time::timeout(Duration::from_secs(5), ended)
            .await
            .unwrap()
            .unwrap();
    }
}

#[tokio::test]
async fn beyond_the_load_only_health_is_answered() {
    let server = server(
        vec![],
        Limits {
            requests_max: 0,
            ..Limits::default()
        },
    )
    .await;
    let reply = server.get("/api/v1/alerts").await;
    assert!(
        reply.status == 503 && reply.head.contains("retry-after: 1"),
        "{}",
        reply.head
    );
    assert_eq!(server.get("/healthz").await.status, 200);
    assert_eq!(server.get("/readyz").await.status, 200);
}

async fn until(stream: &mut TcpStream, text: &mut String, wanted: &str) {
    let mut bytes = [0; 4096];
    while !text.contains(wanted) {
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes));
        let count = read
            .await
            .unwrap_or_else(|_| panic!("no {wanted} in {text}"))
            .unwrap();
        assert_ne!(count, 0, "ended without {wanted}: {text}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
}

#[tokio::test]
async fn the_stream_gives_the_full_set_then_changes_and_resumes() {
    let mut server = server(vec![], Limits::default()).await;
    let follow = |query: &str| {
        format!("GET /api/v1/actions/stream{query} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    };
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(follow("").as_bytes()).await.unwrap();
    let mut text = String::new();
    until(&mut stream, &mut text, "event: full").await;
    until(&mut stream, &mut text, "id: 2").await;
    let path = format!("/api/v1/actions/{}/approve", Id([2; 32]));
    assert_eq!(server.ask("POST", &path, "", "").await.status, 200);
    until(&mut stream, &mut text, "event: change").await;
    until(&mut stream, &mut text, "id: 3").await;
    assert!(text.contains("\"step\":\"requested\""), "{text}");
    let mut again = TcpStream::connect(server.address).await.unwrap();
    again
        .write_all(follow("?since=2").as_bytes())
        .await
        .unwrap();
    let mut text = String::new();
    until(&mut again, &mut text, "id: 3").await;
    assert!(!text.contains("event: full"), "{text}");
    // The end does not wait for streams.
    let (unused, _) = oneshot::channel();
    drop(std::mem::replace(&mut server._end, unused));
    tokio::time::timeout(Duration::from_secs(3), &mut server.task)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn streams_are_bounded() {
    let server = server(
        vec![],
        Limits {
            streams_max: 1,
            ..Limits::default()
        },
    )
    .await;
    let mut one = TcpStream::connect(server.address).await.unwrap();
    one.write_all(b"GET /api/v1/actions/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    until(&mut one, &mut String::new(), "event: full").await;
    assert_eq!(server.get("/api/v1/actions/stream").await.status, 503);
    drop(one);
    for _ in 0..100 {
        if server.view.newest.receiver_count() == 0 {
            break;
        }
        tokio::task::yield_now().await;
        drop(server.get("/healthz").await);
    }
    assert_eq!(server.view.newest.receiver_count(), 0);
}

#[tokio::test]
async fn the_document_has_every_route_and_the_console_a_policy() {
    let server = server(tokens(), Limits::default()).await;
    let document = server.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.method];
        assert_eq!(operation["summary"], route.summary, "{}", route.path);
        assert_eq!(
            operation["security"].is_array(),
            route.scope.is_some(),
            "{}",
            route.path
        );
    }
    let page = server.get("/").await;
    assert!(
        page.head
            .contains("content-security-policy: default-src 'none'; script-src 'sha256-")
    );
    assert!(page.body.contains("<title>"));
    // Whatever the page lists is there to be read.
    let lists = page.body.split("list(\"").skip(1);
    let lists: Vec<&str> = lists.filter_map(|l| l.split(['"', '?']).next()).collect();
    for path in ["/api/v1/silences", "/api/v1/allow", "/api/v1/alerts"] {
        assert!(lists.contains(&path), "the page does not show {path}");
    }
    for path in lists {
        let read = |r: &Route| r.path == path && r.method == "get";
        assert!(ROUTES.iter().any(read), "{path}");
    }
}
