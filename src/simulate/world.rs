//! The world the traffic comes from: countries with their daily curve, networks, addresses, browsers.
//!
//! Owns who lives where and which address belongs to which network; knows no events. Invariant:
//! every address is from a documentation, benchmark or shared range (RFC 5737, 2544, 6598, 3849),
//! every AS number from a private or documentation range, and no block is shared by two networks.

use super::random::{Random, Shuffle, byte, key, low, mix};

/// An IP address in its numeric form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ip {
    /// IPv4.
    V4(u32),
    /// IPv6.
    V6(u128),
}

/// Where a request comes from: address, network, device and browser.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) ip: Ip,
    pub(super) network: u8,
    /// 0 means that no device is known.
    pub(super) device: u64,
    pub(super) agent: u8,
}

/// One country of the table.
pub(super) struct Country {
    pub(super) code: &'static str,
    pub(super) name: &'static str,
    /// Minutes east of UTC.
    offset: i64,
    share: u32,
}

const fn country(code: &'static str, name: &'static str, offset: i64, share: u32) -> Country {
    Country {
        code,
        name,
        offset,
        share,
    }
}

/// How many countries there are.
pub(super) const COUNTRIES_COUNT: u32 = 24;

/// Shares are chosen so that the sum over all countries stays within 20 % of its mean all day,
/// while each country swings by a factor of nearly three.
pub(super) const COUNTRIES: [Country; COUNTRIES_COUNT as usize] = [
    country("US", "United States", -360, 190),
    country("CA", "Canada", -300, 30),
    country("MX", "Mexico", -360, 40),
    country("BR", "Brazil", -180, 80),
    country("AR", "Argentina", -180, 20),
    country("GB", "United Kingdom", 0, 65),
    country("IE", "Ireland", 0, 10),
    country("FR", "France", 60, 50),
    country("DE", "Germany", 60, 75),
    country("NL", "Netherlands", 60, 20),
    country("ES", "Spain", 60, 35),
    country("IT", "Italy", 60, 35),
    country("PL", "Poland", 60, 25),
    country("SE", "Sweden", 60, 15),
    country("TR", "Turkey", 180, 30),
    country("ZA", "South Africa", 120, 20),
    country("NG", "Nigeria", 60, 25),
    country("EG", "Egypt", 120, 15),
    country("IN", "India", 330, 130),
    country("ID", "Indonesia", 420, 70),
    country("SG", "Singapore", 480, 20),
    country("JP", "Japan", 540, 80),
    country("KR", "South Korea", 540, 50),
    country("AU", "Australia", 600, 40),
];

/// Activity by local hour; only the ratios matter.
const HOURS: [i64; 24] = [
    620, 560, 520, 500, 510, 560, 680, 850, 1050, 1220, 1340, 1400, 1380, 1360, 1380, 1400, 1380,
    1330, 1290, 1250, 1180, 1050, 890, 740,
];
const HOURS_SUM: i64 = 24_440;

/// Access networks per country: the part of the name that differs, and the share in per mille.
const ACCESS: [(&str, u32); 5] = [
    ("Telecom", 400),
    ("Mobile", 250),
    ("Cable", 170),
    ("Fibernet", 110),
    ("Broadband", 70),
];
const ACCESS_NETWORKS: u8 = 120;
/// Hosting networks: three with the few addresses of a core, three with a wide pool.
const HOSTING: [&str; 6] = ["US", "NL", "DE", "SG", "FR", "GB"];
const BUSINESS: u8 = 126;

/// What a client says it is: eight browsers, then what machines say.
pub(super) const AGENTS: [&str; 12] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
    "Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
    "python-requests/2.32.3",
    "Go-http-client/2.0",
    "Mozilla/5.0 (compatible; MailLinkScanner/3.2)",
    "Mozilla/5.0 (compatible; SafeUrlPreview/1.4)",
];
pub(super) const AGENT_BOT: u8 = 8;
pub(super) const AGENT_SCANNER: u8 = 10;
const BROWSERS: u64 = 8;

/// The activity of a country at a time, in per mille of its daily mean.
fn activity(country: &Country, time_ms: i64) -> i64 {
    let minute = (time_ms.div_euclid(60_000) + country.offset).rem_euclid(1440);
    let hour = |h: i64| HOURS[usize::try_from(h % 24).unwrap_or(0)];
    let (low, high) = (hour(minute / 60), hour(minute / 60 + 1));
    (low * 60 + (high - low) * (minute % 60)) * 24 * 1000 / (HOURS_SUM * 60)
}

