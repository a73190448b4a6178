//! JSON lines from files and standard input, plain or compressed (gzip, zstd, by magic bytes).
//!
//! Streams: memory stays at one batch however large the input or what it unpacks to. A line beyond
//! the limit is handed out cut one byte after it, so that its reader refuses it, and the rest goes
//! on. Positions are line numbers from 1; blank lines are counted and not handed out. They mean nothing in
//! another input of the same name (`goes_on`).

#![expect(clippy::disallowed_methods, reason = "opens the files it reads")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

use super::{
    Batch, Error, Notice, Partition, Polled, RECORD_BYTES_MAX, Record, Source, Stamp, Topic,
};
use crate::model::{Fingerprint, HashKey};

/// The name of standard input.
pub const STDIN: &str = "-";
const BUFFER: usize = 128 << 10;
/// The largest zstd window that is unpacked (2^25 = 32 MiB); every level below `--ultra` needs less.
const WINDOW_LOG_MAX: u32 = 25;
/// A packed input whose one line unpacks to more than this is given up: it is not made of lines.
const UNPACKED_LINE_MAX: usize = 256 << 20;

/// Reads files one after another.
#[derive(Debug)]
pub struct FileSource {
    topics: Vec<Topic>,
    /// The number of the file being read, and its reader once it is open.
    current: usize,
    open: Option<Lines>,
    line_max: usize,
}

impl FileSource {
    /// A source over `paths` in their order; `-` is standard input. `line_max` is the longest line.
    /// Every file must be there; each is opened when its turn comes.
    ///
    /// # Errors
    /// If a path is no file that can be read.
    pub fn new(
        paths: impl IntoIterator<Item = impl AsRef<Path>>,
        schema: Option<&str>,
        line_max: usize,
    ) -> Result<Self, Error> {
        let mut topics = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let name = path.display().to_string();
            if name != STDIN {
                let folder = std::fs::metadata(path).map(|found| found.is_dir());
                let cause = match folder {
                    Ok(false) => None,
                    Ok(true) => Some(io::ErrorKind::IsADirectory.into()),
                    Err(cause) => Some(cause),
                };
                if let Some(cause) = cause {
                    return Err(Error::Open { name, cause });
                }
            }
            topics.push(Topic {
                name,
                schema: schema.map(str::to_owned),
            });
        }
        Ok(Self {
            topics,
            current: 0,
            open: None,
            line_max,
        })
    }

    /// A source over a reader that is already open.
    ///
    /// # Errors
    /// If its first bytes cannot be read.
    pub fn from_reader(
        name: &str,
        reader: impl Read + Send + 'static,
        line_max: usize,
    ) -> Result<Self, Error> {
        let lines = Lines::new(Box::new(reader)).map_err(|cause| Error::Open {
            name: name.to_owned(),
            cause,
        })?;
        let topics = vec![Topic {
            name: name.to_owned(),
            schema: None,
        }];
        Ok(Self {
            topics,
            current: 0,
            open: Some(lines),
            line_max,
        })
    }

    /// Opens the current file if need be; `None` after the last one.
    fn lines(&mut self) -> Result<Option<&mut Lines>, Error> {
        if self.open.is_none() {
            let Some(topic) = self.topics.get(self.current) else {
                return Ok(None);
            };
            let reader: io::Result<Box<dyn Read + Send>> = if topic.name == STDIN {
                Ok(Box::new(io::stdin()))
            } else {
                File::open(&topic.name).map(|file| Box::new(file) as Box<dyn Read + Send>)
            };
            match reader.and_then(Lines::new) {
                Ok(lines) => self.open = Some(lines),
                Err(cause) => {
                    self.current += 1;
                    return Err(Error::Open {
                        name: topic.name.clone(),
                        cause,
                    });
                }
            }
        }
        Ok(self.open.as_mut())
    }

    fn partition(&self) -> Partition {
        Partition {
            topic: u16::try_from(self.current).unwrap_or(u16::MAX),
            number: 0,
        }
    }
}

impl Source for FileSource {
    fn topics(&self) -> &[Topic] {
        &self.topics
    }

