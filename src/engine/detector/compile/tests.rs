//! Whole files: what they compile to, and every fault with its place and hint.

use proptest::prelude::*;

use super::*;
use crate::engine::detector::plan::{From, Function, Kind, Mode, Op, Rule};
use crate::model::{Level, Span};

mod faults;
mod sigma;

fn source(path: &str, text: &str) -> SourceFile {
    let (path, text) = (path.to_owned(), text.to_owned());
    SourceFile {
        path,
        text,
        runbook_exists: true,
        tests_exist: true,
    }
}

fn files(list: &[(&str, &str)]) -> Compiled {
    let files: Vec<SourceFile> = list.iter().map(|(path, text)| source(path, text)).collect();
    compile(&files, &Options::default())
}

/// Compiles one file that must be without any finding.
fn clean(text: &str) -> Plan {
    let got = files(&[("t.yml", text)]);
    assert_eq!(got.diagnostics, [], "{text}");
    got.plan
}

fn rule<'p>(plan: &'p Plan, name: &str) -> &'p Rule {
    let detector = plan.detectors.iter().find(|d| d.name == name).unwrap();
    &plan.rules[detector.rule]
}

fn index(plan: &Plan, name: &str) -> usize {
    plan.detectors.iter().find(|d| d.name == name).unwrap().rule
}

fn messages(got: &Compiled) -> Vec<String> {
    got.diagnostics
        .iter()
        .map(|d| format!("{}:{}: {}", d.file, d.line, d.message))
        .collect()
}

const FLOOD: &str = "\
title: Reset flood
id: abc
detection:
  selection:
    event.kind: recovery.requested
  condition: selection
correlation:
  type: event_count
  group-by: [source.ip]
  timespan: 10m
  condition: {gte: 10}
";

#[test]
fn a_combined_document_counts_its_own_condition() {
    let plan = clean(FLOOD);
    let rule = &plan.rules[0];
    assert!(rule.alerts);
    assert_eq!(
        (rule.inputs[0].from, rule.timespan),
        (From::Event(0), Span::minutes(10))
    );
    assert_eq!(rule.key_names, ["source.ip"]);
    let Kind::Window { aggregates, bounds } = &rule.kind else {
        panic!()
    };
    assert_eq!(
        (aggregates[0].name.as_str(), aggregates[0].function),
        ("event_count", Function::Count)
    );
    assert_eq!((bounds[0].op, bounds[0].value), (Op::Gte, 10.0));
    assert_eq!(
        plan.predicates[0].kinds(),
        Some(&["recovery.requested".to_owned()][..])
    );
    let detector = &plan.detectors[0];
    assert_eq!(
        (detector.id.as_str(), detector.name.as_str()),
        ("abc", "reset-flood")
    );
    assert_eq!(
        (detector.version, detector.level, detector.mode),
        (1, Level::Medium, Mode::Shadow)
    );
    assert_eq!(detector.runbook.as_deref(), Some("runbook.md"));
    assert!(!detector.late);
}

#[test]
fn metadata_and_responses() {
    let plan = clean(&format!(
        "{FLOOD}version: 3\nlevel: critical\nmode: contain\ntags: [attack.t1110]\n\
         labels: {{confidence: 2, spoofable: 1}}\nsuppress: {{for: 15m}}\nrunbook: https://r.example/x\n\
         fields: [user.target.id]\nlate: true\nauthor: us\nx-team: soc\nticket: 77\n\
         respond:\n  - {{verb: block, target: source.ip, ttl: 1h}}\n  - {{verb: disable_flow, target: flow, ttl: 5m}}\n"
    ));
    let d = &plan.detectors[0];
    assert_eq!(
        (d.version, d.level, d.mode),
        (3, Level::Critical, Mode::Contain)
    );
    assert_eq!(
        (d.confidence, d.spoofable, d.suppress),
        (2, 1, Span::minutes(15))
    );
    assert_eq!(d.respond[0].target.as_deref(), Some("source.ip"));
    assert_eq!(
        (d.respond[1].target.as_deref(), d.respond[1].ttl),
        (None, Span::minutes(5))
    );
    assert_eq!((d.fields.len(), d.late), (1, true));
    assert_eq!(d.runbook.as_deref(), Some("https://r.example/x"));
}

