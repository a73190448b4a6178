//! `explain` on input that cannot be read: each kind has its reason and keeps its secrets.

use serde_json::Value;

use crate::harness::command::tidegate;
use crate::harness::fixture;

const TIME: &str = "\"time\":\"2026-01-12T08:00:00Z\"";

/// Reason and line.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let members: Vec<String> = (0..5000).map(|n| format!("\"m{n}\":1")).collect();
    let text = |reason, text: String| (reason, text.into_bytes());
    vec![
        text(
            "invalid_json",
            format!("{{\"event.kind\":\"x.y\",{TIME},\"canary\":\"canary\""),
        ),
        text(
            "too_deep",
            format!(
                "{{\"event.kind\":\"x.y\",{TIME},\"a\":{}1{}}}",
                "[".repeat(99),
                "]".repeat(99)
            ),
        ),
        text(
            "too_many_fields",
            format!("{{\"event.kind\":\"x.y\",{TIME},{}}}", members.join(",")),
        ),
        text("unknown_schema", "{\"canary\":\"canary\"}".to_owned()),
        text("missing_kind", format!("{{{TIME},\"canary\":\"canary\"}}")),
        text(
            "missing_time",
            "{\"event.kind\":\"x.y\",\"canary\":\"canary\"}".to_owned(),
        ),
        text(
            "invalid_time",
            "{\"event.kind\":\"x.y\",\"time\":\"canary\"}".to_owned(),
        ),
        text(
            "wrong_type",
            format!("{{\"event.kind\":{{\"a\":\"canary\"}},{TIME}}}"),
        ),
        text(
            "invalid_value",
            format!("{{\"event.kind\":\"x.y\",{TIME},\"source.ip\":\"canary\"}}"),
        ),
        text(
            "too_large",
            format!(
                "{{\"event.kind\":\"x.y\",{TIME},\"a\":\"{}\"}}",
                "canary ".repeat(200_000)
            ),
        ),
        (
            "invalid_utf8",
            [b"{\"event.kind\":\"x.y\",\"time\":1768205523,\"a\":\"canary \xff\"}".as_slice()]
                .concat(),
        ),
    ]
}

#[test]
fn every_kind_of_broken_line_is_explained_and_the_rest_is_read() {
    let good = "{\"event.kind\":\"login.success\",\"time\":\"2026-01-12T08:00:00Z\",\"user.id\":\"u-1\"}\n";
    let mut input = good.as_bytes().to_vec();
    for (_, line) in broken() {
        input.extend_from_slice(&line);
        input.push(b'\n');
        input.extend_from_slice(good.as_bytes());
    }
    let dir = fixture("detectors").display().to_string();
    let done = tidegate(&[
        "explain",
        "--input",
        "-",
        "-o",
        "ndjson",
        "--detectors",
        &dir,
    ])
    .stdin(input)
    .ok();
    let told = done.json();
    assert_eq!(told.len(), 2 * broken().len() + 1, "{done}");
    for (n, (reason, _)) in broken().iter().enumerate() {
        let line = &told[2 * n + 1];
        assert_eq!(
            (&line["event"], &line["dead_letter"]["reason"]),
            (&Value::Null, &Value::from(*reason)),
            "{line}"
        );
        assert_eq!(line["line"], 2 * n + 2, "{line}");
        assert!(
            !line["dead_letter"]["detail"].as_str().unwrap().is_empty(),
            "{line}"
        );
        assert!(
            !line.to_string().contains("canary"),
            "content came out: {line}"
        );
    }
    for line in told.iter().step_by(2) {
        assert_eq!(
            (&line["dead_letter"], &line["event"]["user.id"]),
            (&Value::Null, &Value::from("u-1")),
            "{line}"
        );
    }
}
