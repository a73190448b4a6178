//! Signatures after the Standard Webhooks specification: HMAC-SHA256 (`v1`) and ed25519 (`v1a`).
//!
//! Owns secrets and signed text; reads no clock and no file. Comparisons take the same time
//! wherever two signatures differ, and no secret is ever shown, not even by `Debug`.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig as Config};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A webhook is refused when its timestamp is further than this from now, in seconds.
pub const TOLERANCE_SECONDS: i64 = 300;
/// Names of the three headers.
pub const HEADER_ID: &str = "webhook-id";
/// When it was signed, in seconds since the epoch.
pub const HEADER_TIMESTAMP: &str = "webhook-timestamp";
/// One or several signatures, separated by spaces.
pub const HEADER_SIGNATURE: &str = "webhook-signature";

/// Secrets come with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, lenient());

const fn lenient() -> GeneralPurposeConfig {
    Config::new().with_decode_padding_mode(DecodePaddingMode::Indifferent)
}

/// Why a secret is of no use, or a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The secret is not base64.
    #[error(
        "the secret is not base64: copy it whole, with or without its whsec_, whsk_ or whpk_ prefix"
    )]
    NotBase64,
    /// The secret is empty.
    #[error("the secret is empty")]
    Empty,
    /// An ed25519 key of a wrong length or form.
    #[error("the key is not an ed25519 key: whsk_ takes 32 or 64 bytes, whpk_ takes 32")]
    NotAKey,
    /// A public key cannot sign.
    #[error("a whpk_ key can only verify: sign with the whsk_ key that belongs to it")]
    CannotSign,
    /// The id holds a dot, or is empty: the signed text would be ambiguous.
    #[error("the webhook id is empty or holds a dot: choose another")]
    BadId,
    /// Too old or too far ahead.
    #[error("the timestamp is more than 300 s from now")]
    Timestamp,
    /// No signature fits.
    #[error("no signature fits")]
    Signature,
}

/// One secret of an endpoint.
#[derive(Clone)]
pub struct Secret(Kind);

#[derive(Clone)]
enum Kind {
    Hmac(Vec<u8>),
    Private(Box<SigningKey>),
    Public(Box<VerifyingKey>),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Hmac(_) => "Secret(hmac)",
            Kind::Private(_) => "Secret(ed25519)",
            Kind::Public(_) => "Secret(ed25519 public)",
        })
    }
}

impl Secret {
    /// Reads `whsec_` (HMAC), `whsk_` (ed25519, signs) or `whpk_` (ed25519, verifies), each
    /// followed by base64. Without a prefix it is an HMAC secret, unless its 64 bytes are an
    /// ed25519 pair of a private key and the public key that belongs to it.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, SignError> {
        let text = text.trim();
        let bytes = |encoded: &str| match LENIENT.decode(encoded) {
            Ok(bytes) if bytes.is_empty() => Err(SignError::Empty),
            Ok(bytes) => Ok(bytes),
            Err(_) => Err(SignError::NotBase64),
        };
        if let Some(encoded) = text.strip_prefix("whsec_") {
            return Ok(Self(Kind::Hmac(bytes(encoded)?)));
        }
        if let Some(encoded) = text.strip_prefix("whsk_") {
            let key = private(&bytes(encoded)?).ok_or(SignError::NotAKey)?;
            return Ok(Self(Kind::Private(Box::new(key))));
        }
        if let Some(encoded) = text.strip_prefix("whpk_") {
            let key = public(&bytes(encoded)?).ok_or(SignError::NotAKey)?;
            return Ok(Self(Kind::Public(Box::new(key))));
        }
        let bare = bytes(text)?;
        match private(&bare) {
            Some(key) if bare.len() == 64 => Ok(Self(Kind::Private(Box::new(key)))),
            _ => Ok(Self(Kind::Hmac(bare))),
        }
    }

    /// One signature with its version in front.
    fn sign(&self, content: &[u8]) -> Result<String, SignError> {
        match &self.0 {
            Kind::Hmac(key) => {
                let sum = mac(key, content)?.finalize().into_bytes();
                Ok(format!("v1,{}", STANDARD.encode(sum)))
            }
            Kind::Private(key) => Ok(format!(
                "v1a,{}",
                STANDARD.encode(key.sign(content).to_bytes())
            )),
            Kind::Public(_) => Err(SignError::CannotSign),
        }
    }

    fn accepts(&self, version: &str, signature: &[u8], content: &[u8]) -> bool {
        match (&self.0, version) {
            (Kind::Hmac(key), "v1") => {
                mac(key, content).is_ok_and(|mac| mac.verify_slice(signature).is_ok())
            }
            // A bare secret may be a public key: 32 bytes do not tell.
            (Kind::Hmac(key), "v1a") => {
                public(key).is_some_and(|key| accepts_ed25519(&key, signature, content))
            }
            (Kind::Private(key), "v1a") => {
                accepts_ed25519(&key.verifying_key(), signature, content)
            }
            (Kind::Public(key), "v1a") => accepts_ed25519(key, signature, content),
            _ => false,
        }
    }
}

fn mac(key: &[u8], content: &[u8]) -> Result<Hmac<Sha256>, SignError> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| SignError::Empty)?;
    mac.update(content);
    Ok(mac)
}

fn accepts_ed25519(key: &VerifyingKey, signature: &[u8], content: &[u8]) -> bool {
    Signature::from_slice(signature).is_ok_and(|s| key.verify_strict(content, &s).is_ok())
}

fn private(bytes: &[u8]) -> Option<SigningKey> {
    match bytes.len() {
        32 => Some(SigningKey::from_bytes(bytes.try_into().ok()?)),
        64 => SigningKey::from_keypair_bytes(bytes.try_into().ok()?).ok(),
        _ => None,
    }
}

fn public(bytes: &[u8]) -> Option<VerifyingKey> {
    VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()
}

fn content(id: &str, timestamp: i64, body: &[u8]) -> Result<Vec<u8>, SignError> {
    if id.is_empty() || id.contains('.') {
        return Err(SignError::BadId);
    }
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    Ok(content)
}

/// The value of the signature header: one signature per secret, in their order, so that a
/// receiver with the old or the new one accepts it while secrets rotate.
///
/// # Errors
/// When a secret cannot sign, or the id is not one.
pub fn sign(
    secrets: &[Secret],
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<String, SignError> {
    let content = content(id, timestamp, body)?;
    if secrets.is_empty() {
        return Err(SignError::Empty);
    }
    let signatures: Result<Vec<_>, _> = secrets.iter().map(|s| s.sign(&content)).collect();
    Ok(signatures?.join(" "))
}

/// Whether some signature of the header was made with one of the secrets, not too long ago.
///
/// # Errors
/// When it was not.
pub fn verify(
    secrets: &[Secret],
    id: &str,
    timestamp: i64,
    body: &[u8],
    header: &str,
    now: i64,
) -> Result<(), SignError> {
    if timestamp.abs_diff(now) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(SignError::Timestamp);
    }
    // Signed text is unambiguous to us only without dots in the id; a foreign sender's fits anyway.
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    let fits = header
        .split(' ')
        .filter_map(|part| part.split_once(','))
        .any(|(version, text)| {
            STANDARD.decode(text).is_ok_and(|signature| {
                secrets
                    .iter()
                    .any(|secret| secret.accepts(version, &signature, &content))
            })
        });
    if fits {
        Ok(())
    } else {
        Err(SignError::Signature)
    }
}

#[cfg(test)]
mod tests;
