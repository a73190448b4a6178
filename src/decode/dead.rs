//! Dead letters: what could not be decoded, with a reason code and nothing of the content.
//!
//! A detail names fields, positions and sizes; it never quotes a value, since what is broken may
//! hold an address or a secret.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::json::{Fault, FaultKind};
use super::{Decoded, Schema};

/// Why a record, or one event in it, was refused. The names are metric labels and a contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No bytes, or white space only.
    Empty,
    TooLarge,
    InvalidUtf8,
    InvalidJson,
    TooDeep,
    TooManyFields,
    /// The shape is none that is known.
    UnknownSchema,
    MissingKind,
    MissingTime,
    /// There is a time, but it cannot be read.
    InvalidTime,
    /// A field holds another JSON type than it may.
    WrongType,
    /// A field's text cannot be what the field stands for.
    InvalidValue,
    /// One object has a key twice that the schema reads: who reads it otherwise sees another event.
    RepeatedKey,
    /// Decoding itself failed: a fault of tidegate, not of the record.
    Defect,
}

impl Reason {
    pub const ALL: [Self; 14] = [
        Self::Empty,
        Self::TooLarge,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::TooDeep,
        Self::TooManyFields,
        Self::UnknownSchema,
        Self::MissingKind,
        Self::MissingTime,
        Self::InvalidTime,
        Self::WrongType,
        Self::InvalidValue,
        Self::RepeatedKey,
        Self::Defect,
    ];

    /// The code, e.g. `missing_time`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::TooDeep => "too_deep",
            Self::TooManyFields => "too_many_fields",
            Self::UnknownSchema => "unknown_schema",
            Self::MissingKind => "missing_kind",
            Self::MissingTime => "missing_time",
            Self::InvalidTime => "invalid_time",
            Self::WrongType => "wrong_type",
            Self::InvalidValue => "invalid_value",
            Self::RepeatedKey => "repeated_key",
            Self::Defect => "defect",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One refused record, or one refused element of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub reason: Reason,
    /// One sentence without any value of the record in it.
    pub detail: String,
    /// The schema it was taken for, if that far.
    pub schema: Option<Schema>,
    /// The element of the line's array, counted from 0.
    pub element: Option<usize>,
}

impl DeadLetter {
    /// Decoding itself failed on the record.
    #[must_use]
    pub fn defect() -> Self {
        Self {
            reason: Reason::Defect,
            detail: "decoding failed inside tidegate; please report it with the record".to_owned(),
            schema: None,
            element: None,
        }
    }
}

/// A schema's verdict on a document: what is wrong with which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub reason: Reason,
    pub field: &'static str,
    pub what: &'static str,
}

impl Flaw {
    pub(crate) const fn new(reason: Reason, field: &'static str, what: &'static str) -> Self {
        Self {
            reason,
            field,
            what,
        }
    }
}

/// Hands a dead letter out.
pub(crate) fn dead(
    reason: Reason,
    detail: String,
    schema: Option<Schema>,
    element: Option<usize>,
    sink: &mut impl FnMut(Decoded<'_>),
) {
    sink(Decoded::Dead(DeadLetter {
        reason,
        detail,
        schema,
        element,
    }));
}

/// Hands a reader's fault out as a dead letter.
pub(crate) fn faulty(
    fault: Fault,
    schema: Option<Schema>,
    element: Option<usize>,
    sink: &mut impl FnMut(Decoded<'_>),
) {
    let (reason, what) = match fault.kind {
        FaultKind::Syntax(what) => (Reason::InvalidJson, what),
        FaultKind::TooDeep => (Reason::TooDeep, "nested too deeply"),
        FaultKind::TooManyMembers => (Reason::TooManyFields, "too many members"),
    };
    dead(
        reason,
        format!("{what} at byte {}", fault.at),
        schema,
        element,
        sink,
    );
}

/// Where a broken element ends, told by brackets and quotes alone; `None` if they do not close.
pub(crate) fn end_of_broken(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, b) in bytes.iter().enumerate().skip(start) {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth > 0 => depth -= 1,
            b',' | b']' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}
