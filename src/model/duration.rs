//! Reads and writes a `Span` as text with a unit (`"5m"`), for configuration and stored rows.
//!
//! Used as `#[serde(with = "crate::model::duration")]`; a bare number is refused.

use serde::{Deserialize, Deserializer, Serializer};

use super::time::Span;

/// Writes the largest unit that divides it.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(span)
}

/// Reads `15s`, `5m`, `1h30m`.
///
/// # Errors
/// Text that is not a duration with a unit.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let text = String::deserialize(deserializer)?;
    Span::parse(&text).ok_or_else(|| {
        serde::de::Error::custom(format!(
            "{text:?} is not a duration: write a number and a unit, as in 5m"
        ))
    })
}
