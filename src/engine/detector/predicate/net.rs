//! Sets of IP networks: sorted, merged ranges of addresses, searched by bisection.
//!
//! Owns the reading of CIDR notation. IPv4 stands in its IPv4-mapped place inside IPv6, so one
//! order serves both and a mapped address is found under either spelling.

use std::net::IpAddr;

/// A set of networks.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    /// Disjoint, sorted, both ends included.
    ranges: Vec<(u128, u128)>,
}

fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// The first and last address of a network such as `10.0.0.0/8`; an address alone is itself.
pub(super) fn parse(text: &str) -> Result<(u128, u128), &'static str> {
    let (address, length) = text
        .split_once('/')
        .map_or((text, None), |(a, l)| (a, Some(l)));
    let ip: IpAddr = address.parse().map_err(|_| "not an IP address")?;
    let bits: u32 = if ip.is_ipv4() { 32 } else { 128 };
    let length: u32 = match length {
        None => bits,
        Some(text) => text
            .parse()
            .map_err(|_| "the prefix length is not a number")?,
    };
    if length > bits {
        return Err("the prefix length is longer than the address");
    }
    let host = u128::MAX.checked_shr(128 - (bits - length)).unwrap_or(0);
    let first = number(ip) & !host;
    if first != number(ip) {
        return Err("the address has bits behind the prefix");
    }
    Ok((first, first | host))
}

impl Networks {
    pub(super) fn new(ranges: impl IntoIterator<Item = (u128, u128)>) -> Self {
        let mut sorted: Vec<(u128, u128)> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::new();
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(prior) if first <= prior.1.saturating_add(1) => prior.1 = prior.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }

    /// Whether the text is an address inside one of the networks.
    #[inline]
    pub(super) fn contains(&self, text: &str) -> bool {
        // Every address begins with a hex digit or a colon; most other text ends here.
        let Ok(ip) = text.parse::<IpAddr>() else {
            return false;
        };
        let n = number(ip);
        let after = self.ranges.partition_point(|(first, _)| *first <= n);
        after
            .checked_sub(1)
            .and_then(|i| self.ranges.get(i))
            .is_some_and(|(_, last)| n <= *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let set = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "10.1.0.0/16"];
        let set = Networks::new(set.iter().map(|t| parse(t).unwrap()));
        assert_eq!(set.ranges.len(), 3);
        for (ip, want) in [
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.0.0.1", true),
            ("2001:db8:1::5", true),
            ("2001:db9::", false),
            ("10.0.0.0/8", false),
            ("ten", false),
        ] {
            assert_eq!(set.contains(ip), want, "{ip}");
        }
        assert!(Networks::new([parse("0.0.0.0/0").unwrap()]).contains("8.8.8.8"));
        assert!(!Networks::new([parse("0.0.0.0/0").unwrap()]).contains("2001:db8::1"));
        assert!(Networks::new([parse("::/0").unwrap()]).contains("8.8.8.8"));
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0/8",
            "x/8",
            "10.0.0.0/",
            "2001:db8::/129",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
