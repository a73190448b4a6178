//! Asks a running tidegate over its API: plain HTTP, one request per connection.
//!
//! Owns where it is asked and how its answers become results or failures. Without TLS by intent:
//! tidegate serves none, so from elsewhere one comes by a tunnel. Every answer is bounded.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value as Json;

use super::{Failure, RUN_FAILED};
use crate::config::Environment;

const PATIENCE: Duration = Duration::from_secs(15);
const ANSWER_MAX: u64 = 64 << 20;

/// Where the running tidegate is.
#[derive(Debug, clap::Args)]
pub struct Server {
    /// Address of the running tidegate (its `http.listen`)
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8080")]
    server: String,
    /// Environment variable that holds a bearer token, if tokens are set up
    #[arg(long, value_name = "NAME", default_value = "TIDEGATE_TOKEN")]
    token_env: String,
}

impl Server {
    /// # Errors
    /// It cannot be reached, or says no; a request it does not understand has exit code 2.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Json, Failure> {
        let address = &self.server;
        let unreachable =
            || format!("cannot reach tidegate at {address}; is it running? see --server");
        let (status, text) = self
            .exchange(method, path, body)
            .with_context(unreachable)?;
        let answer: Json = serde_json::from_str(&text)
            .with_context(|| format!("{address} does not answer like tidegate"))?;
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let detail = answer["detail"].as_str().unwrap_or("it says no more");
        let error = match status {
            401 => anyhow!("{detail}: give a token in {}", self.token_env),
            _ => anyhow!("{}", crate::telemetry::escape::escape(detail)),
        };
        let code = if status == 400 { 2 } else { RUN_FAILED };
        Err(Failure { code, error })
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Json>,
    ) -> anyhow::Result<(u16, String)> {
        let mut found = self.server.to_socket_addrs()?;
        let address = found.next().context("the name has no address")?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let body = body.map(Json::to_string).unwrap_or_default();
        let token = Environment::of_process()
            .get(&self.token_env)
            .map(|t| format!("Authorization: Bearer {}\r\n", t.trim()))
            .unwrap_or_default();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{token}\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}",
            self.server
        )?;
        let mut answer = Vec::new();
        stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
        let answer = String::from_utf8(answer)?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("the answer broke off")?;
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        if length.is_some_and(|length| length != body.len()) {
            bail!("the answer broke off");
        }
        Ok((status.context("it does not speak HTTP")?, body.to_owned()))
    }
}
