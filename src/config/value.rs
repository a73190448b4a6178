//! The kinds of value a setting can have besides numbers and plain text: durations, sizes,
//! addresses, URLs, names.
//!
//! Owns how each is read, written and described in the JSON Schema, in one place per kind.
//! Invariant: no error and no `Debug` shows a value that may hold a secret.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

use crate::model::Span;

mod formats;

pub use formats::{check, example};

/// Why a text is not such a value, and what would be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not {what}: write it like {example}")]
pub struct BadValue {
    /// What was wanted, with its article.
    pub what: &'static str,
    /// A text that would do.
    pub example: &'static str,
}

/// A length of time, written with a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Span);

impl Duration {
    /// The same as the standard library's type.
    #[must_use]
    pub fn std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.0.unsigned_abs())
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Duration {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Span::parse(text).map(Self).ok_or(())
    }
}

/// A number of bytes, written with a unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Size {
    /// A whole number of mebibytes.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS
            .iter()
            .find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size));
        let (name, size) = unit.copied().unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / size)
    }
}

impl FromStr for Size {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at_checked(digits).ok_or(())?;
        let known = SIZE_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()));
        let number: u64 = number.parse().map_err(|_| ())?;
        number.checked_mul(known.ok_or(())?.1).map(Self).ok_or(())
    }
}

/// How many shards the engine has.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Shards {
    /// One per available core.
    #[default]
    Auto,
    /// This many, 1 to 256.
    Count(u16),
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl FromStr for Shards {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => match text.parse() {
                Ok(count @ 1..=256) => Ok(Self::Count(count)),
                Ok(_) | Err(_) => Err(()),
            },
        }
    }
}

/// An `http(s)` URL. Paths and queries of webhooks are often secrets: only scheme, host and port
/// are ever shown; `expose` gives all of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    /// The whole URL, for connecting only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// True for `https://`.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0
            .get(..8)
            .is_some_and(|s| s.eq_ignore_ascii_case("https://"))
    }

    /// Host and port as written, without user and password.
    #[must_use]
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit('@').next().unwrap_or_default()
    }

    /// The host alone, an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.authority();
        match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        }
    }

    /// True if user or password stand in it.
    #[must_use]
    pub fn has_user(&self) -> bool {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?', '#'])
            .next()
            .is_some_and(|authority| authority.contains('@'))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https() { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())?;
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let path = rest
            .find(['/', '?', '#'])
            .and_then(|i| rest.get(i..))
            .unwrap_or_default();
        f.write_str(if path.is_empty() || path == "/" {
            path
        } else {
            "/…"
        })
    }
}

impl FromStr for Url {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (scheme, _) = text.split_once("://").ok_or(())?;
        let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        let url = Self(text.to_owned());
        if !known || text.contains(odd) || url.host().is_empty() || text.len() > 2048 {
            return Err(());
        }
        Ok(url)
    }
}

/// A range of addresses; a single address is the range of itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    /// The lowest address of the range.
    pub address: IpAddr,
    /// The number of leading bits that count.
    pub prefix: u8,
}

impl Cidr {
    /// Whether the address lies in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix))
                    .unwrap_or(0);
                u32::from(net) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix))
                    .unwrap_or(0);
                u128::from(net) & mask == u128::from(ip) & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(most), str::parse).map_err(|_| ())?;
        let cidr = Self { address, prefix };
        // Bits behind the prefix are a typing fault more often than a wish.
        let lowest = match address {
            IpAddr::V4(ip) => u32::from(ip).checked_shl(prefix.into()).unwrap_or(0) == 0,
            IpAddr::V6(ip) => u128::from(ip).checked_shl(prefix.into()).unwrap_or(0) == 0,
        };
        (prefix <= most && lowest).then_some(cidr).ok_or(())
    }
}

/// Where to listen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Listen {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        text.parse().map(Self).map_err(|_| ())
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $good:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl FromStr for $name {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                let good: fn(&str) -> bool = $good;
                if good(text) { Ok(Self(text.to_owned())) } else { Err(()) }
            }
        }
    };
}

fn made_of(text: &str, most: usize, also: &[u8]) -> bool {
    let fits = (1..=most).contains(&text.len());
    fits && text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

text! {
    /// A name this file gives to a source, sink or list; it labels metrics.
    Name, |text| {
        let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
        lower && made_of(text, 63, b"-_") && !text.starts_with(['-', '_'])
    }
}
text! {
    /// A Kafka topic's name.
    Topic, |text| made_of(text, 249, b"._-") && text != "." && text != ".."
}
text! {
    /// The name of an environment variable that holds a secret.
    EnvName, |text| made_of(text, 128, b"_") && !text.starts_with(|c: char| c.is_ascii_digit())
}
text! {
    /// Host and port of a broker.
    HostPort, |text| {
        let Some((host, port)) = text.rsplit_once(':') else { return false };
        let plain = !host.contains(|c: char| c.is_whitespace() || c == ',' || c == '/');
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let number = port.parse::<u16>().is_ok_and(|p| p > 0);
        number && plain && !host.is_empty() && (bracketed || !host.contains(':'))
    }
}

#[cfg(test)]
mod tests;
