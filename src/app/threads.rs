//! Shards on threads of their own, behind bounded channels: the exchange within one process.
//!
//! The first shard runs in the caller's thread, so that one shard costs no hand-over. A level is
//! finished in all shards before the next begins; buffers travel back and are used again. Invariant: a
//! shard whose thread has died is never left out of an answer: whoever asks it panics, too, and the
//! process goes on from its last snapshot.

use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::engine::exchange::Packet;
use crate::engine::merge::shard_of;
use crate::engine::program::Program;
use crate::engine::rule::{Findings, Probe, Usage};
use crate::engine::shard::{Shard, ShardImage, Shards, sum_usage};
use crate::engine::snapshot::Kind;

enum Ask {
    Run {
        level: usize,
        part: Packet,
        findings: Findings,
    },
    Usage,
    Wakeup,
    Probe {
        rule: usize,
        key: u64,
        now: i64,
    },
    Snapshot(Kind),
    Reload {
        program: Arc<Program>,
        keep: Vec<Option<usize>>,
    },
    Restore {
        image: Box<ShardImage>,
        keep: Vec<Option<usize>>,
    },
}

enum Answer {
    Ran { part: Packet, findings: Findings },
    Usage(Vec<Usage>),
    Wakeup(Option<i64>),
    Probe(Probe),
    Snapshot(Vec<u8>),
    Done,
}

struct Remote {
    ask: Option<Sender<Ask>>,
    answer: Receiver<Answer>,
    thread: Option<JoinHandle<()>>,
}

/// See the module's text.
pub struct Threads {
    first: Shard,
    others: Vec<Remote>,
}

impl Threads {
    /// # Errors
    /// When the system gives no thread.
    pub fn start(program: &Arc<Program>, count: usize) -> std::io::Result<Self> {
        let count = count.max(1);
        let mut others = Vec::with_capacity(count - 1);
        for index in 1..count {
            let shard = Shard::new(Arc::clone(program), count);
            let (ask, asked) = bounded(1);
            let (give, answer) = bounded(1);
            let name = format!("shard-{index}");
            let thread = std::thread::Builder::new()
                .name(name)
                .spawn(move || serve(shard, &asked, &give))?;
            others.push(Remote {
                ask: Some(ask),
                answer,
                thread: Some(thread),
            });
        }
        Ok(Self {
            first: Shard::new(Arc::clone(program), count),
            others,
        })
    }

    /// Asks all shards but the first at once; `None` is an answer to another question.
    fn each<T>(&self, ask: impl Fn() -> Ask, take: impl Fn(Answer) -> Option<T>) -> Vec<T> {
        for remote in &self.others {
            remote.send(ask());
        }
        let take = |remote: &Remote| take(remote.receive()).unwrap_or_else(|| dead());
        self.others.iter().map(take).collect()
    }
}

impl Remote {
    /// A shard's thread ends only by a panic; then `receive` finds its channel closed, too.
    fn send(&self, ask: Ask) {
        if let Some(channel) = &self.ask {
            let _closed = channel.send(ask);
        }
    }

    fn receive(&self) -> Answer {
        self.answer.recv().unwrap_or_else(|_| dead())
    }
}

