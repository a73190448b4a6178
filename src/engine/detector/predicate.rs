//! A condition over one event, compiled.

use crate::model::Event;

/// Placeholder shape agreed between the language and the rules; see the language for its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {}

impl Predicate {
    /// Whether the event meets the condition.
    #[must_use]
    pub fn matches(&self, _event: &Event) -> bool {
        false
    }

    /// The event kinds outside which it can never match; `None` if there is no such set.
    #[must_use]
    pub fn fields(&self) -> &[crate::model::FieldId] {
        &[]
    }

    #[must_use]
    pub fn kinds(&self) -> Option<&[String]> {
        None
    }
}
