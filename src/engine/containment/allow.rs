//! The absolute allow-list: whom no action may ever touch, checked at decision and at delivery.
//!
//! Owns matching only: entries come from the configuration and from people, as values. An entry
//! that cannot be read is a fault when the list is built, never a silent gap in it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Scope, Target};
use crate::engine::alert::is_none;
use crate::model::ids::{HashKey, Id};
use crate::model::redact::Redactor;
use crate::model::{Span, WallTime, duration};

/// `containment.allow` in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AllowSettings {
    /// Addresses that are never acted on.
    pub ips: Vec<String>,
    /// Address ranges that are never acted on, neither whole nor in part.
    pub cidrs: Vec<String>,
    /// Accounts (ids or e-mail addresses) that are never acted on.
    pub accounts: Vec<String>,
    /// Autonomous systems that are never acted on.
    pub asns: Vec<u32>,
    /// Also protects loopback, private and link-local addresses: what a broken proxy header shows.
    pub private: bool,
}

/// The longest an entry that someone adds may last; what is meant for good stands in the
/// configuration.
pub const LASTS_MAX: Span = Span::days(90);
/// How long such an entry lasts when nobody says.
pub const LASTS_DEFAULT: Span = Span::days(1);

/// What someone asks to protect.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub target: Target,
    pub author: String,
    pub reason: String,
    /// How long from now.
    #[serde(default = "lasts_default", with = "duration")]
    pub lasts: Span,
}

const fn lasts_default() -> Span {
    LASTS_DEFAULT
}

impl Wanted {
    /// The entry.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    pub fn entry(self, now: WallTime) -> Result<AllowEntry, String> {
        let said = |text: &str| !text.trim().is_empty() && text.len() <= TEXT_MAX;
        if !said(&self.author) || !said(&self.reason) {
            return Err(format!(
                "say who asks for it in `author` and why in `reason`, in at most {TEXT_MAX} bytes each"
            ));
        }
        if self.lasts <= Span::ZERO || self.lasts > LASTS_MAX {
            return Err(format!(
                "an entry lasts more than nothing and at most {LASTS_MAX}"
            ));
        }
        let entry = AllowEntry {
            scope: self.target.scope,
            value: self.target.value.trim().to_owned(),
            expires_at: Some(now + self.lasts),
            added_by: self.author,
            reason: self.reason,
            added_at: now,
            withheld: 0,
        };
        let (_, unread) = AllowList::default().with_entries(std::slice::from_ref(&entry));
        if unread.is_empty() && said(&entry.value) {
            Ok(entry)
        } else {
            Err(format!("{:?} is no {}", entry.value, entry.scope.name()))
        }
    }
}

/// Most bytes of a text in an entry.
const TEXT_MAX: usize = 512;

/// An entry someone added while running; it ends by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowEntry {
    pub scope: Scope,
    pub value: String,
    pub expires_at: Option<WallTime>,
    pub added_by: String,
    pub reason: String,
    pub added_at: WallTime,
    /// Actions that were not taken because of it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub withheld: u64,
}

impl AllowEntry {
    /// The same for the same target: adding it again replaces it.
    #[must_use]
    pub fn id(&self) -> Id {
        // It guards nothing: whoever may ask for one may read them all.
        let parts = [self.scope.name().as_bytes(), self.value.as_bytes()];
        HashKey::fixed().digest(&[&b"allow"[..], parts[0], parts[1]])
    }

    #[must_use]
    pub fn is_over(&self, now: WallTime) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// An address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cidr {
    network: u128,
    /// Bits of the prefix, counted in IPv6: an IPv4 /24 is 120.
    bits: u8,
}

