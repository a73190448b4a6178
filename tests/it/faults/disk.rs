//! (T26) The disk is full: reading stands still and says so, and goes on when there is space.

use std::path::Path;
use std::time::Duration;

use super::{Scene, floods, row};
use crate::harness::command::Run;
use crate::harness::kafka;

/// A small file system of its own, unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(dir: &'a Path, size: &str) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let options = format!("size={size}");
        let path = dir.to_str().unwrap();
        let done = Run::new("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", path]).run();
        assert!(
            done.stderr.is_empty(),
            "a disk that can be full needs the right to mount one; run as root: {done}"
        );
        Self(dir)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let path = self.0.to_str().unwrap();
        Run::new("umount", &["-l", path]).run();
    }
}

#[test]
fn a_full_disk_stops_reading_and_loses_nothing() {
    let topic = "faults-disk";
    let events = floods(60, 300);
    kafka::shared().topic(topic, 1);
    let scene = Scene::over(topic, "disk", &events);
    kafka::shared().produce(topic, &scene.home.file("events.jsonl"));
    let state = scene.home.file("state");
    let _disk = SmallDisk::mount(&state, "24m");
    let filler = state.join("filler");

    let daemon = scene.home.start().ready();
    daemon.settled(1);
    fill(&filler);
    // New floods, of addresses that nothing is known of: commits that find no space.
    let more = floods(250, 40).replace("203.0.113.", "198.51.100.");
    let second = scene.home.file("more.jsonl");
    std::fs::write(&second, &more).unwrap();
    kafka::shared().produce(topic, &second);
    daemon.until("trouble with the store", |d| {
        let (status, body) = d.get("/readyz");
        (status == 503 && body.contains("store")).then_some(())
    });
    std::fs::remove_file(&filler).unwrap();
    daemon.until("ready again", |d| (d.get("/readyz").0 == 200).then_some(()));
    let records = scene.records + more.lines().count() as u64;
    daemon.until("everything read", |d| {
        (d.received() >= records).then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    daemon.settled(records);
    daemon.stop();

    std::fs::write(scene.home.file("events.jsonl"), events + &more).unwrap();
    let scene = scene.with_oracle();
    let tally = scene.tally();
    assert_eq!((tally.lost, tally.extra), (0, 0), "{tally:?}");
    row(
        "T26 disk full",
        "tmpfs of 24 MiB, filled while running",
        &format!(
            "not ready and says why, goes on when there is space; lost 0, extra 0 of {}",
            tally.alerts
        ),
    );
}

/// Takes all the space that is left.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    let block = vec![7u8; 4096];
    while file.write_all(&block).is_ok() {}
}
