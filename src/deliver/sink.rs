//! Where a message can go, as one small trait, and the sinks that are not webhooks: standard
//! output, files, and topics that the app brings.
//!
//! Owns one attempt at a time; trying again is the queue's. A sink says `Delivered` only when the
//! message is where it should be.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use super::settings::{Shape, Sync};
use crate::engine::outbox::Message;
use crate::model::Span;

mod file;

/// One attempt under way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Something that takes messages.
pub trait Sink: Send + std::marker::Sync {
    /// Makes one attempt; `stamp` is the time in seconds since the epoch.
    fn send<'a>(&'a self, message: &'a Message, stamp: i64) -> Sending<'a>;
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Delivered,
    Failed(Failure),
}

/// An attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub fault: Fault,
    /// How long the receiver asks us to wait.
    pub retry_after: Option<Span>,
    /// What happened, for people; holds nothing a receiver wrote.
    pub detail: String,
}

impl Failure {
    /// A failure with nothing asked for.
    #[must_use]
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self {
            fault,
            retry_after: None,
            detail: detail.into(),
        }
    }
}

/// What an attempt failed of: the bounded set of words metrics use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The name has no address, or one that is refused.
    Address,
    /// No connection, or a broken one.
    Connection,
    /// No answer in time.
    Timeout,
    /// 429 or 503 with `Retry-After`.
    Busy,
    /// 5xx, 408.
    Server,
    /// 3xx: never followed.
    Redirect,
    /// 401, 403, 404 and the like: the endpoint is set up wrongly.
    Client,
    /// 400, 413, 415, 422 and the like: this message will not be taken.
    Message,
    /// 410.
    Gone,
    /// A file or topic failed.
    Local,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 10] = [
        Self::Address,
        Self::Connection,
        Self::Timeout,
        Self::Busy,
        Self::Server,
        Self::Redirect,
        Self::Client,
        Self::Message,
        Self::Gone,
        Self::Local,
    ];

    /// Its place in `ALL`.
    #[must_use]
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|f| *f == self).unwrap_or(0)
    }

    /// A word for metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Server => "server",
            Self::Redirect => "redirect",
            Self::Client => "client",
            Self::Message => "message",
            Self::Gone => "gone",
            Self::Local => "local",
        }
    }

    /// Whether it tells of the message rather than of the endpoint.
    #[must_use]
    pub const fn blames_message(self) -> bool {
        matches!(self, Self::Message)
    }
}

fn line(message: &Message, shape: Shape) -> String {
    let draft = &message.draft;
    let text = match shape {
        Shape::Data => draft.data(),
        Shape::Envelope => &draft.body,
    };
    // JSON text of ours holds no line break, so one message is one line.
    format!("{text}\n")
}

/// Standard output.
#[derive(Clone, Copy, Debug, Default)]
pub struct StdoutSink {
    pub shape: Shape,
}

impl Sink for StdoutSink {
    fn send<'a>(&'a self, message: &'a Message, _stamp: i64) -> Sending<'a> {
        let line = line(message, self.shape);
        let print = move || {
            crate::crash::point("line-printing");
            file::print(&line)
        };
        Box::pin(async move { local(tokio::task::spawn_blocking(print).await) })
    }
}

/// A file that gets one JSON line per message.
#[derive(Clone, Debug)]
pub struct FileSink {
    pub path: PathBuf,
    pub shape: Shape,
    pub sync: Sync,
}

impl Sink for FileSink {
    fn send<'a>(&'a self, message: &'a Message, _stamp: i64) -> Sending<'a> {
        let (line, path, sync) = (line(message, self.shape), self.path.clone(), self.sync);
        let append = move || {
            crate::crash::point("file-appending");
            file::append(&path, &line, sync)
        };
        Box::pin(async move { local(tokio::task::spawn_blocking(append).await) })
    }
}

fn local(done: Result<std::io::Result<()>, tokio::task::JoinError>) -> Outcome {
    match done {
        Ok(Ok(())) => Outcome::Delivered,
        Ok(Err(error)) => Outcome::Failed(Failure::new(Fault::Local, error.to_string())),
        Err(_) => Outcome::Failed(Failure::new(Fault::Local, "the writing task was stopped")),
    }
}

/// Takes records for a Kafka topic; the app implements it over its producer.
pub trait Topic: Send + std::marker::Sync {
    /// Writes one record and waits until the brokers have it.
    fn produce<'a>(
        &'a self,
        topic: &'a str,
        key: &'a str,
        payload: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

/// A Kafka topic.
#[derive(Clone)]
pub struct TopicSink {
    pub producer: Arc<dyn Topic>,
    pub topic: String,
    pub shape: Shape,
}

impl Sink for TopicSink {
    fn send<'a>(&'a self, message: &'a Message, _stamp: i64) -> Sending<'a> {
        Box::pin(async move {
            let line = line(message, self.shape);
            // The lane as the key: its records stay in order in one partition.
            let record = self
                .producer
                .produce(&self.topic, &message.draft.lane, line.trim_end());
            match record.await {
                Ok(()) => Outcome::Delivered,
                Err(what) => Outcome::Failed(Failure::new(Fault::Local, what)),
            }
        })
    }
}
