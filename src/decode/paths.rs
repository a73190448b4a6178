//! From a document's path to what is done with the value there: one table per schema.
//!
//! Built once from the schema's own paths and from the raw paths that detectors read. A key may
//! hold several segments (`"event.kind"`) or one (`{"event":{"kind":…}}`); both find the same
//! node. Keys match in any ASCII case. Never grows while events are read.

use std::cell::Cell;

use crate::model::FieldId;

use super::scrub::Policy;

/// A node's number. `Paths::DEAD` is outside the table: nothing at or below is of interest.
pub(crate) type NodeId = u16;

/// No schema input at this node.
pub(crate) const NO_INPUT: u8 = u8::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub parent: NodeId,
    /// Fields that detectors read under this very path.
    pub raw: Vec<FieldId>,
    /// How a raw value is made fit to keep, from the names on its path.
    pub policy: Policy,
    /// The path as the schema writes it, where it reads something at or below it.
    pub read: Option<&'static str>,
    path: String,
}

/// What the reader needs of a node for every value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    /// Bits that tell schemas apart when the path is there (`schema::marks`).
    pub mark: u16,
    /// The schema's number for the value here, or `NO_INPUT`.
    pub input: u8,
    /// Whether detectors read the value under its path.
    pub raw: bool,
}

const COLD: Hot = Hot {
    mark: 0,
    input: NO_INPUT,
    raw: false,
};

/// The first and the last bytes of a key: all of it, up to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    head: u64,
    tail: u64,
    len: usize,
}

impl Ends {
    #[inline]
    fn of(key: &[u8]) -> Self {
        let (head, tail) = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
            (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
            _ => match (key.first_chunk::<4>(), key.last_chunk::<4>()) {
                (Some(head), Some(tail)) => (
                    u64::from(u32::from_le_bytes(*head)),
                    u64::from(u32::from_le_bytes(*tail)),
                ),
                _ => (key.iter().fold(0, |n, b| n << 8 | u64::from(*b)), 0),
            },
        };
        Self {
            head,
            tail,
            len: key.len(),
        }
    }

    /// Mixes a node and the ends in lower case. The table's keys come from configuration, so a
    /// document can only miss: no secret is needed.
    #[inline]
    fn mix(self, from: NodeId) -> u32 {
        const FOLD: u64 = 0x2020_2020_2020_2020;
        let seed = (self.len as u64) << 32 ^ u64::from(from);
        let a = ((self.head | FOLD) ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let b = ((self.tail | FOLD) ^ a.rotate_left(29)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        (b >> 32) as u32
    }
}

#[derive(Clone, Debug)]
struct Edge {
    /// As the key is written where it is known from; documents mostly write it so too.
    ends: Ends,
    /// Most of the hash, so that other keys are mostly told apart without a look at the text.
    tag: u32,
    from: NodeId,
    to: NodeId,
    /// The edge that came next in the last document: documents of a schema repeat their order.
    next: Cell<u16>,
    key: Box<[u8]>,
}

/// The table. Look-up is open addressing over (node, key).
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
    hot: Vec<Hot>,
    edges: Vec<Edge>,
    slots: Vec<u16>,
    mask: usize,
}

/// No edge.
pub(crate) const EMPTY: u16 = u16::MAX;

impl Paths {
    pub(crate) const ROOT: NodeId = 0;
    pub(crate) const DEAD: NodeId = NodeId::MAX;

    pub(crate) fn new() -> Self {
        let root = Node {
            parent: Self::DEAD,
            raw: Vec::new(),
            policy: Policy::Text,
            read: None,
            path: String::new(),
        };
        Self {
            nodes: vec![root],
            hot: vec![COLD],
            edges: Vec::new(),
            slots: vec![EMPTY; 64],
            mask: 63,
        }
    }

    /// The schema reads `path` as its input number `input`.
    pub(crate) fn add_input(&mut self, path: &'static str, input: u8) {
        let node = self.insert(path);
        self.reads(node, path);
        if let Some(hot) = self.hot.get_mut(usize::from(node)) {
            hot.input = input;
        }
    }

