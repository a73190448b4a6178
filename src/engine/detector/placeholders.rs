//! The value lists that `|expand` puts in place of `%name%`: a map of names to values.
//!
//! Owns the form of `placeholders.yml`. Which rules use a list is theirs to say; a rule that names
//! a list nobody gives is refused (Sigma: "must reject the rule").

use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Findings};
use super::section::names;
use super::yaml::{self, Content};

/// The file that holds them, in a folder of detectors.
pub const FILE: &str = "placeholders.yml";

/// Adds the lists of one file to `lists`; what is wrong with it comes back.
#[must_use]
pub fn read(path: &str, text: &str, lists: &mut BTreeMap<String, Vec<String>>) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut findings = Findings {
        file: path,
        list: &mut diagnostics,
    };
    for node in yaml::parse(text, &mut findings) {
        let Content::Map(entries) = &node.content else {
            let message = format!("placeholders are a map, found {}", node.word());
            findings.fault_hint(node.at, message, "write `admins: [root, 'adm_*']`");
            continue;
        };
        for entry in entries {
            let values = names(&entry.value, &entry.key, &mut findings);
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
    diagnostics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_by_name() {
        let mut lists = BTreeMap::new();
        let text = "Administrators: [root, 'adm_*']\nports: 22\n";
        assert_eq!(read("placeholders.yml", text, &mut lists), []);
        assert_eq!(lists["Administrators"], ["root", "adm_*"]);
        assert_eq!(lists["ports"], ["22"]);
    }

    #[test]
    fn faults_have_places() {
        let mut lists = BTreeMap::from([("a".to_owned(), Vec::new())]);
        let told = |text: &str, lists: &mut _| -> Vec<String> {
            let found = read("p.yml", text, lists);
            found.iter().map(ToString::to_string).collect()
        };
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
