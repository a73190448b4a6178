//! Declared mass events: whether one covers a time, a key and a count. Owns no state.

use crate::engine::detector::plan::{Expected, Spike};
use crate::engine::exchange::SEPARATOR;

impl Spike {
    /// Whether somebody declared a mass event of this key somewhere from `from` to before `until`.
    pub(super) fn declares(&self, text: &[u8], from: i64, until: i64) -> bool {
        let covers = |e: &&Expected| e.from.0 < until && from < e.until.0;
        self.expected.iter().filter(covers).any(|e| e.is_of(text))
    }

    /// Whether this count is within what was declared; also while that leaves the window.
    pub(super) fn expects(&self, text: &[u8], time: i64, span: i64, count: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a configured maximum")]
        let covers = |e: &&Expected| {
            let within = e.from.0 <= time && time < e.until.0.saturating_add(span);
            within && count <= e.count_max as f64
        };
        self.expected.iter().filter(covers).any(|e| e.is_of(text))
    }
}

impl Expected {
    fn is_of(&self, text: &[u8]) -> bool {
        let parts: Vec<&[u8]> = text.split(|b| *b == SEPARATOR).collect();
        let is = |(at, value): &(usize, String)| parts.get(*at) == Some(&value.as_bytes());
        self.key.iter().all(is)
    }
}
