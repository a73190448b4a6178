use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::model::{HashKey, Value};

mod contacts;

fn fixture(path: &str) -> Vec<String> {
    let path = format!("{}/tests/fixtures/{path}.jsonl", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn fixtures() -> Vec<(Schema, String)> {
    [
        (Schema::Okta, "okta/system-log"),
        (Schema::Keycloak, "keycloak/user-events"),
        (Schema::Keycloak, "keycloak/admin-events"),
        (Schema::Ses, "ses/event-publishing"),
        (Schema::Ses, "ses/sns"),
        (Schema::Github, "github/deployment"),
        (Schema::Tidegate, "tidegate/events"),
    ]
    .into_iter()
    .flat_map(|(schema, path)| fixture(path).into_iter().map(move |line| (schema, line)))
    .collect()
}

fn redactor() -> Redactor {
    Redactor::new(&HashKey::fixed())
}

fn decoder(names: &[&str], all: bool) -> (Fields, Decoder) {
    let mut fields = Fields::default();
    let ids: Vec<_> = names.iter().map(|n| fields.intern(n).unwrap()).collect();
    let projection = if all {
        Projection::everything()
    } else {
        Projection::of(ids)
    };
    let decoder = Decoder::new(&fields, Arc::new(projection), redactor(), Limits::default());
    (fields, decoder)
}

fn to_json(event: &Event, fields: &Fields) -> Json {
    let mut map = Map::new();
    map.insert("time".into(), event.time.to_string().into());
    map.insert("schema".into(), event.schema.into());
    for (name, value) in event.present(fields) {
        let value = match value {
            Value::Text(t) => t.into(),
            Value::Int(n) => n.into(),
            Value::Float(n) => n.into(),
            Value::Bool(b) => b.into(),
            Value::Null => Json::Null,
        };
        match map.get_mut(name) {
            None => _ = map.insert(name.to_owned(), value),
            Some(Json::Array(list)) => list.push(value),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    Json::Object(map)
}

fn run(decoder: &mut Decoder, fields: &Fields, bytes: &[u8], hint: Option<Schema>) -> Vec<Json> {
    let mut out = Vec::new();
    decoder.decode(bytes, hint, &mut |decoded| match decoded {
        Decoded::Event(event) => out.push(to_json(event, fields)),
        Decoded::Dead(letter) => {
            out.push(json!({"dead": letter.reason.name(), "detail": letter.detail, "element": letter.element}));
        }
    });
    out
}

/// Decodes with everything kept.
fn explain(line: &str) -> Vec<Json> {
    let (fields, mut decoder) = decoder(&[], true);
    run(&mut decoder, &fields, line.as_bytes(), None)
}

fn reasons(line: &str) -> Vec<String> {
    explain(line)
        .iter()
        .map(|e| e["dead"].as_str().unwrap_or("event").to_owned())
        .collect()
}

/// Holds an event against the members of `want`; a null there means missing.
#[track_caller]
fn has(event: &Json, want: &Json) {
    for (name, value) in want.as_object().unwrap() {
        let got = event.get(name).unwrap_or(&Json::Null);
        assert_eq!(got, value, "{name} in {event:#}");
    }
}

#[test]
fn okta() {
    let lines = fixture("okta/system-log");
    let alice = redactor().email("alice@example.com");
    let one = |i: usize| explain(&lines[i]).remove(0);
    has(
        &one(0),
        &json!({"event.kind": "message.sent", "schema": "okta", "time": "2026-01-12T08:12:03.456Z",
            "event.id": "3aeede38-4f67-11ea-abd3-1f5d113f2546", "event.outcome": "success",
            "user.id": "00u1aliceEXAMPLE0001", "user.target.id": "00u1aliceEXAMPLE0001", "user.email": alice,
            "source.ip": "203.0.113.7", "source.cidr": "203.0.113.0/24", "source.as.number": 64500,
            "source.as.organization.name": "Example Transit", "source.geo.country_iso_code": "NL",
            "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) ExampleBrowser/1.0",
            "session.id": "trsEXAMPLEsession01", "trace.id": "aWSReqEXAMPLE@01", "http.request.id": "aWSReqEXAMPLE@01",
            "device.id": "541daf91d15bef64a7e08c946fd9a9d0", "message.channel": "email", "message.provider": "okta",
            "actor.kind": "system", "url.path": "/api/v1/authn/recovery/password", "token.kind": "link",
            "source.kind": null, "event.reason": null}),
    );
    has(
        &one(1),
        &json!({"event.kind": "recovery.requested", "user.id": "00u1aliceEXAMPLE0001"}),
    );
    has(
        &one(2),
        &json!({"event.kind": "password.reset_by_admin", "user.id": "00u9adminEXAMPLE009",
            "user.target.id": "00u1aliceEXAMPLE0001", "actor.kind": "admin",
            "user.email": redactor().email("admin@example.com")}),
    );
    has(
        &one(5),
        &json!({"event.kind": "login.failure", "event.outcome": "failure",
        "event.reason": "INVALID_CREDENTIALS", "user.target.id": "00u1aliceEXAMPLE0001"}),
    );
    let kinds: Vec<String> = lines
        .iter()
        .flat_map(|l| explain(l))
        .map(|e| e["event.kind"].as_str().unwrap_or("?").to_owned())
        .collect();
    let want = [
        "message.sent",
        "recovery.requested",
        "password.reset_by_admin",
        "password.changed",
        "login.success",
        "login.failure",
        "mfa.failed",
        "mfa.removed",
        "mfa.reset",
        "account.locked",
        "email.changed",
        "token.issued",
        "token.expired",
        "recovery.blocked",
        "custom.okta.policy.evaluate_sign_on",
        "message.bounced",
        "custom.okta.user.account.privilege.grant",
        "session.revoked",
        "account.unlocked",
        "session.revoked",
    ];
    assert_eq!(kinds, want);
}

#[test]
fn okta_raw_paths_serve_detectors() {
    let names = [
        "eventType",
        "client.ipAddress",
        "target.type",
        "debugContext.debugData.url",
        "actor.alternateId",
        "client.zone",
        "securityContext.isProxy",
    ];
    let (fields, mut decoder) = decoder(&names, false);
    let lines = fixture("okta/system-log");
    let events = run(
        &mut decoder,
        &fields,
        lines[2].as_bytes(),
        Some(Schema::Okta),
    );
    has(
        &events[0],
        &json!({"eventType": "user.account.reset_password", "client.ipAddress": "203.0.113.7",
            "target.type": ["PolicyEntity", "User"], "debugContext.debugData.url": "/api/v1/authn/recovery/password",
            "actor.alternateId": redactor().email("admin@example.com"), "client.zone": null,
            "securityContext.isProxy": false, "user.id": null}),
    );
}

#[test]
fn keycloak() {
    let user = fixture("keycloak/user-events");
    let one = |i: usize| explain(&user[i]).remove(0);
    has(
        &one(0),
        &json!({"event.kind": "recovery.requested", "time": "2026-01-12T08:12:03.456Z",
            "event.id": "f6531ec5-7f53-4922-9ab0-89523f582718", "event.outcome": "success",
            "user.id": "4937d6f3-ae29-441d-bdd0-d9cc38d89632", "user.target.id": "4937d6f3-ae29-441d-bdd0-d9cc38d89632",
            "user.email": redactor().email("alice@example.com"), "source.ip": "198.51.100.23",
            "session.id": "NwdMHLlWx7c-mHOCRuC1dmmY", "message.channel": "email", "actor.kind": "user",
            "organization.id": "a9cbb114-34bf-44d1-a398-354813798345"}),
    );
    let nobody = redactor().email("nobody@example.com");
    has(
        &one(1),
        &json!({"event.kind": "recovery.requested", "event.outcome": "failure",
        "event.reason": "user_not_found", "user.target.id": nobody, "user.email": nobody}),
    );
    has(
        &one(4),
        &json!({"event.kind": "token.used", "token.id": "5ad0d2a1-98a3-4c4f-8e3a-2f3b9a6f6f01"}),
    );
    has(
        &one(15),
        &json!({"event.kind": "login.failure", "source.ip": "198.51.100.23", "user.id": "bob"}),
    );
    let kinds: Vec<Json> = user
        .iter()
        .map(|l| explain(l)[0]["event.kind"].clone())
        .collect();
    let want = [
        "recovery.requested",
        "recovery.requested",
        "token.expired",
        "token.used",
        "token.used",
        "login.success",
        "login.failure",
        "oauth.redirect_mismatch",
        "password.changed",
        "email.changed",
        "mfa.enrolled",
        "mfa.removed",
        "session.revoked",
        "account.locked",
        "custom.keycloak.refresh_token",
        "login.failure",
    ];
    assert_eq!(kinds, want);
    let admin = fixture("keycloak/admin-events");
    has(
        &explain(&admin[0])[0],
        &json!({"event.kind": "password.reset_by_admin", "user.id": "9c933e91-cf01-4599-9a25-d4def71134f2",
            "user.target.id": "c88bc761-a6b6-4b6f-9360-9d11e6475efc", "source.ip": "192.0.2.44", "actor.kind": "admin"}),
    );
    let kinds: Vec<Json> = admin
        .iter()
        .map(|l| explain(l)[0]["event.kind"].clone())
        .collect();
    let want = [
        "password.reset_by_admin",
        "session.revoked",
        "account.locked",
        "custom.keycloak.update_user",
        "mfa.removed",
        "session.revoked",
        "account.unlocked",
        "config.changed",
        "message.sent",
    ];
    assert_eq!(kinds, want);
}

#[test]
fn ses() {
    let lines = fixture("ses/event-publishing");
    let (alice, bob) = (
        redactor().email("alice@example.com"),
        redactor().email("bob@example.org"),
    );
    has(
        &explain(&lines[0])[0],
        &json!({"event.kind": "message.sent", "time": "2026-01-12T08:11:00.000Z", "user.email": alice,
            "message.id": "0102018d0example-4a7c-4b1e-9f00-000000", "message.channel": "email",
            "message.provider": "ses", "user.target.id": "u-17", "token.id": "tok-17", "event.outcome": "success"}),
    );
    let both = explain(&lines[1]);
    assert_eq!(both.len(), 2);
    has(
        &both[1],
        &json!({"user.email": bob, "event.kind": "message.sent"}),
    );
    let bounced = explain(&lines[3]);
    assert_eq!(bounced.len(), 2);
    has(
        &bounced[0],
        &json!({"event.kind": "message.bounced", "time": "2026-01-12T08:11:05.000Z", "user.email": alice,
        "event.outcome": "failure", "event.reason": "Permanent/General", "event.id": "0102018d-feedback-000000#1"}),
    );
    has(
        &bounced[1],
        &json!({"user.email": bob, "event.id": "0102018d-feedback-000000#2"}),
    );
    has(
        &explain(&lines[6])[0],
        &json!({"event.kind": "message.opened", "source.ip": "198.51.100.9",
        "user_agent.original": "ExampleMail/1.0"}),
    );
    has(
        &explain(&lines[7])[0],
        &json!({"event.kind": "message.clicked", "url.path": "/reset/:token"}),
    );
    let kinds: Vec<Json> = lines
        .iter()
        .map(|l| explain(l)[0]["event.kind"].clone())
        .collect();
    let want = [
        "message.sent",
        "message.sent",
        "message.delivered",
        "message.bounced",
        "message.complained",
        "message.bounced",
        "message.opened",
        "message.clicked",
        "message.bounced",
        "message.deferred",
        "custom.ses.subscription",
    ];
    assert_eq!(kinds, want);
    let sns = fixture("ses/sns");
    has(
        &explain(&sns[0])[0],
        &json!({"event.kind": "message.sent", "user.email": alice,
        "event.id": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"}),
    );
    assert_eq!(explain(&sns[1]).len(), 2);
    assert_eq!(reasons(&sns[2]), ["missing_time"]);
}

#[test]
fn github() {
    let lines = fixture("github/deployment");
    has(
        &explain(&lines[2])[0],
        &json!({"event.kind": "deploy.finished", "time": "2026-01-12T08:05:00.000Z", "deploy.id": "145988746",
            "deploy.commit": "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "deploy.service": "mailer",
            "deploy.environment": "production", "event.outcome": "success", "user.id": "octo-dev",
            "actor.kind": "user", "event.id": "209916254", "organization.id": "example"}),
    );
    has(
        &explain(&lines[0])[0],
        &json!({"time": "2026-01-12T08:00:00.000Z", "event.id": "145988746"}),
    );
    let kinds: Vec<Json> = lines
        .iter()
        .map(|l| explain(l)[0]["event.kind"].clone())
        .collect();
    let want = [
        "deploy.started",
        "deploy.started",
        "deploy.finished",
        "deploy.finished",
        "deploy.rolledback",
        "custom.github.deployment_status",
        "deploy.finished",
    ];
    assert_eq!(kinds, want);
    has(&explain(&lines[6])[0], &json!({"actor.kind": "system"}));
}

#[test]
fn tidegate() {
    let lines = fixture("tidegate/events");
    let one = |i: usize| explain(&lines[i]).remove(0);
    has(
        &one(0),
        &json!({"event.kind": "recovery.requested", "source.cidr": "203.0.113.0/24", "user.target.id": "u-1",
            "user.id": null, "user.email": redactor().email("alice@example.com"), "labels.plan": "pro",
            "http.request.id": "req-1", "time": "2026-01-12T08:12:03.000Z"}),
    );
    has(
        &one(1),
        &json!({"event.kind": "token.issued", "source.ip": "203.0.113.7", "source.as.number": 64500,
            "source.geo.country_iso_code": "NL", "token.id": "tok-2", "token.kind": "link", "event.id": "e-2",
            "source.as.organization.name": "Example Transit", "time": "2026-01-12T08:12:03.000Z"}),
    );
    has(
        &one(2),
        &json!({"shop.cart.items": 3, "user.target.id": "u-3", "message.channel": "email"}),
    );
    has(
        &one(3),
        &json!({"source.ip": "2001:db8:0:1::17", "source.cidr": "2001:db8:0:1::/64", "user.id": null,
            "session.id": null, "event.outcome": "success", "time": "2026-01-12T08:12:03.123Z"}),
    );
    assert_eq!(reasons(&lines[4]), ["event", "wrong_type", "event"]);
}

#[test]
fn dead_letters() {
    let want = [
        "invalid_json",
        "missing_time",
        "missing_kind",
        "wrong_type",
        "wrong_type",
        "invalid_time",
        "invalid_value",
        "wrong_type",
        "wrong_type",
        "invalid_json",
        "unknown_schema",
        "wrong_type",
        "wrong_type",
        "invalid_json",
        "invalid_json",
    ];
    let lines = fixture("tidegate/dead-letters");
    let got: Vec<String> = lines.iter().flat_map(|l| reasons(l)).collect();
    assert_eq!(got, want);
    assert_eq!(reasons(""), ["empty"]);
    assert_eq!(reasons(" \n"), ["empty"]);
    assert_eq!(reasons("[]"), [""; 0]);
    let (fields, mut decoder) = decoder(&[], true);
    let mut dead = |bytes: &[u8]| run(&mut decoder, &fields, bytes, None)[0]["dead"].clone();
    assert_eq!(dead(b"{\"a\":\"\xff\"}"), "invalid_utf8");
    assert_eq!(dead(&vec![b' '; (1 << 20) + 1]), "too_large");
    assert_eq!(dead("{\"a\":".repeat(1000).as_bytes()), "too_deep");
    assert_eq!(
        dead(format!("{{{}\"z\":1}}", "\"a\":1,".repeat(5000)).as_bytes()),
        "too_many_fields"
    );
}

#[test]
fn a_broken_element_spares_its_siblings() {
    let good = r#"{"event.kind":"a.b","time":1768205523}"#;
    assert_eq!(
        reasons(&format!("[{good},{{bad}},{good}]")),
        ["event", "invalid_json", "event"]
    );
    assert_eq!(
        reasons(&format!("[{good},7,{good}]")),
        ["event", "wrong_type", "event"]
    );
    assert_eq!(reasons(&format!("[{good}")), ["event", "invalid_json"]);
    assert_eq!(reasons(&format!("[{good},]")), ["event", "invalid_json"]);
    assert_eq!(reasons(&format!("[{good}] x")), ["event", "invalid_json"]);
    assert_eq!(
        reasons(&format!("[{good},{{\"a\":\"x]")),
        ["event", "invalid_json"]
    );
}

#[test]
fn a_key_that_stands_twice_refuses_the_event() {
    const TIME: &str = "\"time\":1768205523";
    for (twice, path) in [
        (r#""event.kind":"a.a","event.kind":"b.b""#, "event.kind"),
        (r#""event.kind":"a.a","Event.Kind":"a.a""#, "event.kind"),
        (
            r#""event.kind":"a.a","event\u002ekind":"b.b""#,
            "event.kind",
        ),
        (
            r#""event.kind":"a.a","event":{"kind":"b.b"},"event.kind":"c.c""#,
            "event.kind",
        ),
        (r#""event":{"kind":"a.a","kind":"b.b"}"#, "event.kind"),
        (r#""event.kind":"a.a","time":7"#, "time"),
        (
            r#""event.kind":"a.a","user":{"id":"1"},"user":{"name":"n"}"#,
            "user",
        ),
        (
            r#""event.kind":"a.a","source.ip":"192.0.2.1","source.ip":null"#,
            "source.ip",
        ),
    ] {
        let (fields, mut decoder) = decoder(&[], false);
        let line = format!("{{{TIME},{twice}}}");
        let got = run(&mut decoder, &fields, line.as_bytes(), None);
        has(
            &got[0],
            &json!({"dead": "repeated_key", "detail": format!("{path} stands twice in one object")}),
        );
    }
    // A good one behind it, and one element among others.
    let good = format!(r#"{{"event.kind":"a.b",{TIME}}}"#);
    let twice = format!(r#"{{"event.kind":"a.b",{TIME},{TIME}}}"#);
    assert_eq!(
        reasons(&format!("[{good},{twice},{good}]")),
        ["event", "repeated_key", "event"]
    );
    let okta = r#"{"eventType":"user.session.start","published":"2026-01-12T08:12:03Z","uuid":"1",
        "actor":{"id":"a","id":"b"}}"#;
    assert_eq!(reasons(okta), ["repeated_key"]);
}

#[test]
fn what_no_schema_reads_may_stand_twice_and_the_last_one_counts() {
    let (fields, mut decoder) = decoder(&["event.kind", "x.y", "list"], false);
    let line = r#"{"event.kind":"b.b","time":1768205523,"x":{"y":1},"list":[1,2],"nobody":1,
        "x":{"z":2},"list":[3],"nobody":2}"#;
    let events = run(&mut decoder, &fields, line.as_bytes(), None);
    has(
        &events[0],
        &json!({"event.kind": "b.b", "x.y": null, "list": 3, "time": "2026-01-12T08:12:03.000Z"}),
    );
    // Two ways to write one path are two keys.
    let nested = r#"{"event":{"kind":"a.a"},"time":1768205523,"event.kind":"b.b"}"#;
    has(
        &run(&mut decoder, &fields, nested.as_bytes(), None)[0],
        &json!({"event.kind": "b.b"}),
    );
}

#[test]
fn keys_match_in_any_case() {
    for (schema, line) in fixtures() {
        let upper = upper_keys(&serde_json::from_str::<Json>(&line).unwrap());
        let (fields, mut decoder) = decoder(field::CANONICAL, false);
        let a = run(&mut decoder, &fields, line.as_bytes(), None);
        let b = run(&mut decoder, &fields, upper.to_string().as_bytes(), None);
        let strip = |mut v: Vec<Json>| {
            v.iter_mut()
                .for_each(|e| _ = e.as_object_mut().unwrap().remove("detail"));
            v
        };
        // serde_json sorts keys; only SNS's inner text is not rewritten.
        assert_eq!(strip(a), strip(b), "{schema}: {line}");
    }
}

fn upper_keys(value: &Json) -> Json {
    match value {
        Json::Object(map) => Json::Object(
            map.iter()
                .map(|(k, v)| (k.to_uppercase(), upper_keys(v)))
                .collect(),
        ),
        Json::Array(list) => list.iter().map(upper_keys).collect(),
        other => other.clone(),
    }
}

#[test]
fn hint_and_shape_agree() {
    let (fields, mut decoder) = decoder(field::CANONICAL, false);
    for (schema, line) in fixtures() {
        let by_shape = run(&mut decoder, &fields, line.as_bytes(), None);
        assert_eq!(
            by_shape,
            run(&mut decoder, &fields, line.as_bytes(), Some(schema)),
            "{line}"
        );
    }
}

#[test]
fn no_address_and_no_secret_comes_out() {
    for (_, line) in fixtures() {
        for event in explain(&line) {
            let text = event.to_string().to_lowercase();
            for canary in [
                "alice@",
                "bob@",
                "nobody@",
                "admin@",
                "mallory@",
                "no-reply@",
                "secretsecret",
                "9f8e7d6c",
            ] {
                assert!(!text.contains(canary), "{canary} in {event:#}");
            }
        }
    }
}

#[test]
fn secrets_die_under_any_name() {
    let line = r#"{"event.kind":"token.issued","time":1768205523,"token.id":"https://a.example/reset/abc",
        "password":"hunter2hunter2","token":{"value":"RAWTOKEN1"},"reset_code":839201,"x":{"reset_link":"https://a.example/r?t=RAWTOKEN2"},
        "note":"bob@example.com said token=RAWTOKEN3","bob@example.com":1,"headers":{"Cookie":"sid=RAWTOKEN4","Authorization":"Bearer RAWTOKEN5"}}"#;
    let event = explain(line).remove(0);
    let text = event.to_string();
    for canary in ["hunter2", "RAWTOKEN", "839201", "bob@"] {
        assert!(!text.contains(canary), "{canary} in {event:#}");
    }
    assert_eq!(event["token.value"], redactor().secret("RAWTOKEN1"));
}

#[test]
fn projection_decides_what_is_kept_and_not_what_is_accepted() {
    let (fields, mut decoder) = decoder(&["event.kind", "source.ip"], false);
    let line = r#"{"event.kind":"a.b","time":1768205523,"source.ip":"1.2.3.4","user.id":"u","labels.x":1}"#;
    let events = run(&mut decoder, &fields, line.as_bytes(), None);
    assert_eq!(
        events[0],
        json!({"event.kind": "a.b", "source.ip": "1.2.3.4", "schema": "tidegate",
        "time": "2026-01-12T08:12:03.000Z"})
    );
    let wrong = r#"{"event.kind":"a.b","time":1768205523,"user.id":{"a":1}}"#;
    assert_eq!(
        run(&mut decoder, &fields, wrong.as_bytes(), None)[0]["dead"],
        "wrong_type"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (fields, mut decoder) = decoder(&["a.b", "x"], true);
        for hint in [None].into_iter().chain(Schema::ALL.map(Some)) {
            run(&mut decoder, &fields, &bytes, hint);
        }
    }

    #[test]
    fn mutated_fixtures_never_panic_and_leak_nothing(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, "[\\[\\]{},:\"\\\\0-9a-z@. \u{0}é]{0,3}"), 1..6),
    ) {
        let all = fixtures();
        let (_, line) = which.get(&all);
        let mut chars: Vec<char> = line.chars().collect();
        for (at, cut, with) in &edits {
            let at = at.index(chars.len());
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, with.chars());
        }
        let text: String = chars.into_iter().collect();
        let (fields, mut decoder) = decoder(&["client.ipAddress", "mail.destination", "details.username"], true);
        for hint in [None].into_iter().chain(Schema::ALL.map(Some)) {
            let outputs = run(&mut decoder, &fields, text.as_bytes(), hint);
            prop_assert!(!outputs.is_empty());
            let mut shown = String::new();
            for output in &outputs {
                let _ = write!(shown, "{output}");
            }
            if text.contains("alice@example.com") {
                prop_assert!(!shown.contains("alice@example.com"), "{shown}");
            }
        }
    }

    #[test]
    fn decoding_again_gives_the_same(which in any::<prop::sample::Index>(), first in any::<prop::sample::Index>()) {
        let all = fixtures();
        let (fields, mut decoder) = decoder(&["eventType", "target.type"], true);
        let (_, line) = which.get(&all);
        let fresh = run(&mut decoder, &fields, line.as_bytes(), None);
        run(&mut decoder, &fields, first.get(&all).1.as_bytes(), None);
        prop_assert_eq!(run(&mut decoder, &fields, line.as_bytes(), None), fresh);
    }
}
