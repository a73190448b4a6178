//! Throw-away mail domains and VOIP number ranges: what a mailbox or a number is, told while it is
//! still in the clear.
//!
//! Owns the look-up; files are read by `enrich`, and `decode` asks before it makes pseudonyms.
//! Invariant: a look-up costs what the deepest entry has, however long the text is that is asked for.

use super::ids::HashKey;
use super::phone::{DIGITS_MAX, Number};

/// Longest mail domain, in bytes.
pub const DOMAIN_BYTES_MAX: usize = 253;

/// All lists of domains and of numbers as one look-up.
#[derive(Debug)]
pub struct Contacts {
    key: HashKey,
    /// Fingerprints of domains, sorted.
    domains: Vec<u64>,
    /// Labels of the domain that has most.
    labels_max: usize,
    /// Prefixes of numbers as `ranked` has them, sorted.
    prefixes: Vec<u64>,
    /// Bit n: there is a prefix of n digits.
    lengths: u16,
}

/// A look-up in the making.
#[derive(Debug)]
pub struct Draft(Contacts);

impl Draft {
    /// An empty one; fingerprints are made under `key`.
    #[must_use]
    pub fn new(key: &HashKey) -> Self {
        Self(Contacts {
            key: key.clone(),
            domains: Vec::new(),
            labels_max: 0,
            prefixes: Vec::new(),
            lengths: 0,
        })
    }

    /// Mailboxes of this domain, and of all below it, are disposable.
    pub fn add_domain(&mut self, domain: &str) {
        let all = &mut self.0;
        let mark = |lower: &str| all.key.fingerprint(lower.as_bytes()).0;
        all.domains.extend(in_lower_case(domain, mark));
        all.labels_max = all.labels_max.max(domain.split('.').count());
    }

    /// Numbers that begin with these digits, a country's code first, are VOIP numbers.
    pub fn add_prefix(&mut self, digits: &[u8]) {
        if digits.len() <= DIGITS_MAX {
            self.0.prefixes.push(ranked(digits));
            self.0.lengths |= 1 << digits.len();
        }
    }

    /// How many entries it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.domains.len() + self.0.prefixes.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The look-up.
    #[must_use]
    pub fn finish(mut self) -> Contacts {
        for marks in [&mut self.0.domains, &mut self.0.prefixes] {
            marks.sort_unstable();
            marks.dedup();
            marks.shrink_to_fit();
        }
        self.0
    }
}

impl Contacts {
    /// Whether an address is at a listed domain or below one.
    #[must_use]
    pub fn is_disposable(&self, address: &str) -> bool {
        let listed = |lower: &str| {
            let dots = lower.rmatch_indices('.').map(|(dot, _)| dot + 1);
            let mut names = dots.chain([0]).filter_map(|at| lower.get(at..));
            let mut names = names.by_ref().take(self.labels_max);
            names.any(|name| {
                let mark = self.key.fingerprint(name.as_bytes()).0;
                self.domains.binary_search(&mark).is_ok()
            })
        };
        !self.domains.is_empty()
            && domain(address)
                .and_then(|d| in_lower_case(d, listed))
                .unwrap_or(false)
    }

    /// Whether a number is in a listed range. One without its country's code may be anywhere.
    #[must_use]
    pub fn is_voip(&self, number: &str) -> bool {
        let listed = |number: Number| {
            let digits = number.digits();
            (1..=digits.len())
                .filter(|len| self.lengths >> len & 1 == 1)
                .filter_map(|len| digits.get(..len))
                .any(|prefix| self.prefixes.binary_search(&ranked(prefix)).is_ok())
        };
        !self.prefixes.is_empty()
            && Number::read(number)
                .filter(|n| n.is_international)
                .is_some_and(listed)
    }
}

/// Digits as a number of their own: the one before them keeps leading zeros and lengths apart.
fn ranked(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(1, |n, d| n * 10 + u64::from(d.wrapping_sub(b'0')))
}

/// What stands behind the last at sign, as far as it may be a domain.
fn domain(address: &str) -> Option<&str> {
    let (_, behind) = address.rsplit_once('@')?;
    let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '(' | ')' | ',' | ';' | '"');
    let bare = behind.split(ends).next()?;
    // The root's dot is no part of the name.
    Some(bare.strip_suffix('.').unwrap_or(bare)).filter(|d| !d.is_empty())
}

