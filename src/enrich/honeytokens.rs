//! Decoys: accounts, e-mail addresses and tokens that no honest user touches.
//!
//! Owns the text form and the look-up. Keeps keyed fingerprints only: e-mail addresses become the
//! same pseudonyms as in events before that, and nothing of the file stays readable.

use std::path::Path;

use super::fault::{LineFaults, TableFault};
use crate::model::redact::Redactor;
use crate::model::{Event, FieldId, HashKey, Value, field};

/// The fields that are looked at.
pub(super) const READS: [FieldId; 4] = [
    field::USER_TARGET_ID,
    field::USER_ID,
    field::USER_EMAIL,
    field::TOKEN_ID,
];

/// Most entries of a file.
const ENTRIES_MAX: usize = 5_000_000;

/// The decoys of one file.
#[derive(Debug)]
pub(super) struct Honeytokens {
    key: HashKey,
    accounts: Marks,
    emails: Marks,
    tokens: Marks,
    count: usize,
}

/// Sorted fingerprints.
#[derive(Debug, Default)]
struct Marks(Vec<u64>);

impl Marks {
    fn sort(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
        self.0.shrink_to_fit();
    }

    #[inline]
    fn has(&self, key: &HashKey, text: &str) -> bool {
        !self.0.is_empty()
            && self
                .0
                .binary_search(&key.fingerprint(text.as_bytes()).0)
                .is_ok()
    }
}

/// What a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Account,
    Email,
    Token,
}

impl Honeytokens {
    /// Reads a file's text; faults go to `faults` and never show an entry.
    pub(super) fn parse(
        file: &Path,
        text: &str,
        key: &HashKey,
        faults: &mut Vec<TableFault>,
    ) -> Option<Self> {
        let redactor = Redactor::new(key);
        let mark = |text: &str| key.fingerprint(text.as_bytes()).0;
        let (mut accounts, mut emails, mut tokens) = <(Marks, Marks, Marks)>::default();
        let mut lines = LineFaults::new(file);
        let mut count = 0;
        for (number, line) in (1..).zip(text.lines()) {
            match entry(line) {
                Ok(None) => continue,
                Ok(Some((Kind::Account, id))) if id.contains('@') => {
                    accounts.0.push(mark(&redactor.email(id)));
                }
                Ok(Some((Kind::Account, id))) => accounts.0.push(mark(id)),
                Ok(Some((Kind::Email, address))) => emails.0.push(mark(&redactor.email(address))),
                // Decode replaces what looks like a raw token by its keyed hash: both are meant.
                Ok(Some((Kind::Token, id))) => {
                    tokens.0.extend([mark(id), mark(&redactor.secret(id))]);
                }
                Err(what) => lines.push(number, what.to_owned()),
            }
            count += 1;
            if count > ENTRIES_MAX {
                let entries_max = ENTRIES_MAX;
                faults.push(TableFault::TooMany {
                    file: file.to_owned(),
                    entries_max,
                });
                return None;
            }
        }
        accounts.sort();
        emails.sort();
        tokens.sort();
        let key = key.clone();
        lines.finish(faults).then_some(Self {
            key,
            accounts,
            emails,
            tokens,
            count,
        })
    }

    /// The `honeytoken.kind` of an event that touches a decoy. A token says most, as it was found
    /// somewhere; then the account, then the address.
    #[inline]
    pub(super) fn find(&self, event: &Event) -> Option<&'static str> {
        let any = |field, test: &dyn Fn(&str) -> bool| texts(event, field).any(test);
        let target = event.text(field::USER_TARGET_ID);
        // Mostly one person acts for themselves: no need to look twice.
        let subject = |test: &dyn Fn(&str) -> bool| {
            any(field::USER_TARGET_ID, test)
                || any(field::USER_ID, &|id| target != Some(id) && test(id))
        };
        if any(field::TOKEN_ID, &|id| self.tokens.has(&self.key, id)) {
            Some("token")
        } else if subject(&|id| self.accounts.has(&self.key, id)) {
            Some("account")
        } else if any(field::USER_EMAIL, &|mail| self.emails.has(&self.key, mail))
            // Where accounts are called by their address, its pseudonym is the id.
            || subject(&|id| id.contains('@') && self.emails.has(&self.key, id))
        {
            Some("email")
        } else {
            None
        }
    }

    /// How many decoys there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }
}

fn texts(event: &Event, field: FieldId) -> impl Iterator<Item = &str> {
    event.values(field).filter_map(|value| match value {
        Value::Text(text) => Some(text),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Null => None,
    })
}

/// Reads a line: a decoy, nothing, or what is wrong with it.
fn entry(line: &str) -> Result<Option<(Kind, &str)>, &'static str> {
    let line = remark_start(line)
        .and_then(|at| line.get(..at))
        .unwrap_or(line)
        .trim();
    if line.is_empty() {
        return Ok(None);
    }
    let (kind, value) = match line.split_once(':') {
        Some((name, rest)) => match name.trim().to_ascii_lowercase().as_str() {
            "account" => (Kind::Account, rest.trim()),
            "email" => (Kind::Email, rest.trim()),
            "token" => (Kind::Token, rest.trim()),
            _ => return Err("unknown kind before the colon: write account:, email: or token:"),
        },
        None if line.contains('@') => (Kind::Email, line),
        None => (Kind::Account, line),
    };
    if kind == Kind::Email {
        let whole = value
            .split_once('@')
            .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
        if !whole || value.contains(char::is_whitespace) {
            return Err("not an e-mail address: write it like email:decoy@example.com");
        }
    }
    if stands_for_nothing(value) {
        return Err("a value that stands for nothing in events: write an id");
    }
    Ok(Some((kind, value)))
}

/// Where a remark begins: at a `#` that begins the line or follows a space, as ids may hold one.
fn remark_start(line: &str) -> Option<usize> {
    let mut space = true;
    for (at, c) in line.char_indices() {
        if c == '#' && space {
            return Some(at);
        }
        space = c.is_whitespace();
    }
    None
}

/// What events never carry as an id, because it means "missing" there.
fn stands_for_nothing(value: &str) -> bool {
    ["", "-", "null", "unknown", "HIDDEN_FOR_SECURITY_REASONS"]
        .iter()
        .any(|marker| marker.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests;