#[test]
fn selections_are_rules_of_their_own_document() {
    let plan = clean(
        "title: Unused\nname: unused\ndetection:\n  issued:\n    event.kind: token.issued\n\
         \x20 used:\n    event.kind: token.used\ncorrelation:\n  type: absence\n  after: issued\n\
         \x20 expect: used\n  group-by: token.id\n  timespan: 30m\n  lookback: 5m\n---\n\
         title: Share\nname: share\ncorrelation:\n  type: ratio\n  numerator: unused\n\
         \x20 denominator: unused/settled\n  denominator_min: 50\n  group-by: [source.ip]\n\
         \x20 timespan: 30m\n  condition: {gte: 0.9}\n",
    );
    let unused = rule(&plan, "unused");
    assert!(!unused.alerts);
    assert!(matches!(unused.kind, Kind::Absence { lookback } if lookback == Span::minutes(5)));
    let names: Vec<&str> = unused.inputs.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["issued", "used"]);
    assert!(plan.detectors[unused.detector].late, "grouped by token.id");
    let share = rule(&plan, "share");
    let i = index(&plan, "unused");
    assert_eq!(
        (share.inputs[0].from, share.inputs[1].from),
        (From::Rule(i), From::Settled(i))
    );
    assert!(matches!(share.kind, Kind::Ratio { value, denominator_min: 50, .. } if value == 0.9));
    assert!(i < index(&plan, "share"));
}

#[test]
fn several_aggregates_in_one_window() {
    let plan = clean(
        "title: Enumeration\ndetection:\n  asked:\n    event.kind: recovery.requested\n\
         \x20 failed:\n    event.kind: token.failed\ncorrelation:\n  rules: [asked, failed]\n\
         \x20 group-by: [source.ip]\n  timespan: 15m\n  aggregates:\n    requests: {type: event_count, rule: asked}\n\
         \x20   accounts: {type: value_count, field: user.target.id}\n    one_try: {type: once_share, field: user.target.id}\n\
         \x20 condition:\n    requests: {gte: 25, lt: 1000}\n    accounts: {gte: 10}\n    one_try: {gte: 0.8}\n",
    );
    let Kind::Window { aggregates, bounds } = &plan.rules[0].kind else {
        panic!()
    };
    let names: Vec<_> = aggregates
        .iter()
        .map(|a| (a.name.as_str(), a.input))
        .collect();
    assert_eq!(
        names,
        [("requests", Some(0)), ("accounts", None), ("one_try", None)]
    );
    assert_eq!(bounds.len(), 4);
    assert_eq!(bounds[3].aggregate, 2);
}

#[test]
fn spikes() {
    let plan = clean(
        "title: Spike\ndetection:\n  selection:\n    event.kind: recovery.requested\n  condition: selection\n\
         correlation:\n  type: spike\n  group-by: []\n  timespan: 10m\n  warmup: 2h\n  half_life: 12h\n\
         \x20 condition: {factor: 2.5, count_min: 200}\n",
    );
    let Kind::Spike(spike) = &plan.rules[0].kind else {
        panic!()
    };
    assert_eq!(
        (spike.factor, spike.count_min, spike.tail_min),
        (2.5, 200, 9.0)
    );
    assert_eq!(
        (spike.warmup, spike.half_life),
        (Span::hours(2), Span::hours(12))
    );
    assert!(plan.rules[0].inputs[0].group_by.is_empty());
}

