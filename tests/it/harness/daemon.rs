//! `tidegate run` as a process: started on a configuration, asked over HTTP, ended by a signal.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tidegate::model::EventTime;
use tidegate::telemetry::catalogue::CATALOGUE;

/// The program that is tested.
const OURS: &str = env!("CARGO_BIN_EXE_tidegate");
/// A busy two-core machine is slow; nothing waits this long when all is well.
const LIMIT: Duration = Duration::from_secs(120);
/// No record for so long is the end of a log, if all is told that is to be told.
const QUIET: Duration = Duration::from_secs(2);
/// No record for so long is the end of a log whatever is told.
const STALLED: Duration = Duration::from_secs(20);
/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long one about readiness may take: who asks for that does not wait longer.
const PROBE_MAX: Duration = Duration::from_secs(2);

/// A folder with a configuration; the daemon runs in it, again and again.
pub struct Home {
    pub dir: PathBuf,
    env: Vec<(String, String)>,
}

impl Home {
    /// `body` is what a test says of sources, alerts, detectors and containment. The hash key is
    /// `replay`'s, so that alert ids can be compared.
    pub fn new(name: &str, body: &str) -> Self {
        let dir = super::scratch(name);
        let key = b"tidegate replay: a fixed hashkey"
            .map(|byte| format!("{byte:02x}"))
            .concat();
        std::fs::write(dir.join("hash.key"), key).unwrap();
        let home = Self {
            dir,
            env: Vec::new(),
        };
        home.configure(body);
        home.with_env("WEBHOOK_SECRET", super::receiver::SECRET)
    }

    pub fn configure(&self, body: &str) {
        let store = super::store();
        let config = format!(
            "version: 1\nhttp: {{listen: '127.0.0.1:0'}}\nengine: {{hash_key_file: hash.key, memory: 2GiB}}\n\
             state: {{dir: state, snapshot_every: 1s, store: {store}}}\n{body}"
        );
        std::fs::write(self.dir.join("tidegate.yaml"), config).unwrap();
    }

    /// Changes the first such text of the configuration.
    #[track_caller]
    pub fn reconfigure(&self, from: &str, to: &str) {
        let file = self.file("tidegate.yaml");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        std::fs::write(file, text.replacen(from, to, 1)).unwrap();
    }

    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Starts the daemon and waits until it has told its address.
    pub fn start(&self) -> Daemon {
        self.spawn_with(&[]).addressed()
    }

    /// Starts the daemon and asks nothing of it.
    pub fn spawn(&self) -> Daemon {
        self.spawn_with(&[])
    }

    /// Starts another program than the one that is tested, and asks nothing of it.
    pub fn spawn_program(&self, program: &Path) -> Daemon {
        self.launch(program, &[], &[])
    }

    /// Starts the daemon with more in its environment.
    pub fn start_with(&self, env: &[(&str, String)]) -> Daemon {
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (*k, v.as_str())).collect();
        self.spawn_with(&env).addressed()
    }

    /// Starts the daemon with more arguments.
    pub fn start_and(&self, arguments: &[&str]) -> Daemon {
        self.launch(OURS.as_ref(), &[], arguments).addressed()
    }

    /// Starts the daemon with a fault armed (`tidegate::crash`) and asks nothing of it.
    pub fn start_faulty(&self, variable: &str, fault: &str) -> Daemon {
        self.spawn_with(&[(variable, fault)])
    }

    /// Starts the daemon on a pipe that stays open, and asks nothing of it.
    pub fn spawn_piped(&self) -> (Daemon, ChildStdin) {
        let mut daemon = self.launch_on(OURS.as_ref(), &[], &[], Stdio::piped());
        let stdin = daemon.child.stdin.take().unwrap();
        (daemon, stdin)
    }

    fn spawn_with(&self, env: &[(&str, &str)]) -> Daemon {
        self.launch(OURS.as_ref(), env, &[])
    }

    fn launch(&self, program: &Path, env: &[(&str, &str)], arguments: &[&str]) -> Daemon {
        self.launch_on(program, env, arguments, Stdio::null())
    }

    fn launch_on(
        &self,
        program: &Path,
        env: &[(&str, &str)],
        arguments: &[&str],
        stdin: Stdio,
    ) -> Daemon {
        let log = (0..)
            .map(|n| self.file(&format!("run-{n}.log")))
            .find(|p| !p.exists())
            .unwrap();
        let child = Command::new(program)
            .args(["run", "-c", "tidegate.yaml"])
            .args(arguments)
            .current_dir(&self.dir)
            .env("NO_COLOR", "1")
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .envs(env.iter().copied())
            .stdin(stdin)
            .stdout(File::create(self.file("stdout.ndjson")).unwrap())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Daemon {
            child,
            log,
            address: String::new(),
            began: Instant::now(),
        }
    }
}

