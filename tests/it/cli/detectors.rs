//! `detectors` and `test`: the catalogue, and the cases beside the detectors.

use std::path::PathBuf;

use crate::harness::command::tidegate;
use crate::harness::{fixture, root, scratch};

/// What the issue asks to be shipped: family/name.
const SHIPPED: [&str; 9] = [
    "deploy/then-spike",
    "enumeration/accounts-per-ip",
    "flood/reset-ip",
    "honeytoken/redeem",
    "honeytoken/request",
    "mail/duplicates-per-token",
    "spike/global",
    "token/reuse-other-ip",
    "token/without-use",
];

#[test]
fn the_catalogue_lists_what_is_shipped() {
    let rows = tidegate(&["detectors", "list", "-o", "ndjson"]).ok().json();
    for folder in SHIPPED {
        let file = format!("detectors/{folder}/detector.yml");
        assert!(
            rows.iter().any(|row| row["file"] == file.as_str()),
            "{folder} is not listed"
        );
    }
    for row in &rows {
        let (name, id) = (row["name"].as_str().unwrap(), row["id"].as_str().unwrap());
        tidegate(&["detectors", "show", id]).ok().says(name);
    }
    tidegate(&["detectors", "show", "nobody"])
        .run()
        .code(2)
        .says("detectors list");
}

#[test]
fn the_shipped_detectors_pass_their_tests() {
    let junit = scratch("junit").join("report.xml");
    tidegate(&["test", "--junit", junit.to_str().unwrap()])
        .ok()
        .says(" 0 failed");
    let report = std::fs::read_to_string(junit).unwrap();
    assert!(
        report.contains("<testsuite ") && !report.contains("<failure"),
        "{report}"
    );
}

#[test]
fn a_case_that_does_not_hold_ends_with_1_and_says_why() {
    let dir = scratch("test");
    std::fs::copy(
        fixture("detectors/containing.yml"),
        dir.join("detector.yml"),
    )
    .unwrap();
    std::fs::create_dir(dir.join("tests")).unwrap();
    let case = "name: one reset is a flood\nkind: fires\nevents:\n  - {event.kind: recovery.requested, time: 2026-01-12T08:00:00Z, source.ip: 203.0.113.7, user.target.id: u-1}\nexpect:\n  - {detector: it-resets}\n";
    std::fs::write(dir.join("tests/wrong.yml"), case).unwrap();
    let done = tidegate(&["test", dir.to_str().unwrap()]).run().code(1);
    done.says("FAIL").says("one reset is a flood");
}

/// A detector that asks for five events of one address, and one that only serves.
fn with_cases(cases: &[(&str, &str)]) -> PathBuf {
    let dir = scratch("cases");
    std::fs::create_dir(dir.join("tests")).unwrap();
    let detectors = "title: Five resets\nname: five-resets\nlogsource: {product: tidegate}\n\
        detection: {asked: {event.kind: recovery.requested}}\n\
        correlation: {type: event_count, rules: [asked], group-by: [source.ip], timespan: 10m, condition: {gte: 5}}\n\
        ---\ntitle: Twice five\nname: twice-five\n\
        correlation: {type: event_count, rules: [five-resets], group-by: [source.ip], timespan: 1d, condition: {gte: 2}}\n\
        generate: true\n\
        ---\ntitle: Serves\nname: serving\nlogsource: {product: tidegate}\n\
        detection: {used: {event.kind: token.used}, condition: used}\n\
        ---\ntitle: Served\nname: served\n\
        correlation: {type: event_count, rules: [serving], group-by: [source.ip], timespan: 1d, condition: {gte: 2}}\n";
    std::fs::write(dir.join("detector.yml"), detectors).unwrap();
    for (name, text) in cases {
        std::fs::write(dir.join("tests").join(name), text).unwrap();
    }
    dir
}

/// A case of so many requests from one address, a minute apart.
fn requests(count: usize, more: &str, expect: &str) -> String {
    format!(
        "name: requests\nkind: fires\n{more}generate:\n  template: {{event.kind: recovery.requested, source.ip: 203.0.113.7}}\n  \
         start: 2026-01-12T08:00:00Z\n  every: 2m\n  count: {count}\nexpect: [{expect}]\n"
    )
}

