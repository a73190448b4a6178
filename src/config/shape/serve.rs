//! `http` and `log`: what the program shows of itself.
//!
//! Owns shapes and defaults only. Invariant: the default listens on this machine alone.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::value::{EnvName, Listen, Name};

/// The HTTP server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port. Beyond 127.0.0.1 and ::1 at least one token is required.
    pub listen: Listen,
    /// Bearer tokens. Once there is one, every request but /healthz, /readyz and the console's
    /// empty page needs one.
    pub tokens: Vec<Token>,
}

impl Default for Http {
    fn default() -> Self {
        let loopback = std::net::Ipv4Addr::LOCALHOST;
        Self {
            listen: Listen((loopback, 8080).into()),
            tokens: Vec::new(),
        }
    }
}

/// One bearer token and what it may do.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Whose it is; recorded with every decision made with it.
    pub name: Name,
    /// What it may do.
    #[schemars(length(min = 1))]
    pub scopes: Vec<Scope>,
    /// Environment variable that holds the token, at least 16 characters.
    #[serde(default)]
    pub token_env: Option<EnvName>,
    /// File that holds the token; one line feed at its end is ignored.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// What a token may do. Each scope includes `read`, and `admin` includes all.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See alerts, actions, detectors and metrics.
    Read,
    /// Acknowledge, silence and close.
    Operate,
    /// Approve, deny and revert actions.
    Contain,
    /// Change allow-lists and settings.
    Admin,
}

/// The program's own log.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// What is logged; TIDEGATE_LOG may refine it per module (`info,tidegate::source=debug`).
    pub level: LogLevel,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may need a look.
    Warn,
    /// And what changed.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And everything.
    Trace,
}

impl LogLevel {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
