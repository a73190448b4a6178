//! Values as text: in a key, behind it, and read back as numbers.

use super::SEPARATOR;
use crate::model::Value;

/// Longest value kept in a key's text, in bytes; the fingerprint is over the whole value.
const PART_MAX: usize = 256;

/// Puts a value behind a text, for `Observation::values_of`.
pub fn write_behind(value: Option<u64>, text: &mut Vec<u8>) {
    use std::io::Write;
    text.push(SEPARATOR);
    if let Some(value) = value {
        // Writing to a Vec cannot fail.
        drop(write!(text, "{value:x}"));
    }
}

/// The number a value stands for.
#[must_use]
pub fn as_number(value: Value<'_>) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "sums are floating point")]
        Value::Int(n) => Some(n as f64),
        Value::Float(n) => Some(n),
        Value::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        Value::Bool(_) | Value::Null => None,
    }
}

pub(super) fn write_value(value: Option<Value<'_>>, out: &mut Vec<u8>) {
    use std::io::Write;
    match value {
        Some(Value::Text(text)) => out.extend_from_slice(text.as_bytes()),
        // Writing to a Vec cannot fail.
        Some(Value::Int(n)) => drop(write!(out, "{n}")),
        Some(Value::Float(n)) => drop(write!(out, "{n}")),
        Some(Value::Bool(b)) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Some(Value::Null) | None => {}
    }
}

/// Cuts the part that begins at `from` to `PART_MAX` bytes on a character boundary and takes
/// separators out of it.
pub(super) fn trim_part(text: &mut Vec<u8>, from: usize) {
    if text.len() - from > PART_MAX {
        let mut end = from + PART_MAX;
        while end > from && text.get(end).is_some_and(|b| b & 0xC0 == 0x80) {
            end -= 1;
        }
        text.truncate(end);
    }
    if let Some(part) = text.get_mut(from..)
        && memchr::memchr(SEPARATOR, part).is_some()
    {
        for byte in part.iter_mut().filter(|b| **b == SEPARATOR) {
            *byte = b' ';
        }
    }
}