#[test]
fn a_case_that_fails_says_why() {
    for (case, want) in [
        (
            requests(4, "", "{detector: five-resets}"),
            "event_count reached 4, the bound is gte 5",
        ),
        (
            requests(5, "", "{detector: five-reset}"),
            "there is no detector five-reset, did you mean five-resets?",
        ),
        (
            requests(5, "", "{detector: serving}"),
            "it serves others and does not alert; `generate: true` lets it",
        ),
        (
            requests(
                5,
                "",
                "{detector: five-resets, key: {source.ip: 203.0.113.8}}",
            ),
            "it fired for {source.ip: 203.0.113.7} at 2026-01-12T08:08:00.000Z",
        ),
        (
            requests(5, "order: reversed\n", "{detector: five-resets}"),
            "2 event(s) came more than 5m after a newer one and are too late to count",
        ),
        (
            requests(5, "", "{detector: five-resets}").replace("source.ip: 203", "user.id: 203"),
            "5 event(s) have no source.ip",
        ),
        (
            requests(4, "", "{detector: twice-five}"),
            "five-resets did not fire",
        ),
        (
            requests(5, "", "{detector: five-resets}").replace("recovery.requested", "token.used"),
            "no event meets asked",
        ),
    ] {
        let dir = with_cases(&[("fires.yml", &case)]);
        let done = tidegate(&["test", dir.to_str().unwrap()]).run().code(1);
        let lines = done.lines();
        assert!(lines.iter().all(|l| l.trim_end() == l), "{done}");
        done.says(want);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_counted() {
    let good = requests(5, "", "{detector: five-resets}");
    let dir = with_cases(&[("fires.yml", &good), ("wrong.yml", "kind: fires\n")]);
    let done = tidegate(&["test", dir.to_str().unwrap()]).run().code(64);
    done.says("1 passed, 0 failed, 1 file(s) unreadable")
        .says("the case has no name");
    let dir = with_cases(&[]);
    let done = tidegate(&["test", dir.to_str().unwrap()]).ok();
    done.says("there are no tests");
}

/// What `test` runs can be looked at with `explain`.
#[test]
fn the_events_of_a_case_can_be_had() {
    let dir = with_cases(&[("fires.yml", &requests(5, "", ""))]);
    let dir = dir.to_str().unwrap();
    let done = tidegate(&["test", dir, "--events", "tests/fires.yml"]).ok();
    let events = done.json();
    assert_eq!(events.len(), 5, "{done}");
    assert_eq!(events[4]["time"], "2026-01-12T08:08:00.000Z");
    let by_name = tidegate(&["test", dir, "--events", "requests"]).ok();
    assert_eq!(by_name.stdout, done.stdout);
    let explain = ["explain", "--detectors", dir, "--input", "-"];
    tidegate(&explain).stdin(done.stdout).ok().says("alerted");
    tidegate(&["test", dir, "--events", "nobody"])
        .run()
        .code(2)
        .says("no case has the name nobody");
    tidegate(&["test", "--events", "tests/fires.yml"])
        .run()
        .code(2)
        .says("write more of the path");
}

/// The page is what the command prints: whoever changes a detector renews it.
#[test]
fn the_catalogue_page_is_fresh() {
    let done = tidegate(&["detectors", "docs"]).ok();
    let page = String::from_utf8(done.stdout).unwrap();
    let kept = std::fs::read_to_string(root().join("docs/detectors.md")).unwrap_or_default();
    assert!(
        page == kept,
        "docs/detectors.md is stale; renew it: cargo run -- detectors docs > docs/detectors.md"
    );
    for folder in SHIPPED {
        assert!(
            page.contains(&format!("(../detectors/{folder}/runbook.md)")),
            "{folder} has no link to its runbook"
        );
    }
}

#[test]
fn coverage_says_what_no_case_exercises() {
    let dir = scratch("coverage");
    std::fs::copy(
        fixture("detectors/containing.yml"),
        dir.join("detector.yml"),
    )
    .unwrap();
    std::fs::create_dir(dir.join("tests")).unwrap();
    let case = "name: one\nkind: near_miss\nevents:\n  - {event.kind: recovery.requested, time: 2026-01-12T08:00:00Z, source.ip: 203.0.113.7}\nexpect: []\n";
    std::fs::write(dir.join("tests/one.yml"), case).unwrap();
    let run =
        |form: &str| tidegate(&["test", dir.to_str().unwrap(), "--coverage", "-o", form]).ok();
    run("human")
        .says("never met: event_count gte 5")
        .says("never missed: requested: event.kind = 'recovery.requested'");
    let told = run("json").json().remove(0);
    assert_eq!(told["cases"][0]["name"], "one");
    assert_eq!(told["coverage"]["detectors"][0]["seen"], 2);
    assert_eq!(told["coverage"]["detectors"][0]["sides"], 4);
}

/// Nine hundred addresses ask once, ten of them nine times, one of them three thousand times.
#[test]
fn tuning_proposes_a_bound_and_counts_the_alerts_of_others() {
    let mut lines = String::new();
    let mut ask = |address: &str, count: usize| {
        for n in 0..count {
            let time = 1_768_204_800_000 + n * 100;
            lines.push_str(&format!(
                "{{\"event.kind\":\"recovery.requested\",\"time\":{time},\"source.ip\":\"{address}\"}}\n"
            ));
        }
    };
    for n in 0..900 {
        ask(&format!("10.0.{}.{}", n / 200, n % 200), 1);
    }
    for n in 0..10 {
        ask(&format!("192.0.2.{n}"), 9);
    }
    ask("203.0.113.7", 3000);
    let input = scratch("tune").join("events.jsonl");
    std::fs::write(&input, lines).unwrap();
    let dir = fixture("detectors");
    let tune = |id: &str, more: &[&str]| {
        let mut arguments = vec!["detectors", "tune", id, "--input", input.to_str().unwrap()];
        arguments.extend(["--detectors", dir.to_str().unwrap()]);
        arguments.extend(more);
        tidegate(&arguments).run()
    };
    let told = tune("it-resets", &["--quantile", "0.99", "-o", "json"])
        .code(0)
        .json()
        .remove(0);
    let bound = &told["bounds"][0];
    assert_eq!((&bound["keys"], &bound["now"]), (&911.into(), &5.0.into()));
    assert_eq!(bound["proposed"], 10.0);
    let most = bound["quantiles"][4]["value"].as_f64().unwrap();
    assert!((2950.0..=3050.0).contains(&most), "{most}");
    let alerts = |value: f64| {
        let tried = bound["tried"].as_array().unwrap();
        let found = tried.iter().find(|t| t["bound"] == value);
        found.unwrap_or_else(|| panic!("{value}: {bound}"))["alerts"].clone()
    };
    assert_eq!(
        (alerts(5.0), alerts(10.0), alerts(20.0)),
        (11.into(), 1.into(), 1.into())
    );
    // The many that asked nine times stand apart from those that asked once: perhaps an attack.
    let apart = &bound["apart"];
    assert_eq!(
        (&apart["below"], &apart["from"]),
        (&1.0.into(), &9.0.into())
    );
    assert_eq!((&apart["keys"], &apart["bound"]), (&11.into(), &2.0.into()));
    assert_eq!(apart["named"].as_array().unwrap().len(), 5, "{apart}");
    assert_eq!(alerts(2.0), 11);
    tune("it-resets", &[])
        .code(0)
        .says("proposed")
        .says("now")
        .says("beware: 11 keys reached 9 or more, all others at most 1");
    let calm = tune("it-resets", &["--quantile", "0.9"]).code(0);
    assert!(!calm.text().contains("beware"), "{calm}");
    tune("nobody", &[]).code(2).says("detectors list");
    for (id, why) in [
        ("token-unused", "it has deadlines, not a bound"),
        ("account-new-country", "it asks whether a value is new"),
    ] {
        let input = input.to_str().unwrap();
        tidegate(&["detectors", "tune", id, "--input", input])
            .run()
            .code(2)
            .says(why);
    }
    tune("it-resets", &["--quantile", "7"])
        .code(2)
        .says("no share");
}
