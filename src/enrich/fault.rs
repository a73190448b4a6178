//! What can be wrong with a table file, in words for whoever has to mend it.
//!
//! Owns the messages only. Every fault names its file and, in lists, the line; none shows what a
//! honeytokens file holds.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::model::fault::Class;

/// All that was wrong with the tables, every file looked at.
#[derive(Debug, Error)]
pub struct LoadError {
    faults: Vec<TableFault>,
}

impl LoadError {
    pub(super) const fn new(faults: Vec<TableFault>) -> Self {
        Self { faults }
    }

    /// The faults in the order of the settings.
    #[must_use]
    pub fn faults(&self) -> &[TableFault] {
        &self.faults
    }

    /// The faults, to keep.
    #[must_use]
    pub fn into_faults(self) -> Vec<TableFault> {
        self.faults
    }

    /// Whether it may pass by itself or someone has to act.
    #[must_use]
    pub fn class(&self) -> Class {
        let passes = |f: &TableFault| matches!(f, TableFault::Changing { .. });
        if self.faults.iter().all(passes) {
            Class::Retry
        } else {
            Class::Operator
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

/// One thing that is wrong with one file.
#[derive(Debug, Error)]
pub enum TableFault {
    /// The operating system refused.
    #[error("{}: cannot be read ({reason}); check the path and the file's rights", file.display())]
    Unreadable { file: PathBuf, reason: String },
    /// A folder, a pipe or a device.
    #[error("{}: is not a plain file; name the table's file itself", file.display())]
    NotAFile { file: PathBuf },
    /// Nothing in it where something must be.
    #[error("{}: is empty; download or write it again", file.display())]
    Empty { file: PathBuf },
    /// Larger than is read.
    #[error("{}: has {bytes} bytes, more than the {bytes_max} that are read; is it the right file?", file.display())]
    TooLarge {
        file: PathBuf,
        bytes: u64,
        bytes_max: u64,
    },
    /// Someone wrote to it meanwhile.
    #[error("{}: changed while it was read; write new versions aside and rename them into place", file.display())]
    Changing { file: PathBuf },
    /// An archive or a compressed file.
    #[error("{}: is {what}; unpack it and name the file inside", file.display())]
    Packed { file: PathBuf, what: &'static str },
    /// Not readable as a MaxMind database.
    #[error("{}: is damaged or no MaxMind database ({reason}); download it again", file.display())]
    Damaged { file: PathBuf, reason: String },
    /// A MaxMind database of something else.
    #[error("{}: is a {kind:?} database, which has no {wanted}; use {example} or alike", file.display())]
    WrongKind {
        file: PathBuf,
        kind: String,
        wanted: &'static str,
        example: &'static str,
    },
    /// Binary, or text in another encoding.
    #[error("{}: is not UTF-8 text; {hint}", file.display())]
    NotText { file: PathBuf, hint: &'static str },
    /// A line that cannot be read.
    #[error("{}:{line}: {what}", file.display())]
    Line {
        file: PathBuf,
        line: usize,
        what: String,
    },
    /// More of these than are worth showing.
    #[error("{}: {count} more lines like these", file.display())]
    MoreLines { file: PathBuf, count: usize },
    /// More entries than are kept.
    #[error("{}: goes beyond {entries_max} entries in all; name a smaller table, or merge neighbouring ranges", file.display())]
    TooMany { file: PathBuf, entries_max: usize },
}

/// Collects the faulty lines of one file; the first few are kept, the others counted.
#[derive(Debug)]
pub(super) struct LineFaults<'a> {
    file: &'a std::path::Path,
    shown: Vec<TableFault>,
    more: usize,
}

impl<'a> LineFaults<'a> {
    const SHOWN_MAX: usize = 10;

    pub(super) const fn new(file: &'a std::path::Path) -> Self {
        Self {
            file,
            shown: Vec::new(),
            more: 0,
        }
    }

    pub(super) fn push(&mut self, line: usize, what: String) {
        if self.shown.len() < Self::SHOWN_MAX {
            self.shown.push(TableFault::Line {
                file: self.file.to_owned(),
                line,
                what,
            });
        } else {
            self.more += 1;
        }
    }

    /// Hands the faults over; whether there were none.
    pub(super) fn finish(self, faults: &mut Vec<TableFault>) -> bool {
        let none = self.shown.is_empty();
        faults.extend(self.shown);
        if self.more > 0 {
            faults.push(TableFault::MoreLines {
                file: self.file.to_owned(),
                count: self.more,
            });
        }
        none
    }
}
