//! (T26, T27) The disk is full: reading stands still and says so, and goes on when there is space.
//! The disk is broken: the process ends, and a restart finds everything.
//!
//! Full is a small file system that is filled; where none may be mounted, and for a sync that fails,
//! `dev/faults/disk.c` between tidegate and the system.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Scene, floods, floods_from, row, shim};
use crate::harness::command::Run;
use crate::harness::{kafka, lines};

/// How long reading may go on without space.
const PAUSED_MAX: Duration = Duration::from_secs(5);
/// How often the group's offsets are set at most (`source::kafka`).
const PUBLISHED: Duration = Duration::from_secs(5);

/// A disk below the state folder that can be made to fail.
struct Disk {
    state: PathBuf,
    /// Mounted for this test, or else the file that arms the shim.
    mounted: bool,
    switch: PathBuf,
}

impl Disk {
    fn below(scene: &Scene) -> Self {
        let state = scene.home.file("state");
        std::fs::create_dir_all(&state).unwrap();
        let path = state.to_str().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=24m", "tmpfs", path];
        let mounted = Run::new("mount", &mount).run().stderr.is_empty();
        Self {
            switch: if mounted {
                state.join("filler")
            } else {
                scene.home.file("fault")
            },
            state,
            mounted,
        }
    }

    /// Takes what space there is, also what has come free since.
    fn fill(&self) {
        if !self.mounted {
            return std::fs::write(&self.switch, "ENOSPC").unwrap();
        }
        use std::io::Write as _;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .open(&self.switch)
            .unwrap();
        let block = vec![7u8; 4096];
        while file.write_all(&block).is_ok() {}
    }

    fn mend(&self) {
        std::fs::remove_file(&self.switch).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            Run::new("umount", &["-l", self.state.to_str().unwrap()]).run();
        }
    }
}

fn armed(library: &Path, scene: &Scene) -> Vec<(&'static str, String)> {
    armed_below(library, scene, "state")
}

/// What makes the disk below this folder fail while the file `fault` is there.
fn armed_below(library: &Path, scene: &Scene, dir: &str) -> Vec<(&'static str, String)> {
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    vec![
        ("LD_PRELOAD", library.to_str().unwrap().to_owned()),
        ("DISK_FAULT", text(scene.home.file("fault"))),
        ("DISK_DIR", text(scene.home.file(dir))),
    ]
}

#[test]
fn a_full_disk_stops_reading_and_loses_nothing() {
    let topic = "faults-disk";
    let events = floods(60, 300);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "disk", &events);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let disk = Disk::below(&scene);
    let daemon = scene.home.start_with(&armed(&shim("disk"), &scene)).ready();
    daemon.settled(scene.records);
    // From here on the broker would be told at once what is not on disk.
    daemon.until("the group's offset", |_| {
        let published = kafka::shared().published("tidegate", topic);
        (published == Some(scene.records as i64)).then_some(())
    });
    std::thread::sleep(PUBLISHED);

    disk.fill();
    // New floods, of addresses that nothing is known of: commits that find no space.
    let more = floods_from(300, 250, 40).replace("203.0.113.", "198.51.100.");
    let second = scene.home.file("more.jsonl");
    std::fs::write(&second, &more).unwrap();
    kafka::shared().produce(topic, &second);
    let began = Instant::now();
    daemon.until("trouble with the store", |d| {
        let (status, body) = d.get("/readyz");
        (status == 503 && body.contains("store")).then_some(())
    });
    let paused = began.elapsed();
    assert!(paused <= PAUSED_MAX, "reading stands after {paused:?}");
    // A snapshot that found no space, or an old one that goes, gives some back: reading goes on with it.
    let read = daemon.until("reading stands", |d| {
        disk.fill();
        let read = d.received();
        std::thread::sleep(Duration::from_secs(1));
        (d.received() == read).then_some(read)
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(daemon.received(), read, "reading goes on");
    let durable = scene.frontier(topic);
    let published = kafka::shared().published("tidegate", topic);
    assert!(
        published.is_none_or(|p| p <= durable),
        "{published:?} is told to the broker, {durable} is on disk"
    );
    disk.mend();
    let mended = Instant::now();
    daemon.until("ready again", |d| (d.get("/readyz").0 == 200).then_some(()));
    let back = mended.elapsed();
    std::fs::write(scene.home.file("events.jsonl"), events + &more).unwrap();
    let scene = scene.with_oracle();
    daemon.until("all told", |_| scene.is_told().then_some(()));
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T26 disk full",
        if disk.mounted {
            "tmpfs of 24 MiB, filled while running"
        } else {
            "every write says ENOSPC for a while"
        },
        &format!(
            "not ready and says why after {:.1} s, nothing told to the broker past what is on disk, goes on {:.1} s after there is space; lost 0, extra 0 of {}",
            paused.as_secs_f64(),
            back.as_secs_f64(),
            tally.alerts
        ),
    );
}

