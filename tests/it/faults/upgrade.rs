//! (T45) A newer tidegate goes on with the state of an older one while events flow, and an older one
//! leaves that of a newer alone.
//!
//! The state folder in `fixtures/compat` is one that a real older tidegate left when it was killed. With
//! `TIDEGATE_TEST_OLDER=path/to/an/older/tidegate` two real programs take turns, or the older one leaves such a
//! folder for those who come later.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tidegate::engine::snapshot::OLDEST;
use tidegate::model::time::WallTime;
use tidegate::store::{self, Table, redb::RedbStore};

use super::corrupt::{FAILED, is_redb, rows, snapshots};
use super::{Scene, floods, newest, now, row};
use crate::harness::daemon::Daemon;
use crate::harness::{fixture, kafka, lines, scratch};

/// The topic and the stream that the kept folder stands on: changing them makes it worthless. Both
/// programs have something to tell of it.
const TOPIC: &str = "faults-upgrade";
fn stream() -> String {
    floods(8, 200)
}
/// What the older one had read when it last wrote a snapshot, and when it was killed.
const SAVED: usize = 500;
const READ: usize = 700;

fn older() -> PathBuf {
    let path = std::env::var_os("TIDEGATE_TEST_OLDER").expect("TIDEGATE_TEST_OLDER");
    std::fs::canonicalize(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"))
}

fn kept(version: u32) -> PathBuf {
    fixture("compat").join(format!("state-v{version}"))
}

/// The lines that the older one had read, and the others.
fn split(events: &str) -> (&str, &str) {
    let end = events.match_indices('\n').nth(READ - 1).unwrap().0;
    events.split_at(end + 1)
}

/// Produces the lines in their order, some at a time, while the caller goes on.
fn flow(topic: &str, events: &str) -> std::thread::JoinHandle<()> {
    let (dir, topic) = (scratch("flow"), topic.to_owned());
    let all: Vec<String> = events.lines().map(|line| format!("{line}\n")).collect();
    let some = all.len().div_ceil(20);
    std::thread::spawn(move || {
        for (n, part) in all.chunks(some).enumerate() {
            let file = dir.join(n.to_string());
            std::fs::write(&file, part.concat()).unwrap();
            kafka::shared().produce(&topic, &file);
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

/// The messages that wait are as old as the folder, and would be given up a day after it was left. Their rows stay
/// as the older one wrote them, but for that time.
fn left_just_now(file: &Path) {
    const CREATED: &str = "\"created_at\":\"";
    let now = WallTime(now());
    let mut waiting = rows(file).unwrap();
    waiting.retain(|(table, _), _| *table == Table::Outbox);
    assert!(!waiting.is_empty(), "nothing waits");
    let store = RedbStore::open(file).unwrap();
    store::write(&store, |tx| {
        for ((table, key), row) in &waiting {
            let row = std::str::from_utf8(row).unwrap();
            let (before, created) = row.split_once(CREATED).unwrap();
            let (_, rest) = created.split_once('"').unwrap();
            tx.put(
                *table,
                key,
                format!("{before}{CREATED}{now}\"{rest}").as_bytes(),
            )?;
        }
        Ok(())
    })
    .unwrap();
}

/// The form of the newest snapshot: it stands first.
fn form_of(snapshots: &Path) -> u32 {
    u32::from(newest(snapshots).body[0])
}

#[test]
fn the_state_that_an_older_one_left_goes_on_under_load() {
    if !is_redb("T45 the state of an older version") {
        return;
    }
    let (events, folder) = (stream(), kept(OLDEST));
    kafka::shared().topic(TOPIC, 1);
    let mut scene = Scene::over(TOPIC, "upgrade", &events);
    // What the older one has decided is long over.
    scene.enforces = false;
    // Nor may its alerts be swept, however old the folder.
    scene.reconfigure("snapshot_every: 1s", "snapshot_every: 1s, keep: 3650d");
    let state = scene.home.file("state");
    std::fs::create_dir_all(state.join("snapshots")).unwrap();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let (from, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        match name.to_str().unwrap() {
            "tidegate.redb.zst" => {
                let packed = std::fs::File::open(from).unwrap();
                let rows = zstd::decode_all(packed).unwrap();
                std::fs::write(state.join("tidegate.redb"), rows).unwrap();
                left_just_now(&state.join("tidegate.redb"));
            }
            "alerts.ndjson" => drop(std::fs::copy(from, scene.home.file("alerts.ndjson")).unwrap()),
            _ => drop(std::fs::copy(from, state.join("snapshots").join(name)).unwrap()),
        }
    }
    assert_eq!(form_of(&state.join("snapshots")), OLDEST);
    let told = lines(&scene.home.file("alerts.ndjson")).len();
    assert!((1..scene.want.len()).contains(&told), "it had told {told}");

    // What the older one had read is there; the rest comes while the newer one is at work.
    let (first, rest) = split(&events);
    let part = scene.home.file("part.jsonl");
    std::fs::write(&part, first).unwrap();
    kafka::shared().produce(TOPIC, &part);
    let flow = flow(TOPIC, rest);
    let daemon = scene.home.start();
    daemon.until("some records", |d| (d.received() > 300).then_some(()));
    daemon.kill();
    let tally = scene.recover();
    flow.join().unwrap();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T45 the state of an older version",
        &format!(
            "form {OLDEST}, left by a kill after {READ} of {} records; killed once more",
            scene.records
        ),
        &format!(
            "lost 0, extra 0 of {} alert revisions, {told} of them told by the older one; {} delivered again",
            tally.alerts, tally.duplicates
        ),
    );
}

#[test]
#[ignore = "needs an older program: make faults FAULTS=upgrade OLDER=/path/to/it"]
fn an_older_and_a_newer_program_take_turns() {
    if !is_redb("T45 an older and a newer program take turns") {
        return;
    }
    let older = older();
    let topic = "faults-turns";
    let events = floods(100, 600);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "turns", &events);
    let flow = flow(topic, &events);
    let read = |daemon: Daemon, records: u64| {
        let daemon = daemon.addressed();
        daemon.until("some records", |d| (d.received() >= records).then_some(()));
        daemon.until("a snapshot", |_| {
            let there = |dir: PathBuf| dir.exists() && !snapshots(&scene).is_empty();
            there(scene.home.file("state/snapshots")).then_some(())
        });
        daemon
    };
    read(scene.home.spawn_program(&older), 10_000).kill();
    let before = form_of(&scene.home.file("state/snapshots"));
    read(scene.home.spawn(), 10_000).kill();
    read(scene.home.spawn(), 5_000).stop();

    let (files, table) = (snapshots(&scene), scene.home.file("state/tidegate.redb"));
    let stood: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    let held = rows(&table).unwrap();
    let mut back = scene.home.spawn_program(&older);
    let status = back.ended(Duration::from_secs(30));
    assert_eq!(status.code(), Some(FAILED), "{}", back.log());
    assert!(
        back.log().contains("use the binary that wrote it"),
        "{}",
        back.log()
    );
    assert_eq!(snapshots(&scene), files, "no snapshot comes or goes");
    let stands: Vec<Vec<u8>> = files.iter().map(|f| std::fs::read(f).unwrap()).collect();
    assert!(stood == stands, "no snapshot changes");
    assert!(held == rows(&table).unwrap(), "no row changes");

    flow.join().unwrap();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T45 an older and a newer program take turns",
        &format!(
            "{} records; kill -9 of a program of form {before}, upgrade, back, upgrade",
            scene.records
        ),
        &format!(
            "lost 0, extra 0 of {} alert revisions; {} delivered again; the older one refuses with a text, nothing changed",
            tally.alerts, tally.duplicates
        ),
    );
}

/// Makes `state-vN`: read, saved, read on, killed. Nobody took its messages, so all of them wait.
#[test]
#[ignore = "writes a fixture: TIDEGATE_TEST_OLDER=/path/to/it cargo test --test it leaves_its_state -- --ignored"]
fn an_older_program_leaves_its_state() {
    let older = older();
    let events = stream();
    kafka::shared().topic(TOPIC, 1);
    let broker = kafka::shared().bootstrap();
    let scene = Scene::of(&broker, TOPIC, "leaves", &events, "503");
    let lines: Vec<&str> = split(&events).0.lines().collect();
    let (saved, read) = lines.split_at(SAVED);
    let part = scene.home.file("part.jsonl");
    let produce = |lines: &[&str]| {
        std::fs::write(&part, lines.join("\n") + "\n").unwrap();
        kafka::shared().produce(TOPIC, &part);
    };
    produce(saved);
    let daemon = scene.home.spawn_program(&older).addressed();
    let received = |d: &Daemon, n: usize| (d.received() >= n as u64).then_some(());
    daemon.until("the first part", |d| received(d, SAVED));
    // A snapshot is due every second.
    std::thread::sleep(Duration::from_millis(2500));
    produce(read);
    daemon.until("the second part", |d| received(d, READ));
    std::thread::sleep(Duration::from_millis(100));
    daemon.kill();

    let state = scene.home.file("state");
    let stands = scene.frontier(TOPIC);
    assert_eq!(
        stands, SAVED as i64,
        "a snapshot came in between: run it again"
    );
    let folder = kept(form_of(&state.join("snapshots")));
    std::fs::create_dir_all(&folder).unwrap();
    for file in snapshots(&scene) {
        std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    std::fs::copy(
        scene.home.file("alerts.ndjson"),
        folder.join("alerts.ndjson"),
    )
    .unwrap();
    let rows = std::fs::File::open(state.join("tidegate.redb")).unwrap();
    let packed = zstd::encode_all(rows, 19).unwrap();
    std::fs::write(folder.join("tidegate.redb.zst"), packed).unwrap();
}
