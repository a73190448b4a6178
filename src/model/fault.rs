//! How a failure is to be met, in four classes that every edge's errors share.
//!
//! Owns the word only: each edge decides the class of its own errors, and the app acts on it.

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// May pass by itself: try again later.
    Retry,
    /// This one input or row will never work: set it aside and go on.
    Poison,
    /// Going on could do harm: stop the process, restart from durable state.
    Fatal,
    /// Someone has to change the configuration or the machine.
    Operator,
}

impl Class {
    /// Whether waiting may mend it: a full disk does not empty itself, but someone may empty it.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Retry | Self::Operator)
    }
}
