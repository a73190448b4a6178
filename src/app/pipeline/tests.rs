//! Threads that stand still, against an engine that is slow or gone.

use std::sync::mpsc;

use super::*;
use crate::engine::detector::{self, Options};
use crate::engine::program::Settings;
use crate::model::HashKey;
use crate::source::{Partition, Polled, Record, Stamp, Topic};

/// Has one record more, always.
struct Endless(Vec<Topic>, i64);

impl Source for Endless {
    fn topics(&self) -> &[Topic] {
        &self.0
    }

    fn poll(&mut self, batch: &mut Batch, _wait: Duration) -> Result<Polled, Error> {
        self.1 += 1;
        batch.push(Record {
            partition: Partition::default(),
            offset: self.1,
            stamp: Stamp::None,
            payload: b"{}",
            event_id: None,
            traceparent: None,
        });
        Ok(Polled::Some)
    }
}

/// A pipeline over an endless source in which every thread waits for the engine.
fn full() -> Pipeline {
    let compiled = detector::compile(&[], &Options::default());
    let program = Program::new(
        Arc::new(compiled.plan),
        HashKey::fixed(),
        Settings::default(),
    );
    let tables = Tables::default();
    let parts = Parts {
        rules: Shelf::new(Rules::new(Arc::new(program), &tables)),
        tables: Shelf::new(Arc::new(tables)),
        sample: None,
    };
    let source = Endless(vec![Topic::default()], 0);
    let pipeline = Pipeline::start(Box::new(source), &parts, 2).unwrap();
    let began = Instant::now();
    while !pipeline.done.is_full() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never fills");
        std::thread::yield_now();
    }
    pipeline
}

/// Fails when `work` is not done within a time that only a standstill takes.
fn ends(work: impl FnOnce() + Send + 'static) {
    let (give, done) = mpsc::channel();
    let _waits_for_ever = std::thread::spawn(move || {
        work();
        give.send(()).unwrap();
    });
    done.recv_timeout(Duration::from_secs(60))
        .expect("it stands still");
}

#[test]
fn an_engine_that_gives_more_orders_than_it_takes_batches_never_waits_for_the_reader() {
    ends(|| {
        let mut pipeline = full();
        for _ in 0..100 {
            drop(pipeline.lag());
            pipeline.publish(Frontier::default());
        }
        pipeline.stop();
        while !matches!(pipeline.next(Duration::from_secs(1)), Next::End) {}
        pipeline.join();
    });
}

#[test]
fn an_engine_that_has_failed_does_not_wait_for_what_nobody_takes() {
    ends(|| full().join());
}
