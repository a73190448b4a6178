//! Reading small text files: the configuration itself and secrets.
//!
//! Owns the bound on their size. Invariant: what is not a regular text within the bound is an
//! error, never a part of it.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place where config/ reads files, bounded"
)]

use std::io::{Error, ErrorKind, Read as _};
use std::path::Path;

/// The whole text of a file of at most `bytes_max` bytes.
///
/// # Errors
/// It cannot be read, is longer or is not UTF-8.
pub(super) fn text(path: &Path, bytes_max: u64) -> Result<String, Error> {
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("longer than {bytes_max} bytes"),
        ));
    }
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "not UTF-8 text"))
}
