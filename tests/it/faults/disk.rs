//! (T26, T27) The disk is full: reading stands still and says so, and goes on when there is space.
//! The disk is broken: the process ends, and a restart finds everything.
//!
//! Full is a small file system that is filled: mounted, or in a namespace where users may have one. For a
//! sync that fails, and one write in many, `dev/faults/disk.c` stands between tidegate and the system; in the
//! place of the file system only where `TIDEGATE_TEST_DISK=shim` says so.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::corrupt::FAILED;
use super::{Scene, floods, floods_from, row, shim};
use crate::harness::command::Run;
use crate::harness::daemon::Daemon;
use crate::harness::{kafka, lines, store, tail, wait};

/// How long reading may go on without space.
const STANDS_MAX: Duration = Duration::from_secs(5);
/// How often the group's offsets are set at most (`source::kafka`).
const PUBLISHED: Duration = Duration::from_secs(5);

/// What the disk is that is filled.
enum Kind {
    Mounted,
    /// Mounted in the namespace of this process, which lives as long as its input is open.
    Namespace(Child),
    /// The library says that it is full.
    Shim,
}

/// A disk below the state folder that can be filled.
struct Disk {
    kind: Kind,
    state: PathBuf,
    /// What fills it, or the file that arms the shim.
    switch: PathBuf,
}

impl Disk {
    /// A file system of its own; `TIDEGATE_TEST_DISK` (mount, namespace, shim) names one way to have it.
    fn below(scene: &Scene) -> Self {
        let wanted = std::env::var("TIDEGATE_TEST_DISK").unwrap_or_default();
        let may = |way: &str| wanted.is_empty() || wanted == way;
        let state = scene.home.file("state");
        let (mut kind, mut said) = (None, String::new());
        if may("mount") {
            kind = mounted(&state).map_err(|why| said += &why).ok();
        }
        if kind.is_none() && may("namespace") {
            kind = in_namespace(scene, &state).map_err(|why| said += &why).ok();
        }
        if wanted == "shim" {
            std::fs::create_dir_all(&state).unwrap();
            kind = Some(Kind::Shim);
        }
        let kind = kind.unwrap_or_else(|| {
            panic!(
                "no small file system can be mounted, so none can be filled:\n{said}\
                 TIDEGATE_TEST_DISK=shim has a library refuse writes in its place"
            )
        });
        Self {
            switch: match kind {
                Kind::Shim => scene.home.file("fault"),
                Kind::Mounted | Kind::Namespace(_) => state.join("filler"),
            },
            state,
            kind,
        }
    }

    /// Takes what space there is, also what has come free since; tells whether there was some.
    fn fill(&self) -> bool {
        use std::io::Write as _;
        if let Kind::Shim = self.kind {
            // Written anew it would be empty for a moment.
            let is_new = !self.switch.exists();
            if is_new {
                std::fs::write(&self.switch, "ENOSPC").unwrap();
            }
            return is_new;
        }
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        // A file system that is full has no place for a name either.
        let Ok(mut file) = options.open(&self.switch) else {
            return false;
        };
        let block = vec![7u8; 4096];
        let mut had = false;
        while file.write(&block).is_ok_and(|n| n > 0) {
            had = true;
        }
        had
    }

    fn mend(&self) {
        std::fs::remove_file(&self.switch).unwrap();
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Mounted => "tmpfs of 64 MiB, filled while running",
            Kind::Namespace(_) => "tmpfs of 64 MiB in a user namespace, filled while running",
            Kind::Shim => "no file system: a library says ENOSPC to every write for a while",
        }
    }
}

/// Mounts one over the folder.
fn mounted(state: &Path) -> Result<Kind, String> {
    std::fs::create_dir_all(state).unwrap();
    let path = state.to_str().unwrap();
    let done = Run::new("mount", &["-t", "tmpfs", "-o", "size=64m", "tmpfs", path]).run();
    // Whatever it says: it is there or not.
    let device = |path: &Path| std::fs::metadata(path).unwrap().dev();
    if device(state) == device(state.parent().unwrap()) {
        std::fs::remove_dir(state).unwrap();
        return Err(format!("mount: {}\n", done.stderr));
    }
    Ok(Kind::Mounted)
}

/// Mounts one where it is not root's to allow, and has the folder lead there.
fn in_namespace(scene: &Scene, state: &Path) -> Result<Kind, String> {
    const MOUNT: &str =
        "mount -t tmpfs -o size=64m tmpfs \"$0\" 2>&1 && echo mounted && exec cat >/dev/null";
    let dir = scene.home.file("disk");
    std::fs::create_dir_all(&dir).unwrap();
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", MOUNT]).arg(&dir);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = pipes.spawn().map_err(|e| format!("unshare: {e}\n"))?;
    let mut said = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut said).unwrap();
    if said != "mounted\n" {
        child.kill().ok();
        child.wait().ok();
        return Err(format!("mount in a namespace: {said}\n"));
    }
    let inside = format!("/proc/{}/root{}", child.id(), dir.display());
    std::os::unix::fs::symlink(inside, state).unwrap();
    Ok(Kind::Namespace(child))
}

