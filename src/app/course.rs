//! The engine and the desk in step: what was read goes in, what follows from it is committed, and a
//! snapshot holds only what is committed.
//!
//! Owns no order of steps (that is `turn`), no thread, no clock, no metric. Invariant: while a commit has
//! not succeeded nothing more is decided, and there is no snapshot.

use super::commit::{Committed, Desk};
use super::state_dir::Place;
use crate::engine::alert::Alert;
use crate::engine::exchange::Routed;
use crate::engine::snapshot::{Kind, Taken};
use crate::engine::watermark::UNREAD;
use crate::engine::{Engine, Input, Output, Shards};
use crate::model::{Fingerprint, WallTime};
use crate::source::ledger::{Frontier, Last, Logs};
use crate::source::{Notice, Partition};
use crate::store::StoreError;

/// See the module's text.
pub struct Course<S> {
    pub engine: Engine<S>,
    pub desk: Desk,
    /// The topics by the numbers that the engine uses.
    names: Vec<String>,
    last: Last,
    logs: Logs,
    /// Alerts whose commit has not succeeded yet.
    uncommitted: Vec<Alert>,
}

impl<S: Shards> Course<S> {
    #[must_use]
    pub fn new(engine: Engine<S>, desk: Desk, names: Vec<String>) -> Self {
        Self {
            engine,
            desk,
            names,
            last: Last::default(),
            logs: Logs::default(),
            uncommitted: Vec::new(),
        }
    }

    /// Goes on after these records of these logs, until there are newer ones.
    #[must_use]
    pub fn after(mut self, last: Last, logs: Logs) -> Self {
        (self.last, self.logs) = (last, logs);
        self
    }

    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The name of a topic, for people.
    #[must_use]
    pub fn name(&self, topic: u16) -> &str {
        self.names.get(usize::from(topic)).map_or("?", |n| n)
    }

    /// Takes in a batch after stage 1. Partitions that begin with it, or have records again, hold
    /// event time back from now on; those whose loss is accepted go on elsewhere behind it. That some are at their end is for `heed`, after the commit.
    pub fn take(&mut self, routed: &Routed, notices: &[Notice]) {
        for notice in notices {
            match notice {
                Notice::Assigned { partition, next } => self.engine.handle(&Input::Expect {
                    source: partition.topic,
                    partition: partition.number,
                    next: *next,
                }),
                Notice::Behind { partition } => self.engine.handle(&Input::Behind {
                    source: partition.topic,
                    partition: partition.number,
                }),
                _ => {}
            }
        }
        self.engine.handle(&Input::Batch(routed));
        for notice in notices {
            let (partition, next) = match notice {
                Notice::Accepted {
                    partition, next, ..
                } => (partition, *next),
                Notice::Gone { partition } => (partition, UNREAD),
                _ => continue,
            };
            self.engine.handle(&Input::Restart {
                source: partition.topic,
                partition: partition.number,
                next,
            });
        }
    }

    /// Remembers the last records of what was taken in.
    pub fn note_last(&mut self, last: &[(Partition, i64, Fingerprint)]) {
        for (partition, offset, fingerprint) in last {
            if let Some(topic) = self.names.get(usize::from(partition.topic)) {
                self.last
                    .note(topic, partition.number, *offset, *fingerprint);
            }
        }
    }

    /// Heeds what a notice means for event time: a partition at its end, one that is not read on, or
    /// one that nobody answers for holds nothing back.
    pub fn heed(&mut self, notice: &Notice) {
        self.note_log(notice);
        if let Notice::End { partition, next } = notice {
            self.engine.handle(&Input::Reached {
                source: partition.topic,
                partition: partition.number,
                next: *next,
            });
        }
        match notice {
            Notice::End { partition, .. }
            | Notice::Halted { partition, .. }
            | Notice::Gone { partition }
            | Notice::Silent { partition } => {
                self.engine.handle(&Input::Idle {
                    source: partition.topic,
                    partition: partition.number,
                });
            }
            Notice::Assigned { .. }
            | Notice::Accepted { .. }
            | Notice::Behind { .. }
            | Notice::Log { .. }
            | Notice::Stalled { .. }
            | Notice::Trouble { .. } => {}
        }
    }

    /// Remembers which logs are read.
    fn note_log(&mut self, notice: &Notice) {
        match notice {
            Notice::Log { partition, id } => {
                let topic = self.name(partition.topic).to_owned();
                self.logs.note(&topic, partition.number, *id);
            }
            Notice::Accepted { partition, .. } | Notice::Gone { partition } => {
                let topic = self.name(partition.topic).to_owned();
                self.logs.forget(&topic, partition.number);
            }
            _ => {}
        }
    }

    /// Adds an alert that is not the engine's to the next commit.
    pub fn raise(&mut self, alert: Alert) {
        self.uncommitted.push(alert);
    }

    /// Commits what the engine has to say. After an error the same alerts are tried again.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn commit(&mut self, now: WallTime) -> Result<Committed, StoreError> {
        while let Some(Output::Alert(alert)) = self.engine.poll() {
            self.uncommitted.push(*alert);
        }
        let committed = self.desk.record(&self.uncommitted, now)?;
        self.uncommitted.clear();
        Ok(committed)
    }

    /// The engine's state, or what has changed in it, and where it stands; `None` while it holds something
    /// uncommitted.
    pub fn snapshot(&mut self, kind: Kind) -> Option<(Taken, Place)> {
        if !self.uncommitted.is_empty() || self.engine.has_output() {
            return None;
        }
        let mut frontier = Frontier::default();
        for (source, partition, next) in self.engine.frontier() {
            if let Some(topic) = self.names.get(usize::from(source)) {
                frontier.advance(topic, partition, next);
            }
        }
        let topics = self.names.clone();
        let place = Place {
            topics,
            frontier,
            last: self.last.clone(),
            logs: self.logs.clone(),
            commits: self.desk.commits(),
        };
        Some((self.engine.snapshot(kind), place))
    }
}
