//! The file of dead letters: whole lines, appended, up to a size.
//!
//! It may be moved away at any time; a new one is begun then. What a crash or a full disk has left of
//! a line is cut off before the next is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Unwritten;
use crate::model::fault::Class;
use crate::store::disk::{is_full, sync_dir};

/// Bytes looked at at once for the end of the last whole line.
const LOOK: u64 = 4096;

/// See the module's text.
pub struct LetterFile {
    path: PathBuf,
    /// Nothing is written beyond it.
    size_max: u64,
    /// Kept open, so that a sync hears of every write that failed since the one before it.
    open: Option<File>,
}

impl LetterFile {
    #[must_use]
    pub const fn new(path: PathBuf, size_max: u64) -> Self {
        Self {
            path,
            size_max,
            open: None,
        }
    }

    /// Appends lines, all of them or none; returns how many found no place below the size.
    pub(super) fn append(&mut self, lines: &[String]) -> Result<u64, Unwritten> {
        let mut file = current(&mut self.open, &self.path)?;
        let mut write = || {
            let end = cut_torn_line(file)?;
            let (mut text, mut left_out) = (String::new(), 0);
            for line in lines {
                if end + (text.len() + line.len()) as u64 >= self.size_max {
                    left_out += 1;
                    continue;
                }
                text.push_str(line);
                text.push('\n');
            }
            if let Err(error) = file.write_all(text.as_bytes()) {
                // The next attempt writes all of it again. Should this fail, too, it cuts a line then.
                let _again = file.set_len(end);
                return Err(error);
            }
            Ok(left_out)
        };
        write().map_err(|error| failed("write", &self.path, &error))
    }

    pub(super) fn sync(&self) -> Result<(), Unwritten> {
        sync(self.open.as_ref(), &self.path)
    }
}

/// The file that stands at the path now.
fn current<'a>(kept: &'a mut Option<File>, path: &Path) -> Result<&'a File, Unwritten> {
    let place = |m: fs::Metadata| (m.dev(), m.ino());
    let there = fs::metadata(path).ok().map(place);
    let ours = kept.as_ref().and_then(|file| file.metadata().ok());
    if there.is_none() || ours.map(place) != there {
        sync(kept.take().as_ref(), path)?;
    }
    match kept {
        Some(file) => Ok(file),
        none => {
            let file = open(path).map_err(|error| Unwritten {
                class: Class::Operator,
                ..failed("open", path, &error)
            })?;
            Ok(none.insert(file))
        }
    }
}

fn sync(file: Option<&File>, path: &Path) -> Result<(), Unwritten> {
    match file {
        Some(file) if is_regular(file) => file
            .sync_data()
            .map_err(|error| failed("sync", path, &error)),
        _ => Ok(()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    if let Some(dir) = dir {
        fs::create_dir_all(dir)?;
    }
    let mut options = OpenOptions::new();
    let file = options.create(true).read(true).append(true).open(path)?;
    if is_regular(&file) {
        // Its name, too, must survive a power cut.
        sync_dir(dir.unwrap_or(Path::new(".")))?;
    }
    Ok(file)
}

fn is_regular(file: &File) -> bool {
    file.metadata().is_ok_and(|m| m.is_file())
}

/// Cuts off what stands behind the last whole line; returns the file's length.
fn cut_torn_line(mut file: &File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let from = end.saturating_sub(LOOK);
        // All of it only if the last line is torn: most often one byte tells.
        let from = if end == length { end - 1 } else { from };
        let mut bytes = vec![0; usize::try_from(end - from).unwrap_or_default()];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut bytes)?;
        if let Some(at) = bytes.iter().rposition(|b| *b == b'\n') {
            end = from + at as u64 + 1;
            break;
        }
        end = from;
    }
    if end < length {
        file.set_len(end)?;
    }
    Ok(end)
}

fn failed(verb: &str, path: &Path, error: &io::Error) -> Unwritten {
    Unwritten {
        why: format!("cannot {verb} {}: {error}", path.display()),
        class: if is_full(error) {
            Class::Retry
        } else {
            Class::Fatal
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|t| (*t).to_owned()).collect()
    }

    #[test]
    fn a_torn_line_is_cut_off_before_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/letters.jsonl");
        let mut file = LetterFile::new(path.clone(), 1 << 20);
        assert_eq!(file.append(&lines(&["one"])).unwrap(), 0);
        for torn in ["tw".to_owned(), "x".repeat(3 * 4096)] {
            fs::write(&path, format!("one\n{torn}")).unwrap();
            file.append(&lines(&["two", "three"])).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        }
        fs::write(&path, "torn").unwrap();
        file.append(&lines(&["one"])).unwrap();
        file.sync().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew_and_a_full_one_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letters.jsonl");
        let mut file = LetterFile::new(path.clone(), 8);
        assert_eq!(file.append(&lines(&["one", "two", "three"])).unwrap(), 1);
        assert_eq!(file.append(&lines(&["four"])).unwrap(), 1);
        fs::rename(&path, dir.path().join("before")).unwrap();
        assert_eq!(file.append(&lines(&["five"])).unwrap(), 0);
        assert_eq!(fs::read_to_string(&path).unwrap(), "five\n");
        let before = fs::read_to_string(dir.path().join("before"));
        assert_eq!(before.unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_full_disk_may_pass_and_so_may_a_path_that_cannot_be_opened() {
        let mut full = LetterFile::new(PathBuf::from("/dev/full"), 1 << 20);
        let error = full.append(&lines(&["one"])).unwrap_err();
        assert_eq!(error.class(), Class::Retry, "{error}");
        let mut folder = LetterFile::new(PathBuf::from("/"), 1 << 20);
        let error = folder.append(&lines(&["one"])).unwrap_err();
        assert_eq!(error.class(), Class::Operator, "{error}");
    }
}