impl Origin {
    /// Its network's country.
    pub(super) fn country(&self) -> &'static Country {
        let code = match self.network.checked_sub(ACCESS_NETWORKS) {
            None => return &COUNTRIES[usize::from(self.network) / ACCESS.len() % COUNTRIES.len()],
            Some(hosting) => HOSTING.get(usize::from(hosting)).copied().unwrap_or("DE"),
        };
        COUNTRIES
            .iter()
            .find(|c| c.code == code)
            .unwrap_or(&COUNTRIES[0])
    }

    /// Its AS number: private for access networks, documentation range for the others.
    pub(super) fn as_number(&self) -> u64 {
        match self.network.checked_sub(ACCESS_NETWORKS) {
            None => 64_512 + u64::from(self.network),
            Some(other) => 64_496 + u64::from(other),
        }
    }

    /// Its AS name in two parts.
    pub(super) fn as_name(&self) -> (&'static str, &'static str) {
        let kind = match self.network.checked_sub(ACCESS_NETWORKS) {
            None => ACCESS[usize::from(self.network) % ACCESS.len()].0,
            Some(_) if self.network == BUSINESS => "Business Access",
            Some(_) => "Cloud Hosting",
        };
        (kind, self.country().code)
    }

    /// `hosting` or `residential`; offices are neither.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match self.network {
            0..ACCESS_NETWORKS => Some("residential"),
            BUSINESS => None,
            _ => Some("hosting"),
        }
    }

    /// Its browser.
    pub(super) fn user_agent(&self) -> &'static str {
        AGENTS[usize::from(self.agent) % AGENTS.len()]
    }
}

/// Chooses people and machines; all by key, so an account's home never changes within a run.
#[derive(Debug)]
pub(super) struct World {
    key: u64,
    pool: Shuffle,
    wide: Shuffle,
    /// Pool addresses already given out, per access network.
    given: [u32; ACCESS_NETWORKS as usize],
    wide_given: u64,
    /// Cumulative country shares for the slot of ten minutes below.
    shares: [u32; COUNTRIES.len()],
    slot: i64,
    level: f64,
}

const SLOT_MS: i64 = 600_000;

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            key: key(seed, 1),
            pool: Shuffle::new(seed, 2, 15),
            wide: Shuffle::new(seed, 3, 17),
            given: [0; ACCESS_NETWORKS as usize],
            wide_given: 0,
            shares: [0; COUNTRIES.len()],
            slot: i64::MIN,
            level: 1.0,
        }
    }

    /// The world's activity at a time, as a multiple of its daily mean.
    pub(super) fn level(&mut self, time_ms: i64) -> f64 {
        let slot = time_ms.div_euclid(SLOT_MS);
        if slot != self.slot {
            self.slot = slot;
            let (mut sum, mut shares) = (0, 0);
            for (cell, country) in self.shares.iter_mut().zip(&COUNTRIES) {
                let active = activity(country, slot * SLOT_MS + SLOT_MS / 2);
                sum += country.share * u32::try_from(active).unwrap_or(0);
                shares += country.share;
                *cell = sum;
            }
            self.level = f64::from(sum) / (1000.0 * f64::from(shares));
        }
        self.level
    }

    /// A country, by share and by how awake it is.
    pub(super) fn country(&mut self, random: &mut Random, time_ms: i64) -> usize {
        self.level(time_ms);
        let drawn = random.below(self.shares[COUNTRIES.len() - 1]);
        self.shares
            .partition_point(|&cell| cell <= drawn)
            .min(COUNTRIES.len() - 1)
    }

    /// Where an account of a country lives.
    pub(super) fn home(&self, account: u64, country: usize) -> Origin {
        let (a, b) = (mix(self.key ^ account), mix(self.key ^ account ^ (1 << 60)));
        let network = access_network(country, low(((a & 0xffff) * 1000) >> 16));
        let ip = if (a >> 16).is_multiple_of(5) {
            let prefix = u128::from(b & 0xffff) << 64 | u128::from(mix(b));
            Ip::V6(0x2001_0db8 << 96 | u128::from(network) << 80 | prefix)
        } else {
            Ip::V4(pool_address(network, b))
        };
        Origin {
            ip,
            network,
            device: mix(b ^ 1),
            agent: byte((b >> 40) % BROWSERS),
        }
    }

    /// The next unused pool address: residential proxies in all networks, one in four from wide
    /// hosting pools.
    pub(super) fn rotate(&mut self, random: &mut Random) -> Origin {
        let word = random.bits();
        let (device, agent) = (mix(word), byte((word >> 8) % BROWSERS));
        if word & 3 == 0 {
            return Origin {
                device,
                agent,
                ..self.wide_hosting()
            };
        }
        let mut drawn = random.below(COUNTRIES.iter().map(|c| c.share).sum());
        let country = COUNTRIES.iter().position(|c| {
            let here = drawn < c.share;
            drawn = drawn.saturating_sub(c.share);
            here
        });
        let network = access_network(country.unwrap_or(0), random.below(1000));
        let given = &mut self.given[usize::from(network)];
        *given += 1;
        let ip = Ip::V4(pool_address(network, self.pool.of(u64::from(*given))));
        Origin {
            ip,
            network,
            device,
            agent,
        }
    }

    fn wide_hosting(&mut self) -> Origin {
        self.wide_given += 1;
        let network = ACCESS_NETWORKS + 3 + byte(self.wide_given % 3);
        let drawn = self.wide.of(self.wide_given);
        let ip = if self.wide_given.is_multiple_of(4) {
            let (subnet, host) = (u128::from(drawn & 0xffff), u128::from(1 + (drawn >> 16)));
            Ip::V6(0x2001_0db8 << 96 | u128::from(network) << 80 | subnet << 64 | host)
        } else {
            Ip::V4(0xc612_0000 + low(drawn & 0x1_ffff))
        };
        Origin {
            ip,
            network,
            device: 0,
            agent: AGENT_BOT,
        }
    }
}

