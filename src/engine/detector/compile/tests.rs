use super::*;
use crate::engine::detector::plan::{From, Kind};

fn one(text: &str) -> Compiled {
    let file = SourceFile {
        path: "t.yml".into(),
        text: text.into(),
        runbook_exists: true,
        tests_exist: true,
    };
    compile(&[file], &Options::default())
}

#[test]
fn a_combined_document_counts_its_own_condition() {
    let got = one("title: Reset flood\nid: abc\ndetection:\n  selection:\n    event.kind: recovery.requested\n  condition: selection\ncorrelation:\n  type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {gte: 10}\n");
    assert_eq!(got.diagnostics, []);
    assert_eq!(got.plan.rules.len(), 1);
    let rule = &got.plan.rules[0];
    assert!(rule.alerts);
    assert_eq!(rule.inputs[0].from, From::Event(0));
    assert!(matches!(rule.kind, Kind::Window { .. }));
    assert_eq!(got.plan.predicates[0].kinds(), Some(&["recovery.requested".to_owned()][..]));
    assert_eq!(got.plan.detectors[0].id, "abc");
    assert_eq!(got.plan.detectors[0].name, "reset-flood");
}
