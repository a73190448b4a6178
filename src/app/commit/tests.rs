use super::*;
use crate::app::course::Course;
use crate::app::meta;
use crate::app::stage::{Beside, Stage};
use crate::engine::Engine;
use crate::engine::alert::Number;
use crate::engine::containment::policy::Settings;
use crate::engine::detector::{Options, SourceFile, compile};
use crate::engine::exchange::Routed;
use crate::engine::program::Settings as ProgramSettings;
use crate::engine::shard::Local;
use crate::enrich::Tables;
use crate::model::HashKey;
use crate::source::Halt;
use crate::store::memory::MemoryStore;
use crate::store::rows::tests::alert;

fn desk(store: &Arc<MemoryStore>, plan: &Arc<Plan>) -> Desk {
    let policy = Policy::new(Settings::default(), &HashKey::fixed()).unwrap();
    let store = Arc::clone(store) as Arc<dyn Store>;
    Desk::open(store, policy, Delivery::default(), Arc::clone(plan)).unwrap()
}

/// Removed: its open alerts are closed, once, with what was known of them; nobody else's is, and
/// none that is closed already.
#[test]
fn alerts_of_lost_detectors_are_closed() {
    let store = Arc::new(MemoryStore::default());
    let mut desk = desk(&store, &Arc::default());
    let of = |id: u8, detector: &str, revision| {
        let mut alert = alert(id, revision, i64::from(id) * 1000);
        alert.detector.id = detector.into();
        alert
    };
    let mut done = of(1, "gone", 1);
    done.status = Status::Closed;
    let many = (10..=255).map(|id| of(id, "gone", 3));
    let own = meta::key_explosion(&HashKey::fixed(), "gone", 9, WallTime(0));
    let all: Vec<Alert> = [of(1, "gone", 0), done, of(2, "stays", 0), own.clone()]
        .into_iter()
        .chain(many)
        .chain((0..=255).map(|id| Alert {
            alert_id: Id(std::array::from_fn(|i| if i == 0 { id } else { 7 })),
            ..of(9, "gone", 0)
        }))
        .collect();
    desk.record(&all, WallTime(1)).unwrap();

    let lost = |a: &Alert| a.detector.id == "gone";
    let closed = desk.close(lost, Alert::lost, WallTime(2)).unwrap();
    assert_eq!(closed.alerts.len(), 246 + 256);
    let one = closed
        .alerts
        .iter()
        .find(|a| a.alert_id == Id([200; 32]))
        .unwrap();
    assert_eq!((one.revision, one.status), (4, Status::Closed));
    assert_eq!(one.observed.get("event_count"), Some(&Number(51.0)));
    assert_eq!(
        one.summary,
        "a flood; closed because its detector was changed or taken out"
    );

    let left = store::read(&*store, |v| alert_rows::open_of(v, |_| true, None, 10)).unwrap();
    let ids: Vec<&str> = left.iter().map(|a| a.detector.id.as_str()).collect();
    assert_eq!(ids, ["stays", own.detector.id.as_str()]);
    assert!(meta::is_own(&own.detector) && !meta::is_own(&left[0].detector));
    let again = desk.close(lost, Alert::lost, WallTime(3)).unwrap();
    assert!(again.is_empty());
}

/// It stayed open for good, and what happened at the same place later was taken for it.
#[test]
fn a_halted_partition_is_told_again_once_somebody_has_decided() {
    let store = Arc::new(MemoryStore::default());
    let mut desk = desk(&store, &Arc::default());
    let halted = |number| {
        let (key, place) = (HashKey::fixed(), ("t", number));
        meta::partition_halted(&key, place, 7, Halt::Anew, WallTime(1))
    };
    let (mine, other) = (halted(0), halted(1));
    let told = |desk: &mut Desk| {
        let done = desk.record(std::slice::from_ref(&mine), WallTime(1));
        done.unwrap().alerts
    };
    desk.record(&[other], WallTime(1)).unwrap();
    let first = told(&mut desk);
    assert!(told(&mut desk).is_empty(), "the same after a restart");
    let closed = desk.decide(("t", 0), WallTime(2)).unwrap().alerts;
    let [closed] = closed.as_slice() else {
        panic!("{closed:?}");
    };
    assert_eq!(closed.alert_id, first[0].alert_id);
    assert_eq!((closed.revision, closed.status), (1, Status::Closed));
    assert!(desk.decide(("t", 0), WallTime(3)).unwrap().is_empty());
    let second = told(&mut desk);
    assert_ne!(second[0].alert_id, first[0].alert_id);
    assert!(told(&mut desk).is_empty(), "the same after a restart");
}

fn compiled(text: &str) -> Arc<Plan> {
    let file = SourceFile {
        path: "d.yml".into(),
        text: text.into(),
        ..SourceFile::default()
    };
    Arc::new(compile(&[file], &Options::default()).plan)
}