pub struct Daemon {
    child: Child,
    log: PathBuf,
    address: String,
    pub began: Instant,
}

impl Daemon {
    /// Waits until it has told its address and goes on from its state.
    pub fn addressed(self) -> Self {
        self.told("tidegate is running")
    }

    /// Waits until it answers, if only that it is not ready.
    pub fn listening(self) -> Self {
        self.told("listening")
    }

    /// Waits until a line of the log with this text has told its address.
    fn told(mut self, text: &str) -> Self {
        let log = self.log.clone();
        let child = &mut self.child;
        self.address = super::wait(
            "the daemon's address",
            LIMIT,
            || super::tail(&log),
            || {
                let ended = child.try_wait().unwrap();
                assert!(
                    ended.is_none(),
                    "the daemon has ended: {ended:?}\n{}",
                    super::tail(&log)
                );
                let lines = super::lines(&log);
                address_in(lines.iter().find(|l| l.contains(text))?)
            },
        );
        self
    }

    /// Where it serves HTTP.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn ready(self) -> Self {
        self.until("/readyz says 200", |d| {
            (d.get("/readyz").0 == 200).then_some(())
        });
        self
    }

    /// Asks until there is an answer.
    pub fn until<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        super::wait(what, LIMIT, || super::tail(&self.log), || ask(self))
    }

    /// What the kernel says of the process in `/proc/PID/status` (VmRSS, VmHWM), in KiB.
    pub fn memory(&self, what: &str) -> u64 {
        super::memory(self.child.id(), what).expect("the daemon is alive")
    }

    /// The highest memory is counted from now on.
    pub fn forget_highest(&self) {
        let file = format!("/proc/{}/clear_refs", self.child.id());
        std::fs::write(file, "5").unwrap();
    }

    /// Open files.
    pub fn files(&self) -> usize {
        let dir = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(dir).unwrap().count()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Where the log is, also of a daemon that is no more.
    pub fn log_path(&self) -> PathBuf {
        self.log.clone()
    }

    /// The address that it has told by now, if it has.
    pub fn door(&self) -> Option<String> {
        self.log().lines().find_map(address_in)
    }

    /// When the first line of the log with this text was written.
    pub fn said(&self, text: &str) -> Option<SystemTime> {
        self.log()
            .lines()
            .find(|l| l.contains(text))
            .and_then(logged_at)
    }

    /// Status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let answer = ask(&self.address, path, ANSWER_MAX);
        answer.unwrap_or_else(|e| panic!("GET {path}: {e}\n{}", super::tail(&self.log)))
    }

    /// Whether `/readyz` says so: a daemon that does not answer is not ready.
    pub fn is_ready(&self) -> bool {
        let log = self.log();
        let address = log.lines().find_map(address_in);
        let status = |address: String| Some(ask(&address, "/readyz", PROBE_MAX).ok()?.0);
        address.and_then(status) == Some(200)
    }

    pub fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "GET {path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|e| panic!("GET {path}: {e}: {body}"))
    }

    /// All items of a paged list.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.json(&format!("{path}?limit=500{cursor}"));
            all.extend(
                page["items"]
                    .as_array()
                    .unwrap_or_else(|| panic!("no items: {page}"))
                    .clone(),
            );
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    }

    /// The alerts that a partition stands still.
    pub fn halted(&self) -> Vec<Value> {
        let mut all = self.list("/api/v1/alerts");
        all.retain(|a| a["detector"]["id"] == "tidegate-partition-halted");
        all
    }

    /// A counter, summed over the label sets that hold all of `labels` (`reason="empty"`): of those that nothing
    /// was counted for there is no line.
    pub fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        assert_ne!(kind(name), "gauge", "{name}: that it is not set is no 0");
        sum(&self.values(name, labels))
    }

    /// A gauge, summed likewise, once it is set.
    pub fn gauge(&self, name: &str, labels: &[&str]) -> u64 {
        self.until(&format!("{name} {labels:?}"), |d| {
            let values = d.values(name, labels);
            (!values.is_empty()).then(|| sum(&values))
        })
    }

    /// Each value of a metric, as far as it was set; with labels, of those that have them all.
    pub fn values(&self, name: &str, labels: &[&str]) -> Vec<f64> {
        assert!(!kind(name).is_empty(), "there is no metric {name}");
        let (_, text) = self.get("/metrics");
        let mine = text.lines().filter(|l| {
            let after = l.strip_prefix(name);
            after.is_some_and(|a| a.starts_with(['{', ' ']))
                && labels.iter().all(|label| l.contains(label))
        });
        mine.map(|l| l.rsplit(' ').next().unwrap().parse().unwrap())
            .collect()
    }

    /// Dead letters by reason, as /metrics has them.
    pub fn dead_letters(&self) -> BTreeMap<String, u64> {
        let (_, text) = self.get("/metrics");
        let mut all = BTreeMap::new();
        for line in text
            .lines()
            .filter(|l| l.starts_with("tidegate_events_dead_lettered_total{"))
        {
            let reason = line
                .split("reason=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            *all.entry(reason.to_owned()).or_default() +=
                line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        }
        all
    }

    /// Records taken from the source so far.
    pub fn received(&self) -> u64 {
        self.metric("tidegate_events_received_total", &[])
    }

    /// Whether the log is known to be read to its end, as far as partitions are told of. Of a moment ago: what is
    /// read may still be on its way through the engine.
    fn is_at_end(&self) -> bool {
        let lags = self.values("tidegate_consumer_lag_events", &[]);
        !lags.is_empty() && lags.iter().all(|lag| *lag == 0.0)
    }

    /// Waits until so many records were taken in, the log holds no more, and nothing waits to be sent.
    pub fn settled(&self, records: u64) {
        self.until(&format!("{records} records"), |d| {
            (d.received() >= records).then_some(())
        });
        // Gauges are set by the housekeeping: wait for those that have seen the last batch.
        std::thread::sleep(Duration::from_millis(1200));
        self.until("the end of the log", |d| d.is_at_end().then_some(()));
        // Set before the first lag is, of every endpoint that there is.
        self.until("an empty outbox", |d| {
            let depths = d.values("tidegate_outbox_depth", &[]);
            depths.iter().all(|depth| *depth == 0.0).then_some(())
        });
    }

    /// Everything is read and `is_told`; or nothing has come for a while, and the caller sees what lacks.
    ///
    /// The lag alone does not tell the end: it is a second old, and what was read may still be on its way through
    /// the engine.
    pub fn caught_up(&self, is_told: impl Fn() -> bool) {
        let mut moved = (0, Instant::now());
        self.until("the end of the log", |d| {
            let received = d.received();
            if received != moved.0 {
                moved = (received, Instant::now());
            }
            let idle = moved.1.elapsed();
            let told = idle >= QUIET && is_told();
            (d.is_at_end() && (told || idle >= STALLED)).then_some(())
        });
        self.settled(0);
    }

    /// SIGTERM: it drains and must end well.
    pub fn stop(mut self) {
        self.terminate();
        let status = self.ended(LIMIT);
        assert!(status.success(), "{status}\n{}", super::tail(&self.log));
    }

    /// SIGTERM, and no waiting.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// SIGSTOP: it stands still, as in a machine that is frozen.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Waits for the process to end by itself.
    pub fn ended(&mut self, limit: Duration) -> ExitStatus {
        let log = self.log.clone();
        super::wait(
            "the daemon's end",
            limit,
            || super::tail(&log),
            || self.child.try_wait().unwrap(),
        )
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        super::command::Run::new("kill", &[signal, &pid]).ok();
    }
}

