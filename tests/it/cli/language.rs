//! The examples of docs/language.md are run as they stand there: its detectors must be in order,
//! its test cases must hold, and what it says events carry is what they carry.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tidegate::model::kind::KINDS;

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

/// The texts between backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The page's table of kinds, with the sets it names by a word written out.
fn kinds_of_the_page() -> BTreeMap<String, BTreeSet<String>> {
    let page = page();
    let section = page
        .split("## ")
        .find(|s| s.starts_with("Events\n"))
        .unwrap();
    let set = |name: &str| {
        let (_, rest) = section.split_once(&format!("*{name}* is ")).unwrap();
        let end = ["`;", "`. "].iter().filter_map(|end| rest.find(end)).min();
        quoted(&rest[..end.unwrap()])
    };
    let sets = ["origin", "request", "message"].map(|name| (format!("*{name}*"), set(name)));
    let rows = section.lines().filter_map(|l| l.strip_prefix("| `"));
    let row = |row: &str| {
        let (kind, carries) = row.split_once("` |")?;
        let mut fields = quoted(carries);
        for (word, set) in sets.iter().filter(|(word, _)| carries.contains(word)) {
            assert!(!set.is_empty(), "{word}");
            fields.extend(set.iter().cloned());
        }
        Some((kind.to_owned(), fields))
    };
    rows.filter_map(row)
        .filter(|(kind, _)| kind != "event.kind")
        .collect()
}

/// What at least two in five of the generated events of a kind carry.
#[test]
fn the_page_says_what_events_carry() {
    let lines = tidegate(&["simulate", "--scenario", "mixed", "--events", "20000"]).ok();
    let mut counts: BTreeMap<String, (usize, BTreeMap<String, usize>)> = BTreeMap::new();
    for event in lines.json() {
        let (all, fields) = counts
            .entry(event["event.kind"].as_str().unwrap().into())
            .or_default();
        *all += 1;
        let own = |name: &&String| !["event.kind", "event.id", "time"].contains(&name.as_str());
        for name in event.as_object().unwrap().keys().filter(own) {
            *fields.entry(name.clone()).or_default() += 1;
        }
    }
    let usual = counts.into_iter().map(|(kind, (all, fields))| {
        let usual = fields.into_iter().filter(|(_, n)| 5 * n >= 2 * all);
        (kind, usual.map(|(name, _)| name).collect::<BTreeSet<_>>())
    });
    let page = kinds_of_the_page();
    for (kind, carried) in usual.collect::<BTreeMap<_, _>>() {
        assert_eq!(
            page.get(&kind),
            Some(&carried),
            "{kind}: page (left), events (right)"
        );
    }
    let named = quoted(&self::page());
    let missing: Vec<_> = KINDS.iter().filter(|k| !named.contains(**k)).collect();
    assert!(
        missing.is_empty(),
        "docs/language.md does not name {missing:?}"
    );
    assert!(
        page.keys().all(|kind| KINDS.contains(&kind.as_str())),
        "{page:?}"
    );
}
