//! Which addresses a webhook may reach: nothing inside, whatever a name or a URL pretends.
//!
//! Owns the checks on URLs and on resolved addresses. The addresses it lets through are the ones
//! that are connected to: a name is never resolved a second time after the check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What an endpoint may do beyond the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permit {
    /// Plain http.
    pub insecure: bool,
    /// Loopback and private addresses; never link-local ones, where clouds keep credentials.
    pub private: bool,
}

/// Why a URL or an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL.
    #[error("{0:?} is not a url: write https://host/path")]
    NotAUrl(String),
    /// Neither https nor permitted http.
    #[error("scheme {0} is refused: use https, or for tests set allow_insecure: true")]
    Scheme(String),
    /// A user name or password in it.
    #[error("a user name or password in the url is refused: webhooks are signed instead")]
    Credentials,
    /// A fragment in it.
    #[error("a fragment (#...) in the url is never sent: take it away")]
    Fragment,
    /// No host in it.
    #[error("the url has no host")]
    NoHost,
    /// The address lies in a range that is refused.
    #[error("address {address} is refused ({why}); a test may set allow_private: true")]
    Range { address: IpAddr, why: &'static str },
    /// A name that gives no address.
    #[error("{0} has no address: check the name")]
    NoAddress(String),
}

/// IPv4 ranges that no one else owns, with what they are for.
const RANGES_V4: [(Ipv4Addr, u32, &str, bool); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network", false),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private", true),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared", true),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback", true),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local", false),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private", true),
    (
        Ipv4Addr::new(192, 0, 0, 0),
        24,
        "protocol assignments",
        false,
    ),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation", false),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relays", false),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private", true),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarks", false),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation", false),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation", false),
    (Ipv4Addr::new(168, 63, 129, 16), 32, "cloud platform", false),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast", false),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved", false),
];

/// IPv6 ranges within 2000::/3 that are refused; everything outside it is refused anyway.
const RANGES_V6: [(Ipv6Addr, u32, &str); 4] = [
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        "protocol assignments, teredo",
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "documentation",
    ),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "6to4"),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "documentation",
    ),
];

/// Why an address must not be connected to, if it must not.
#[must_use]
pub fn refusal(address: IpAddr, permit: Permit) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => refusal_v4(v4, permit),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => refusal_v4(v4, permit),
            None => refusal_v6(v6, permit),
        },
    }
}

fn refusal_v4(address: Ipv4Addr, permit: Permit) -> Option<&'static str> {
    let inside = |net: Ipv4Addr, bits: u32| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        address.to_bits() & mask == net.to_bits()
    };
    let (.., why, private) = RANGES_V4
        .iter()
        .find(|(net, bits, ..)| inside(*net, *bits))?;
    (!(*private && permit.private)).then_some(*why)
}

fn refusal_v6(address: Ipv6Addr, permit: Permit) -> Option<&'static str> {
    let inside = |net: Ipv6Addr, bits: u32| {
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        address.to_bits() & mask == net.to_bits()
    };
    if address.is_loopback() || address.is_unique_local() {
        return (!permit.private).then_some("loopback or private");
    }
    if !inside(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3) {
        return Some("not global unicast");
    }
    RANGES_V6
        .iter()
        .find(|(net, bits, _)| inside(*net, *bits))
        .map(|(.., why)| *why)
}

/// Checks a URL, with its address if it is written as one: in any base, short or mapped.
///
/// # Errors
/// When it must not be used.
pub fn check_url(text: &str, permit: Permit) -> Result<Url, AddressError> {
    let url = Url::parse(text.trim()).map_err(|_| AddressError::NotAUrl(text.to_owned()))?;
    match url.scheme() {
        "https" => {}
        "http" if permit.insecure => {}
        other => return Err(AddressError::Scheme(other.to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(AddressError::Credentials);
    }
    if url.fragment().is_some() {
        return Err(AddressError::Fragment);
    }
    let host = url
        .host_str()
        .filter(|h| !h.is_empty())
        .ok_or(AddressError::NoHost)?;
    // The url crate has brought every spelling of an IPv4 address to dotted decimals.
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) => match refusal(address, permit) {
            Some(why) => Err(AddressError::Range { address, why }),
            None => Ok(url),
        },
        Err(_) => Ok(url),
    }
}

/// Turns a name into addresses; the system's resolver, or a stub in tests.
pub trait Lookup: Send + Sync {
    /// All addresses of a name.
    fn lookup(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(
        &self,
        name: String,
    ) -> Pin<Box<dyn Future<Output = std::io::Result<Vec<IpAddr>>> + Send>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|a| a.ip()).collect())
        })
    }
}

/// A resolver that gives an address only if all addresses of the name may be connected to: a name
/// that points inside even once is not to be trusted at all.
pub struct GuardedResolver {
    lookup: Arc<dyn Lookup>,
    permit: Permit,
}

impl GuardedResolver {
    /// Guards a look-up.
    #[must_use]
    pub fn new(lookup: Arc<dyn Lookup>, permit: Permit) -> Self {
        Self { lookup, permit }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let permit = self.permit;
        let lookup = Arc::clone(&self.lookup);
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let addresses = lookup.lookup(name.clone()).await?;
            if addresses.is_empty() {
                return Err(AddressError::NoAddress(name).into());
            }
            for address in &addresses {
                if let Some(why) = refusal(*address, permit) {
                    return Err(AddressError::Range {
                        address: *address,
                        why,
                    }
                    .into());
                }
            }
            let addresses: Addrs = Box::new(
                addresses
                    .into_iter()
                    .map(|address| SocketAddr::new(address, 0)),
            );
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests;
