//! The examples of docs/language.md are run as they stand there: its detectors must be in order,
//! its test cases must hold.

use std::path::{Path, PathBuf};

use crate::harness::command::tidegate;
use crate::harness::{root, scratch};

/// What a part of a detector needs to be one: the page shows some correlations alone.
const REST: &str = "title: A part\nlogsource: {product: tidegate}\n\
    detection:\n  asked: {event.kind: recovery.requested}\n  condition: asked\n";

/// The YAML blocks of a page, without the indentation of the lists they stand in.
fn examples(page: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.find("```yaml") else {
            continue;
        };
        let block = lines.by_ref().take_while(|l| !l.trim().starts_with("```"));
        let dedented = block.map(|l| l.get(indent..).unwrap_or_default().to_owned() + "\n");
        examples.push(dedented.collect());
    }
    examples
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/language.md")).unwrap()
}

fn has(text: &str, key: &str) -> bool {
    text.lines().any(|l| l.starts_with(key))
}

/// Each detector of the page in a folder of its own, and the cases in that of the first one.
fn lay_out(dir: &Path) -> Vec<PathBuf> {
    let mut cases = Vec::new();
    let first = dir.join("d1");
    for (n, example) in (1..).zip(examples(&page())) {
        let (path, text) = if has(&example, "expect:") {
            let path = first.join(format!("tests/c{n}.yml"));
            cases.push(path.clone());
            (path, example)
        } else {
            let detector = match has(&example, "title:") {
                true => example,
                false => format!("{REST}name: part-{n}\n{example}"),
            };
            (dir.join(format!("d{n}/detector.yml")), detector)
        };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    cases
}

#[test]
fn every_example_of_the_language_is_in_order() {
    let dir = scratch("language");
    let cases = lay_out(&dir);
    let done = tidegate(&["check", "--detectors", dir.to_str().unwrap()]).ok();
    let text = done.text();
    let lint = |l: &&str| l.contains(": lint: ") && !l.contains("beside the file");
    assert_eq!(text.lines().find(lint), None, "{done}");
    let done = tidegate(&["test", dir.to_str().unwrap()]).ok();
    done.says(&format!("{} passed, 0 failed", cases.len()));
}

/// Step 3 of the page says of its case that one event less is a near miss.
#[test]
fn the_near_miss_of_ten_minutes_is_one() {
    let dir = scratch("near-miss");
    let case = lay_out(&dir).remove(0);
    let text = std::fs::read_to_string(&case).unwrap();
    let (before, _) = text.split_once("expect:").unwrap();
    let near = before.replace("count: 10", "count: 9") + "expect: []\n";
    assert_ne!(before, near);
    std::fs::write(&case, near).unwrap();
    tidegate(&["test", dir.to_str().unwrap()]).ok();
}
