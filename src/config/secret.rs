//! Secrets: read from the variable or file that the configuration names, at the last moment.
//!
//! Owns the only place where a configured secret is text. Invariant: a `Secret` prints as `***`
//! wherever it goes, and no error holds any part of it.

use std::fmt;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::files;
use super::overlay::Environment;
use super::value::EnvName;

/// The longest secret file that is read.
const LENGTH_MAX: u64 = 64 * 1024;

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for signing, comparing and logging in only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret is not there.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("environment variable {0} is not set: set it to the secret")]
    Unset(String),
    /// The file cannot be read.
    #[error("{}: {reason}: put the secret there, readable by this user", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        reason: std::io::Error,
    },
    /// There is nothing in the file.
    #[error("{}: the file is empty: put the secret there", .0.display())]
    Empty(PathBuf),
}

/// Reads a secret; `None` if neither variable nor file is named.
///
/// # Errors
/// The variable is not set, or the file cannot be read or holds no text.
pub fn load(
    variable: Option<&EnvName>,
    file: Option<&PathBuf>,
    env: &Environment,
) -> Result<Option<Secret>, SecretError> {
    match (variable, file) {
        (Some(name), _) => match env.get(name.as_str()) {
            Some(text) => Ok(Some(Secret(text.to_owned()))),
            None => Err(SecretError::Unset(name.as_str().to_owned())),
        },
        (None, Some(file)) => read(file).map(Some),
        (None, None) => Ok(None),
    }
}

fn read(file: &Path) -> Result<Secret, SecretError> {
    let unreadable = |reason| SecretError::Unreadable {
        file: file.to_owned(),
        reason,
    };
    let text = files::text(file, LENGTH_MAX).map_err(unreadable)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(SecretError::Empty(file.to_owned()));
    }
    Ok(Secret(text.to_owned()))
}