#[test]
fn rules_of_correlations_alert_only_when_told_to() {
    let pair = |generate: &str, own: &str| {
        clean(&format!(
            "title: A\nname: a\n{own}detection:\n  s:\n    event.kind: custom.y\n  condition: s\n---\n\
             title: B\nname: b\ncorrelation:\n  type: event_count\n  rules: a\n{generate}\
             \x20 group-by: [user.id]\n  timespan: 1h\n  condition: {{gt: 3}}\n"
        ))
    };
    let alerts = |plan: &Plan| (rule(plan, "a").alerts, rule(plan, "b").alerts);
    assert_eq!(alerts(&pair("", "")), (false, true));
    assert_eq!(alerts(&pair("  generate: true\n", "")), (true, true));
    assert_eq!(alerts(&pair("", "generate: true\n")), (true, true));
    assert!(rule(&pair("", ""), "b").inputs[0].from == From::Event(0));
}

#[test]
fn references_cross_files_in_any_order() {
    let chain = "title: Chain\nname: chain\ncorrelation:\n  type: temporal_ordered\n  rules: [many, done]\n  group-by: [user.id]\n  timespan: 10m\n";
    let many = "title: Many\nname: many\nid: 11\ncorrelation:\n  type: event_count\n  rules: [failed]\n  group-by: [user.id]\n  timespan: 10m\n  condition: {gte: 10}\n";
    let rules = "title: F\nname: failed\ndetection:\n  s: {event.kind: login.failure}\n  condition: s\n---\ntitle: D\nid: done\ndetection:\n  s: {event.kind: login.success}\n  condition: s\n";
    let got = files(&[
        ("a/detector.yml", chain),
        ("b/detector.yml", many),
        ("c/detector.yml", rules),
    ]);
    assert_eq!(got.diagnostics, []);
    let plan = got.plan;
    assert_eq!(plan.detectors.len(), 4);
    assert_eq!(
        rule(&plan, "chain").inputs[0].from,
        From::Rule(index(&plan, "many"))
    );
    assert!(index(&plan, "many") < index(&plan, "chain"));
    assert!(rule(&plan, "chain").alerts && !rule(&plan, "many").alerts);
    assert_eq!(
        plan.detectors[plan.rules[index(&plan, "chain")].detector]
            .runbook
            .as_deref(),
        Some("a/runbook.md")
    );
}

#[test]
fn equal_predicates_are_shared() {
    let second = FLOOD
        .replace("Reset flood", "Other")
        .replace("abc", "def")
        .replace("10m", "1m");
    let got = files(&[("a.yml", FLOOD), ("b.yml", &second)]);
    assert_eq!(got.diagnostics, []);
    assert_eq!((got.plan.rules.len(), got.plan.predicates.len()), (2, 1));
}

#[test]
fn aliases_name_a_field_per_rule() {
    let plan = clean(
        "title: N\ndetection:\n  error: {status: 500}\n  connection: {category: network}\ncorrelation:\n\
         \x20 type: temporal\n  rules: [error, connection]\n  group-by: [internal]\n  timespan: 10s\n\
         \x20 aliases:\n    internal: {error: destination.ip, connection: source.ip}\n",
    );
    let inputs = &plan.rules[0].inputs;
    let names: Vec<&str> = inputs
        .iter()
        .map(|i| plan.fields.name(i.group_by[0]))
        .collect();
    assert_eq!(names, ["destination.ip", "source.ip"]);
    assert_eq!(plan.rules[0].key_names, ["internal"]);
}

