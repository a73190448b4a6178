//! One attempt at a signed webhook, over a client with everything closed that could be turned
//! against us: redirects, proxies, private addresses, endless bodies, slow answers.
//!
//! Owns the HTTP client; the queue owns when. Nothing a receiver answers is kept but its status
//! and `Retry-After`.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};

use super::DeliverError;
use super::address::{AddressError, GuardedResolver, Lookup, check_url};
use super::retry::retry_after;
use super::settings::EndpointSettings;
use super::sign::{self, Secret};
use super::sink::{Failure, Fault, Outcome, Sending, Sink};
use crate::engine::outbox::Message;
use crate::model::WallTime;

/// Most bytes of an answer that are read; the rest is left and the connection closed.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT_MAX: Duration = Duration::from_secs(15);

/// One endpoint.
pub struct Webhook {
    client: Client,
    url: Url,
    secrets: Vec<Secret>,
    timeout: Duration,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The path of a webhook is often a secret of its own.
        write!(f, "Webhook({})", self.url.host_str().unwrap_or("?"))
    }
}

impl Webhook {
    /// Makes the client. `ca` is the content of the endpoint's `ca_file`.
    ///
    /// # Errors
    /// When the URL is refused, or the client cannot be made.
    pub fn new(
        settings: &EndpointSettings,
        secrets: Vec<Secret>,
        ca: Option<&[u8]>,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, DeliverError> {
        let fault = |what: String| DeliverError::Settings {
            endpoint: settings.name.clone(),
            what,
        };
        let permit = settings.permit();
        let url = check_url(&settings.url, permit).map_err(|e| fault(e.to_string()))?;
        if secrets.is_empty() {
            return Err(fault("no secret: set secret_env or secret_file".to_owned()));
        }
        let millis = u64::try_from(settings.timeout.0).unwrap_or(0).max(1);
        let timeout = Duration::from_millis(millis).min(ATTEMPT_TIMEOUT_MAX);
        let mut builder = Client::builder()
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .https_only(!permit.insecure)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .pool_max_idle_per_host(settings.concurrency)
            .dns_resolver(Arc::new(GuardedResolver::new(lookup, permit)));
        if let Some(pem) = ca {
            let bundle = Certificate::from_pem_bundle(pem)
                .map_err(|_| fault("ca_file is not a PEM file of certificates".to_owned()))?;
            for certificate in bundle {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder
            .build()
            .map_err(|e| fault(format!("no client: {e}")))?;
        Ok(Self {
            client,
            url,
            secrets,
            timeout,
        })
    }

    async fn attempt(&self, message: &Message, stamp: i64) -> Outcome {
        let draft = &message.draft;
        let body = draft.body.clone().into_bytes();
        let signature = match sign::sign(&self.secrets, &draft.webhook_id, stamp, &body) {
            Ok(signature) => signature,
            Err(error) => {
                return Outcome::Failed(Failure::new(Fault::Message, error.to_string()));
            }
        };
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header(sign::HEADER_ID, &draft.webhook_id)
            .header(sign::HEADER_TIMESTAMP, stamp)
            .header(sign::HEADER_SIGNATURE, signature)
            .body(body);
        let exchange = async {
            match request.send().await {
                Ok(response) => judge(response, stamp).await,
                Err(error) => Outcome::Failed(transport_failure(&error)),
            }
        };
        // reqwest's own limit covers the same; two are cheap and a hang is not.
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Failed(Failure::new(Fault::Timeout, "no answer in time")),
        }
    }
}

impl Sink for Webhook {
    fn send<'a>(&'a self, message: &'a Message, stamp: i64) -> Sending<'a> {
        Box::pin(self.attempt(message, stamp))
    }
}

async fn judge(mut response: Response, stamp: i64) -> Outcome {
    let status = response.status();
    let asked = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| retry_after(text, WallTime(stamp.saturating_mul(1000))));
    // Reading a short answer lets the connection be used again; a long one is not worth it.
    let mut read = 0;
    while read < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => break,
            Err(error) if status.is_success() => {
                // A 2xx whose body breaks off may not have been processed: ask again.
                return Outcome::Failed(transport_failure(&error));
            }
            Err(_) => break,
        }
    }
    drop(response);
    if status.is_success() {
        return Outcome::Delivered;
    }
    let fault = fault_of(status, asked.is_some());
    let detail = format!("status {}", status.as_u16());
    let retry_after = asked.filter(|_| fault == Fault::Busy);
    Outcome::Failed(Failure {
        fault,
        retry_after,
        detail,
    })
}

const fn fault_of(status: StatusCode, asked: bool) -> Fault {
    match status.as_u16() {
        300..=399 => Fault::Redirect,
        410 => Fault::Gone,
        429 => Fault::Busy,
        503 if asked => Fault::Busy,
        408 | 425 | 500..=599 => Fault::Server,
        400 | 409 | 411 | 413 | 414 | 415 | 422 | 431 => Fault::Message,
        _ => Fault::Client,
    }
}

/// What went wrong below HTTP. Texts of reqwest may hold the URL, whose path may be a secret: only
/// our own words are passed on.
fn transport_failure(error: &reqwest::Error) -> Failure {
    if let Some(refused) = refused_address(error) {
        return Failure::new(Fault::Address, refused.to_string());
    }
    if error.is_timeout() {
        return Failure::new(Fault::Timeout, "no answer in time");
    }
    let mut words = vec!["the connection failed".to_owned()];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            words.push(format!("{:?}", io.kind()));
        }
        source = cause.source();
    }
    let fault = if error.is_dns() {
        Fault::Address
    } else {
        Fault::Connection
    };
    Failure::new(fault, words.join(": "))
}

fn refused_address(error: &reqwest::Error) -> Option<AddressError> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(refused) = cause.downcast_ref::<AddressError>() {
            return Some(refused.clone());
        }
        source = cause.source();
    }
    None
}

#[cfg(test)]
pub(super) mod tests;
