//! The text form of a number or bool without an allocation, so that text tests apply to it.
//!
//! Holds at most 32 bytes: every integer and bool, and floats of ordinary size. What does not
//! fit has no text form and matches no text test.

use std::fmt::{self, Write};

use crate::model::Value;

/// A short text on the stack.
#[derive(Debug, Default)]
pub(crate) struct StackText {
    bytes: [u8; 32],
    len: usize,
}

impl StackText {
    /// Calls `test` with the text form of a value; `None` if it has none (null, or too long).
    #[inline]
    pub(crate) fn with<R>(value: Value<'_>, test: impl FnOnce(&str) -> R) -> Option<R> {
        let mut text = Self::default();
        let written = match value {
            Value::Text(text) => return Some(test(text)),
            Value::Bool(true) => return Some(test("true")),
            Value::Bool(false) => return Some(test("false")),
            Value::Int(n) => write!(text, "{n}"),
            Value::Float(n) => write!(text, "{n}"),
            Value::Null => return None,
        };
        written.ok()?;
        text.as_str().map(test)
    }

    fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.bytes.get(..self.len)?).ok()
    }
}

impl Write for StackText {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}
