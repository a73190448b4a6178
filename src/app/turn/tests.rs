use std::sync::Arc;

use super::*;
use crate::app::commit::Desk;
use crate::app::reload::Noise;
use crate::app::state_dir::Place;
use crate::deliver::Settings as Delivery;
use crate::engine::Engine;
use crate::engine::containment::policy::{Policy, Settings as PolicySettings};
use crate::engine::program::{Program, Settings as ProgramSettings};
use crate::engine::shard::Local;
use crate::engine::snapshot::{Kind, Taken};
use crate::enrich::Tables;
use crate::model::HashKey;
use crate::source::ledger::Frontier;
use crate::source::{Halt, Partition};
use crate::store::memory::MemoryStore;
use crate::store::rows::alerts;
use crate::store::snapshot::SnapshotError;
use crate::store::{self, StoreError};

/// Notes in which order it is touched.
#[derive(Default)]
struct Noting {
    now: i64,
    done: Vec<&'static str>,
    is_full: bool,
    has_no_room: bool,
    /// How long a snapshot takes (ms).
    saving: i64,
}

impl Effects for Noting {
    fn now(&self) -> WallTime {
        WallTime(self.now)
    }

    fn bury(&mut self, _: &[String], letters: &[(Origin, DeadLetter)]) -> Result<(), Trouble> {
        assert_eq!(letters.len(), 1);
        self.done.push("bury");
        if self.is_full {
            return Err(StoreError::Full.into());
        }
        Ok(())
    }

    fn sync_letters(&mut self) -> Result<(), Trouble> {
        self.done.push("sync");
        Ok(())
    }

    fn due(&self) -> Kind {
        Kind::Base
    }

    fn save(&mut self, _: Taken, _: &Place) -> Result<usize, Trouble> {
        self.done.push("save");
        self.now += self.saving;
        if self.has_no_room {
            let error = SnapshotError::Full("snapshot".into());
            return Err(Trouble::Snapshot(error.into()));
        }
        Ok(1)
    }

    fn publish(&mut self, _: Frontier) {
        self.done.push("publish");
    }

    fn put_back(&mut self, _: Arc<Rules>) {}

    fn hear(&mut self, what: &Happening<'_>) {
        self.done.push(match what {
            Happening::Taken { .. } => "taken",
            Happening::Told { .. } => "told",
            Happening::Heeded(_) => "heeded",
            Happening::Unsaved(_) => "unsaved",
            Happening::Reading => "reading",
            _ => return,
        });
    }

    fn point(&mut self, _: &'static str) -> Result<(), Trouble> {
        Ok(())
    }
}

fn turn(store: &MemoryStore) -> (Turn<Local, Noting>, Arc<Rules>) {
    let settings = ProgramSettings {
        sources: vec!["t".to_owned()],
        ..ProgramSettings::default()
    };
    let program = Program::new(Arc::default(), HashKey::fixed(), settings);
    let rules = Rules::new(Arc::new(program), &Tables::default());
    let engine = Engine::new(Arc::clone(&rules.program), 1);
    let policy = Policy::new(PolicySettings::default(), &HashKey::fixed()).unwrap();
    let (rows, plan) = (Arc::new(store.clone()), Arc::default());
    let desk = Desk::open(rows, policy, Delivery::default(), plan).unwrap();
    let course = Course::new(engine, desk, vec!["t".to_owned()]);
    let settings = Settings {
        house_every: Span(500),
        snapshot_every: Span(1000),
        prune_every: Span::seconds(60),
        keep: Span::days(1),
        noise: Noise {
            per_thousand_max: 1000,
        },
    };
    let turn = Turn::new(
        course,
        Noting::default(),
        Arc::clone(&rules),
        Frontier::default(),
        settings,
    );
    (turn, rules)
}

/// A batch with a dead letter, and with the notice that nothing more comes of its partition.
fn halting(rules: &Arc<Rules>) -> Box<Intake> {
    let mut intake = Intake::fresh(rules);
    intake.dead.push((Origin::default(), DeadLetter::defect()));
    intake.notices.push(Notice::Halted {
        partition: Partition::default(),
        next: 7,
        cause: Halt::OutOfRange,
    });
    intake
}

fn stored(store: &MemoryStore) -> usize {
    let all = alerts::Filter::default();
    let found = store::read(store, |view| alerts::list(view, &all, 9));
    found.unwrap().len()
}

/// What stands still goes on where it stood, and nothing is done twice or left out.
#[test]
fn a_turn_that_stood_still_goes_on_where_it_stood() {
    let store = MemoryStore::new();
    let (mut turn, rules) = turn(&store);
    turn.settle().unwrap();
    turn.effects.now = 2000;
    turn.effects.is_full = true;
    turn.take(&mut halting(&rules)).unwrap();
    assert!(turn.settle().unwrap_err().may_pass());
    assert_eq!(turn.effects.done, ["taken", "bury"]);
    turn.effects.is_full = false;
    store.set_full(true);
    assert!(turn.settle().unwrap_err().may_pass());
    assert!(turn.settle().unwrap_err().may_pass());
    let before = ["taken", "bury", "bury", "heeded"];
    assert_eq!(
        turn.effects.done, before,
        "no snapshot of what is not stored"
    );
    assert_eq!(stored(&store), 0);
    store.set_full(false);
    turn.settle().unwrap();
    turn.settle().unwrap();
    assert_eq!(
        turn.effects.done[before.len()..],
        ["told", "sync", "save", "publish"]
    );
    assert_eq!(
        stored(&store),
        1,
        "that a partition stands still is an alert"
    );
}

