//! How commands speak: formats, the one place that writes to standard error, progress.

#![expect(
    clippy::print_stderr,
    reason = "the command line's own channel to people"
)]

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};

/// The form of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON document.
    Json,
    /// One JSON document per line.
    Ndjson,
}

/// Standard output, buffered.
pub type Out = BufWriter<StdoutLock<'static>>;

pub fn stdout() -> Out {
    BufWriter::with_capacity(1 << 16, io::stdout().lock())
}

/// Says something on standard error.
pub fn note(text: &str) {
    let mut err = io::stderr().lock();
    let _closed = writeln!(err, "{text}");
}

/// An error with its causes, one line, never a stack trace.
pub fn complain(error: &anyhow::Error) {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    note(&format!("tidegate: {}", causes.join(": ")));
}

/// The reader of our output has left (`| head`): that is no failure.
pub fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|c| c.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes one value as a line of JSON.
///
/// # Errors
/// When standard output cannot be written.
pub fn json_line<T: serde::Serialize>(out: &mut impl Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// A progress bar on a terminal, nothing elsewhere. `total` in bytes or items; 0 is unknown.
pub fn progress(total: u64, what: &'static str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = if total == 0 {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::new(total)
    };
    let template = if total == 0 {
        "{spinner} {msg} {human_pos} ({per_sec})"
    } else {
        "{msg} {wide_bar} {percent}% {eta}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}