fn widen(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

const fn mask(bits: u8) -> u128 {
    if bits == 0 {
        0
    } else {
        u128::MAX << (128 - bits as u32)
    }
}

impl Cidr {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or a single address; host bits are cleared.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let ip: IpAddr = address.trim().parse().ok()?;
        let (most, offset) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let length = length.unwrap_or(most);
        if length > most {
            return None;
        }
        let bits = length + offset;
        Some(Self {
            network: widen(ip) & mask(bits),
            bits,
        })
    }

    /// Whether the address lies in the range.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        widen(ip) & mask(self.bits) == self.network
    }

    /// Whether the two ranges share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        let shared = mask(self.bits.min(other.bits));
        self.network & shared == other.network & shared
    }

    /// The length of its prefix as written: 24 for an IPv4 /24.
    #[must_use]
    pub fn prefix(self) -> u8 {
        if self.is_ipv4() {
            self.bits - 96
        } else {
            self.bits
        }
    }

    /// Whether it is a range of IPv4 addresses.
    #[must_use]
    pub fn is_ipv4(self) -> bool {
        self.bits >= 96 && self.network >> 32 == 0xffff
    }
}

impl std::fmt::Display for Cidr {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half of a mapped address"
    )]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_ipv4() {
            write!(
                f,
                "{}/{}",
                Ipv4Addr::from_bits(self.network as u32),
                self.prefix()
            )
        } else {
            write!(f, "{}/{}", Ipv6Addr::from_bits(self.network), self.bits)
        }
    }
}

const PRIVATE: [&str; 10] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "0.0.0.0/8",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// The list, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    /// Ranges with the moment they end.
    ranges: Vec<(Cidr, Option<WallTime>)>,
    accounts: BTreeMap<String, Option<WallTime>>,
    asns: BTreeMap<u32, Option<WallTime>>,
    others: BTreeMap<(Scope, String), Option<WallTime>>,
    redactor: Option<Redactor>,
}

impl AllowList {
    /// Builds the list from the configuration, or tells every entry that cannot be read.
    ///
    /// # Errors
    /// One text per bad entry, with its path below `containment.allow`.
    pub fn build(settings: &AllowSettings, redactor: Redactor) -> Result<Self, Vec<String>> {
        let mut list = Self {
            redactor: Some(redactor),
            ..Self::default()
        };
        let mut faults = Vec::new();
        for (i, text) in settings.ips.iter().enumerate() {
            match text
                .trim()
                .parse::<IpAddr>()
                .ok()
                .and_then(|ip| Cidr::parse(&ip.to_string()))
            {
                Some(range) => list.ranges.push((range, None)),
                None => faults.push(format!("allow.ips[{i}]: {text:?} is not an ip address")),
            }
        }
        for (i, text) in settings.cidrs.iter().enumerate() {
            match Cidr::parse(text.trim()) {
                Some(range) => list.ranges.push((range, None)),
                None => faults.push(format!(
                    "allow.cidrs[{i}]: {text:?} is not an address range, write 192.0.2.0/24"
                )),
            }
        }
        for (i, account) in settings.accounts.iter().enumerate() {
            if account.trim().is_empty() {
                faults.push(format!("allow.accounts[{i}] is empty"));
            }
            list.add_account(account, None);
        }
        list.asns
            .extend(settings.asns.iter().map(|asn| (*asn, None)));
        if settings.private {
            list.ranges
                .extend(PRIVATE.iter().filter_map(|t| Some((Cidr::parse(t)?, None))));
        }
        if faults.is_empty() {
            Ok(list)
        } else {
            Err(faults)
        }
    }

    fn add_account(&mut self, account: &str, until: Option<WallTime>) {
        let account = account.trim();
        if let (true, Some(redactor)) = (account.contains('@'), &self.redactor) {
            // Events carry pseudonyms; both forms count.
            let pseudonym = redactor.email(account).to_lowercase();
            protect(&mut self.accounts, pseudonym, until);
        }
        protect(&mut self.accounts, account.to_lowercase(), until);
    }

