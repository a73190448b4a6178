//! Secrets die at the door: pseudonyms for e-mail addresses and telephone numbers, keyed hashes
//! for raw tokens.
//!
//! What comes out of here may be stored, logged and sent; what goes in may not.

use super::ids::HashKey;
use super::phone::Number;

/// Makes pseudonyms under a key of its own, derived from the deployment's.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: HashKey,
}

impl Redactor {
    #[must_use]
    pub fn new(key: &HashKey) -> Self {
        Self {
            key: HashKey::new(key.derive("tidegate 2026 pseudonyms")),
        }
    }

    /// One pseudonym per lower-cased address, with its masked form: `8f3a…@j***@e***.com`-like
    /// text `<16 hex>:<first letter>***@<first letter>***.<top-level domain>`.
    #[must_use]
    pub fn email(&self, address: &str) -> String {
        let mut out = String::new();
        self.email_into(address, &mut out);
        out
    }

    /// Appends what `email` returns; allocates nothing for a plain address of usual length.
    pub fn email_into(&self, address: &str, out: &mut String) {
        let address = address.trim();
        let mut small = [0; 96];
        match small.get_mut(..address.len()) {
            Some(place) if address.is_ascii() => {
                place.copy_from_slice(address.as_bytes());
                place.make_ascii_lowercase();
                self.lower_email_into(std::str::from_utf8(place).unwrap_or_default(), out);
            }
            _ => self.lower_email_into(&address.to_lowercase(), out),
        }
    }

    fn lower_email_into(&self, lower: &str, out: &mut String) {
        let digest = self.key.digest(&[b"email", lower.as_bytes()]);
        push_hex(&digest.0[..8], out);
        out.push(':');
        mask(lower, out);
    }

    /// Appends one pseudonym per number, however it is written, or of whatever stands where one
    /// should: `<16 hex>:***<last two digits>`, without the digits where there are few.
    pub fn phone_into(&self, text: &str, out: &mut String) {
        let Some(number) = Number::read(text) else {
            let other = text.trim().to_lowercase();
            let digest = self.key.digest(&[b"phone", other.as_bytes()]);
            push_hex(&digest.0[..8], out);
            return out.push_str(":***");
        };
        let (digits, plus) = (number.digits(), [u8::from(number.is_international)]);
        let digest = self.key.digest(&[b"phone", &plus, digits]);
        push_hex(&digest.0[..8], out);
        out.push_str(":***");
        if let Some(([_, _, _, _, _, ..], end)) = digits.split_last_chunk::<2>() {
            out.extend(end.map(char::from));
        }
    }

    /// A keyed hash in place of a raw secret (token, reset code): joins still work, the secret is gone.
    #[must_use]
    pub fn secret(&self, raw: &str) -> String {
        let mut out = String::new();
        self.secret_into(raw, &mut out);
        out
    }

    /// Appends what `secret` returns.
    pub fn secret_into(&self, raw: &str, out: &mut String) {
        push_hex(&self.key.digest(&[b"secret", raw.as_bytes()]).0[..16], out);
    }
}

fn push_hex(bytes: &[u8], out: &mut String) {
    for b in bytes {
        for digit in [b >> 4, b & 15] {
            out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
}

fn mask(lower: &str, out: &mut String) {
    let (local, domain) = lower.split_once('@').unwrap_or((lower, ""));
    let first = |s: &str| {
        s.chars()
            .next()
            .filter(|c| c.is_alphanumeric())
            .unwrap_or('*')
    };
    out.push(first(local));
    out.push_str("***");
    if let Some((host, tld)) = domain.rsplit_once('.') {
        out.push('@');
        out.push(first(host));
        out.push_str("***.");
        out.push_str(tld);
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

    #[test]
    fn one_pseudonym_per_number_and_no_number_in_it() {
        let phone = |text: &str| {
            let mut out = String::new();
            Redactor::new(&HashKey::fixed()).phone_into(text, &mut out);
            out
        };
        let a = phone("+1 (500) 555-0006");
        assert_eq!(a, phone("0015005550006"));
        assert_ne!(a, phone("15005550006"), "it may be of another country");
        assert_ne!(a, phone("+15005550106"));
        assert!(a.ends_with(":***06") && a.len() == 22, "{a}");
        assert!(phone("+15006").ends_with(":***"));
        assert_eq!(phone(" None "), phone("none"));
    }
}