/// Hands a domain on in lower case; `None` if it is too long for one. Allocates for few.
fn in_lower_case<T>(domain: &str, take: impl FnOnce(&str) -> T) -> Option<T> {
    let mut place = [0; DOMAIN_BYTES_MAX];
    let place = place.get_mut(..domain.len())?;
    if !domain.is_ascii() {
        return Some(take(&domain.to_lowercase()));
    }
    place.copy_from_slice(domain.as_bytes());
    place.make_ascii_lowercase();
    std::str::from_utf8(place).ok().map(take)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contacts(domains: &[&str], prefixes: &[&str]) -> Contacts {
        let mut draft = Draft::new(&HashKey::fixed());
        domains.iter().for_each(|d| draft.add_domain(d));
        prefixes.iter().for_each(|p| draft.add_prefix(p.as_bytes()));
        draft.finish()
    }

    #[test]
    fn a_domain_and_all_below_it_in_any_case() {
        let lists = contacts(
            &["mailinator.com", "Throw.Example", "bücher.example", "b.co"],
            &[],
        );
        for address in [
            "bob@mailinator.com",
            "BOB@MAILINATOR.COM",
            "bob@eu.west.mailinator.com",
            "bob@mailinator.com.",
            "Bob <bob@mailinator.com>",
            "\"b@c\"@mailinator.com (home)",
            "bob@throw.example",
            "bob@BÜCHER.example",
            "bob@b.co",
        ] {
            assert!(lists.is_disposable(address), "{address}");
        }
        for address in [
            "",
            "@",
            "bob@",
            "bob",
            "mailinator.com",
            "bob@notmailinator.com",
            "bob@mailinator.com.example",
            "bob@com",
            "bob@example",
            "bob@xn--bcher-kva.example",
            "mailinator.com@example.com",
            "bob@mailinator.com@example.com",
            "bob@mailinator.com..",
        ] {
            assert!(!lists.is_disposable(address), "{address}");
        }
        let long = format!("bob@{}mailinator.com", "a.".repeat(200));
        assert!(!lists.is_disposable(&long), "no domain is so long");
    }

    #[test]
    fn any_prefix_decides_and_national_numbers_are_nowhere() {
        let lists = contacts(&[], &["1500", "15005", "8150", "493212345678901"]);
        for number in [
            "+15005550006",
            "+1 (500) 555-0006",
            "0081 50 1234",
            "+1500",
            "+493212345678901",
        ] {
            assert!(lists.is_voip(number), "{number}");
        }
        for number in [
            "",
            "15005550006",
            "+1501555",
            "+81 5",
            "+811500555",
            "+49321234567890",
            "bob@example.com",
        ] {
            assert!(!lists.is_voip(number), "{number}");
        }
    }

    #[test]
    fn without_lists_nothing_is_listed() {
        let none = contacts(&[], &[]);
        assert!(!none.is_disposable("bob@mailinator.com") && !none.is_voip("+15005550006"));
    }

    proptest! {
        #[test]
        fn subdomains_are_in_and_neighbours_are_out(
            domain in "[a-z0-9]{1,8}(\\.[a-z0-9-]{1,8}){1,3}", below in "[a-z0-9-]{1,6}(\\.[a-z0-9]{1,6}){0,4}", upper: bool,
        ) {
            let lists = contacts(&[&domain], &[]);
            let asked = |host: String| {
                let host = if upper { host.to_uppercase() } else { host };
                lists.is_disposable(&format!("x@{host}"))
            };
            let below_it = format!("{below}.{domain}");
            prop_assert!(asked(domain.clone()) && asked(below_it));
            let [longer, above] = [format!("{below}{domain}"), format!("{domain}.{below}.toplevels")];
            prop_assert!(!asked(longer) && !asked(above));
        }

        #[test]
        fn finds_what_a_scan_finds(
            prefixes in prop::collection::vec("[1-9][0-9]{0,5}", 0..20), asked in "[1-9][0-9]{3,14}",
        ) {
            let lists = contacts(&[], &prefixes.iter().map(String::as_str).collect::<Vec<_>>());
            let want = prefixes.iter().any(|p| asked.starts_with(p.as_str()));
            prop_assert_eq!(lists.is_voip(&format!("+{asked}")), want);
        }

        #[test]
        fn any_text_may_be_asked_for(text in "\\PC{0,40}") {
            let lists = contacts(&["a.b"], &["1"]);
            let _ = (lists.is_disposable(&text), lists.is_voip(&text));
        }
    }
}
