use super::*;
use crate::engine::alert::{DetectorRef, Number, Pairs, Window};
use crate::engine::containment::Verb;
use crate::engine::containment::policy::{Policy, Settings, State};
use crate::engine::detector::plan::{Detector, Mode, Respond};
use crate::model::{EventTime, HashKey, Span};

fn an_alert(revision: u32, status: Status) -> Alert {
    Alert {
        alert_id: Id([0xab; 32]),
        revision,
        status,
        detector: DetectorRef {
            id: "d1".into(),
            name: "reset-flood-ip".into(),
            version: 3,
            level: Level::High,
        },
        time: EventTime(1_768_205_523_000),
        key: Pairs(vec![("source.ip".into(), "203.0.113.7".into())]),
        observed: Pairs(vec![("event_count".into(), Number(51.0))]),
        bound: Pairs(vec![(
            "event_count".into(),
            Pairs(vec![("gte".into(), Number(50.0))]),
        )]),
        window: Window {
            start: EventTime(1_768_205_000_000),
            end: EventTime(1_768_205_523_000),
        },
        first: EventTime(1_768_205_001_000),
        last: EventTime(1_768_205_524_500),
        events: 51,
        error: None,
        summary: "51 resets, \"quoted\"\nand a line break".into(),
        mode: Mode::Shadow,
        tags: vec!["attack.t1110".into()],
        runbook: None,
        actions: Vec::new(),
        positions: Vec::new(),
        peak: Number(51.0),
        context: Pairs::default(),
        suppressed: 0,
        silenced: None,
    }
}

const NOW: WallTime = WallTime(1_768_205_530_000);

#[test]
fn an_alert_is_worded_as_the_contract_says() {
    for (revision, status, kind, at) in [
        (
            0,
            Status::Open,
            Kind::AlertOpened,
            "2026-01-12T08:12:03.000Z",
        ),
        (
            1,
            Status::Open,
            Kind::AlertUpdated,
            "2026-01-12T08:12:04.500Z",
        ),
        (
            2,
            Status::Closed,
            Kind::AlertClosed,
            "2026-01-12T08:12:04.500Z",
        ),
    ] {
        let source = an_alert(revision, status);
        let draft = alert(&source, NOW);
        assert_eq!(draft.kind, kind);
        assert_eq!(draft.webhook_id, format!("{}_{revision}", "ab".repeat(32)));
        let body: serde_json::Value = serde_json::from_str(&draft.body).unwrap();
        assert_eq!(body["type"], kind.name());
        assert_eq!(body["timestamp"], at);
        assert_eq!(draft.data(), serde_json::to_string(&source).unwrap());
        assert_eq!(body["data"], serde_json::to_value(&source).unwrap());
        assert!(!draft.body.contains('\n'), "one line");
        let later = alert(&source, WallTime(NOW.0 + 1));
        assert_eq!(
            (later.body, later.webhook_id),
            (draft.body, draft.webhook_id)
        );
    }
    let start = r#"{"type":"tidegate.alert.opened.v1","timestamp":"2026-01-12T08:12:03.000Z","data":{"alert_id":"abab"#;
    assert!(
        alert(&an_alert(0, Status::Open), NOW)
            .body
            .starts_with(start)
    );
}

#[test]
fn an_action_is_worded_as_the_contract_says() {
    let policy = Policy::new(Settings::default(), &HashKey::fixed()).unwrap();
    let detector = Detector {
        id: "d1".into(),
        mode: Mode::Contain,
        respond: vec![Respond {
            verb: Verb::Block,
            target: Some("source.ip".into()),
            ttl: Span::minutes(5),
        }],
        ..Detector::default()
    };
    let mut state = State::default();
    let plan = policy.decide(&mut state, &an_alert(0, Status::Open), &detector, NOW);
    let draft = action(&plan.changes()[0]).unwrap();
    let body: serde_json::Value = serde_json::from_str(&draft.body).unwrap();
    let id = plan.actions()[0].to_string();
    assert_eq!(
        body,
        serde_json::json!({
            "type": "tidegate.action.requested.v1",
            "timestamp": "2026-01-12T08:12:10.000Z",
            "data": {
                "action_id": id,
                "target": {"scope": "ip", "value": "203.0.113.7"},
                "verb": "block",
                "seq": 1,
                "issued_at": "2026-01-12T08:12:10.000Z",
                "expires_at": "2026-01-12T08:17:10.000Z",
                "supersedes": null,
                "simulated": true,
                "undo": {"verb": "allow"},
                "reason": {"alerts": ["ab".repeat(32)], "incident_id": null},
                "parameters": {},
            }
        })
    );
    assert_eq!(draft.webhook_id, format!("{id}_requested_1"));
    assert_eq!(draft.expires_at, Some(NOW + Span::minutes(5)));
    assert_eq!(draft.concerns.as_ref().unwrap().target.value, "203.0.113.7");
    let ended = policy.tick(&mut state, NOW + Span::minutes(5));
    let expired = action(&ended.changes()[0]).unwrap();
    assert_eq!(
        (expired.kind, expired.expires_at),
        (Kind::ActionExpired, None)
    );
    assert_eq!((expired.lane, expired.slot), (draft.lane, draft.slot));
    assert_ne!(expired.webhook_id, draft.webhook_id);
}

#[test]
fn what_enforcers_need_not_hear_has_no_message() {
    let policy = Policy::new(Settings::default(), &HashKey::fixed()).unwrap();
    let detector = Detector {
        mode: Mode::Contain,
        respond: vec![Respond {
            verb: Verb::DisableFlow,
            target: None,
            ttl: Span::ZERO,
        }],
        ..Detector::default()
    };
    let plan = policy.decide(
        &mut State::default(),
        &an_alert(0, Status::Open),
        &detector,
        NOW,
    );
    assert_eq!(
        (plan.changes().len(), action(&plan.changes()[0])),
        (1, None)
    );
}

#[test]
fn a_test_says_that_it_is_one() {
    let draft = test(Id([1; 32]), NOW);
    let body: serde_json::Value = serde_json::from_str(&draft.body).unwrap();
    assert_eq!(body["type"], "tidegate.test.v1");
    assert!(!draft.webhook_id.contains('.'));
}
