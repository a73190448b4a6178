//! `deliver` in the configuration: endpoints, what each wants, and how long to try.
//!
//! Owns the values and their checks. Secrets are never written here: only where to find them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::address::{Permit, check_url};
use super::queue::Rules;
use super::retry::Backoff;
use super::sign::Secret;
use crate::engine::outbox::{Draft, Kind};
use crate::model::{Level, Span, duration};

/// Where alerts and actions go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Signed webhooks (Standard Webhooks).
    pub webhooks: Vec<EndpointSettings>,
    /// Files that get one JSON line per message.
    pub files: Vec<FileSettings>,
    /// Standard output, one JSON line per message.
    pub stdout: Option<StdoutSettings>,
    /// Kafka topics.
    pub topics: Vec<TopicSettings>,
    /// Messages that may wait for one endpoint; beyond, the oldest alert is given up.
    #[schemars(range(min = 100))]
    pub outbox_max: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            webhooks: Vec::new(),
            files: Vec::new(),
            stdout: None,
            topics: Vec::new(),
            outbox_max: 100_000,
        }
    }
}

/// One webhook endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointSettings {
    /// Its name in metrics, logs and commands: a-z, 0-9, - and _.
    pub name: String,
    /// Where to send, https only.
    pub url: String,
    /// Environment variables that hold the secrets; several while secrets rotate.
    #[serde(default)]
    pub secret_env: Names,
    /// Files that hold the secrets, one a line; several while secrets rotate.
    #[serde(default)]
    pub secret_file: Names,
    /// Which messages it wants; by default all.
    #[serde(default)]
    pub only: Selection,
    /// When to try again and when to give up.
    #[serde(default)]
    pub retry: RetrySettings,
    /// Messages under way at once; those about one target never are.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: usize,
    /// How long one attempt may take, at most 15s.
    #[serde(default = "default_timeout", with = "duration")]
    #[schemars(with = "String")]
    pub timeout: Span,
    /// Certificate authorities to trust beside the system's, as a PEM file.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Permits plain http. For tests only: a warning says so at every start.
    #[serde(default)]
    pub allow_insecure: bool,
    /// Permits loopback and private addresses. For tests, or an enforcer in the same network: a
    /// warning says so at every start.
    #[serde(default)]
    pub allow_private: bool,
}

const fn default_concurrency() -> usize {
    8
}

const fn default_timeout() -> Span {
    Span::seconds(15)
}

/// One name or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Names {
    #[default]
    None,
    One(String),
    Several(Vec<String>),
}

impl Names {
    /// The names, in the order written.
    #[must_use]
    pub fn list(&self) -> Vec<&str> {
        match self {
            Self::None => Vec::new(),
            Self::One(name) => vec![name],
            Self::Several(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

/// Which messages an endpoint wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Selection {
    /// Message types, whole or ending in `*`: `tidegate.alert.*`; empty is all.
    pub types: Vec<String>,
    /// Alerts and incidents below this level are left out.
    #[schemars(with = "Option<String>")]
    pub level_min: Option<Level>,
    /// Whether simulated actions (shadow mode) are wanted.
    pub simulated: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            types: Vec::new(),
            level_min: None,
            simulated: true,
        }
    }
}

impl Selection {
    /// Whether it wants the message.
    #[must_use]
    pub fn takes(&self, draft: &Draft) -> bool {
        let name = draft.kind.name();
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        let simulated = draft.concerns.as_ref().is_some_and(|c| c.simulated);
        (self.types.is_empty() || self.types.iter().any(fits))
            && self
                .level_min
                .is_none_or(|least| draft.level.is_none_or(|level| level >= least))
            && (self.simulated || !simulated)
    }

