//! Keyed hashing: the deployment's secret key, fingerprints of keys and values, and alert ids.
//!
//! Keys are attacker-chosen, so nothing is hashed without the secret key (DESIGN.md, section 6).
//! The key is stored with the state; a state made under another key is refused, never merged.

use std::fmt;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;

/// A 64-bit keyed hash of a group key or a value. Two of 10 million keys collide with
/// probability 3e-6 (birthday bound), and no one without the key can make them collide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u64);

/// The deployment's secret hash key and what is derived from it.
#[derive(Clone)]
pub struct HashKey {
    secret: [u8; 32],
    sip: [u8; 16],
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKey(id {})", self.id())
    }
}

impl HashKey {
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        let derived = blake3::derive_key("tidegate 2026 fingerprint", &secret);
        let mut sip = [0; 16];
        sip.copy_from_slice(&derived[..16]);
        Self { secret, sip }
    }

    /// The key of `replay`, `explain` and `test`, which have no deployment: public on purpose, so
    /// that the same input gives the same bytes everywhere.
    #[must_use]
    pub fn fixed() -> Self {
        Self::new(*b"tidegate replay: a fixed hashkey")
    }

    /// Eight hex digits that name the key without telling it.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&blake3::derive_key("tidegate 2026 key id", &self.secret)[..4])
    }

    /// The keyed hash of some bytes.
    #[inline]
    #[must_use]
    pub fn fingerprint(&self, bytes: &[u8]) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_key(&self.sip);
        hasher.write(bytes);
        Fingerprint(hasher.finish())
    }

    /// A secret for one purpose, derived from this key.
    #[must_use]
    pub fn derive(&self, context: &str) -> [u8; 32] {
        blake3::derive_key(context, &self.secret)
    }

    /// A 256-bit keyed digest over length-prefixed parts, so that no two lists of parts are alike.
    #[must_use]
    pub fn digest(&self, parts: &[&[u8]]) -> Id {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Id(*hasher.finalize().as_bytes())
    }
}

/// A 256-bit id, written as 64 lower-case hex digits: of an alert, an action, an incident.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Id(pub [u8; 32]);

impl Id {
    /// The id of what comes after something that had this one and is over, where it would have the same.
    #[must_use]
    pub fn successor(self) -> Self {
        Self(blake3::derive_key("tidegate 2026 successor", &self.0))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Id {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let mut id = [0; 32];
        hex::decode_to_slice(&text, &mut id).map_err(serde::de::Error::custom)?;
        Ok(Self(id))
    }
}
