//! Secrets die at the door: pseudonyms for e-mail addresses and keyed hashes for raw tokens.
//!
//! What comes out of here may be stored, logged and sent; what goes in may not.

use super::ids::HashKey;

/// Makes pseudonyms under a key of its own, derived from the deployment's.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: HashKey,
}

impl Redactor {
    #[must_use]
    pub fn new(key: &HashKey) -> Self {
        Self { key: HashKey::new(key.derive("tidegate 2026 pseudonyms")) }
    }

    /// One pseudonym per lower-cased address, with its masked form: `8f3a…@j***@e***.com`-like
    /// text `<16 hex>:<first letter>***@<first letter>***.<top-level domain>`.
    #[must_use]
    pub fn email(&self, address: &str) -> String {
        let lower = address.trim().to_lowercase();
        let digest = self.key.digest(&[b"email", lower.as_bytes()]);
        format!("{}:{}", hex::encode(&digest.0[..8]), mask(&lower))
    }

    /// A keyed hash in place of a raw secret (token, reset code): joins still work, the secret is gone.
    #[must_use]
    pub fn secret(&self, raw: &str) -> String {
        hex::encode(&self.key.digest(&[b"secret", raw.as_bytes()]).0[..16])
    }
}

fn mask(lower: &str) -> String {
    let (local, domain) = lower.split_once('@').unwrap_or((lower, ""));
    let first = |s: &str| s.chars().next().filter(|c| c.is_alphanumeric()).unwrap_or('*');
    match domain.rsplit_once('.') {
        Some((host, tld)) => format!("{}***@{}***.{tld}", first(local), first(host)),
        None => format!("{}***", first(local)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pseudonym_per_address_and_no_address_in_it() {
        let r = Redactor::new(&HashKey::fixed());
        let a = r.email("Jane.Doe@Example.com");
        assert_eq!(a, r.email(" jane.doe@example.COM "));
        assert_ne!(a, r.email("jane.do@example.com"));
        assert!(a.ends_with(":j***@e***.com"), "{a}");
        assert!(!a.contains("jane") && !a.contains("example"));
    }
}