#[test]
fn a_snapshot_that_finds_no_room_is_tried_when_the_next_is_due_and_not_published() {
    let (mut turn, _) = turn(&MemoryStore::new());
    turn.effects.has_no_room = true;
    turn.effects.now = 1000;
    turn.settle().unwrap();
    turn.settle().unwrap();
    assert_eq!(turn.effects.done, ["sync", "save", "unsaved"]);
    turn.effects.has_no_room = false;
    turn.effects.now = 2000;
    turn.settle().unwrap();
    assert_eq!(turn.effects.done[3..], ["sync", "save", "publish"]);
}

/// A large state is written less often: reading stands still for at most a tenth of the time.
#[test]
fn a_snapshot_that_takes_long_is_written_less_often() {
    let (mut turn, _) = turn(&MemoryStore::new());
    turn.effects.saving = 400;
    turn.effects.now = 1000;
    turn.settle().unwrap();
    assert_eq!(turn.effects.now, 1400);
    turn.effects.now = 1400 + 9 * 400 - 1;
    turn.settle().unwrap();
    assert_eq!(turn.effects.done.len(), 3, "{:?}", turn.effects.done);
    turn.effects.now += 1;
    turn.settle().unwrap();
    assert_eq!(turn.effects.done.len(), 6);
}

/// [A4] The beginning of a partition was held to be kept although the disk had no room for it: after a kill, what
/// "from now on" had meant was forgotten.
#[test]
fn where_a_partition_begins_is_kept_before_more_is_read_also_once_the_disk_was_full() {
    let (mut turn, rules) = turn(&MemoryStore::new());
    turn.effects.has_no_room = true;
    let mut intake = Intake::fresh(&rules);
    intake.notices.push(Notice::Assigned {
        partition: Partition::default(),
        next: 7,
    });
    turn.take(&mut intake).unwrap();
    for _ in 0..2 {
        assert!(turn.settle().unwrap_err().may_pass());
    }
    let waits = ["taken", "heeded", "sync", "save", "sync", "save"];
    assert_eq!(turn.effects.done, waits);
    turn.effects.has_no_room = false;
    turn.settle().unwrap();
    assert_eq!(
        turn.effects.done[waits.len()..],
        ["sync", "save", "publish", "reading"]
    );
    turn.settle().unwrap();
    assert_eq!(turn.effects.done.len(), waits.len() + 4, "once");
}

/// [D2] A snapshot that is ahead of the rows is left out; once the rows had gone on it seemed to fit.
#[test]
fn a_base_stands_behind_what_was_left_out_before_anything_is_committed() {
    let store = MemoryStore::new();
    let (turn, rules) = turn(&store);
    let mut turn = turn.falling_back(true);
    turn.effects.has_no_room = true;
    turn.take(&mut halting(&rules)).unwrap();
    assert!(turn.settle().unwrap_err().may_pass());
    assert_eq!(turn.effects.done, ["taken", "sync", "save"]);
    assert_eq!(stored(&store), 0);
    turn.effects.has_no_room = false;
    turn.settle().unwrap();
    assert_eq!(
        turn.effects.done[3..],
        ["sync", "save", "publish", "bury", "heeded", "told"]
    );
    assert_eq!(stored(&store), 1);
}

/// [D3] Of two changes within a minute the second was held against the first, which had not proven itself.
#[test]
fn noise_after_two_changes_goes_back_to_what_was_in_force_before_both() {
    let changed_twice = || {
        let (mut turn, proven) = turn(&MemoryStore::new());
        for _ in 0..2 {
            let rules = Rules::new(Arc::clone(&proven.program), &Tables::default());
            turn.take(&mut Intake::fresh(&rules)).unwrap();
        }
        (turn, proven)
    };
    let (turn, proven) = changed_twice();
    let back = turn.probation.unwrap().into_before();
    assert!(Arc::ptr_eq(&back, &proven));
    let (mut turn, proven) = changed_twice();
    turn.take(&mut Intake::fresh(&proven)).unwrap();
    assert!(
        turn.probation.is_none(),
        "what has proven itself is not on probation"
    );
}

/// The records of the old log that came with it moved the frontier of the new one.
#[test]
fn an_accepted_loss_goes_on_behind_the_records_that_came_with_it() {
    let (mut turn, rules) = turn(&MemoryStore::new());
    let partition = Partition::default();
    let mut intake = Intake::fresh(&rules);
    intake.notices.push(Notice::Assigned {
        partition,
        next: 4000,
    });
    turn.take(&mut intake).unwrap();
    turn.settle().unwrap();
    let mut intake = Intake::fresh(&rules);
    intake.routed.pass(Origin {
        offset: 4500,
        ..Origin::default()
    });
    let cause = Halt::Anew;
    let next = 0;
    intake.notices.push(Notice::Accepted {
        partition,
        next,
        cause,
    });
    turn.take(&mut intake).unwrap();
    turn.settle().unwrap();
    let frontier: Vec<_> = turn.course.engine.frontier().collect();
    assert_eq!(frontier, [(0, 0, next)]);
}