    /// The presence of `path` tells something about the schema.
    pub(crate) fn add_mark(&mut self, path: &'static str, mark: u16) {
        let node = self.insert(path);
        self.reads(node, path);
        if let Some(hot) = self.hot.get_mut(usize::from(node)) {
            hot.mark |= mark;
        }
    }

    /// The schema itself reads something at `path`, which is this node.
    fn reads(&mut self, node: NodeId, path: &'static str) {
        let mut at = (node, Some(path));
        while let (id, Some(path)) = at
            && let Some(node) = self.nodes.get_mut(usize::from(id))
        {
            node.read.get_or_insert(path);
            at = (node.parent, path.rsplit_once('.').map(|(above, _)| above));
        }
    }

    /// A detector reads `path` of the document under the name `field`.
    pub(crate) fn add_raw(&mut self, path: &str, field: FieldId) {
        let node = self.insert(path);
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.raw.push(field);
        }
        if let Some(hot) = self.hot.get_mut(usize::from(node)) {
            hot.raw = true;
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id))
    }

    #[inline]
    pub(crate) fn hot(&self, id: NodeId) -> Hot {
        self.hot.get(usize::from(id)).copied().unwrap_or(COLD)
    }

    /// The child of `from` under `key`, or `DEAD`. `trail` is the edge taken last, kept by the
    /// caller through a document from `EMPTY` on.
    #[inline]
    pub(crate) fn step(&self, from: NodeId, key: &[u8], trail: &mut u16) -> NodeId {
        let ends = Ends::of(key);
        let before = self.edges.get(usize::from(*trail));
        let expected = before.map_or(0, |edge| edge.next.get());
        if let Some(edge) = self.edges.get(usize::from(expected))
            && edge.from == from
            && edge.ends == ends
            && (ends.len <= 16 || *edge.key == *key)
        {
            *trail = expected;
            return edge.to;
        }
        let found = self.find(from, key, ends);
        let Some(edge) = self.edges.get(usize::from(found)) else {
            return Self::DEAD;
        };
        if let Some(before) = before {
            before.next.set(found);
        }
        *trail = found;
        edge.to
    }

    /// The number of the edge from `from` under `key`, or `EMPTY`.
    #[inline(never)]
    fn find(&self, from: NodeId, key: &[u8], ends: Ends) -> u16 {
        let tag = ends.mix(from);
        let mut at = tag as usize & self.mask;
        loop {
            let number = self.slots.get(at).copied().unwrap_or(EMPTY);
            let Some(edge) = self.edges.get(usize::from(number)) else {
                return EMPTY;
            };
            if edge.tag == tag && edge.from == from && edge.key.eq_ignore_ascii_case(key) {
                return number;
            }
            at = (at + 1) & self.mask;
        }
    }

    /// Whether `node` is `above` or somewhere below it.
    pub(crate) fn is_within(&self, node: NodeId, above: NodeId) -> bool {
        let mut at = node;
        while let Some(n) = self.node(at) {
            if at == above {
                return true;
            }
            at = n.parent;
        }
        false
    }

    /// The nodes at and below `above`.
    pub(crate) fn within(&self, above: NodeId) -> impl Iterator<Item = &Node> {
        (0..)
            .zip(&self.nodes)
            .filter(move |(id, _)| self.is_within(*id, above))
            .map(|(_, node)| node)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Enters a path: one node per prefix, and an edge for every way to cut it into keys.
    fn insert(&mut self, path: &str) -> NodeId {
        let lower = path.to_ascii_lowercase();
        let mut cuts: Vec<(usize, NodeId)> = vec![(0, Self::ROOT)];
        let ends = lower
            .match_indices('.')
            .map(|(i, _)| i)
            .chain([lower.len()]);
        for end in ends.collect::<Vec<_>>() {
            let prefix = lower.get(..end).unwrap_or_default();
            let parent = cuts.last().map_or(Self::ROOT, |(_, node)| *node);
            let node = self.node_of(prefix, parent);
            for (begin, from) in &cuts {
                self.connect(*from, node, path.get(*begin..end).unwrap_or_default());
            }
            cuts.push((end + 1, node));
        }
        cuts.last().map_or(Self::ROOT, |(_, node)| *node)
    }

    fn node_of(&mut self, prefix: &str, parent: NodeId) -> NodeId {
        if let Some(found) = self
            .nodes
            .iter()
            .position(|n| n.path == prefix && n.parent != Self::DEAD)
        {
            return NodeId::try_from(found).unwrap_or(Self::DEAD);
        }
        let Some(id) = NodeId::try_from(self.nodes.len())
            .ok()
            .filter(|id| *id < EMPTY - 1)
        else {
            return Self::DEAD;
        };
        self.nodes.push(Node {
            parent,
            raw: Vec::new(),
            policy: Policy::of(prefix),
            read: None,
            path: prefix.to_owned(),
        });
        self.hot.push(COLD);
        id
    }

    fn connect(&mut self, from: NodeId, to: NodeId, key: &str) {
        let (key, ends) = (key.as_bytes(), Ends::of(key.as_bytes()));
        let full = self.edges.len() >= usize::from(EMPTY) - 1;
        if full || to == Self::DEAD || self.find(from, key, ends) != EMPTY {
            return;
        }
        let next = Cell::new(EMPTY);
        self.edges.push(Edge {
            ends,
            tag: ends.mix(from),
            from,
            to,
            next,
            key: key.into(),
        });
        if self.edges.len() * 4 > self.slots.len() {
            self.slots = vec![EMPTY; self.slots.len() * 2];
            self.mask = self.slots.len() - 1;
            for i in 0..self.edges.len() {
                self.place(i);
            }
        } else {
            self.place(self.edges.len() - 1);
        }
    }

    fn place(&mut self, edge: usize) {
        let (Some(e), Ok(number)) = (self.edges.get(edge), u16::try_from(edge)) else {
            return;
        };
        let mut at = e.tag as usize & self.mask;
        while self.slots.get(at).is_some_and(|s| *s != EMPTY) {
            at = (at + 1) & self.mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_nested_and_mixed_keys_meet() {
        let mut paths = Paths::new();
        paths.add_input("source.geo.country_iso_code", 7);
        paths.add_input("source.ip", 3);
        paths.add_raw("eventType", FieldId(40));
        let walk = |keys: &[&str]| {
            keys.iter().fold(Paths::ROOT, |node, key| {
                paths.step(node, key.as_bytes(), &mut EMPTY.clone())
            })
        };
        for keys in [
            &["source", "geo", "country_iso_code"][..],
            &["source.geo", "country_iso_code"],
            &["source", "geo.country_iso_code"],
            &["SOURCE.geo.Country_ISO_code"],
        ] {
            assert_eq!(paths.hot(walk(keys)).input, 7, "{keys:?}");
        }
        assert_eq!(paths.node(walk(&["eventtype"])).unwrap().raw, [FieldId(40)]);
        assert_eq!(walk(&["sourcf"]), Paths::DEAD);
        assert_eq!(walk(&["source", "port"]), Paths::DEAD);
        let (ip, source) = (walk(&["source", "ip"]), walk(&["source"]));
        assert!(paths.is_within(ip, source) && !paths.is_within(source, ip));
        assert_eq!(paths.within(source).count(), 4);
    }

    #[test]
    fn hundreds_of_paths() {
        let mut paths = Paths::new();
        for i in 0..600u16 {
            paths.add_raw(&format!("a.b{i}.c"), FieldId(i));
        }
        for i in 0..600u16 {
            let node = ["a", &format!("b{i}"), "c"]
                .iter()
                .fold(0, |n, k| paths.step(n, k.as_bytes(), &mut EMPTY.clone()));
            assert_eq!(paths.node(node).unwrap().raw, [FieldId(i)]);
        }
    }
}
