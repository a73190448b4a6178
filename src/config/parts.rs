//! What other parts are told of the configuration: their own settings, secrets filled in.
//!
//! Owns the translation for those parts that must not know `config` (api, telemetry). Invariant: a
//! secret that is missing is an error here, at the start, not at its first use.

use super::overlay::Environment;
use super::secret::{self, SecretError};
use super::shape::{Config, LogFormat, Scope};
use crate::api;
use crate::telemetry::log;

impl Config {
    /// The HTTP server's settings.
    ///
    /// # Errors
    /// A token's variable is not set or its file cannot be read.
    pub fn http_settings(&self, env: &Environment) -> Result<api::Settings, SecretError> {
        let mut tokens = Vec::new();
        for token in &self.http.tokens {
            let (variable, file) = (token.token_env.as_ref(), token.token_file.as_ref());
            let secret = secret::load(variable, file, env)?;
            let scopes = token.scopes.iter().map(|scope| match scope {
                Scope::Read => api::Scope::Read,
                Scope::Operate => api::Scope::Operate,
                Scope::Contain => api::Scope::Contain,
                Scope::Admin => api::Scope::Admin,
            });
            // `validate` has seen to it that there is one.
            if let Some(secret) = secret {
                let name = token.name.as_str();
                tokens.push(api::Token::new(name, scopes.collect(), secret.expose()));
            }
        }
        let (listen, limits) = (self.http.listen.0, api::Limits::default());
        Ok(api::Settings {
            listen,
            tokens,
            limits,
        })
    }

    /// The log's settings; TIDEGATE_LOG beats `log.level`.
    #[must_use]
    pub fn log_settings(&self, env: &Environment) -> log::Settings {
        log::Settings {
            json: self.log.format == LogFormat::Json,
            filter: env
                .get("TIDEGATE_LOG")
                .unwrap_or(self.log.level.word())
                .to_owned(),
            plain: env.get("NO_COLOR").is_some(),
        }
    }
}