/// What kind of metric has this name on the page; empty if none has.
fn kind(name: &str) -> &'static str {
    let parts = ["_bucket", "_count", "_sum"].iter();
    let whole = parts.filter_map(|part| name.strip_suffix(part)).next();
    let mut known = CATALOGUE.iter();
    let named = known.find(|entry| [name, whole.unwrap_or(name)].contains(&entry.name));
    named.map_or("", |entry| entry.kind)
}

fn sum(values: &[f64]) -> u64 {
    // Of no values `sum` is -0.0.
    let sum = values.iter().fold(0.0, |a, b| a + b);
    format!("{sum:.0}").parse().unwrap()
}

/// When a line of the log was written.
pub fn logged_at(line: &str) -> Option<SystemTime> {
    let at = EventTime::parse(line.split(' ').next()?)?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(at.0.unsigned_abs()))
}

/// The address that a line of the log tells.
fn address_in(line: &str) -> Option<String> {
    let address = line.split("address=").nth(1)?.split_whitespace().next();
    address.map(str::to_owned)
}

/// Status and body of an answer.
fn ask(address: &str, path: &str, limit: Duration) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let half = || std::io::Error::other(format!("half an answer: {answer}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(half)?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    Ok((status.ok_or_else(half)?, body.to_owned()))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            super::tell(&super::tail(&self.log));
        }
    }
}
