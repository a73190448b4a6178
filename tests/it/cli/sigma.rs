//! Public Sigma rules, unmodified, through the real binary: they load without a fault, and meet
//! the events their authors meant. `tests/fixtures/sigma/NOTICE.md` says where they come from.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::harness::command::tidegate;
use crate::harness::fixture;

fn arguments<'a>(command: &[&'a str], dir: &'a Path) -> Vec<&'a str> {
    let mut all = command.to_vec();
    all.extend(["--detectors", dir.to_str().unwrap()]);
    all
}

/// Every rule file below a folder, as paths below it.
fn rules(dir: &Path, below: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(dir.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if below.is_empty() {
            name
        } else {
            format!("{below}/{name}")
        };
        if entry.path().is_dir() {
            rules(dir, &path, found);
        } else if path.ends_with(".yml") && path != "placeholders.yml" {
            found.push(path);
        }
    }
}

#[test]
fn public_rules_load_unmodified() {
    for folder in ["sigma/rules", "sigma/specification"] {
        let dir = fixture(folder);
        tidegate(&arguments(&["check"], &dir))
            .ok()
            .says("0 fault(s)");
    }
    let dir = fixture("sigma/specification");
    tidegate(&["test", dir.to_str().unwrap()])
        .ok()
        .says(" 0 failed");
}

/// `events.jsonl` says of each rule which events it matches and which ones it does not.
#[test]
fn public_rules_mean_what_their_authors_meant() {
    let dir = fixture("sigma/rules");
    let stories: Vec<Value> = std::fs::read_to_string(dir.join("events.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let input: String = stories
        .iter()
        .map(|s| format!("{}\n", s["event"]))
        .collect();
    let answers = tidegate(&arguments(
        &["explain", "--input", "-", "-o", "ndjson"],
        &dir,
    ))
    .stdin(input)
    .ok()
    .json();
    assert_eq!(answers.len(), stories.len());
    let mut told: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    let mut files = Vec::new();
    rules(&dir, "", &mut files);
    for (story, answer) in stories.iter().zip(&answers) {
        let rule = story["rule"].as_str().unwrap();
        let text = std::fs::read_to_string(dir.join(rule)).unwrap();
        let id = text.lines().find_map(|l| l.strip_prefix("id: ")).unwrap();
        let all = answer["detectors"].as_array().unwrap();
        let own = all.iter().find(|d| d["id"] == id.trim());
        let own = own.unwrap_or_else(|| panic!("{rule} does not answer: {answer}"));
        let want = story["matches"].as_bool().unwrap();
        assert_eq!(own["matched"], want, "{rule}: {own}\n{}", story["event"]);
        assert_eq!(own["outcome"], if want { "alerted" } else { "no_match" });
        let seen = told.entry(rule.to_owned()).or_default();
        seen.0 |= want;
        seen.1 |= !want;
    }
    assert!(files.len() >= 36, "only {} rules", files.len());
    for file in files {
        assert_eq!(
            told.get(&file),
            Some(&(true, true)),
            "{file} has no event it matches, or none it does not"
        );
    }
}

/// A rule whose placeholder nobody gives is refused, at its place.
#[test]
fn placeholders_come_from_their_file() {
    let dir = crate::harness::scratch("placeholders");
    let rule = fixture("sigma/rules/windows/win_security_admin_logon.yml");
    std::fs::copy(rule, dir.join("rule.yml")).unwrap();
    tidegate(&arguments(&["check"], &dir))
        .run()
        .code(64)
        .says("there is no value list `Admins_Workstations`");
    std::fs::write(
        dir.join("placeholders.yml"),
        "Admins_Workstations: adm_ada\n",
    )
    .unwrap();
    tidegate(&arguments(&["check"], &dir)).ok();
    std::fs::write(dir.join("placeholders.yml"), "- Admins_Workstations\n").unwrap();
    tidegate(&arguments(&["check"], &dir))
        .run()
        .code(64)
        .says("placeholders.yml:1:1: fault: placeholders are a map");
}
