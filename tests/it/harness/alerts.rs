//! Alerts as texts that can be compared: without what depends on where the events came from
//! (positions) and on when it was decided (actions).

use serde_json::Value;

/// The alert's own bytes but for `positions` and `actions`, which are emptied.
pub fn comparable(line: &str) -> String {
    let mut text = line.to_owned();
    for name in ["positions", "actions"] {
        let opening = format!("\"{name}\":[");
        let from = text
            .find(&opening)
            .unwrap_or_else(|| panic!("no {name}: {line}"))
            + opening.len();
        // Neither holds a nested array.
        let to = from + text[from..].find(']').unwrap();
        text.replace_range(from..to, "");
    }
    text
}

/// Identity of one state of an episode.
pub fn revision(alert: &Value) -> (String, u64) {
    (
        alert["alert_id"].as_str().unwrap().to_owned(),
        alert["revision"].as_u64().unwrap(),
    )
}

/// As sets: the daemon tells what crosses a bound at once and what waits for time later, `replay`
/// tells all in order of event time.
pub fn assert_same_set(what: &str, got: &[String], want: &[String]) {
    let sorted = |lines: &[String]| {
        let mut lines = lines.to_vec();
        lines.sort();
        lines
    };
    assert_same(what, &sorted(got), &sorted(want));
}

/// Fails with the first line that differs, and what stands around it.
pub fn assert_same(what: &str, got: &[String], want: &[String]) {
    let first = got.iter().zip(want).position(|(a, b)| a != b);
    let at = first.unwrap_or_else(|| got.len().min(want.len()));
    assert!(
        got.len() == want.len() && first.is_none(),
        "{what}: {} lines, wanted {}; they part at line {}\n got: {}\nwant: {}",
        got.len(),
        want.len(),
        at + 1,
        got.get(at).map_or("(end)", String::as_str),
        want.get(at).map_or("(end)", String::as_str),
    );
}