#[test]
fn writes_that_find_no_space_now_and_then_cost_time_and_nothing_else() {
    let topic = "faults-some-space";
    let events = floods(8, 120);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "some-space", &events);
    let daemon = scene.home.start_with(&armed(&shim("disk"), &scene)).ready();
    std::fs::write(scene.home.file("fault"), "SOME").unwrap();
    // Each part is a batch of its own, and some commits.
    let part = scene.home.file("part.jsonl");
    for lines in events.lines().collect::<Vec<_>>().chunks(100) {
        std::fs::write(&part, lines.join("\n") + "\n").unwrap();
        kafka::shared().produce(topic, &part);
    }
    daemon.until("all told", |d| {
        (d.received() >= scene.records && scene.is_told()).then_some(())
    });
    let refused = daemon.log().matches("cannot write; reading stands").count();
    assert!(refused > 0, "no write was hit");
    std::fs::remove_file(scene.home.file("fault")).unwrap();
    daemon.settled(scene.records);
    daemon.stop();
    let tally = scene.tally();
    tally.assert_once();
    row(
        "T26 no space now and then",
        "one write in 32 says ENOSPC, from the first record on",
        &format!(
            "told {refused} times; all is done while it lasts: lost 0, extra 0 of {}",
            tally.alerts
        ),
    );
}

#[test]
fn a_sync_that_fails_ends_the_process_and_a_restart_is_whole() {
    let topic = "faults-eio";
    let events = floods(8, 40);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "eio", &events);
    let half = scene.home.file("half.jsonl");
    let (first, second) = events.split_at(events.match_indices('\n').nth(160).unwrap().0 + 1);
    std::fs::write(&half, first).unwrap();
    kafka::shared().produce(topic, &half);
    let mut daemon = scene.home.start_with(&armed(&shim("disk"), &scene)).ready();
    daemon.settled(first.lines().count() as u64);

    std::fs::write(scene.home.file("fault"), "EIO").unwrap();
    std::fs::write(&half, second).unwrap();
    kafka::shared().produce(topic, &half);
    let status = daemon.ended(Duration::from_secs(30));
    assert_eq!(status.code(), Some(3), "{}", daemon.log());
    std::fs::remove_file(scene.home.file("fault")).unwrap();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T27 fsync says EIO",
        "from the middle of a stream on",
        "ends with code 3; after a restart lost 0, extra 0",
    );
}

#[test]
fn a_snapshot_that_cannot_be_synced_ends_the_process() {
    let topic = "faults-eio-snapshot";
    let events = floods(8, 40);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "eio-snapshot", &events);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let armed = armed_below(&shim("disk"), &scene, "state/snapshots");
    let mut daemon = scene.home.start_with(&armed).ready();
    daemon.settled(scene.records);

    std::fs::write(scene.home.file("fault"), "EIO").unwrap();
    let status = daemon.ended(Duration::from_secs(30));
    assert_eq!(status.code(), Some(3), "{}", daemon.log());
    std::fs::remove_file(scene.home.file("fault")).unwrap();
    let tally = scene.recover();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T27 fsync of a snapshot says EIO",
        "the store's disk is whole",
        "ends with code 3; after a restart lost 0, extra 0",
    );
}

#[test]
fn dead_letters_without_space_stop_reading_and_none_is_lost_or_torn() {
    let topic = "faults-dead-disk";
    let events = floods(40, 200);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "dead-disk", &events);
    scene.reconfigure(
        "detectors:",
        "dead_letters: {kind: file, path: dead/letters.jsonl}\ndetectors:",
    );
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    std::fs::write(scene.home.file("fault"), "ENOSPC").unwrap();
    let armed = armed_below(&shim("disk"), &scene, "dead");
    let daemon = scene.home.start_with(&armed);
    daemon.until("trouble with the dead letters", |d| {
        let (status, body) = d.get("/readyz");
        (status == 503 && body.contains("dead letters")).then_some(())
    });
    assert!(daemon.received() < scene.records, "reading went on");
    std::fs::remove_file(scene.home.file("fault")).unwrap();
    daemon.until("ready again", |d| (d.get("/readyz").0 == 200).then_some(()));
    daemon.until("all told", |_| scene.is_told().then_some(()));
    daemon.settled(scene.records);
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    let mut letters = lines(&scene.home.file("dead/letters.jsonl"));
    let count = letters.len() as u64;
    letters.sort();
    letters.dedup();
    assert_eq!((count, letters.len() as u64), (scene.wrong, scene.wrong));
    assert!(letters.iter().all(|line| line.ends_with('}')));
    row(
        "T26 no space for dead letters",
        "every write says ENOSPC for a while",
        &format!(
            "not ready and says why, goes on when there is space; {count} of {count} dead letters, lost 0"
        ),
    );
}
