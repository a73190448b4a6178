//! Detectors change under a running daemon: all or nothing, windows kept, noise kept out.

use std::fmt::Write as _;

use super::source;
use crate::harness::daemon::{Daemon, Home};
use crate::harness::{kafka, lines};

/// Five resets from one address.
const COUNT: &str = "
title: Resets from one address
name: it-count
logsource: {product: tidegate}
detection:
  requested: {event.kind: recovery.requested}
  condition: requested
correlation: {type: event_count, group-by: [source.ip], timespan: 10m, condition: {gte: 5}}
";

/// Every event of a kind is an alert.
fn each(name: &str, kind: &str) -> String {
    format!(
        "title: Each {kind}\nname: {name}\nlogsource: {{product: tidegate}}\n\
         detection:\n  one: {{event.kind: {kind}}}\n  condition: one\nfields: [source.ip]\n"
    )
}

struct Scene {
    home: Home,
    produced: u64,
}

impl Scene {
    fn produce(&mut self, daemon: &Daemon, kind: &str, ip: &str, count: u64) {
        let mut text = String::new();
        for n in self.produced..self.produced + count {
            let (minute, second) = (n / 60, n % 60);
            writeln!(
                text,
                "{{\"event.kind\":\"{kind}\",\"event.id\":\"e-{n}\",\
                 \"time\":\"2026-01-12T08:{minute:02}:{second:02}Z\",\"source.ip\":\"{ip}\"}}"
            )
            .unwrap();
        }
        self.produced += count;
        let file = self.home.file("events.jsonl");
        std::fs::write(&file, text).unwrap();
        kafka::shared().produce("reload", &file);
        daemon.settled(self.produced);
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.file(&format!("detectors/{name}.yml")), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.home.file(&format!("detectors/{name}.yml"))).unwrap();
    }

    fn closed(&self, detector: &str) -> usize {
        let name = format!("\"name\":\"{detector}\"");
        let why = "closed because its detector was changed or taken out";
        let mine = |l: &String| l.contains(&name) && l.contains(why);
        let all = lines(&self.home.file("alerts.ndjson"));
        all.iter().filter(|l| mine(l)).count()
    }

    fn alerts(&self, detector: &str) -> usize {
        let name = format!("\"name\":\"{detector}\"");
        let mine = |l: &String| l.contains(&name) && l.contains("\"revision\":0");
        lines(&self.home.file("alerts.ndjson"))
            .iter()
            .filter(|l| mine(l))
            .count()
    }
}

/// Waits for the n-th reload with this outcome.
fn reloads(daemon: &Daemon, outcome: &str, count: u64) {
    let labels = ["what=\"detectors\"", &format!("outcome=\"{outcome}\"")];
    daemon.until(&format!("{count} reloads {outcome}"), |d| {
        (d.metric("tidegate_reloads_total", &labels) >= count).then_some(())
    });
}

fn in_force(daemon: &Daemon, name: &str) -> bool {
    let page = daemon.json("/api/v1/detectors");
    let detectors = page["items"].as_array().unwrap();
    detectors.iter().any(|d| d["name"] == name)
}

#[test]
fn a_reload_keeps_windows_and_keeps_noise_out() {
    kafka::shared().topic("reload", 1);
    let home = Home::new(
        "reload",
        &format!(
            "{}detectors: {{dir: detectors, reload: 1s}}\n\
             alerts: {{sinks: [{{kind: file, path: alerts.ndjson}}]}}\n",
            source("reload")
        ),
    );
    std::fs::create_dir(home.file("detectors")).unwrap();
    let mut scene = Scene { home, produced: 0 };
    scene.write("count", COUNT);
    let daemon = scene.home.start().ready();
    scene.produce(&daemon, "recovery.requested", "203.0.113.7", 4);
    assert_eq!(scene.alerts("it-count"), 0, "one below the bound");

    // Another detector comes, in a file before it: the window of the first goes on.
    scene.write("a-new-one", &each("it-other", "token.used"));
    reloads(&daemon, "done", 1);
    daemon.until("the new detector", |d| {
        in_force(d, "it-other").then_some(())
    });
    scene.produce(&daemon, "recovery.requested", "203.0.113.7", 1);
    assert_eq!(scene.alerts("it-count"), 1);

    // One fault, and nothing of the set is taken.
    scene.write(
        "broken",
        "title: Broken\nname: it-broken\ndetection: {condition: nothing}\n",
    );
    scene.write("sound", &each("it-sound", "token.failed"));
    reloads(&daemon, "refused", 1);
    assert!(!in_force(&daemon, "it-sound"), "all or nothing");
    scene.remove("broken");
    reloads(&daemon, "done", 2);
    daemon.until("the sound one", |d| in_force(d, "it-sound").then_some(()));

    // What would fire on everything that was read lately is found out before it does.
    scene.produce(&daemon, "recovery.requested", "198.51.100.23", 40);
    scene.write("noise", &each("it-noise", "recovery.requested"));
    reloads(&daemon, "refused", 2);
    assert!(!in_force(&daemon, "it-noise"));
    assert!(daemon.log().contains("would have opened 45 alerts"));
    // So is what would open once and never close.
    let always = COUNT
        .replace("it-count", "it-always")
        .replace("gte: 5", "gte: 1");
    let always = always.replace("group-by: [source.ip]", "group-by: []");
    assert!(always.contains("gte: 1") && always.contains("group-by: []"));
    scene.write("noise", &always);
    reloads(&daemon, "refused", 3);
    assert!(
        daemon
            .log()
            .contains("would have opened with the first of the last 45 events")
    );

    // What nothing could foretell is taken back.
    scene.write("noise", &each("it-late-noise", "challenge.shown"));
    reloads(&daemon, "done", 3);
    daemon.until("the noise", |d| in_force(d, "it-late-noise").then_some(()));
    scene.produce(&daemon, "challenge.shown", "192.0.2.1", 40);
    reloads(&daemon, "reverted", 1);
    daemon.until("its end", |d| (!in_force(d, "it-late-noise")).then_some(()));
    scene.produce(&daemon, "recovery.requested", "192.0.2.9", 5);
    assert_eq!(scene.alerts("it-count"), 3, "and the others go on");

    // Nothing watches the episodes of a detector that is gone: its alerts are closed.
    assert_eq!(scene.closed("it-count"), 0);
    scene.remove("noise");
    scene.remove("count");
    daemon.until("its end", |d| (!in_force(d, "it-count")).then_some(()));
    scene.produce(&daemon, "recovery.requested", "192.0.2.9", 1);
    daemon.until("its alerts' ends", |_| {
        (scene.closed("it-count") == 3).then_some(())
    });
    daemon.stop();
}
