//! Runs a command to its end; a failure shows the command, its output and its exit code.

use std::fmt;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// `tidegate ARGUMENTS...`, run in the checkout.
pub fn tidegate(arguments: &[&str]) -> Run {
    Run::new(env!("CARGO_BIN_EXE_tidegate"), arguments)
}

/// A command before it runs.
pub struct Run {
    command: Command,
    shown: String,
    input: Vec<u8>,
}

impl Run {
    pub fn new(program: impl AsRef<Path>, arguments: &[&str]) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(super::root())
            .env("NO_COLOR", "1");
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        Self {
            command,
            shown: format!("{name} {}", arguments.join(" ")),
            input: Vec::new(),
        }
    }

    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Runs it; whether that went well is for the caller to say.
    pub fn run(mut self) -> Done {
        let pipes = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = pipes
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}: run `make test`", self.shown));
        let mut stdin = child.stdin.take().unwrap();
        let input = std::mem::take(&mut self.input);
        // A command that does not read its input closes the pipe.
        let writer = std::thread::spawn(move || stdin.write_all(&input).ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Done {
            shown: self.shown,
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs it; it must end with 0.
    pub fn ok(self) -> Done {
        self.run().code(0)
    }
}

/// A command that has run.
pub struct Done {
    shown: String,
    code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text();
        let shown: String = text.chars().take(4000).collect();
        write!(
            f,
            "$ {}\nexit {:?}\nstdout:\n{shown}\nstderr:\n{}",
            self.shown, self.code, self.stderr
        )
    }
}

impl Done {
    /// It must have ended with this code, and never with a stack trace.
    pub fn code(self, want: i32) -> Self {
        assert_eq!(self.code, Some(want), "exit code\n{self}");
        assert!(!self.stderr.contains("panicked at"), "a panic\n{self}");
        self
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    /// Standard output as NDJSON.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: String| {
            serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}\n{self}"))
        };
        self.lines().into_iter().map(parse).collect()
    }

    /// Some output must say this.
    pub fn says(self, want: &str) -> Self {
        let found = self.text().contains(want) || self.stderr.contains(want);
        assert!(found, "`{want}` is nowhere\n{self}");
        self
    }
}
