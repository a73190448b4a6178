//! One form per value: missing markers, addresses of the network, countries, outcomes, numbers.
//!
//! Pure functions over single values. Owns the rules that hold in every schema; which field gets
//! what is the schemas' business.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

pub(crate) use crate::model::event::{is_missing, trimmed};

/// Reads an address: IPv4-mapped ones are folded, a zone or a port is left out.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    let text = trimmed(text);
    if let Some(v4) = dotted(text.as_bytes()) {
        return Some(IpAddr::V4(v4));
    }
    let bare = text.split_once('%').map_or(text, |(address, _)| address);
    let parsed = bare
        .parse()
        .or_else(|_| text.parse::<SocketAddr>().map(|s| s.ip()));
    parsed.ok().map(|ip: IpAddr| ip.to_canonical())
}

/// Reads four numbers with dots between and no leading zeros.
pub(crate) fn dotted(bytes: &[u8]) -> Option<Ipv4Addr> {
    let (mut octets, mut which, mut digits, mut n) = ([0u8; 4], 0usize, 0, 0u32);
    for b in bytes {
        match b {
            b'0'..=b'9' if digits < 3 && (digits == 0 || n > 0) => {
                n = n * 10 + u32::from(b - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && which < 3 => {
                *octets.get_mut(which)? = u8::try_from(n).ok()?;
                (which, digits, n) = (which + 1, 0, 0);
            }
            _ => return None,
        }
    }
    *octets.last_mut()? = u8::try_from(n).ok()?;
    (which == 3 && digits > 0).then(|| Ipv4Addr::from(octets))
}

/// Writes the network around an address: /24, or /64 for IPv6.
pub(crate) fn cidr_into(ip: IpAddr, out: &mut String) {
    use std::fmt::Write as _;
    let _ = match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            write!(out, "{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            write!(
                out,
                "{}/64",
                std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)
            )
        }
    };
}

/// The network of an address that is written with dots, without reading its numbers again.
pub(crate) fn dotted_cidr_into(text: &str, out: &mut String) {
    let end = text.rfind('.').unwrap_or(0);
    out.push_str(text.get(..end).unwrap_or_default());
    out.push_str(".0/24");
}

/// Reads an autonomous system number: `13335`, `"13335"`, `"AS13335"`.
pub(crate) fn as_number(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = match text.get(..2) {
        Some(prefix) if prefix.eq_ignore_ascii_case("as") => text.get(2..)?,
        _ => text,
    };
    digits
        .parse::<u32>()
        .ok()
        .filter(|n| *n != 0)
        .map(i64::from)
}

/// `success` or `failure` for the words that sources use; `None` for any other.
pub(crate) fn outcome(text: &str) -> Option<&'static str> {
    const SUCCESS: &[&str] = &[
        "success",
        "succeeded",
        "successful",
        "allow",
        "allowed",
        "ok",
        "passed",
    ];
    const FAILURE: &[&str] = &[
        "failure",
        "failed",
        "fail",
        "deny",
        "denied",
        "error",
        "rate_limit",
        "blocked",
        "rejected",
    ];
    let is = |list: &[&str]| {
        list.iter()
            .any(|word| word.eq_ignore_ascii_case(text.trim()))
    };
    if is(SUCCESS) {
        Some("success")
    } else if is(FAILURE) {
        Some("failure")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers() {
        for text in [
            "",
            " ",
            "-",
            "null",
            "NULL",
            "Unknown",
            "0.0.0.0",
            "::",
            "HIDDEN_FOR_SECURITY_REASONS",
        ] {
            assert!(is_missing(text), "{text:?}");
        }
        for text in ["0", "none", "10.0.0.0", "::1", "nul", "anonymous"] {
            assert!(!is_missing(text), "{text:?}");
        }
    }

    #[test]
    fn addresses_and_networks() {
        let both = |text: &str| {
            let ip = ip(text)?;
            let mut network = String::new();
            cidr_into(ip, &mut network);
            Some((ip.to_string(), network))
        };
        for (text, address, network) in [
            ("203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
            ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.0/24"),
            ("::FFFF:cb00:7107", "203.0.113.7", "203.0.113.0/24"),
            ("10.200.30.4:443", "10.200.30.4", "10.200.30.0/24"),
            (
                "2001:DB8:0:1:0:0:0:1",
                "2001:db8:0:1::1",
                "2001:db8:0:1::/64",
            ),
            ("[2001:db8::1]:443", "2001:db8::1", "2001:db8::/64"),
            ("fe80::1%eth0", "fe80::1", "fe80::/64"),
        ] {
            assert_eq!(both(text), Some((address.into(), network.into())), "{text}");
        }
        for text in [
            "",
            "x",
            "1.2.3",
            "256.1.1.1",
            "01.2.3.4",
            "1.2.3.4, 5.6.7.8",
        ] {
            assert_eq!(both(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_and_outcomes() {
        assert_eq!(as_number("AS13335"), Some(13335));
        assert_eq!(as_number(" 4294967295 "), Some(4_294_967_295));
        assert_eq!(as_number("0"), None);
        assert_eq!(as_number("ASx"), None);
        assert_eq!(outcome("ALLOW"), Some("success"));
        assert_eq!(outcome("Deny"), Some("failure"));
        assert_eq!(outcome("CHALLENGE"), None);
    }
}