    fn poll(&mut self, batch: &mut Batch, _wait: Duration) -> Result<Polled, Error> {
        let (partition, line_max) = (self.partition(), self.line_max);
        while !batch.is_full() {
            let may_wait = batch.is_empty();
            let Some(lines) = self.lines()? else {
                return Ok(if batch.is_empty() {
                    Polled::End
                } else {
                    Polled::Some
                });
            };
            match lines.step(batch, partition, line_max, may_wait) {
                Ok(Step::Line) => {}
                Ok(Step::Pending) => break,
                Ok(Step::End) => {
                    batch.notices.push(Notice::End {
                        partition,
                        next: lines.line + 1,
                    });
                    self.open = None;
                    self.current += 1;
                    break;
                }
                Err(cause) => {
                    let line = lines.line;
                    let name = self
                        .topics
                        .get(self.current)
                        .map_or_else(String::new, |t| t.name.clone());
                    self.open = None;
                    self.current += 1;
                    return Err(Error::Read { name, line, cause });
                }
            }
        }
        Ok(Polled::Some)
    }
}

/// Whether the lines that were read of a path before are those that it still begins with, so that their numbers say
/// where to go on: it is a file, and the line before `next` is the one that was read, as far as that is known.
/// Anything else that can be read is another stream each time. Reads up to there.
///
/// # Errors
/// If it cannot be read.
pub fn goes_on(
    path: &Path,
    next: i64,
    last: Option<Fingerprint>,
    key: &HashKey,
) -> Result<bool, Error> {
    let is_file = std::fs::metadata(path).is_ok_and(|found| found.is_file());
    let Some(last) = last.filter(|_| is_file) else {
        return Ok(is_file);
    };
    let mut source = FileSource::new([path], None, RECORD_BYTES_MAX)?;
    let mut batch = Batch::default();
    loop {
        batch.clear();
        let polled = source.poll(&mut batch, Duration::ZERO)?;
        if let Some(found) = batch.records().find(|r| r.offset >= next - 1) {
            return Ok(found.offset == next - 1 && found.fingerprint(key) == last);
        }
        if polled == Polled::End {
            return Ok(false);
        }
    }
}

enum Step {
    Line,
    /// More would have to be waited for.
    Pending,
    End,
}

/// The lines of one open input.
struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    packed: bool,
    /// Lines read so far.
    line: i64,
    /// The beginning of a line that goes on beyond the reader's buffer, up to the limit.
    begun: Vec<u8>,
    /// How long that line is so far.
    length: usize,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lines(after {})", self.line)
    }
}

impl Lines {
    /// Looks at the first bytes for a packed format.
    fn new(mut reader: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut head = Vec::with_capacity(4);
        reader.by_ref().take(4).read_to_end(&mut head)?;
        let packing = Packing::of(&head);
        let whole = io::Cursor::new(head).chain(reader);
        let reader: Box<dyn Read + Send> = match packing {
            None => Box::new(whole),
            Some(Packing::Gzip) => {
                Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, whole)))
            }
            Some(Packing::Zstd) => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(
                    BufReader::with_capacity(BUFFER, whole),
                )?;
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Box::new(decoder)
            }
        };
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER, reader),
            packed: packing.is_some(),
            line: 0,
            begun: Vec::new(),
            length: 0,
        })
    }

    /// Reads on to the end of one line and hands it out unless it is blank.
    fn step(
        &mut self,
        batch: &mut Batch,
        partition: Partition,
        line_max: usize,
        may_wait: bool,
    ) -> io::Result<Step> {
        loop {
            if !may_wait && memchr::memchr(b'\n', self.reader.buffer()).is_none() {
                return Ok(Step::Pending);
            }
            let bytes = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            let at_end = bytes.is_empty();
            if at_end && self.length == 0 {
                return Ok(Step::End);
            }
            let newline = memchr::memchr(b'\n', bytes);
            let part = bytes
                .get(..newline.unwrap_or(bytes.len()))
                .unwrap_or_default();
            self.length += part.len();
            if self.packed && self.length > UNPACKED_LINE_MAX {
                let text = "one line unpacks to more than 256 mib, so this is not a file of lines";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            let complete = at_end || newline.is_some();
            let line = if complete && self.begun.is_empty() {
                part
            } else {
                let room = (line_max + 1).saturating_sub(self.begun.len());
                self.begun
                    .extend_from_slice(part.get(..room).unwrap_or(part));
                &self.begun
            };
            if complete {
                self.line += 1;
                if !line.trim_ascii().is_empty() {
                    batch.push(Record {
                        partition,
                        offset: self.line,
                        stamp: Stamp::None,
                        payload: line.get(..line_max + 1).unwrap_or(line),
                        event_id: None,
                        traceparent: None,
                    });
                }
            }
            let used = part.len() + usize::from(newline.is_some());
            self.reader.consume(used);
            if complete {
                self.begun.clear();
                self.length = 0;
                return Ok(Step::Line);
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or a skippable frame before one.
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