/// Sigma 2.1 counts the different rules of a temporal correlation; expressions say which ones.
#[test]
fn temporal_conditions_are_sets_of_rules() {
    let sets = |condition: &str| {
        let plan = clean(&format!(
            "title: Recon\ndetection:\n  who: {{CommandLine: whoami}}\n  net: {{CommandLine: net view}}\n  ip: {{CommandLine: ipconfig}}\n\
             correlation:\n  type: temporal\n  rules: [who, net, ip]\n  group-by: [user.id]\n  timespan: 5m\n{condition}",
        ));
        match &plan.rules[0].kind {
            Kind::Temporal {
                ordered: false,
                sets,
            } => sets.clone(),
            other => panic!("{other:?}"),
        }
    };
    let all: Vec<Vec<usize>> = Vec::new();
    assert_eq!(sets(""), all);
    assert_eq!(sets("  condition: {gte: 3}\n"), all);
    assert_eq!(sets("  condition: {eq: 3}\n"), all);
    assert_eq!(sets("  condition: {gt: 2}\n"), all);
    assert_eq!(sets("  condition: all of them\n"), all);
    assert_eq!(sets("  condition: {gte: 2}\n"), [[0, 1], [0, 2], [1, 2]]);
    assert_eq!(sets("  condition: {gte: 1}\n"), [[0], [1], [2]]);
    assert_eq!(sets("  condition: who and (net or ip)\n"), [[0, 1], [0, 2]]);
    assert_eq!(
        sets("  condition: (who and net) or (who and net and ip) or ip\n"),
        [vec![2], vec![0, 1]]
    );
}

/// Fifteen pairs are 32,768 alternatives: refused at once, and not after seconds.
#[test]
fn temporal_conditions_of_too_many_alternatives_are_refused() {
    let names: Vec<String> = (0..30).map(|n| format!("s{n}")).collect();
    let told = |condition: &str, rules: usize| {
        let selections: String = names
            .iter()
            .map(|n| format!("  {n}: {{CommandLine: {n}}}\n"))
            .collect();
        let text = format!(
            "title: Recon\ndetection:\n{selections}correlation:\n  type: temporal\n  rules: [{}]\n  group-by: [user.id]\n  timespan: 5m\n  condition: {condition}\n",
            names[..rules].join(", ")
        );
        let got = files(&[("t.yml", &text)]);
        let faults = got.diagnostics.iter().filter(|d| d.is_fault());
        let messages: Vec<String> = faults.map(|d| d.message.clone()).collect();
        let sets = got.plan.rules.first().map_or(0, |r| match &r.kind {
            Kind::Temporal { sets, .. } => sets.len(),
            _ => 0,
        });
        (messages.join("; "), sets)
    };
    let pairs: Vec<String> = names
        .chunks(2)
        .map(|p| format!("({})", p.join(" or ")))
        .collect();
    let many = "the condition has more than 64 alternatives".to_owned();
    assert_eq!(told(&pairs.join(" and "), 30), (many.clone(), 0));
    assert_eq!(told("{gte: 15}", 30), (many.clone(), 0));
    assert_eq!(told("{gte: 2}", 13), (many, 0));
    // Many on the way would not be many in the end.
    assert_eq!(told("{gte: 29}", 30), (String::new(), 30));
    assert_eq!(told(&pairs[..6].join(" and "), 12), (String::new(), 64));
}

#[test]
fn filters_are_added_to_rules() {
    let filter = |rules: &str, source: &str| {
        format!(
            "title: No scanners\nlogsource: {source}\nfilter:\n  rules: {rules}\n  scanner:\n    source.ip|cidr: 192.0.2.0/24\n  condition: not scanner\n"
        )
    };
    let predicates = |filter: &str| {
        let got = files(&[("a.yml", FLOOD), ("f.yml", filter)]);
        assert!(!got.has_faults(), "{:?}", got.diagnostics);
        (
            format!("{:?}", got.plan.predicates[0]).contains("192.0.2.0"),
            got.diagnostics.len(),
        )
    };
    assert_eq!(predicates(&filter("[abc]", "{}")), (true, 0));
    assert_eq!(predicates(&filter("[reset-flood]", "{}")), (true, 0));
    assert_eq!(predicates(&filter("any", "{}")), (true, 0));
    assert_eq!(predicates(&filter("any", "{product: okta}")), (false, 0));
    assert_eq!(
        predicates(&filter("[not-installed-here]", "{}")),
        (false, 1)
    );
}

