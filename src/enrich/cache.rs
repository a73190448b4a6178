//! What the tables say about recently seen addresses.
//!
//! A table of fixed size in which each address has one place, chosen by the deployment's keyed
//! hash: whoever chooses the addresses can neither make it grow nor aim at another's place.

use std::net::IpAddr;

use crate::model::HashKey;

/// Places; a power of two. 4096 of 32 bytes stay in a core's own cache.
const PLACES: usize = 4096;

/// What the tables in use say about one address; `NONE` where a table has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Number of the record of the autonomous system.
    pub(super) system: u32,
    /// Number of the record of the country.
    pub(super) country: u32,
    /// Place of the first list that has the address.
    pub(super) list: u32,
}

impl Answer {
    /// No record, no list.
    pub(super) const NONE: u32 = u32::MAX;
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            system: Self::NONE,
            country: Self::NONE,
            list: Self::NONE,
        }
    }
}

/// See the module's text.
#[derive(Clone)]
pub(super) struct Cache {
    key: HashKey,
    places: Vec<Option<(IpAddr, Answer)>>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({} places)", self.places.len())
    }
}

impl Cache {
    /// An empty cache.
    pub(super) fn new(key: HashKey) -> Self {
        Self {
            key,
            places: vec![None; PLACES],
        }
    }

    /// The answer kept for an address, or the one `ask` gives, which is kept from then on.
    #[inline]
    pub(super) fn get(&mut self, ip: IpAddr, ask: impl FnOnce() -> Answer) -> Answer {
        let hash = match ip {
            IpAddr::V4(v4) => self.key.fingerprint(&v4.octets()),
            IpAddr::V6(v6) => self.key.fingerprint(&v6.octets()),
        };
        let index = usize::try_from(hash.0 % PLACES as u64).unwrap_or(0);
        let Some(place) = self.places.get_mut(index) else {
            return ask();
        };
        match place {
            Some((kept, answer)) if *kept == ip => *answer,
            _ => {
                let answer = ask();
                *place = Some((ip, answer));
                answer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_per_address_and_never_mixes_two() {
        let mut cache = Cache::new(HashKey::fixed());
        let answer = |n| Answer {
            system: n,
            ..Answer::default()
        };
        let mut asked = 0u32;
        for _ in 0..2 {
            for n in 0..50_000u32 {
                let got = cache.get(IpAddr::V4(n.into()), || {
                    asked += 1;
                    answer(n)
                });
                assert_eq!(got, answer(n));
            }
        }
        assert!(asked > 50_000 && cache.places.len() == PLACES);
        let ip: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(cache.get(ip, || answer(7)), answer(7));
        assert_eq!(cache.get(ip, || answer(8)), answer(7));
    }
}
