//! State that is written as what has changed in it since it was last written: an increment.
//!
//! Owns the conversation, not what changes: each state keeps account for itself, and writes itself
//! whole where it has lost it. Invariant: what `write` gives, applied to the state as it was when
//! `mark_written` was last called, is the state as it is now, to the byte.

use serde::{Deserialize, Serialize};

use super::{VERSION, older};

/// See the module's text.
pub trait Changing {
    /// Writes what has changed since it was last marked as written.
    ///
    /// # Errors
    /// Never in practice: no state has a form that cannot be written.
    fn write(&self, to: &mut Writer) -> Result<(), postcard::Error>;

    /// Goes on to the state that wrote this.
    ///
    /// # Errors
    /// The bytes are none that `write` gave; then what is here is worth nothing.
    fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error>;

    /// All of it is written now: from here on it keeps account anew.
    fn mark_written(&mut self);
}

/// Bytes that grow value by value.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// With room for so many bytes: growing would copy them again and again, through memory the system
    /// has to clear first.
    #[must_use]
    pub fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Appends a value.
    ///
    /// # Errors
    /// It has no form as bytes.
    pub fn put(&mut self, value: &impl Serialize) -> Result<(), postcard::Error> {
        self.0 = postcard::to_extend(value, std::mem::take(&mut self.0))?;
        Ok(())
    }

    /// The bytes.
    #[must_use]
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes of some form, taken value by value.
#[derive(Debug)]
pub struct Reader<'a> {
    version: u32,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over bytes of this form.
    #[must_use]
    pub const fn new(version: u32, bytes: &'a [u8]) -> Self {
        Self {
            version,
            rest: bytes,
        }
    }

    /// The next value.
    ///
    /// # Errors
    /// There is none, or another one.
    pub fn take<T: Deserialize<'a>>(&mut self) -> Result<T, postcard::Error> {
        let (value, rest) = match self.version {
            VERSION => postcard::take_from_bytes(self.rest)?,
            form => older::take(form, older::LATER, self.rest)?,
        };
        self.rest = rest;
        Ok(value)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Something is.
    pub const fn end(&self) -> Result<(), postcard::Error> {
        match self.rest {
            [] => Ok(()),
            _ => Err(postcard::Error::DeserializeBadEncoding),
        }
    }
}

/// A few values, whose changes are themselves.
impl Changing for Vec<u64> {
    fn write(&self, to: &mut Writer) -> Result<(), postcard::Error> {
        to.put(self)
    }

    fn apply(&mut self, from: &mut Reader<'_>) -> Result<(), postcard::Error> {
        *self = from.take()?;
        Ok(())
    }

    fn mark_written(&mut self) {}
}