/// One of the few fixed machines of the hosting core: 203.0.113.0/24 and 198.51.100.0/24.
pub(super) fn hosting_core(machine: u32) -> Origin {
    let block = if machine.is_multiple_of(2) {
        0xcb00_7100
    } else {
        0xc633_6400
    };
    let ip = Ip::V4(block + 7 + (machine / 2 * 11) % 240);
    let agent = AGENT_BOT + byte(u64::from(machine % 2));
    Origin {
        ip,
        network: ACCESS_NETWORKS + byte(u64::from(machine % 3)),
        device: 0,
        agent,
    }
}

/// One of the link scanners of mail providers: 192.0.2.0/24, hosted.
pub(super) fn scanner(machine: u32) -> Origin {
    let ip = Ip::V4(0xc000_0200 + 16 + machine % 16);
    let network = ACCESS_NETWORKS + byte(u64::from(machine % 3));
    Origin {
        ip,
        network,
        device: 0,
        agent: AGENT_SCANNER + byte(u64::from(machine % 2)),
    }
}

/// A desk or kiosk behind one shared business address.
pub(super) fn behind_nat(office: u32, person: Origin) -> Origin {
    let block = 0x6440_0000 + u32::from(BUSINESS) * 0x8000;
    Origin {
        ip: Ip::V4(block + 5 + (office * 257) % 0x7f00),
        network: BUSINESS,
        ..person
    }
}

fn access_network(country: usize, mut drawn: u32) -> u8 {
    let place = ACCESS.iter().position(|&(_, share)| {
        let here = drawn < share;
        drawn = drawn.saturating_sub(share);
        here
    });
    u8::try_from(country * ACCESS.len() + place.unwrap_or(0)).unwrap_or(0)
}

/// An address in a network's /17 of 100.64.0.0/10.
fn pool_address(network: u8, drawn: u64) -> u32 {
    0x6440_0000 + u32::from(network) * 0x8000 + low(drawn & 0x7fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_never_sleeps_but_countries_do() {
        let mut world = World::new(1);
        for hour in 0..24 {
            let level = world.level(hour * 3_600_000);
            assert!((0.8..1.2).contains(&level), "hour {hour}: {level}");
        }
        let of_day: Vec<i64> = (0..24)
            .map(|h| activity(&COUNTRIES[8], h * 3_600_000))
            .collect();
        let (low, high) = (of_day.iter().min().unwrap(), of_day.iter().max().unwrap());
        assert!(*high > 2 * *low && *high < 3 * *low, "{low}..{high}");
        assert_eq!(HOURS.iter().sum::<i64>(), HOURS_SUM);
    }

    #[test]
    fn rotated_addresses_do_not_repeat() {
        let (mut world, mut random) = (World::new(5), Random::new(5, 5));
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100_000 {
            assert!(seen.insert(format!("{:?}", world.rotate(&mut random).ip)));
        }
    }

    #[test]
    fn blocks_are_test_ranges_and_disjoint() {
        let world = World::new(7);
        for account in 0..20_000 {
            let origin = world.home(account, (account % 24) as usize);
            match origin.ip {
                Ip::V4(ip) => assert!(ip >> 22 == 0x6440_0000 >> 22, "{ip:x} outside 100.64/10"),
                Ip::V6(ip) => assert_eq!(ip >> 96, 0x2001_0db8),
            }
            assert_eq!(
                origin.country().code,
                COUNTRIES[(account % 24) as usize].code
            );
            assert_eq!(origin.kind(), Some("residential"));
        }
        let person = world.home(1, 1);
        assert_eq!(behind_nat(3, person).kind(), None);
        assert_eq!(hosting_core(3).kind(), Some("hosting"));
        assert_eq!(scanner(3).kind(), Some("hosting"));
    }

    #[test]
    fn agents_and_names_need_no_escaping() {
        for text in AGENTS
            .iter()
            .copied()
            .chain(COUNTRIES.iter().map(|c| c.name))
        {
            assert!(
                text.bytes()
                    .all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\')
            );
        }
    }
}