/// A detector that has lost a shard must not go on, nor be saved, as if it had not.
fn dead() -> ! {
    panic!("a shard's thread has died; the supervisor restarts from the last snapshot")
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn serve(mut shard: Shard, asked: &Receiver<Ask>, give: &Sender<Answer>) {
    while let Ok(ask) = asked.recv() {
        crate::crash::point("shard-asked");
        let answer = match ask {
            Ask::Run {
                level,
                part,
                mut findings,
            } => {
                shard.run(level, &part, &mut findings);
                Answer::Ran { part, findings }
            }
            Ask::Usage => Answer::Usage(shard.usage().collect()),
            Ask::Wakeup => Answer::Wakeup(shard.next_wakeup()),
            Ask::Probe { rule, key, now } => Answer::Probe(shard.probe(rule, key, now)),
            Ask::Snapshot(kind) => Answer::Snapshot(shard.snapshot(kind).unwrap_or_default()),
            Ask::Restore { image, keep } => {
                shard.restore(*image, &keep);
                Answer::Done
            }
            Ask::Reload { program, keep } => {
                shard.reload(program, &keep);
                Answer::Done
            }
        };
        if give.send(answer).is_err() {
            return;
        }
    }
}

impl Shards for Threads {
    fn count(&self) -> usize {
        self.others.len() + 1
    }

    fn handle(&mut self, level: usize, parts: &mut [Packet], findings: &mut [Findings]) {
        let (Some((part, parts)), Some((found, findings))) =
            (parts.split_first_mut(), findings.split_first_mut())
        else {
            return;
        };
        for ((remote, part), found) in self
            .others
            .iter()
            .zip(parts.iter_mut())
            .zip(findings.iter_mut())
        {
            let (part, findings) = (std::mem::take(part), std::mem::take(found));
            remote.send(Ask::Run {
                level,
                part,
                findings,
            });
        }
        self.first.run(level, part, found);
        for ((remote, part), found) in self.others.iter().zip(parts).zip(findings) {
            match remote.receive() {
                Answer::Ran {
                    part: back,
                    findings,
                } => (*part, *found) = (back, findings),
                _ => dead(),
            }
        }
    }

    fn usage(&mut self) -> Vec<Usage> {
        let mut parts = self.each(
            || Ask::Usage,
            |a| match a {
                Answer::Usage(usage) => Some(usage),
                _ => None,
            },
        );
        parts.push(self.first.usage().collect());
        sum_usage(&parts)
    }

    fn next_wakeup(&mut self) -> Option<i64> {
        let others = self.each(
            || Ask::Wakeup,
            |a| match a {
                Answer::Wakeup(time) => Some(time),
                _ => None,
            },
        );
        let others = others.into_iter().flatten();
        others.chain(self.first.next_wakeup()).min()
    }

    fn probe(&mut self, rule: usize, key: u64, now: i64) -> Probe {
        match shard_of(key, self.count()).checked_sub(1) {
            None => self.first.probe(rule, key, now),
            Some(at) => {
                let Some(remote) = self.others.get(at) else {
                    return Probe::default();
                };
                remote.send(Ask::Probe { rule, key, now });
                match remote.receive() {
                    Answer::Probe(probe) => probe,
                    _ => dead(),
                }
            }
        }
    }

    fn snapshot(&mut self, kind: Kind) -> Vec<Vec<u8>> {
        self.others.iter().for_each(|r| r.send(Ask::Snapshot(kind)));
        let mut images = vec![self.first.snapshot(kind).unwrap_or_default()];
        images.extend(self.others.iter().map(|r| match r.receive() {
            Answer::Snapshot(image) => image,
            _ => dead(),
        }));
        images
    }

    fn restore(&mut self, images: Vec<ShardImage>, keep: &[Option<usize>]) {
        let mut images = images.into_iter();
        if let Some(image) = images.next() {
            self.first.restore(image, keep);
        }
        for (remote, image) in self.others.iter().zip(images) {
            remote.send(Ask::Restore {
                image: Box::new(image),
                keep: keep.to_vec(),
            });
            let _done = remote.receive();
        }
    }

    fn reload(&mut self, program: &Arc<Program>, keep: &[Option<usize>]) {
        self.first.reload(Arc::clone(program), keep);
        self.each(
            || Ask::Reload {
                program: Arc::clone(program),
                keep: keep.to_vec(),
            },
            |_| Some(()),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::engine::detector::{self, Options};
    use crate::engine::program::Settings;
    use crate::model::HashKey;

    #[test]
    fn a_dead_shard_is_left_out_of_no_answer() {
        let plan = Arc::new(detector::compile(&[], &Options::default()).plan);
        let program = Arc::new(Program::new(plan, HashKey::fixed(), Settings::default()));
        let mut threads = Threads::start(&program, 3).unwrap();
        assert_eq!(threads.snapshot(Kind::Base).len(), 3);
        // As a panic in its thread would leave it.
        threads.others[1].ask = None;
        let mut panics = |question: &dyn Fn(&mut Threads)| {
            catch_unwind(AssertUnwindSafe(|| question(&mut threads))).is_err()
        };
        assert!(panics(&|t| drop(t.snapshot(Kind::Increment))));
        assert!(panics(&|t| drop(t.usage())));
        assert!(panics(&|t| assert!(t.next_wakeup().is_none())));
        assert!(panics(&|t| t.reload(&program, &[])));
    }
}
