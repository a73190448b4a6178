//! What is wrong with a configuration, where, and what to do: one line per fault.
//!
//! Owns the form `FILE:LINE:COLUMN: message (hint)`. Does not find faults.

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::yaml::At;

/// Where a fault stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a file.
    File {
        /// The file as it was named.
        file: String,
        /// Line and column.
        at: At,
    },
    /// In an environment variable.
    Variable(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, at } => write!(f, "{file}:{at}"),
            Self::Variable(name) => write!(f, "environment:{name}"),
        }
    }
}

/// One fault (or lint) of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub place: Place,
    /// The key it concerns, e.g. `sources[0].brokers`; may be empty.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl Serialize for Fault {
    /// As `check -o json` prints it.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(None)?;
        match &self.place {
            Place::File { file, at } => {
                map.serialize_entry("file", file)?;
                map.serialize_entry("line", &at.line)?;
                map.serialize_entry("column", &at.column)?;
            }
            Place::Variable(name) => map.serialize_entry("variable", name)?,
        }
        map.serialize_entry("path", &self.path)?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("hint", &self.hint)?;
        map.end()
    }
}

/// All faults of a configuration; as an error it prints one per line.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}