    /// The list with what people added while running; entries that cannot be read are left out
    /// and returned.
    #[must_use]
    pub fn with_entries(mut self, entries: &[AllowEntry]) -> (Self, Vec<AllowEntry>) {
        let mut unread = Vec::new();
        for entry in entries {
            let until = entry.expires_at;
            match entry.scope {
                Scope::Ip | Scope::Cidr => match Cidr::parse(entry.value.trim()) {
                    Some(range) => self.ranges.push((range, until)),
                    None => unread.push(entry.clone()),
                },
                Scope::Asn => match asn_number(&entry.value) {
                    Some(asn) => protect(&mut self.asns, asn, until),
                    None => unread.push(entry.clone()),
                },
                Scope::Account => self.add_account(&entry.value, until),
                scope @ (Scope::Geo | Scope::Token | Scope::Flow) => {
                    protect(&mut self.others, (scope, entry.value.clone()), until);
                }
            }
        }
        (self, unread)
    }

    /// A list of this entry alone.
    #[must_use]
    pub fn of(&self, entry: &AllowEntry) -> Self {
        let empty = Self {
            redactor: self.redactor.clone(),
            ..Self::default()
        };
        empty.with_entries(std::slice::from_ref(entry)).0
    }

    /// Whether the list protects this target now.
    #[must_use]
    pub fn covers(&self, target: &Target, now: WallTime) -> bool {
        let live = |until: &Option<WallTime>| until.is_none_or(|u| now < u);
        match target.scope {
            Scope::Ip | Scope::Cidr => Cidr::parse(target.value.trim()).is_some_and(|wanted| {
                self.ranges
                    .iter()
                    .any(|(range, until)| live(until) && range.overlaps(wanted))
            }),
            Scope::Asn => asn_number(&target.value)
                .and_then(|n| self.asns.get(&n))
                .is_some_and(live),
            Scope::Account => self
                .accounts
                .get(&target.value.trim().to_lowercase())
                .is_some_and(live),
            scope @ (Scope::Geo | Scope::Token | Scope::Flow) => self
                .others
                .get(&(scope, target.value.clone()))
                .is_some_and(live),
        }
    }

    /// Whether the list protects this autonomous system now.
    #[must_use]
    pub fn covers_asn(&self, asn: u32, now: WallTime) -> bool {
        self.asns
            .get(&asn)
            .is_some_and(|until| until.is_none_or(|u| now < u))
    }

    /// The protected accounts, for a preview.
    #[must_use]
    pub fn accounts(&self) -> BTreeSet<&str> {
        self.accounts.keys().map(String::as_str).collect()
    }
}

/// Of two ends the later one stands; what is protected for good stays so.
fn protect<K: Ord>(list: &mut BTreeMap<K, Option<WallTime>>, key: K, until: Option<WallTime>) {
    let latest = |old: Option<WallTime>| Some(old?.max(until?));
    list.entry(key)
        .and_modify(|old| *old = latest(*old))
        .or_insert(until);
}