    fn faults(&self, at: &str, faults: &mut Vec<String>) {
        for pattern in &self.types {
            let fits = |kind: &Kind| match pattern.strip_suffix('*') {
                Some(start) => kind.name().starts_with(start),
                None => kind.name() == pattern,
            };
            if !Kind::ALL.iter().any(fits) {
                faults.push(format!(
                    "{at}.only.types: no message is of type {pattern:?}"
                ));
            }
        }
    }
}

/// When to try again and when to give up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySettings {
    /// The wait after the first failure; it doubles with each one.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub first: Span,
    /// The longest wait while the endpoint is down: how soon its recovery is noticed.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub longest: Span,
    /// Failures of one message, while others get through, after which it is given up.
    #[schemars(range(min = 1))]
    pub attempts_max: u32,
    /// Age at which a message is given up.
    #[serde(with = "duration")]
    #[schemars(with = "String")]
    pub age_max: Span,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            first: Span::seconds(1),
            longest: Span::seconds(30),
            attempts_max: 20,
            age_max: Span::hours(24),
        }
    }
}

/// What is written of each message where the envelope is not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// The alert or action alone, as `replay` prints it.
    #[default]
    Data,
    /// With type and timestamp around it, as a webhook's body.
    Envelope,
}

/// When a file is synced to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sync {
    /// After each line: a message counts as delivered once it is on the disk.
    #[default]
    Each,
    /// When the system sees fit: faster, and the last lines go with a power cut.
    Never,
}

/// A file that gets one JSON line per message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Its name in metrics, logs and commands.
    pub name: String,
    /// The file; it may be moved away while tidegate runs.
    pub path: PathBuf,
    /// Which messages it wants; by default all.
    #[serde(default)]
    pub only: Selection,
    /// What is written of each message.
    #[serde(default)]
    pub shape: Shape,
    /// When it is synced to the disk.
    #[serde(default)]
    pub sync: Sync,
}

/// Standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StdoutSettings {
    /// Which messages it wants; by default all.
    pub only: Selection,
    /// What is written of each message.
    pub shape: Shape,
}

/// A Kafka topic, keyed by alert or target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicSettings {
    /// Its name in metrics, logs and commands.
    pub name: String,
    /// The topic to write to.
    pub topic: String,
    /// Which messages it wants; by default all.
    #[serde(default)]
    pub only: Selection,
    /// What is written of each message.
    #[serde(default)]
    pub shape: Shape,
}

/// The name standard output has as an endpoint.
pub const STDOUT: &str = "stdout";

impl Settings {
    /// The rules of a file, topic or standard output: in order, one at a time.
    #[must_use]
    pub fn local_rules() -> Rules {
        let retry = RetrySettings::default();
        Rules {
            backoff: Backoff {
                first: retry.first,
                longest: retry.longest,
            },
            attempts_max: retry.attempts_max,
            age_max: retry.age_max,
            concurrency: 1,
        }
    }

    /// The names of the endpoints that want the message: one outbox row goes to each.
    #[must_use]
    pub fn route(&self, draft: &Draft) -> Vec<&str> {
        self.endpoints()
            .filter(|(_, only)| only.takes(draft))
            .map(|(name, _)| name)
            .collect()
    }

    /// Every endpoint with what it wants.
    pub fn endpoints(&self) -> impl Iterator<Item = (&str, &Selection)> {
        let webhooks = self.webhooks.iter().map(|e| (e.name.as_str(), &e.only));
        let files = self.files.iter().map(|e| (e.name.as_str(), &e.only));
        let topics = self.topics.iter().map(|e| (e.name.as_str(), &e.only));
        let stdout = self.stdout.iter().map(|e| (STDOUT, &e.only));
        webhooks.chain(files).chain(topics).chain(stdout)
    }

