//! `detectors` and `test`: the catalogue, and the cases beside the detectors.

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
    tune("it-resets", &[]).code(0).says("proposed").says("now");
    tune("nobody", &[]).code(2).says("detectors list");
    tune("it-resets", &["--quantile", "7"])
        .code(2)
        .says("no share");
}
