//! Several sources as one: topics are numbered through, polls go round.

use std::time::Duration;

use crate::source::ledger::Frontier;
use crate::source::{Batch, Error, Lag, Partition, Polled, Record, Source, Topic};

type Boxed = Box<dyn Source + Send>;

/// See the module's text.
pub struct Sources {
    parts: Vec<(u16, Boxed, bool)>,
    topics: Vec<Topic>,
    turn: usize,
    scratch: Batch,
    /// What ended a source behind the records that it gave last.
    failed: Option<Error>,
}

impl Sources {
    #[must_use]
    pub fn new(sources: Vec<Boxed>) -> Self {
        let (mut parts, mut topics) = (Vec::new(), Vec::new());
        for source in sources {
            let first = u16::try_from(topics.len()).unwrap_or(u16::MAX);
            topics.extend(source.topics().iter().cloned());
            parts.push((first, source, false));
        }
        Self {
            parts,
            topics,
            turn: 0,
            scratch: Batch::default(),
            failed: None,
        }
    }

    /// Whether anybody but the part at `turn` is heard.
    fn is_heard_beside(&self, turn: usize) -> bool {
        let parts = self.parts.iter().enumerate();
        let mut others = parts.filter(|(at, (.., ended))| *at != turn && !ended);
        others.any(|(_, (_, source, _))| source.is_heard())
    }
}

impl Source for Sources {
    fn topics(&self) -> &[Topic] {
        &self.topics
    }

    fn poll(&mut self, batch: &mut Batch, wait: Duration) -> Result<Polled, Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let count = self.parts.len().max(1);
        let share = wait / u32::try_from(count).unwrap_or(1);
        let mut all_ended = true;
        for _ in 0..count {
            self.turn = (self.turn + 1) % count;
            let heard = self.is_heard_beside(self.turn);
            let Some((first, source, ended)) = self.parts.get_mut(self.turn) else {
                break;
            };
            if *ended {
                continue;
            }
            source.beside(heard);
            self.scratch.clear();
            let polled = source.poll(&mut self.scratch, share);
            *ended = matches!(polled, Ok(Polled::End)) && self.scratch.is_empty();
            all_ended &= *ended;
            let lift = |p: Partition| Partition {
                topic: p.topic + *first,
                ..p
            };
            for record in self.scratch.records() {
                batch.push(Record {
                    partition: lift(record.partition),
                    ..record
                });
            }
            for notice in self.scratch.notices.drain(..) {
                batch.notices.push(notice.map(lift));
            }
            match polled {
                Ok(_) if batch.is_empty() => {}
                Err(error) if batch.is_empty() => return Err(error),
                polled => {
                    self.failed = polled.err();
                    return Ok(Polled::Some);
                }
            }
        }
        Ok(if all_ended {
            Polled::End
        } else {
            Polled::Nothing
        })
    }

    fn publish(&mut self, frontier: &Frontier) {
        self.parts
            .iter_mut()
            .for_each(|(_, source, _)| source.publish(frontier));
    }

    fn lag(&self) -> Vec<Lag> {
        let lift = |first: u16, lag: Lag| Lag {
            partition: Partition {
                topic: lag.partition.topic + first,
                ..lag.partition
            },
            ..lag
        };
        self.parts
            .iter()
            .flat_map(|(first, s, _)| s.lag().into_iter().map(move |l| lift(*first, l)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Record, Stamp};

    /// A record, and in the same breath the end of all.
    struct Failing(Vec<Topic>);

    impl Source for Failing {
        fn topics(&self) -> &[Topic] {
            &self.0
        }

        fn poll(&mut self, batch: &mut Batch, _: Duration) -> Result<Polled, Error> {
            batch.push(Record {
                partition: Partition::default(),
                offset: 1,
                stamp: Stamp::None,
                payload: b"{}",
                event_id: None,
                traceparent: None,
            });
            Err(Error::Settings("none".to_owned()))
        }
    }

    /// [A8] What had been read when a source failed went with its error.
    #[test]
    fn what_a_source_gave_before_it_failed_is_handed_on() {
        let mut sources = Sources::new(vec![Box::new(Failing(Vec::new()))]);
        let mut batch = Batch::default();
        let polled = sources.poll(&mut batch, Duration::ZERO);
        assert_eq!(polled.unwrap(), Polled::Some);
        assert_eq!(batch.len(), 1);
        batch.clear();
        assert!(sources.poll(&mut batch, Duration::ZERO).is_err());
        assert!(batch.is_empty());
    }
}
