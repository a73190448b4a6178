//! Dead letters on their way out: a file or a topic, one JSON line each, without the content.
//!
//! A dead letter names where the record stands, so an operator can look at it in the source; its
//! content may hold secrets and stays there.

#![expect(clippy::disallowed_methods, reason = "appends to the dead-letter file")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::kafka_out::KafkaOut;
use crate::decode::DeadLetter;
use crate::deliver::Topic;
use crate::engine::exchange::Origin;

/// Where they go.
pub enum DeadLetters {
    /// A file that is no longer written once it has `size_max` bytes.
    File { path: PathBuf, size_max: u64 },
    Topic {
        out: Arc<KafkaOut>,
        topic: String,
        runtime: tokio::runtime::Handle,
    },
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
    pub fn write(&self, names: &[String], letters: &[(Origin, DeadLetter)]) -> Result<u64, String> {
        if letters.is_empty() {
            return Ok(0);
        }
        let lines: Vec<String> = letters.iter().map(|(o, l)| line(names, *o, l)).collect();
        match self {
            Self::File { path, size_max } => append(path, *size_max, &lines)
                .map_err(|e| format!("cannot write {}: {e}", path.display())),
            Self::Topic {
                out,
                topic,
                runtime,
            } => runtime.block_on(async {
                for (line, (origin, _)) in lines.iter().zip(letters) {
                    let key = format!("{}/{}", origin.partition, origin.offset);
                    out.produce(topic, &key, line).await?;
                }
                Ok(0)
            }),
        }
    }
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

fn append(path: &PathBuf, size_max: u64, lines: &[String]) -> std::io::Result<u64> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let mut size = file.metadata()?.len();
    let (mut text, mut left_out) = (String::new(), 0);
    for line in lines {
        size += line.len() as u64 + 1;
        if size > size_max {
            left_out += 1;
            continue;
        }
        text.push_str(line);
        text.push('\n');
    }
    file.write_all(text.as_bytes())?;
    Ok(left_out)
}
