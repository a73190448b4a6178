//! Faults and lints of detector files, with their place and a hint, in one form everywhere.
//!
//! Owns how they look: a line and a hint, the same around the source line with a caret, or JSON. Finds none itself.
//! Messages are lower-case, have no full stop and say what is wrong; the hint says what to do.

use std::fmt;

use serde::Serialize;

pub(super) use crate::yaml::nearest;

/// Characters of a source line that are shown, at most.
const LINE_MAX: usize = 160;

/// A place in a file: line and column count from 1, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
    /// How many characters the thing there is long; for the caret line.
    pub width: usize,
}

/// Whether the file is refused or only questionable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file contributes nothing until this is mended.
    Fault,
    /// The file is used; somebody should look at this.
    Lint,
}

/// One thing to say about one place of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: String,
    pub line: usize,
    pub column: usize,
    #[serde(skip)]
    pub width: usize,
    pub message: String,
    pub hint: Option<String>,
    /// A lint of what a fault of the same file may follow from: it is told beside the fault.
    #[serde(skip)]
    pub is_cause: bool,
}

impl Diagnostic {
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.severity == Severity::Fault
    }

    const fn word(&self) -> &'static str {
        match self.severity {
            Severity::Fault => "fault",
            Severity::Lint => "lint",
        }
    }

    /// As displayed, with the source line and a caret below the place, between message and hint.
    #[must_use]
    pub fn pretty(&self, source: &str) -> String {
        let shown = self.to_string();
        let Some(line) = self.line.checked_sub(1).and_then(|n| source.lines().nth(n)) else {
            return shown;
        };
        let (message, hint) = shown.split_once('\n').unwrap_or((&shown, ""));
        let before = self.column.saturating_sub(1);
        let from = if before < LINE_MAX {
            0
        } else {
            before - LINE_MAX / 2
        };
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = line.chars().map(plain).skip(from).take(LINE_MAX).collect();
        let rest = text.chars().count().saturating_sub(before - from);
        let (number, indent) = (self.line.to_string(), " ".repeat(before - from));
        let (gutter, caret) = (
            " ".repeat(number.len()),
            "^".repeat(self.width.min(rest).max(1)),
        );
        let mut out = format!("{message}\n  {number} | {text}\n  {gutter} | {indent}{caret}");
        if !hint.is_empty() {
            out.push('\n');
            out.push_str(hint);
        }
        out
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            line,
            column,
            message,
            ..
        } = self;
        write!(f, "{file}:{line}:{column}: {}: {message}", self.word())?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Collects what is found in one file.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    pub(super) file: &'a str,
    pub(super) list: &'a mut Vec<Diagnostic>,
}

impl Findings<'_> {
    fn add(&mut self, severity: Severity, at: Place, message: String, hint: Option<String>) {
        self.list.push(Diagnostic {
            severity,
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            width: at.width,
            message,
            hint,
            is_cause: false,
        });
    }

    pub(super) fn fault(&mut self, at: Place, message: impl Into<String>) {
        self.add(Severity::Fault, at, message.into(), None);
    }

    pub(super) fn fault_hint(
        &mut self,
        at: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Fault, at, message.into(), Some(hint.into()));
    }

    pub(super) fn lint(&mut self, at: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Severity::Lint, at, message.into(), Some(hint.into()));
    }

    /// A lint that is told beside faults, too.
    pub(super) fn lint_cause(
        &mut self,
        at: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.lint(at, message, hint);
        if let Some(last) = self.list.last_mut() {
            last.is_cause = true;
        }
    }
}

/// ` (did you mean X)`-style hint for an unknown word.
pub(super) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    match nearest(word, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let all: Vec<String> = known.into_iter().map(|k| format!("`{k}`")).collect();
            format!("use one of {}", all.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word_is_near() {
        let known = ["condition", "timespan", "group-by", "type"];
        assert_eq!(nearest("contition", known), Some("condition"));
        assert_eq!(nearest("conditoin", known), Some("condition"));
        assert_eq!(nearest("group_by", known), Some("group-by"));
        assert_eq!(nearest("tpye", known), Some("type"));
        assert_eq!(nearest("frequency", known), None);
    }

    #[test]
    fn long_form_points_at_the_word() {
        let d = Diagnostic {
            severity: Severity::Fault,
            file: "a.yml".into(),
            line: 2,
            column: 3,
            width: 4,
            message: "unknown key `tpye`".into(),
            hint: Some("did you mean `type`?".into()),
            is_cause: false,
        };
        assert_eq!(
            d.to_string(),
            "a.yml:2:3: fault: unknown key `tpye`\n  hint: did you mean `type`?"
        );
        assert_eq!(
            d.pretty("a:\n  tpye: x\n"),
            "a.yml:2:3: fault: unknown key `tpye`\n  2 |   tpye: x\n    |   ^^^^\n  hint: did you mean `type`?"
        );
        assert_eq!(d.pretty("a:"), d.to_string());
    }

    #[test]
    fn long_form_shows_a_part_of_a_long_line_and_no_control_characters() {
        let line = format!("{}x\u{1b}: y", "a".repeat(500));
        let d = Diagnostic {
            severity: Severity::Lint,
            file: "a.yml".into(),
            line: 1,
            column: 501,
            width: 9,
            message: "odd".into(),
            hint: None,
            is_cause: false,
        };
        let expected = format!(
            "a.yml:1:501: lint: odd\n  1 | {0}x : y\n    | {1}^^^^^",
            "a".repeat(80),
            " ".repeat(80)
        );
        assert_eq!(d.pretty(&line), expected);
    }
}
