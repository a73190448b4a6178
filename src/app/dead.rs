//! Dead letters on their way out: a file or a topic, one JSON line each, without the content.
//!
//! A dead letter names where the record stands, so an operator can look at it in the source; its
//! content may hold secrets and stays there. Invariant: once `sync` has returned `Ok`, what was written
//! survives a power cut, so a frontier may pass it. After an error the same letters are given again.

mod file;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use self::file::LetterFile;
use crate::decode::DeadLetter;
use crate::deliver::Topic;
use crate::engine::exchange::Origin;
use crate::model::fault::Class;

/// Records given to the topic before the first of them is waited for.
const UNDER_WAY_MAX: usize = 1000;
/// The longest the caller waits for the broker before it hears that it has to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where they go.
pub enum DeadLetters {
    File(LetterFile),
    Topic(LetterTopic),
}

/// Why dead letters are not where they should be.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Unwritten {
    why: String,
    class: Class,
}

impl Unwritten {
    /// How to meet it.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }
}

#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    partition: i32,
    offset: i64,
    schema: Option<&'static str>,
    reason: &'static str,
    detail: &'a str,
}

impl DeadLetters {
    /// Writes a batch; returns how many found no place.
    ///
    /// # Errors
    /// The file or topic cannot be written.
    pub fn write(
        &mut self,
        names: &[String],
        letters: &[(Origin, DeadLetter)],
    ) -> Result<u64, Unwritten> {
        if letters.is_empty() {
            return Ok(0);
        }
        let lines = letters.iter().map(|(o, l)| line(names, *o, l));
        match self {
            Self::File(file) => file.append(&lines.collect::<Vec<_>>()),
            Self::Topic(topic) => {
                let key = |o: &Origin| format!("{}/{}", o.partition, o.offset);
                let keys = letters.iter().map(|(origin, _)| key(origin));
                topic.send(|| keys.zip(lines).collect()).map(|()| 0)
            }
        }
    }

    /// Waits until what was written is durable; a topic's is when it is written.
    ///
    /// # Errors
    /// The disk failed, or is full.
    pub fn sync(&self) -> Result<(), Unwritten> {
        match self {
            Self::File(file) => file.sync(),
            Self::Topic(_) => Ok(()),
        }
    }
}

/// A topic that takes dead letters.
pub struct LetterTopic {
    out: Arc<dyn Topic>,
    topic: String,
    runtime: Handle,
    /// A batch whose confirmation was not waited out.
    sending: Option<JoinHandle<Result<(), String>>>,
}

impl LetterTopic {
    #[must_use]
    pub fn new(out: Arc<dyn Topic>, topic: String, runtime: Handle) -> Self {
        Self {
            out,
            topic,
            runtime,
            sending: None,
        }
    }

    /// Sends a batch, or goes on waiting for the one under way: it is the same, see `DeadLetters`.
    fn send(&mut self, letters: impl FnOnce() -> Vec<(String, String)>) -> Result<(), Unwritten> {
        let unwritten = |why: String| Unwritten {
            why: format!("topic {}: {why}", self.topic),
            class: Class::Retry,
        };
        let mut sending = self.sending.take().unwrap_or_else(|| {
            let (out, topic) = (Arc::clone(&self.out), self.topic.clone());
            self.runtime.spawn(send_all(out, topic, letters()))
        });
        let answer = async { timeout(PATIENCE, &mut sending).await };
        match self.runtime.block_on(answer) {
            Ok(Ok(sent)) => sent.map_err(unwritten),
            Ok(Err(died)) => Err(unwritten(died.to_string())),
            Err(_) => {
                self.sending = Some(sending);
                Err(unwritten(
                    "the broker has not confirmed them yet".to_owned(),
                ))
            }
        }
    }
}

/// Gives many to the client before it waits for the first: one at a time would be a round trip each.
async fn send_all(
    out: Arc<dyn Topic>,
    topic: String,
    letters: Vec<(String, String)>,
) -> Result<(), String> {
    crate::crash::point("letters-sending");
    for part in letters.chunks(UNDER_WAY_MAX) {
        let part = part.iter();
        let under_way: Vec<_> = part
            .map(|(key, line)| out.produce(&topic, key, line))
            .collect();
        for report in under_way {
            report.await?;
        }
    }
    Ok(())
}

fn line(names: &[String], origin: Origin, letter: &DeadLetter) -> String {
    let line = Line {
        source: names
            .get(usize::from(origin.source))
            .map_or("", String::as_str),
        partition: origin.partition,
        offset: origin.offset,
        schema: letter.schema.map(crate::decode::Schema::name),
        reason: letter.reason.name(),
        detail: &letter.detail,
    };
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests;
