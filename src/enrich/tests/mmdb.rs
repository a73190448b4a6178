//! Writes small MaxMind databases for tests, in every record size and for both address families.
//!
//! Follows the format's specification 2.0 as far as the tests need it; reads nothing back, so that
//! reader and writer do not share a misunderstanding.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A value of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Datum {
    Text(&'static str),
    Long(String),
    U16(u16),
    U32(u32),
    U64(u64),
    List(Vec<Datum>),
    Map(Vec<(&'static str, Datum)>),
    /// A pointer to an offset of the data section.
    Pointer(u32),
}

/// A database in the making.
pub(crate) struct Writer {
    pub(crate) ip_version: u16,
    pub(crate) record_size: u16,
    pub(crate) kind: &'static str,
    nodes: Vec<[Slot; 2]>,
    records: BTreeMap<Datum, usize>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Empty,
    Node(usize),
    Record(usize),
}

impl Writer {
    pub(crate) fn new(kind: &'static str, ip_version: u16, record_size: u16) -> Self {
        let nodes = vec![[Slot::Empty; 2]];
        Self {
            ip_version,
            record_size,
            kind,
            nodes,
            records: BTreeMap::new(),
            data: Vec::new(),
        }
    }

    /// Gives a network its record; a later one inside it must be added after it.
    pub(crate) fn add(&mut self, network: &str, record: &Datum) -> &mut Self {
        let (address, length) = network.split_once('/').unwrap();
        let length: usize = length.parse().unwrap();
        let (bits, length) = match (address.parse().unwrap(), self.ip_version) {
            (IpAddr::V4(v4), 4) => (u128::from(v4.to_bits()) << 96, length),
            (IpAddr::V4(v4), _) => (u128::from(v4.to_bits()), length + 96),
            (IpAddr::V6(v6), _) => (v6.to_bits(), length),
        };
        let offset = self.record(record);
        let bit = |depth: usize| usize::from(bits >> (127 - depth) & 1 == 1);
        let mut node = 0;
        for depth in 0..length - 1 {
            node = match self.nodes[node][bit(depth)] {
                Slot::Node(next) => next,
                leaf => {
                    self.nodes.push([leaf; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][bit(depth)] = Slot::Node(next);
                    next
                }
            };
        }
        self.nodes[node][bit(length - 1)] = Slot::Record(offset);
        self
    }

    /// Lets a network lead to the same subtree as another one, as real databases do for 6to4.
    pub(crate) fn alias(&mut self, bits: u128, length: usize, to_bits: u128, to_length: usize) {
        let bit = |bits: u128, depth: usize| usize::from(bits >> (127 - depth) & 1 == 1);
        let mut target = Slot::Node(0);
        for depth in 0..to_length {
            let Slot::Node(node) = target else { break };
            target = self.nodes[node][bit(to_bits, depth)];
        }
        let mut node = 0;
        for depth in 0..length - 1 {
            node = match self.nodes[node][bit(bits, depth)] {
                Slot::Node(next) => next,
                leaf => {
                    self.nodes.push([leaf; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][bit(bits, depth)] = Slot::Node(next);
                    next
                }
            };
        }
        self.nodes[node][bit(bits, length - 1)] = target;
    }

    /// Where a record stands; equal records stand once.
    fn record(&mut self, record: &Datum) -> usize {
        if let Some(offset) = self.records.get(record) {
            return *offset;
        }
        let offset = self.data.len();
        encode(record, &mut self.data);
        self.records.insert(record.clone(), offset);
        offset
    }

    /// The number of nodes so far.
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes_with(&self.metadata())
    }

    pub(crate) fn metadata(&self) -> Vec<(&'static str, Datum)> {
        vec![
            ("binary_format_major_version", Datum::U16(2)),
            ("binary_format_minor_version", Datum::U16(0)),
            ("build_epoch", Datum::U64(1_768_204_800)),
            ("database_type", Datum::Text(self.kind)),
            (
                "description",
                Datum::Map(vec![("en", Datum::Text("made for tests"))]),
            ),
            ("ip_version", Datum::U16(self.ip_version)),
            ("languages", Datum::List(vec![Datum::Text("en")])),
            (
                "node_count",
                Datum::U32(u32::try_from(self.nodes.len()).unwrap()),
            ),
            ("record_size", Datum::U16(self.record_size)),
        ]
    }

    /// The file with other metadata than is true.
    pub(crate) fn bytes_with(&self, metadata: &[(&'static str, Datum)]) -> Vec<u8> {
        let count = self.nodes.len();
        let number = |slot: Slot| match slot {
            Slot::Empty => count,
            Slot::Node(node) => node,
            Slot::Record(offset) => count + 16 + offset,
        };
        let mut out = Vec::new();
        for [left, right] in &self.nodes {
            let (left, right) = (number(*left) as u32, number(*right) as u32);
            let (l, r) = (left.to_be_bytes(), right.to_be_bytes());
            match self.record_size {
                24 => out.extend([&l[1..], &r[1..]].concat()),
                28 => {
                    assert!(left < 1 << 28 && right < 1 << 28);
                    out.extend([&l[1..], &[l[0] << 4 | r[0]], &r[1..]].concat());
                }
                _ => out.extend([l, r].concat()),
            }
        }
        out.extend([0; 16]);
        out.extend(&self.data);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        encode(&Datum::Map(metadata.to_vec()), &mut out);
        out
    }
}

fn encode(value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Text(text) => text_into(text, out),
        Datum::Long(text) => text_into(text, out),
        Datum::U16(n) => number_into(5, &n.to_be_bytes(), out),
        Datum::U32(n) => number_into(6, &n.to_be_bytes(), out),
        Datum::U64(n) => number_into(9, &n.to_be_bytes(), out),
        Datum::List(items) => {
            control(11, items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
        Datum::Map(members) => {
            control(7, members.len(), out);
            for (name, member) in members {
                text_into(name, out);
                encode(member, out);
            }
        }
        Datum::Pointer(to) => {
            out.push(0b0011_1000);
            out.extend(to.to_be_bytes());
        }
    }
}

fn text_into(text: &str, out: &mut Vec<u8>) {
    control(2, text.len(), out);
    out.extend(text.as_bytes());
}

fn number_into(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    control(kind, bytes.len() - zeros, out);
    out.extend(&bytes[zeros..]);
}

fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (small, more): (u8, Vec<u8>) = match size {
        0..29 => (size as u8, vec![]),
        29..285 => (29, vec![(size - 29) as u8]),
        285..65_821 => (30, ((size - 285) as u16).to_be_bytes().to_vec()),
        _ => (31, ((size - 65_821) as u32).to_be_bytes()[1..].to_vec()),
    };
    if kind > 7 {
        out.extend([small, kind - 7]);
    } else {
        out.push(kind << 5 | small);
    }
    out.extend(more);
}

/// A record of an autonomous system.
pub(crate) fn system(number: u32, name: &'static str) -> Datum {
    Datum::Map(vec![
        ("autonomous_system_number", Datum::U32(number)),
        ("autonomous_system_organization", Datum::Text(name)),
    ])
}

/// A record as country databases have them.
pub(crate) fn country(field: &'static str, code: &'static str) -> Datum {
    let names = Datum::Map(vec![
        ("en", Datum::Text("Somewhere")),
        ("de", Datum::Text("Irgendwo")),
    ]);
    let place = vec![
        ("geoname_id", Datum::U32(42)),
        ("iso_code", Datum::Text(code)),
        ("names", names),
    ];
    let continent = Datum::Map(vec![("code", Datum::Text("EU"))]);
    Datum::Map(vec![("continent", continent), (field, Datum::Map(place))])
}

/// The autonomous systems that tests know.
pub(crate) fn systems(ip_version: u16, record_size: u16) -> Writer {
    let mut writer = Writer::new("GeoLite2-ASN", ip_version, record_size);
    writer
        .add("192.0.2.0/24", &system(64500, "Example Hosting NL"))
        .add("198.51.100.0/25", &system(64501, "Example Telecom DE"))
        .add("198.51.100.7/32", &system(64502, "Example Cable DE"))
        .add(
            "203.0.113.0/24",
            &Datum::Map(vec![("autonomous_system_number", Datum::U32(64503))]),
        );
    if ip_version == 6 {
        writer.add("2001:db8::/32", &system(64510, "Example Fibernet FR"));
        writer.add("2001:db8:1::/48", &system(64511, "Example Mobile FR"));
    }
    writer
}

/// The countries that tests know.
pub(crate) fn countries() -> Writer {
    let mut writer = Writer::new("GeoLite2-Country", 6, 24);
    writer
        .add("192.0.2.0/24", &country("country", "NL"))
        .add("198.51.100.0/24", &country("country", "DE"))
        .add("203.0.113.0/25", &country("registered_country", "fr"))
        .add(
            "203.0.113.128/25",
            &Datum::Map(vec![("continent", Datum::Map(vec![]))]),
        )
        .add("2001:db8::/32", &country("country", "FR"));
    writer
}