/// The number in `64500` or `AS64500`.
#[must_use]
pub fn asn_number(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = text
        .strip_prefix("AS")
        .or_else(|| text.strip_prefix("as"))
        .unwrap_or(text);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HashKey;
    use proptest::prelude::*;

    fn list(settings: &AllowSettings) -> AllowList {
        AllowList::build(settings, Redactor::new(&HashKey::fixed())).unwrap()
    }

    fn target(scope: Scope, value: &str) -> Target {
        Target {
            scope,
            value: value.to_owned(),
        }
    }

    #[test]
    fn protects_in_every_spelling() {
        let list = list(&AllowSettings {
            ips: vec!["192.0.2.7".into()],
            cidrs: vec!["198.51.100.0/24".into(), "2001:db8:1::/48".into()],
            accounts: vec!["Boss@Example.com".into(), "svc-1".into()],
            asns: vec![64500],
            private: true,
        });
        let now = WallTime(0);
        for (scope, value, want) in [
            (Scope::Ip, "192.0.2.7", true),
            (Scope::Ip, "::ffff:192.0.2.7", true),
            (Scope::Ip, "192.0.2.8", false),
            (Scope::Cidr, "192.0.2.0/24", true),
            (Scope::Cidr, "198.51.0.0/16", true),
            (Scope::Ip, "198.51.100.255", true),
            (Scope::Ip, "198.51.101.0", false),
            (Scope::Ip, "2001:db8:1:2::3", true),
            (Scope::Ip, "2001:db8:2::", false),
            (Scope::Ip, "10.1.2.3", true),
            (Scope::Account, "SVC-1", true),
            (Scope::Account, "svc-2", false),
            (Scope::Asn, "AS64500", true),
            (Scope::Asn, "64501", false),
        ] {
            assert_eq!(list.covers(&target(scope, value), now), want, "{value}");
        }
        let pseudonym = Redactor::new(&HashKey::fixed()).email("boss@example.com");
        assert!(list.covers(&target(Scope::Account, &pseudonym), now));
    }

    #[test]
    fn every_bad_entry_is_told() {
        let faults = AllowList::build(
            &AllowSettings {
                ips: vec!["300.1.1.1".into(), "10.0.0.0/8".into()],
                cidrs: vec!["10.0.0.0/33".into()],
                accounts: vec![" ".into()],
                ..AllowSettings::default()
            },
            Redactor::new(&HashKey::fixed()),
        )
        .unwrap_err();
        assert_eq!(faults.len(), 4, "{faults:?}");
    }

    #[test]
    fn entries_end() {
        let entry = AllowEntry {
            scope: Scope::Ip,
            value: "203.0.113.9".into(),
            expires_at: Some(WallTime(100)),
            added_by: "me".into(),
            reason: "partner".into(),
            added_at: WallTime(0),
            withheld: 0,
        };
        let bad = AllowEntry {
            value: "nonsense".into(),
            ..entry.clone()
        };
        let (list, unread) = AllowList::default().with_entries(&[entry, bad.clone()]);
        assert_eq!(unread, [bad]);
        assert!(list.covers(&target(Scope::Ip, "203.0.113.9"), WallTime(99)));
        assert!(!list.covers(&target(Scope::Ip, "203.0.113.9"), WallTime(100)));
    }

    #[test]
    fn an_entry_never_shortens_what_stands_in_the_configuration() {
        let settings = AllowSettings {
            accounts: vec!["svc-1".into()],
            ..AllowSettings::default()
        };
        let wanted = |value: &str| Wanted {
            target: target(Scope::Account, value),
            author: "ada".into(),
            reason: "partner".into(),
            lasts: Span::hours(1),
        };
        let entry = wanted("svc-1").entry(WallTime(0)).unwrap();
        let (list, _) = list(&settings).with_entries(&[entry]);
        let late = WallTime(Span::hours(2).0);
        assert!(list.covers(&target(Scope::Account, "svc-1"), late));
        assert!(wanted(" ").entry(WallTime(0)).is_err());
        for lasts in [Span::ZERO, Span(LASTS_MAX.0 + 1)] {
            let wanted = Wanted {
                lasts,
                ..wanted("svc-1")
            };
            assert!(wanted.entry(WallTime(0)).is_err());
        }
    }

    #[test]
    fn ranges_are_written_as_read() {
        for text in [
            "192.0.2.0/24",
            "0.0.0.0/0",
            "2001:db8::/32",
            "::/0",
            "192.0.2.1/32",
        ] {
            assert_eq!(Cidr::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Cidr::parse("192.0.2.77/24").unwrap().prefix(), 24);
        assert_eq!(Cidr::parse("192.0.2.0/33"), None);
        assert_eq!(Cidr::parse(""), None);
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric_and_follows_containment(a: u32, la in 0u8..=32, b: u32, lb in 0u8..=32) {
            let range = |n, l| Cidr::parse(&format!("{}/{l}", Ipv4Addr::from_bits(n))).unwrap();
            let (x, y) = (range(a, la), range(b, lb));
            prop_assert_eq!(x.overlaps(y), y.overlaps(x));
            if x.contains(IpAddr::V4(Ipv4Addr::from_bits(b))) {
                prop_assert!(x.overlaps(y));
            }
        }
    }
}
