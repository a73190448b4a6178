//! The positions that contributed to a key's window: one range per partition, few partitions.

use serde::{Deserialize, Serialize};

use crate::engine::alert::Positions;
use crate::engine::exchange::Origin;

/// Partitions named in one alert; further ones widen nothing and are left out.
const PARTITIONS_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Range {
    source: u16,
    partition: i32,
    from: i64,
    to: i64,
}

/// See the module's text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Origins {
    first: Option<Range>,
    more: Option<Box<Vec<Range>>>,
}

impl Origins {
    pub fn add(&mut self, o: Origin) {
        let fresh = Range {
            source: o.source,
            partition: o.partition,
            from: o.offset,
            to: o.offset,
        };
        let Some(first) = &mut self.first else {
            self.first = Some(fresh);
            return;
        };
        let more = self.more.iter_mut().flat_map(|m| m.iter_mut());
        let same = |r: &&mut Range| r.source == o.source && r.partition == o.partition;
        if let Some(range) = std::iter::once(first).chain(more).find(same) {
            range.from = range.from.min(o.offset);
            range.to = range.to.max(o.offset);
            return;
        }
        let more = self.more.get_or_insert_default();
        if more.len() < PARTITIONS_MAX {
            more.push(fresh);
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// As an alert shows them, in order of source and partition.
    #[must_use]
    pub fn positions(&self, sources: &[String]) -> Vec<Positions> {
        let more = self.more.iter().flat_map(|m| m.iter());
        let mut ranges: Vec<&Range> = self.first.iter().chain(more).collect();
        ranges.sort_by_key(|r| (r.source, r.partition));
        let name = |r: &Range| {
            sources
                .get(usize::from(r.source))
                .cloned()
                .unwrap_or_default()
        };
        ranges
            .into_iter()
            .map(|r| Positions {
                source: name(r),
                partition: r.partition,
                from: r.from,
                to: r.to,
            })
            .collect()
    }

    #[must_use]
    pub fn heap(&self) -> usize {
        self.more
            .as_ref()
            .map_or(0, |m| m.capacity() * size_of::<Range>() + 24)
    }
}
