//! Lists of throw-away mail domains and of VOIP numbers: how they are written.
//!
//! Owns the text form: one domain, or one beginning of numbers with its country's code, per line;
//! `#` begins a remark. What is looked up how is `model::contacts`' business. Invariant: an entry
//! that could mean more than its author meant is refused.

use std::path::Path;

use super::fault::{LineFaults, TableFault};
use super::lists::{quoted, word};
use crate::model::HashKey;
use crate::model::contacts::{self, DOMAIN_BYTES_MAX};
use crate::model::phone::DIGITS_MAX;

/// Most entries of all such lists together.
const ENTRIES_MAX: usize = 5_000_000;
/// Longest label of a domain, in bytes.
const LABEL_BYTES_MAX: usize = 63;

/// Entries as they are read, list after list.
#[derive(Debug)]
pub(super) struct Draft(contacts::Draft);

impl Draft {
    pub(super) fn new(key: &HashKey) -> Self {
        Self(contacts::Draft::new(key))
    }

    /// Takes in a list of mail domains; its faults go to `faults`. Returns how many it has.
    pub(super) fn add_domains(
        &mut self,
        file: &Path,
        text: &str,
        faults: &mut Vec<TableFault>,
    ) -> usize {
        self.add(file, text, faults, |line, draft| {
            if let Some(word) = word(line, "domain")? {
                draft.add_domain(domain(word)?);
            }
            Ok(())
        })
    }

    /// The same for beginnings of numbers.
    pub(super) fn add_numbers(
        &mut self,
        file: &Path,
        text: &str,
        faults: &mut Vec<TableFault>,
    ) -> usize {
        self.add(file, text, faults, |line, draft| {
            // No remark without `#`: of `+1 500` the half would stand for a continent.
            let plain = line.split('#').next().unwrap_or_default().trim();
            if !plain.is_empty() {
                draft.add_prefix(&prefix(plain)?);
            }
            Ok(())
        })
    }

    fn add(
        &mut self,
        file: &Path,
        text: &str,
        faults: &mut Vec<TableFault>,
        take: impl Fn(&str, &mut contacts::Draft) -> Result<(), String>,
    ) -> usize {
        let before = self.0.len();
        let mut lines = LineFaults::new(file);
        for (number, line) in (1..).zip(text.lines()) {
            if let Err(what) = take(line, &mut self.0) {
                lines.push(number, what);
            }
            if self.0.len() > ENTRIES_MAX {
                let (file, entries_max) = (file.to_owned(), ENTRIES_MAX);
                faults.push(TableFault::TooMany { file, entries_max });
                break;
            }
        }
        lines.finish(faults);
        self.0.len() - before
    }

    /// Builds the look-up; none without a list.
    pub(super) fn finish(self) -> Option<contacts::Contacts> {
        (!self.0.is_empty()).then(|| self.0.finish())
    }
}

/// A domain as it is asked for, or what is wrong with it. International ones stay as written.
fn domain(word: &str) -> Result<&str, String> {
    let wrong = |what: &str| Err(format!("{} {what}", quoted(word)));
    if let Some((_, behind)) = word.rsplit_once('@') {
        // Whose it is, no log has to know.
        return Err(format!(
            "an address; write its domain alone: {}",
            quoted(behind)
        ));
    }
    if let Some(bare) = word.strip_prefix("*.").or(word.strip_prefix('.')) {
        return wrong(&format!(
            "begins with a dot; what is below a domain is in, so write {}",
            quoted(bare)
        ));
    }
    let bare = word.strip_suffix('.').unwrap_or(word);
    if bare.len() > DOMAIN_BYTES_MAX {
        return wrong(&format!("is longer than {DOMAIN_BYTES_MAX} bytes"));
    }
    let fits = |label: &str| {
        let letter = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= LABEL_BYTES_MAX && label.chars().all(letter)
    };
    let mut labels = bare.rsplit('.');
    let is_top = |label: &str| fits(label) && !label.bytes().all(|b| b.is_ascii_digit());
    if labels.next().is_some_and(is_top) && bare.contains('.') && labels.all(fits) {
        Ok(bare)
    } else {
        wrong("is not a mail domain; write it like mailinator.com")
    }
}

/// The digits that numbers begin with, or what is wrong with the line.
fn prefix(plain: &str) -> Result<Vec<u8>, String> {
    let between = |c: &char| !matches!(c, ' ' | '\t' | '-' | '.' | '(' | ')');
    let bare: String = plain.chars().filter(between).collect();
    let wrong = |what: &str| Err(format!("{} {what}", quoted(plain)));
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match bare.strip_prefix('+') {
        None if all_digits(&bare) => {
            wrong("has no + before its country's code; write it like +1500")
        }
        Some(digits) if digits.starts_with('0') => {
            wrong("has a country's code that begins with 0, which none does")
        }
        Some(digits) if digits.len() > DIGITS_MAX => {
            wrong(&format!("has more than {DIGITS_MAX} digits"))
        }
        Some(digits) if all_digits(digits) => Ok(digits.as_bytes().to_vec()),
        _ => wrong("is not a beginning of numbers; write it like +1500, and remarks behind #"),
    }
}

#[cfg(test)]
mod tests;