#[test]
fn a_file_with_faults_contributes_nothing() {
    let bad = FLOOD
        .replace("gte: 10", "gte: ten")
        .replace("abc", "bad")
        .replace("Reset", "Bad");
    let uses_bad = "title: Uses\ncorrelation:\n  type: temporal\n  rules: [bad, abc]\n  group-by: [source.ip]\n  timespan: 1h\n";
    let uses_uses = "title: Uses more\ncorrelation:\n  type: temporal\n  rules: [uses, abc]\n  group-by: [source.ip]\n  timespan: 1h\n";
    let got = files(&[
        ("bad.yml", &bad),
        ("c.yml", uses_uses),
        ("b.yml", uses_bad),
        ("a.yml", FLOOD),
    ]);
    assert_eq!(
        messages(&got),
        [
            "bad.yml:11: `gte` must be a number, found `ten`",
            "c.yml:4: `uses` stands in a file that has faults",
            "b.yml:4: `bad` stands in a file that has faults",
        ]
    );
    let names: Vec<&str> = got.plan.detectors.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["reset-flood"]);
    assert!(got.plan.rules[0].alerts);
}

#[test]
fn the_same_title_twice_is_two_names() {
    let plan = clean(&format!("{FLOOD}---\n{}", FLOOD.replace("abc", "def")));
    let names: Vec<&str> = plan.detectors.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["reset-flood", "reset-flood-2"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = files(&[("t.yml", &text)]);
    }

    /// A real file with pieces cut out, doubled or replaced.
    #[test]
    fn damaged_files_never_panic(
        cuts in prop::collection::vec((0usize..1600, 0usize..40, "[a-z:\\[\\]{}\\-'\"*&|\n ]{0,6}"), 1..4)
    ) {
        let mut text: Vec<char> = sigma::FAILED_LOGINS.chars().chain(FLOOD.chars()).collect();
        for (at, len, with) in cuts {
            let at = at.min(text.len());
            let end = (at + len).min(text.len());
            text.splice(at..end, with.chars());
        }
        let text: String = text.into_iter().collect();
        for d in files(&[("t.yml", &text)]).diagnostics {
            prop_assert!(d.line > 0 && d.column > 0);
            let _ = d.pretty(&text);
        }
    }
}

/// The files of `detectors/` as the binary carries them.
const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The shipped detectors have no finding at all, and each has its runbook and cases of every kind.
#[test]
fn the_shipped_detectors_are_clean() {
    let exists = |path: &str| SHIPPED.iter().any(|(p, _)| *p == path);
    let mut sources = Vec::new();
    for (path, text) in SHIPPED
        .iter()
        .filter(|(path, _)| path.ends_with("/detector.yml"))
    {
        let folder = path.trim_end_matches("/detector.yml");
        assert!(exists(&format!("{folder}/runbook.md")), "{folder}");
        for kind in ["fires", "near_miss", "boundary", "out_of_order", "evasion"] {
            assert!(
                exists(&format!("{folder}/tests/{kind}.yml")),
                "{folder} {kind}"
            );
        }
        sources.push(source(path, text));
    }
    assert!(sources.len() >= 9);
    let got = compile(&sources, &Options::default());
    assert_eq!(messages(&got), Vec::<String>::new());
    let known = |name: &str| {
        got.plan
            .detectors
            .iter()
            .any(|d| d.name == name || d.id == name)
    };
    for (path, text) in SHIPPED.iter().filter(|(path, _)| path.contains("/tests/")) {
        let (cases, findings) = crate::engine::detector::case::parse(path, text);
        assert_eq!(findings, [], "{path}");
        assert!(!cases.is_empty(), "{path}");
        for expected in cases.iter().flat_map(|c| &c.expect) {
            assert!(known(&expected.detector), "{path}: {}", expected.detector);
        }
    }
}
