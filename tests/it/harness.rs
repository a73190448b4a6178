//! What the tests stand on: processes that are started, asked and ended.

pub mod alerts;
pub mod command;
pub mod daemon;
pub mod host;
pub mod kafka;
pub mod proxy;
pub mod receiver;
pub mod stub;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file below `tests/fixtures`.
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

/// What `dev/setup test` has installed.
pub fn cache() -> PathBuf {
    std::env::var_os("TIDEGATE_CACHE").map_or_else(|| root().join(".cache"), PathBuf::from)
}

/// A folder of this run's own; those of runs that have ended are removed.
pub fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if COUNT.load(Ordering::Relaxed) == 0 {
        remove_old(all);
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = all
        .join(format!("it-{}", std::process::id()))
        .join(format!("{number:02}-{name}"));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn remove_old(all: &Path) {
    for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix("it-") else {
            continue;
        };
        if !Path::new("/proc").join(pid).exists() {
            std::fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Asks until there is an answer; fails with what `otherwise` says when the time is over.
pub fn wait<T>(
    what: &str,
    limit: Duration,
    otherwise: impl Fn() -> String,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(
            began.elapsed() < limit,
            "waited {limit:?} for {what}\n{}",
            otherwise()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A line of a process's `/proc/PID/status` that counts KiB; `None` once it has ended.
pub fn memory(pid: u32, what: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix(what)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A size that a long run sets: a number in the environment, or what every change can afford.
pub fn sized(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |n| n.parse().expect("a number"))
}

/// How much of what is asked for a run did, for its row: `300 of the 10,000`, or all of it.
pub fn share(did: u64, asked: u64) -> String {
    if did >= asked {
        return grouped(did);
    }
    format!("{} of the {}", grouped(did), grouped(asked))
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Where the daemon keeps its rows: `TIDEGATE_TEST_STORE=sled` in a build with that feature.
pub fn store() -> String {
    std::env::var("TIDEGATE_TEST_STORE").unwrap_or_else(|_| "redb".to_owned())
}

/// Tells the person who runs the tests something, past the capture of passing tests' output.
pub fn tell(text: &str) {
    writeln!(std::io::stderr(), "{text}").ok();
}

/// Whole lines of a file that may be growing; none if it is not there yet.
pub fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// The end of a log, for failures.
pub fn tail(path: &Path) -> String {
    let all = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = all.lines().collect();
    let from = lines.len().saturating_sub(30);
    format!(
        "the last lines of {}:\n{}",
        path.display(),
        lines[from..].join("\n")
    )
}
