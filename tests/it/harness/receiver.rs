//! Somebody else's webhook receiver: a process of its own that shares no code with tidegate and
//! asks the published Standard Webhooks library about every signature.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The secret that both sides know.
pub const SECRET: &str = "whsec_dGlkZWdhdGUncyB0ZXN0cyBzaGFyZSB0aGlzIG9uZSE=";

pub struct Receiver {
    child: Child,
    port: u16,
    seen: PathBuf,
}

impl Receiver {
    /// Answers the n-th request with the n-th word of `script`, the last one from then on.
    pub fn start(script: &str) -> Self {
        Self::start_with(script, &[])
    }

    /// The same, with more in its environment.
    pub fn start_with(script: &str, env: &[(&str, String)]) -> Self {
        let python = super::cache().join("venv/bin/python");
        assert!(
            python.exists(),
            "{} is missing: run `make test`",
            python.display()
        );
        let seen = super::scratch("receiver").join("seen.ndjson");
        let mut child = Command::new(python)
            .arg(super::root().join("dev/receiver.py"))
            .args([
                "--require-library",
                "--secret",
                SECRET,
                "--script",
                script,
                "--out",
            ])
            .arg(&seen)
            .envs(env.iter().map(|(k, v)| (k, v)))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().parse().expect("the receiver prints its port");
        Self { child, port, seen }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address())
    }

    /// Every request so far; a signature that does not hold fails the test.
    pub fn seen(&self) -> Vec<Request> {
        let requests = super::lines(&self.seen)
            .into_iter()
            .map(|line| Request::of(&line));
        requests.collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What the receiver wrote down about a request it believed.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: String,
    /// What the receiver answered.
    pub status: i64,
    /// `data` of the body.
    pub data: Value,
}

impl Request {
    /// Whether the receiver has taken it.
    pub fn is_believed(&self) -> bool {
        (200..300).contains(&self.status)
    }

    fn of(line: &str) -> Self {
        let seen: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            seen["valid"], true,
            "the receiver refuses a signature: {line}"
        );
        assert_eq!(
            seen["library"], true,
            "the published library refuses a signature: {line}"
        );
        assert_ne!(
            seen["repeat"], false,
            "one webhook id with two bodies: {line}"
        );
        let body: Value = serde_json::from_str(seen["body"].as_str().unwrap()).unwrap();
        Self {
            kind: seen["type"].as_str().unwrap().to_owned(),
            status: seen["status"].as_i64().unwrap(),
            data: body["data"].clone(),
        }
    }
}
