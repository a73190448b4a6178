//! From a document's path to what is done with the value there: one table per schema.
//!
//! Built once from the schema's own paths and from the raw paths that detectors read. A key may
//! hold several segments (`"event.kind"`) or one (`{"event":{"kind":…}}`); both find the same
//! node. Keys match in any ASCII case. Never grows while events are read.

use crate::model::FieldId;

use super::scrub::Policy;

/// A node's number. `Paths::DEAD` is outside the table: nothing at or below is of interest.
pub(crate) type NodeId = u16;

/// No schema input at this node.
pub(crate) const NO_INPUT: u8 = u8::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub parent: NodeId,
    /// The schema's number for the value here, or `NO_INPUT`.
    pub input: u8,
    /// Bits that tell schemas apart when the path is there (`schema::marks`).
    pub mark: u16,
    /// Fields that detectors read under this very path.
    pub raw: Vec<FieldId>,
    /// How a raw value is made fit to keep, from the names on its path.
    pub policy: Policy,
    path: String,
}

#[derive(Clone, Debug)]
struct Edge {
    from: NodeId,
    to: NodeId,
    /// In lower case.
    key: Box<[u8]>,
}

/// The table. Look-up is open addressing over (node, key).
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    slots: Vec<u16>,
    mask: usize,
}

const EMPTY: u16 = u16::MAX;

impl Paths {
    pub(crate) const ROOT: NodeId = 0;
    pub(crate) const DEAD: NodeId = NodeId::MAX;

    pub(crate) fn new() -> Self {
        let root = Node {
            parent: Self::DEAD,
            input: NO_INPUT,
            mark: 0,
            raw: Vec::new(),
            policy: Policy::Text,
            path: String::new(),
        };
        Self {
            nodes: vec![root],
            edges: Vec::new(),
            slots: vec![EMPTY; 64],
            mask: 63,
        }
    }

    /// The schema reads `path` as its input number `input`.
    pub(crate) fn add_input(&mut self, path: &str, input: u8) {
        let node = self.insert(path);
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.input = input;
        }
    }

    /// The presence of `path` tells something about the schema.
    pub(crate) fn add_mark(&mut self, path: &str, mark: u16) {
        let node = self.insert(path);
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.mark |= mark;
        }
    }

    /// A detector reads `path` of the document under the name `field`.
    pub(crate) fn add_raw(&mut self, path: &str, field: FieldId) {
        let node = self.insert(path);
        if let Some(node) = self.nodes.get_mut(usize::from(node)) {
            node.raw.push(field);
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(id))
    }

    /// The child of `from` under `key`, or `DEAD`.
    #[inline]
    pub(crate) fn step(&self, from: NodeId, key: &[u8]) -> NodeId {
        let mut at = mix(from, key) & self.mask;
        loop {
            let Some(edge) = self
                .slots
                .get(at)
                .and_then(|e| self.edges.get(usize::from(*e)))
            else {
                return Self::DEAD;
            };
            if edge.from == from && edge.key.eq_ignore_ascii_case(key) {
                return edge.to;
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
                self.connect(*from, node, lower.get(*begin..end).unwrap_or_default());
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
            input: NO_INPUT,
            mark: 0,
            raw: Vec::new(),
            policy: Policy::of(prefix),
            path: prefix.to_owned(),
        });
        id
    }

    fn connect(&mut self, from: NodeId, to: NodeId, key: &str) {
        let full = self.edges.len() >= usize::from(EMPTY) - 1;
        if full || to == Self::DEAD || self.step(from, key.as_bytes()) != Self::DEAD {
            return;
        }
        self.edges.push(Edge {
            from,
            to,
            key: key.as_bytes().into(),
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
        let mut at = mix(e.from, &e.key) & self.mask;
        while self.slots.get(at).is_some_and(|s| *s != EMPTY) {
            at = (at + 1) & self.mask;
        }
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = number;
        }
    }
}

/// Mixes node, length and up to 16 bytes of the key in lower case. The table's keys come from
/// configuration, so a document can only miss: no secret is needed.
#[inline]
fn mix(from: NodeId, key: &[u8]) -> usize {
    const FOLD: u64 = 0x2020_2020_2020_2020;
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
    let seed = (key.len() as u64) << 32 ^ u64::from(from);
    let a = ((head | FOLD) ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let b = ((tail | FOLD) ^ a.rotate_left(29)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    (b >> 32) as usize
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
            keys.iter()
                .fold(Paths::ROOT, |node, key| paths.step(node, key.as_bytes()))
        };
        for keys in [
            &["source", "geo", "country_iso_code"][..],
            &["source.geo", "country_iso_code"],
            &["source", "geo.country_iso_code"],
            &["SOURCE.geo.Country_ISO_code"],
        ] {
            assert_eq!(paths.node(walk(keys)).unwrap().input, 7, "{keys:?}");
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
                .fold(0, |n, k| paths.step(n, k.as_bytes()));
            assert_eq!(paths.node(node).unwrap().raw, [FieldId(i)]);
        }
    }
}
