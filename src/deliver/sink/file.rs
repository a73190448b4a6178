//! Writes lines to a file or to standard output, wholly or not at all.
//!
//! Opens the file for each line, so that it may be moved away at any time; what a full disk left of
//! a line is taken back.

use std::fs::OpenOptions;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use crate::deliver::settings::Sync;

pub(super) fn append(path: &Path, line: &str, sync: Sync) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .truncate(false)
        .open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut text = String::with_capacity(line.len() + 1);
    // A crash may have cut the last line: the next one must not be glued to it.
    if end > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(end - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    text.push_str(line);
    let written = file.write_all(text.as_bytes()).and_then(|()| match sync {
        Sync::Each => file.sync_data(),
        Sync::Never => Ok(()),
    });
    if written.is_err() {
        file.set_len(end)?;
    }
    written
}

pub(super) fn print(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test looks at the file")]
mod tests {
    use super::*;

    #[test]
    fn appends_mends_and_follows_a_moved_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.ndjson");
        append(&path, "{\"a\":1}\n", Sync::Each).unwrap();
        append(&path, "{\"a\":2}\n", Sync::Never).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"a\":1}\n{\"a\":2}\n"
        );
        std::fs::write(&path, "{\"a\":1}\n{\"a\"").unwrap();
        append(&path, "{\"a\":3}\n", Sync::Each).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "{\"a\":1}\n{\"a\"\n{\"a\":3}\n"
        );
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        append(&path, "{}\n", Sync::Each).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{}\n");
        assert!(append(&dir.path().join("no/such/folder"), "{}\n", Sync::Each).is_err());
    }
}
