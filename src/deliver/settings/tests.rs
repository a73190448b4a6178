use super::*;
use crate::deliver::body;
use crate::model::WallTime;
use crate::model::ids::Id;
use std::collections::BTreeMap;

fn read(yaml: &str) -> Result<Settings, String> {
    serde_saphyr::from_str(yaml).map_err(|e| e.to_string())
}

const WHOLE: &str = "
webhooks:
  - name: soc
    url: https://soc.example.com/hooks
    secret_env: SOC_SECRET
    only: {types: ['tidegate.alert.*', tidegate.incident.opened.v1], level_min: high}
  - name: edge
    url: https://10.0.0.5/actions
    secret_env: [EDGE_NEW, EDGE_OLD]
    secret_file: /run/secrets/edge
    only: {types: ['tidegate.action.*'], simulated: false}
    retry: {first: 500ms, longest: 10s}
    timeout: 5s
    allow_private: true
files:
  - {name: archive, path: /var/log/tidegate/alerts.ndjson, sync: never, shape: envelope}
stdout: {}
topics:
  - {name: alerts, topic: tidegate.alerts, only: {types: ['tidegate.alert.*']}}
";

fn draft(kind: Kind, level: Option<Level>) -> Draft {
    body::incident(kind, Id::default(), 0, level, &(), WallTime(0))
}

#[test]
fn what_is_written_is_understood_and_routed() {
    let settings = read(WHOLE).unwrap();
    assert_eq!(settings.faults(), Vec::<String>::new());
    let routes = |d: &Draft| settings.route(d).join(" ");
    assert_eq!(
        routes(&draft(Kind::AlertOpened, Some(Level::Critical))),
        "soc archive alerts stdout"
    );
    assert_eq!(
        routes(&draft(Kind::AlertOpened, Some(Level::Low))),
        "archive alerts stdout"
    );
    assert_eq!(
        routes(&draft(Kind::IncidentOpened, None)),
        "soc archive stdout"
    );
    assert_eq!(routes(&draft(Kind::IncidentClosed, None)), "archive stdout");
    assert_eq!(
        routes(&draft(Kind::ActionRequested, None)),
        "edge archive stdout"
    );
    assert_eq!(settings.warnings().len(), 1);
    let edge = &settings.webhooks[1];
    assert_eq!(
        (edge.timeout, edge.retry.first, edge.retry.attempts_max),
        (Span::seconds(5), Span(500), 20)
    );
    assert_eq!(edge.secret_env.list(), ["EDGE_NEW", "EDGE_OLD"]);
}

#[test]
fn simulated_actions_can_be_left_out() {
    use crate::engine::containment::{Scope, Target, Verb};
    use crate::engine::outbox::Concern;
    let settings = read(WHOLE).unwrap();
    let target = Target {
        scope: Scope::Ip,
        value: "203.0.113.7".into(),
    };
    let concerns = Some(Concern {
        target,
        verb: Verb::Block,
        simulated: true,
    });
    let one = Draft {
        concerns,
        ..draft(Kind::ActionRequested, None)
    };
    assert_eq!(settings.route(&one).join(" "), "archive stdout");
}

#[test]
fn every_fault_is_told() {
    let settings = read(
        "
outbox_max: 1
webhooks:
  - {name: Bad Name, url: 'http://169.254.169.254/', concurrency: 0, timeout: 1m, retry: {first: 1h}}
  - {name: a, url: 'https://example.com', secret_env: X, only: {types: [alert.opened]}}
  - {name: a, url: 'https://example.com', secret_env: X}
",
    )
    .unwrap();
    let faults = settings.faults();
    for part in [
        "\"Bad Name\"",
        "stands twice",
        "no message is of type",
        "no secret",
        "concurrency",
        "at most 15s",
        "retry.longest",
        "scheme http",
        "outbox_max",
    ] {
        assert!(
            faults.iter().any(|f| f.contains(part)),
            "{part}: {faults:#?}"
        );
    }
    for bad in [
        "webhooks: [{name: a, url: x, secret: whsec_abc}]",
        "webhooks: [{name: a, url: x, timeout: 5}]",
        "webhook: []",
        "files: [{name: a}]",
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    assert_eq!(read("{}").unwrap(), Settings::default());
}

struct Source(BTreeMap<&'static str, &'static str>);
impl SecretSource for Source {
    fn env(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|s| (*s).to_owned())
    }
    fn file(&self, path: &str) -> std::io::Result<String> {
        self.env(path)
            .ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotFound))
    }
}

#[test]
fn secrets_are_found_where_the_settings_say() {
    let edge = read(WHOLE).unwrap().webhooks[1].clone();
    let mut source = Source(BTreeMap::from([
        ("EDGE_NEW", "whsec_AAAA"),
        ("EDGE_OLD", "whsec_BBBB"),
        ("/run/secrets/edge", "whsec_CCCC\n\nwhsec_DDDD\n"),
    ]));
    assert_eq!(edge.secrets(&source).unwrap().len(), 4);
    source.0.insert("EDGE_OLD", "not base64 at all!");
    source.0.remove("/run/secrets/edge");
    let faults = edge.secrets(&source).unwrap_err();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        !faults.join(" ").contains("not base64 at all!"),
        "secrets are not shown"
    );
}

#[test]
fn a_schema_can_be_made() {
    let schema = serde_json::to_value(schemars::schema_for!(Settings)).unwrap();
    assert_eq!(schema["properties"]["webhooks"]["type"], "array");
    let policy = schemars::schema_for!(crate::engine::containment::policy::Settings);
    let text = serde_json::to_string(&policy).unwrap();
    assert!(
        text.contains("active_max_by_verb") && text.contains("disable_flow"),
        "{text}"
    );
}
