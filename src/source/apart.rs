//! A source that may block for as long as it likes, read on a thread of its own.
//!
//! Standard input and pipes wait for whoever writes; neither the other sources nor the end of the
//! process wait with them. Holds at most two batches. Invariant: what the source gave comes out in
//! its order, also what it gave before an error; a thread that died is no end of the input.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::{Batch, Error, Polled, Source, Topic};

/// How long the source is asked to wait; it may take longer.
const POLL: Duration = Duration::from_secs(1);

type Read = (Batch, Result<Polled, Error>);

/// See the module's text.
#[derive(Debug)]
pub struct Apart {
    topics: Vec<Topic>,
    read: Receiver<Read>,
    /// It has given a record.
    has_begun: bool,
    /// The source has ended, or failed, and said so.
    over: bool,
}

impl Apart {
    /// Starts to read. The thread ends with the source, or when it next has something and nobody
    /// wants it any more.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(source: impl Source + Send + 'static) -> std::io::Result<Self> {
        let topics = source.topics().to_vec();
        let (give, read) = sync_channel(1);
        std::thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || run(source, &give))?;
        Ok(Self {
            topics,
            read,
            has_begun: false,
            over: false,
        })
    }
}

const fn is_over(polled: &Result<Polled, Error>) -> bool {
    !matches!(polled, Ok(Polled::Some | Polled::Nothing))
}

fn run(mut source: impl Source, give: &SyncSender<Read>) {
    loop {
        let mut batch = Batch::default();
        let polled = source.poll(&mut batch, POLL);
        crate::crash::point("input-read");
        let over = is_over(&polled);
        if give.send((batch, polled)).is_err() || over {
            return;
        }
    }
}

impl Source for Apart {
    fn topics(&self) -> &[Topic] {
        &self.topics
    }

    fn poll(&mut self, batch: &mut Batch, wait: Duration) -> Result<Polled, Error> {
        match self.read.recv_timeout(wait) {
            Ok((mut read, polled)) => {
                self.over = is_over(&polled);
                self.has_begun |= read.records().next().is_some();
                if batch.is_empty() {
                    std::mem::swap(batch, &mut read);
                } else {
                    read.records().for_each(|record| batch.push(record));
                    batch.notices.append(&mut read.notices);
                }
                polled
            }
            Err(RecvTimeoutError::Timeout) => Ok(Polled::Nothing),
            Err(RecvTimeoutError::Disconnected) if self.over => Ok(Polled::End),
            Err(RecvTimeoutError::Disconnected) => Err(Error::Died),
        }
    }

    /// From its first record to its end it holds event time back itself.
    fn is_heard(&self) -> bool {
        self.has_begun && !self.over
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::file::FileSource;
    use std::io::Write as _;

    #[test]
    fn a_silent_pipe_is_not_waited_for() {
        let (pipe, mut writer) = std::io::pipe().unwrap();
        // Its first bytes are looked at when it is opened.
        writer.write_all(b"{\"a\":1}\n").unwrap();
        let source = FileSource::from_reader("-", pipe, 100).unwrap();
        let mut source = Apart::start(source).unwrap();
        let mut batch = Batch::default();
        let short = Duration::from_millis(20);
        let mut poll = |batch: &mut Batch| source.poll(batch, short).unwrap();
        while poll(&mut batch) == Polled::Nothing {}
        assert_eq!(batch.len(), 1);
        assert_eq!(
            poll(&mut batch),
            Polled::Nothing,
            "the pipe is open and silent"
        );
        assert!(source.is_heard());
        let mut poll = |batch: &mut Batch| source.poll(batch, short).unwrap();
        writer.write_all(b"{\"a\":2}\n").unwrap();
        while poll(&mut batch) == Polled::Nothing {}
        assert_eq!(batch.len(), 2, "added to what was there");
        drop(writer);
        while poll(&mut batch) != Polled::End {}
        assert_eq!((batch.len(), batch.notices.len()), (2, 1));
        assert!(!source.is_heard());
    }
}