const KINDS: &str = "\
title: Decoy
name: decoy
detection: {s: {event.kind: honeytoken.hit}, condition: s}
---
title: Decoys, held
name: held
detection: {s: {event.kind: honeytoken.hit}, condition: s}
suppress: 1h
---
title: Many
name: many
detection: {s: {event.kind: recovery.requested}, condition: s}
correlation: {type: event_count, group-by: [source.ip], timespan: 10m, condition: {gte: 5}}
";

/// What is only a moment never closes, and must not stay for ever; an episode that is open does.
#[test]
fn moments_are_over_when_they_have_been_told() {
    let store = Arc::new(MemoryStore::default());
    let plan = compiled(KINDS);
    let mut desk = desk(&store, &plan);
    let of = |n: u8, detector: &str, at| {
        let mut alert = alert(n, 0, at);
        alert.detector.id = plan
            .detectors
            .iter()
            .find(|d| d.name == detector)
            .unwrap()
            .id
            .clone();
        alert
    };
    let hour = Span::hours(1).0;
    let exploded = meta::key_explosion(&HashKey::fixed(), "many", 9, WallTime(0));
    let gone = meta::endpoint_gone(&HashKey::fixed(), "soc", WallTime(0));
    let halted = meta::partition_halted(
        &HashKey::fixed(),
        ("t", 0),
        7,
        crate::source::Halt::Truncated { high: 3 },
        WallTime(0),
    );
    let mut all = vec![
        of(1, "decoy", 0),
        of(2, "held", 0),
        of(3, "many", 0),
        exploded,
        gone,
        halted.clone(),
    ];
    // Held: its last event was later than its first.
    all.push(of(4, "held", 0));
    all[6].last = EventTime(hour);
    desk.record(&all, WallTime(0)).unwrap();
    let left = |desk: &Desk, at: i64| {
        desk.prune(EventTime(at), WallTime(at), 100).unwrap();
        let all = store::read(&*store, |v| {
            alert_rows::list(v, &alert_rows::Filter::default(), 9)
        });
        let mut ids: Vec<u8> = all.unwrap().iter().map(|a| a.alert_id.0[0]).collect();
        ids.sort_unstable();
        ids
    };
    let stays = halted.alert_id.0[0];
    let with = |mut ids: Vec<u8>| {
        ids.push(stays);
        ids.sort_unstable();
        ids
    };
    assert_eq!(left(&desk, hour / 2), with(vec![2, 3, 4]));
    assert_eq!(left(&desk, hour + 1), with(vec![3, 4]));
    assert_eq!(
        left(&desk, 3 * hour),
        with(vec![3]),
        "an open episode stays"
    );
}

/// A detector that was changed without a new version, or taken out, while nothing ran.
#[test]
fn what_another_definition_opened_is_closed_at_the_start() {
    let store = Arc::new(MemoryStore::default());
    let program = |text: &str| {
        let plan = compiled(text);
        Program::new(plan, HashKey::fixed(), ProgramSettings::default())
    };
    let before = program(KINDS);
    let start = |program: &Program, now| {
        let mut desk = desk(&store, &Arc::default());
        let closed = desk.adopt(program, WallTime(now)).unwrap();
        let closed: Vec<String> = closed.alerts.iter().map(|a| a.summary.clone()).collect();
        (desk, closed)
    };
    let of = |n: u8, detector: &str, version| {
        let mut alert = alert(n, 0, 0);
        let mut all = before.plan.detectors.iter();
        alert.detector.id = all.find(|d| d.name == detector).unwrap().id.clone();
        (alert.detector.version, alert.summary) = (version, detector.to_owned());
        alert
    };
    let version = before.plan.detectors[0].version;
    let own = meta::key_explosion(&HashKey::fixed(), "many", 9, WallTime(0));

    // Nobody has remembered what opened these: their versions tell.
    let mut desk = desk(&store, &Arc::default());
    let old = [of(1, "decoy", version + 1), of(2, "many", version), own];
    desk.record(&old, WallTime(0)).unwrap();
    let why = "; closed because its detector was changed or taken out";
    let (mut desk, closed) = start(&before, 1);
    assert_eq!(closed, [format!("decoy{why}")]);
    desk.record(&[of(3, "decoy", version)], WallTime(1))
        .unwrap();
    assert_eq!(start(&before, 2).1, [""; 0], "the same detectors");

    let changed = program(&KINDS.replace("gte: 5", "gte: 6"));
    assert_eq!(start(&changed, 3).1, [format!("many{why}")]);
    assert_eq!(start(&changed, 4).1, [""; 0], "once");
    let gone = program(&format!(
        "title: Decoys{}",
        KINDS.split_once("---\ntitle: Decoys").unwrap().1
    ));
    assert_eq!(gone.plan.detectors.len(), 2);
    assert_eq!(start(&gone, 5).1, [format!("decoy{why}")]);
}

