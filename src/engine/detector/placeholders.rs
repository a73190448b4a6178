//! The value lists that `|expand` puts in place of `%name%`: a map of names to values.
//!
//! Owns the form of `placeholders.yml`. Which rules use a list is theirs to say; a rule that names
//! a list nobody gives is refused (Sigma: "must reject the rule").

use std::collections::BTreeMap;

use super::diagnostic::Findings;
use super::section::names;
use super::yaml::{self, Content};

/// The name of the file, wherever it stands among detectors.
const FILE: &str = "placeholders.yml";

/// Whether a file holds value lists rather than detectors.
pub(super) fn is_file(path: &str) -> bool {
    path.rsplit(['/', '\\']).next() == Some(FILE)
}

/// Adds the lists of one file to `lists`.
pub(super) fn read(
    text: &str,
    lists: &mut BTreeMap<String, Vec<String>>,
    findings: &mut Findings<'_>,
) {
    for node in yaml::parse(text, findings) {
        let Content::Map(entries) = &node.content else {
            let message = format!("placeholders are a map, found {}", node.word());
            findings.fault_hint(node.at, message, "write `admins: [root, 'adm_*']`");
            continue;
        };
        for entry in entries {
            let values = names(&entry.value, &entry.key, findings);
            if lists.contains_key(&entry.key) {
                let message = format!("the placeholder `{}` is given twice", entry.key);
                findings.fault_hint(entry.at, message, "keep one of the two");
            } else if values.is_empty() {
                let message = format!("the placeholder `{}` has no values", entry.key);
                findings.fault_hint(entry.at, message, "add a value, or remove it");
            }
            let values = values.into_iter().map(|value| value.text).collect();
            lists.insert(entry.key.clone(), values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, lists: &mut BTreeMap<String, Vec<String>>) -> Vec<String> {
        let mut list = Vec::new();
        let mut findings = Findings {
            file: "p.yml",
            list: &mut list,
        };
        read(text, lists, &mut findings);
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn lists_by_name() {
        let mut lists = BTreeMap::new();
        let text = "Administrators: [root, 'adm_*']\nports: 22\n";
        assert_eq!(told(text, &mut lists), [] as [&str; 0]);
        assert_eq!(lists["Administrators"], ["root", "adm_*"]);
        assert_eq!(lists["ports"], ["22"]);
    }

    #[test]
    fn faults_have_places() {
        let mut lists = BTreeMap::from([("a".to_owned(), Vec::new())]);
        assert_eq!(
            told("- x\n", &mut lists),
            [
                "p.yml:1:1: fault: placeholders are a map, found a list\n  hint: write `admins: [root, 'adm_*']`"
            ]
        );
        assert_eq!(
            told("b: [x]\na: y\nc: []\n", &mut lists),
            [
                "p.yml:2:1: fault: the placeholder `a` is given twice\n  hint: keep one of the two",
                "p.yml:3:1: fault: the placeholder `c` has no values\n  hint: add a value, or remove it",
            ]
        );
    }
}
