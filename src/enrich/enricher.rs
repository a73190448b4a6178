//! Adds to events what the tables know; one per thread.
//!
//! Owns the order of the look-ups and which of them an event needs. Invariant: a field that the
//! event carries is never changed, and an event that lacks nothing costs no look-up.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::Tables;
use super::cache::{Answer, Cache};
use crate::model::event::Projection;
use crate::model::{Event, FieldId, Value, field};

/// See the module's text.
#[derive(Debug)]
pub struct Enricher {
    tables: Arc<Tables>,
    wanted: Wanted,
    cache: Option<Cache>,
    cidr: String,
}

/// Fields to give: those that a table has and someone reads.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    number: bool,
    name: bool,
    country: bool,
    kind: bool,
    cidr: bool,
    honeytoken: bool,
}

impl Wanted {
    fn of(tables: &Tables, wants: impl Fn(FieldId) -> bool) -> Self {
        Self {
            number: tables.asn.is_some() && wants(field::SOURCE_AS_NUMBER),
            name: tables.asn.is_some() && wants(field::SOURCE_AS_NAME),
            country: tables.country.is_some() && wants(field::SOURCE_COUNTRY),
            kind: tables.lists.is_some() && wants(field::SOURCE_KIND),
            cidr: wants(field::SOURCE_CIDR),
            honeytoken: tables.honeytokens.is_some() && wants(field::HONEYTOKEN),
        }
    }

    /// Those of them that the event lacks.
    fn lacking(self, event: &Event) -> Self {
        let lacks = |field| event.get(field).is_none();
        Self {
            number: self.number && lacks(field::SOURCE_AS_NUMBER),
            name: self.name && lacks(field::SOURCE_AS_NAME),
            country: self.country && lacks(field::SOURCE_COUNTRY),
            kind: self.kind && lacks(field::SOURCE_KIND),
            cidr: self.cidr && lacks(field::SOURCE_CIDR),
            honeytoken: self.honeytoken && lacks(field::HONEYTOKEN),
        }
    }

    const fn look_up(self) -> bool {
        self.number || self.name || self.country || self.kind
    }

    const fn address(self) -> bool {
        self.look_up() || self.cidr
    }
}

impl Enricher {
    /// An enricher that gives every field its tables have.
    #[must_use]
    pub fn new(tables: Arc<Tables>) -> Self {
        let wanted = Wanted::of(&tables, |_| true);
        let cache = wanted.look_up().then(|| Cache::new(tables.key.clone()));
        Self {
            tables,
            wanted,
            cache,
            cidr: String::new(),
        }
    }

    /// Gives only fields that the projection keeps: what no one reads is not looked up.
    #[must_use]
    pub fn giving(mut self, projection: &Projection) -> Self {
        self.wanted = Wanted::of(&self.tables, |field| projection.wants(field));
        if !self.wanted.look_up() {
            self.cache = None;
        }
        self
    }

    /// Adds what the event lacks and the tables know.
    #[inline]
    pub fn enrich(&mut self, event: &mut Event) {
        if self.wanted.address() {
            self.enrich_source(event);
        }
        if self.wanted.honeytoken
            && event.get(field::HONEYTOKEN).is_none()
            && let Some(kind) = self.tables.honeytokens.as_ref().and_then(|h| h.find(event))
        {
            event.set(field::HONEYTOKEN, Value::Text(kind));
        }
    }

    fn enrich_source(&mut self, event: &mut Event) {
        let lacking = self.wanted.lacking(event);
        let ip = if lacking.address() {
            event.source_ip()
        } else {
            None
        };
        let answer = match ip {
            Some(ip) => {
                let ip = ip.to_canonical();
                if lacking.cidr {
                    self.set_cidr(event, ip);
                }
                if lacking.look_up() {
                    self.answer(ip)
                } else {
                    Answer::default()
                }
            }
            None => Answer::default(),
        };
        // What the event says of its autonomous system comes before what the table says.
        let carried = system_of(event);
        self.set_system(event, lacking, carried, &answer);
        if lacking.country
            && let Some(code) = self
                .tables
                .country
                .as_ref()
                .and_then(|t| t.record(answer.country))
        {
            event.set(field::SOURCE_COUNTRY, Value::Text(code.as_str()));
        }
        if lacking.kind {
            self.set_kind(event, carried, &answer);
        }
    }

    fn answer(&mut self, ip: IpAddr) -> Answer {
        let tables = &self.tables;
        let wanted = self.wanted;
        let ask = || tables.ask(ip, wanted);
        match &mut self.cache {
            Some(cache) => cache.get(ip, ask),
            None => ask(),
        }
    }

    fn set_cidr(&mut self, event: &mut Event, ip: IpAddr) {
        self.cidr.clear();
        let written = match ip {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                write!(self.cidr, "{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(v6) => {
                let network = Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64));
                write!(self.cidr, "{network}/64")
            }
        };
        if written.is_ok() {
            event.set(field::SOURCE_CIDR, Value::Text(&self.cidr));
        }
    }

    /// Number and name go together: no name is given to a number that is not the table's.
    fn set_system(
        &self,
        event: &mut Event,
        lacking: Wanted,
        carried: Option<u32>,
        answer: &Answer,
    ) {
        if !lacking.number && !lacking.name {
            return;
        }
        let Some(record) = self
            .tables
            .asn
            .as_ref()
            .and_then(|t| t.record(answer.system))
        else {
            return;
        };
        if carried.is_some_and(|number| number != record.number) {
            return;
        }
        if lacking.number {
            event.set(
                field::SOURCE_AS_NUMBER,
                Value::Int(i64::from(record.number)),
            );
        }
        if lacking.name
            && let Some(name) = &record.name
        {
            event.set(field::SOURCE_AS_NAME, Value::Text(name));
        }
    }

    fn set_kind(&self, event: &mut Event, carried: Option<u32>, answer: &Answer) {
        let Some(lists) = &self.tables.lists else {
            return;
        };
        let of_table = || {
            let record = self.tables.asn.as_ref()?.record(answer.system)?;
            Some(record.number)
        };
        let of_system = if lists.names_systems() {
            carried
                .or_else(of_table)
                .and_then(|number| lists.of_system(number))
        } else {
            None
        };
        let first = of_system.unwrap_or(Answer::NONE).min(answer.list);
        if let Some(kind) = lists.kind(first) {
            event.set(field::SOURCE_KIND, Value::Text(kind.as_str()));
        }
    }
}

/// The number of the autonomous system that the event carries.
fn system_of(event: &Event) -> Option<u32> {
    match event.get(field::SOURCE_AS_NUMBER)? {
        Value::Int(n) => u32::try_from(n).ok(),
        Value::Text(text) => text.parse().ok(),
        Value::Float(_) | Value::Bool(_) | Value::Null => None,
    }
}

impl Tables {
    /// What those tables say about an address that give a field that is wanted.
    fn ask(&self, ip: IpAddr, wanted: Wanted) -> Answer {
        let lists = self.lists.as_ref().filter(|_| wanted.kind);
        let asn = wanted.number || wanted.name || lists.is_some_and(|l| l.names_systems());
        let asn = self.asn.as_ref().filter(|_| asn);
        let country = self.country.as_ref().filter(|_| wanted.country);
        Answer {
            system: asn.and_then(|t| t.find(ip)).unwrap_or(Answer::NONE),
            country: country.and_then(|t| t.find(ip)).unwrap_or(Answer::NONE),
            list: lists.and_then(|l| l.of_address(ip)).unwrap_or(Answer::NONE),
        }
    }
}