/// The engine and the desk through changes of the detectors, as the turn has them.
struct Changing {
    course: Course<Local>,
    rules: Arc<Program>,
    line: i64,
}

impl Changing {
    fn new(store: &Arc<MemoryStore>, rules: &Arc<Program>) -> Self {
        let engine = Engine::new(Arc::clone(rules), 1);
        let course = Course::new(engine, desk(store, &rules.plan), vec!["t".to_owned()]);
        let mut all = Self {
            course,
            rules: Arc::clone(rules),
            line: 0,
        };
        all.course.desk.adopt(rules, WallTime(0)).unwrap();
        all
    }

    /// Goes over to other detectors; tells the alerts that are closed by it.
    fn change(&mut self, rules: &Arc<Program>) -> Vec<Alert> {
        self.rules = Arc::clone(rules);
        self.course.engine.reload(Arc::clone(rules));
        self.course.desk.adopt(rules, WallTime(0)).unwrap().alerts
    }

    /// So many requests for a reset, one in each second; tells the alerts that are new.
    fn requests(&mut self, many: i64) -> Vec<Alert> {
        let mut stage = Stage::new(
            &self.rules,
            self.rules.projection(&[]),
            Arc::new(Tables::default()),
        );
        let (mut routed, mut dead) = (Routed::default(), Vec::new());
        for _ in 0..many {
            let line = format!(
                r#"{{"event.kind":"recovery.requested","time":"2026-01-12T08:00:{:02}Z","source.ip":"203.0.113.7"}}"#,
                self.line
            );
            self.line += 1;
            let beside = Beside::line(self.line);
            stage.work(line.as_bytes(), &beside, &mut routed, &mut dead);
        }
        self.course.take(&routed, &[]);
        self.course.commit(WallTime(0)).unwrap().alerts
    }
}

fn revisions(alerts: &[Alert]) -> Vec<(Id, u32, Status)> {
    let told = |a: &Alert| (a.alert_id, a.revision, a.status);
    alerts.iter().map(told).collect()
}

/// [A6] A detector that was changed without a new version gives its first episode of a key the id of the one that was
/// closed by the change: it was taken for a replay, and nobody heard of it.
#[test]
fn what_a_changed_detector_opens_is_no_replay_of_what_was_closed_when_it_changed() {
    let program = |bound: &str| {
        let plan = compiled(&KINDS.replace("gte: 5", bound));
        let settings = ProgramSettings {
            sorted: false,
            ..ProgramSettings::default()
        };
        Arc::new(Program::new(plan, HashKey::fixed(), settings))
    };
    let (five, six) = (program("gte: 5"), program("gte: 6"));
    let store = Arc::new(MemoryStore::default());
    let mut all = Changing::new(&store, &five);
    let first = all.requests(5);
    let [(id, 0, Status::Open)] = revisions(&first)[..] else {
        panic!("{first:?}")
    };
    assert_eq!(
        revisions(&all.change(&six)),
        [(id, 1, Status::Closed)],
        "its detector has changed"
    );

    // In the same slot, with the same key: one of its own, and so are its revisions.
    let second = all.requests(6);
    let next = id.successor();
    assert_eq!(revisions(&second), [(next, 0, Status::Open)]);
    assert_eq!(revisions(&all.requests(6)), [(next, 1, Status::Open)]);

    // A replay of it by the same detectors changes nothing.
    let mut again = Changing::new(&store, &six);
    again.line = 5;
    assert_eq!(revisions(&again.requests(12)), []);

    // And back to the first ones.
    assert_eq!(revisions(&all.change(&five)), [(next, 2, Status::Closed)]);
    let third = all.requests(5);
    assert_eq!(
        revisions(&third),
        [(next.successor(), 0, Status::Open)],
        "the second has ended, too"
    );
    let newest = |id| store::read(&*store, |v| alert_rows::newest(v, id)).unwrap();
    assert_eq!(newest(id).unwrap().status, Status::Closed);
    assert_eq!(newest(next).unwrap().status, Status::Closed);

    // Unchanged detectors name their alerts as ever, also those that somebody's key makes look closed so.
    let mut fresh = Changing::new(&Arc::default(), &five);
    assert_eq!(revisions(&fresh.requests(5)), [(id, 0, Status::Open)]);
    let mut feigned = newest(next).unwrap();
    feigned.alert_id = Id([7; 32]);
    feigned.revision = 0;
    let mut desk = desk(&store, &five.plan);
    assert_eq!(
        desk.record(&[feigned.clone()], WallTime(0)).unwrap().alerts,
        [feigned.clone()]
    );
    assert!(desk.record(&[feigned], WallTime(0)).unwrap().is_empty());
}