impl Drop for Disk {
    fn drop(&mut self) {
        match &mut self.kind {
            Kind::Mounted => drop(Run::new("umount", &["-l", self.state.to_str().unwrap()]).run()),
            Kind::Namespace(child) => {
                child.kill().ok();
                child.wait().ok();
            }
            Kind::Shim => {}
        }
    }
}

/// sled cannot take back what it could not flush, so it may have to end; redb waits for space.
fn may_end() -> bool {
    store() == "sled"
}

/// How reading came to stand for want of space.
enum Stands {
    /// Because this part cannot be written.
    Paused(&'static str),
    Ended,
}

/// Keeps the disk full until reading stands; and how long that took since there was space last.
fn stands(daemon: &mut Daemon, disk: &Disk) -> (Duration, Stands) {
    let (mut full, log) = (Instant::now(), daemon.log_path());
    let said = || tail(&log);
    wait("reading to stand", Duration::from_secs(120), said, || {
        if disk.fill() {
            full = Instant::now();
        }
        if may_end() && !daemon.is_alive() {
            return Some((full.elapsed(), Stands::Ended));
        }
        let pauses = |line: &str| line.contains("cannot write; reading stands");
        if may_end() && !daemon.log().lines().any(pauses) {
            return None;
        }
        let (status, body) = daemon.get("/readyz");
        let part = ["store", "dead letters"].into_iter();
        let part = part.filter(|part| status == 503 && body.contains(part));
        let stands = |part| (full.elapsed(), Stands::Paused(part));
        part.map(stands).next()
    })
}

/// Until it is ready again now that there is space; sled may have ended, and a restart is then.
fn goes_on(scene: &Scene, mut daemon: Daemon) -> Daemon {
    let log = daemon.log_path();
    let said = || tail(&log);
    let has_ended = wait("ready again", Duration::from_secs(120), said, || {
        let has_ended = may_end() && !daemon.is_alive();
        (has_ended || daemon.is_ready()).then_some(has_ended)
    });
    if !has_ended {
        return daemon;
    }
    assert_ended(&mut daemon);
    scene.home.start().ready()
}

/// It has ended for want of space, with the code for that.
fn assert_ended(daemon: &mut Daemon) {
    let status = daemon.ended(Duration::from_secs(30));
    assert_eq!(status.code(), Some(FAILED), "{}", daemon.log());
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
    let mut daemon = scene.home.start_with(&armed(&shim("disk"), &scene)).ready();
    daemon.settled(scene.records);
    // From here on the broker would be told at once what is not on disk.
    let published = || kafka::shared().published("tidegate", topic);
    daemon.until("the group's offset", |_| {
        (published() == Some(scene.records as i64)).then_some(())
    });
    std::thread::sleep(PUBLISHED);

    disk.fill();
    // New floods, of addresses that nothing is known of: commits that find no space.
    let more = floods_from(300, 250, 40).replace("203.0.113.", "198.51.100.");
    let second = scene.home.file("more.jsonl");
    std::fs::write(&second, &more).unwrap();
    kafka::shared().produce(topic, &second);
    let (took, how) = stands(&mut daemon, &disk);
    assert!(took <= STANDS_MAX, "reading stands after {took:?}");
    if !may_end() {
        // A snapshot that found no space, or an old one that goes, gives some back: reading goes on with it.
        let read = daemon.until("reading stands", |d| {
            disk.fill();
            let read = d.received();
            std::thread::sleep(Duration::from_secs(1));
            (d.received() == read).then_some(read)
        });
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(daemon.received(), read, "reading goes on");
    }
    let (durable, told) = (scene.frontier(topic), published());
    assert!(
        told.is_none_or(|p| p <= durable),
        "{told:?} is told to the broker, {durable} is on disk"
    );
    disk.mend();
    let mended = Instant::now();
    let daemon = goes_on(&scene, daemon);
    let back = mended.elapsed();
    std::fs::write(scene.home.file("events.jsonl"), events + &more).unwrap();
    let scene = scene.with_oracle();
    daemon.caught_up(|| scene.is_told());
    daemon.stop();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T26 disk full",
        &format!("{}, {}", disk.name(), store()),
        &format!(
            "{} after {:.1} s, nothing told to the broker past what is on disk, ready {:.1} s after there is space; lost 0, extra 0 of {}",
            match how {
                Stands::Paused(part) => format!("not ready because of the {part}"),
                Stands::Ended => "ends with code 3".to_owned(),
            },
            took.as_secs_f64(),
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
    let mut daemon = scene.home.start_with(&armed(&shim("disk"), &scene)).ready();
    std::fs::write(scene.home.file("fault"), "SOME").unwrap();
    // Each part is a batch of its own, and some commits.
    let part = scene.home.file("part.jsonl");
    for lines in events.lines().collect::<Vec<_>>().chunks(100) {
        std::fs::write(&part, lines.join("\n") + "\n").unwrap();
        kafka::shared().produce(topic, &part);
    }
    if may_end() {
        assert_ended(&mut daemon);
        std::fs::remove_file(scene.home.file("fault")).unwrap();
        let tally = scene.recover();
        assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
        return row(
            "T26 no space now and then",
            &format!(
                "one write in 32 says ENOSPC, from the first record on, {}",
                store()
            ),
            "ends with code 3; after a restart lost 0, extra 0",
        );
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