    /// Every fault that a type cannot exclude, each with its path below `deliver`.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut names = BTreeSet::new();
        for (name, only) in self.endpoints() {
            let fits =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            if name.is_empty() || name.len() > 63 || !name.bytes().all(fits) {
                faults.push(format!(
                    "endpoint name {name:?} may hold only a-z, 0-9, - and _"
                ));
            }
            if !names.insert(name) {
                faults.push(format!("endpoint name {name:?} stands twice"));
            }
            only.faults(name, &mut faults);
        }
        for endpoint in &self.webhooks {
            faults.extend(endpoint.faults());
        }
        if self.outbox_max < 100 {
            faults.push("outbox_max must be at least 100".to_owned());
        }
        faults
    }

    /// What to say at the start about endpoints that are less safe than the default.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for e in &self.webhooks {
            if e.allow_insecure {
                warnings.push(format!(
                    "webhook {} may use plain http: anyone on the way can read what it sends",
                    e.name
                ));
            }
            if e.allow_private {
                warnings.push(format!(
                    "webhook {} may reach loopback and private addresses",
                    e.name
                ));
            }
        }
        warnings
    }
}

/// Where secrets are found; the app reads the environment and files, tests give them.
pub trait SecretSource {
    /// An environment variable.
    fn env(&self, name: &str) -> Option<String>;
    /// A whole file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn file(&self, path: &str) -> std::io::Result<String>;
}

impl EndpointSettings {
    /// What it may do beyond the default.
    #[must_use]
    pub const fn permit(&self) -> Permit {
        Permit {
            insecure: self.allow_insecure,
            private: self.allow_private,
        }
    }

    /// The rules of its queue.
    #[must_use]
    pub const fn rules(&self) -> Rules {
        Rules {
            backoff: Backoff {
                first: self.retry.first,
                longest: self.retry.longest,
            },
            attempts_max: self.retry.attempts_max,
            age_max: self.retry.age_max,
            concurrency: self.concurrency,
        }
    }

    /// Reads its secrets, in the order written: files after variables.
    ///
    /// # Errors
    /// One text per secret that is missing or no secret; none shows one.
    pub fn secrets(&self, source: &dyn SecretSource) -> Result<Vec<Secret>, Vec<String>> {
        let mut secrets = Vec::new();
        let mut faults = Vec::new();
        let at = |what: &str| format!("webhook {}: {what}", self.name);
        let mut take = |place: &str, text: &str| match Secret::parse(text) {
            Ok(secret) => secrets.push(secret),
            Err(error) => faults.push(at(&format!("{place}: {error}"))),
        };
        let mut missing = Vec::new();
        for name in self.secret_env.list() {
            match source.env(name) {
                Some(text) => take(&format!("variable {name}"), &text),
                None => missing.push(at(&format!("variable {name} is not set"))),
            }
        }
        for path in self.secret_file.list() {
            match source.file(path) {
                Ok(text) => {
                    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                    lines.for_each(|line| take(&format!("file {path}"), line));
                }
                Err(error) => missing.push(at(&format!("file {path} cannot be read: {error}"))),
            }
        }
        faults.extend(missing);
        if secrets.is_empty() && faults.is_empty() {
            faults.push(at("no secret: set secret_env or secret_file"));
        }
        if faults.is_empty() {
            Ok(secrets)
        } else {
            Err(faults)
        }
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("webhooks.{}: {what}", self.name));
            }
        };
        let secrets = self.secret_env.list().len() + self.secret_file.list().len();
        check(secrets > 0, "no secret: set secret_env or secret_file");
        check(
            (1..=64).contains(&self.concurrency),
            "concurrency must be 1 to 64",
        );
        let timeout = Span(1)..=Span::seconds(15);
        check(
            timeout.contains(&self.timeout),
            "timeout must be above zero and at most 15s",
        );
        let retry = &self.retry;
        check(retry.first.0 > 0, "retry.first must be above zero");
        check(
            retry.first <= retry.longest,
            "retry.longest must not be below retry.first",
        );
        check(
            retry.attempts_max > 0,
            "retry.attempts_max must be above zero",
        );
        check(
            retry.age_max >= retry.longest,
            "retry.age_max must not be below retry.longest",
        );
        if let Err(error) = check_url(&self.url, self.permit()) {
            check(false, &error.to_string());
        }
        faults
    }
}

#[cfg(test)]
mod tests;
