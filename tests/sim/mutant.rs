//! Behaviours that are wrong on purpose: the simulation has to catch each of them.
//!
//! Owns the list; the seams are in `rig`, `edges`, `node`, `sender` and `profile`.

use crate::profile::Profile;

/// What is broken in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutant {
    #[default]
    None,
    /// A partition whose log lost what comes next is read on from what there is.
    FrontierUnchecked,
    /// After a restart reading goes on at the end of the log.
    NoReplay,
    /// A snapshot is written before what it contains is committed.
    SnapshotBeforeCommit,
    /// Nobody tells the engine that time passes.
    NoTimers,
    /// Windows are a millisecond too long.
    WindowEdge,
    /// Bounds of counts are met one too late.
    BoundEdge,
    /// Of the detections that feed other rules one per packet is lost.
    DropDerived,
    /// Event ids are not looked at.
    NoDedupe,
    /// Late events vanish uncounted.
    LateDropped,
    /// No rule sees late events, though some ask for them.
    LateLaneShut,
    /// Every rule sees late events.
    LateLaneOpen,
    /// Partitions that have not come so far do not hold event time back.
    IdleTakesTime,
    /// An increment does not tell what has changed in the shards.
    ChangesForgotten,
    /// An increment in the middle is missing, and nobody notices.
    IncrementMissed,
    /// An increment is applied twice.
    IncrementTwice,
    /// Rules lose their state at a restart.
    RestoreForgets,
    /// An alert that is stored is decided about again.
    PolicyTwice,
    /// The last `seq` is not remembered.
    SeqReused,
    /// Alerts are sent before they are committed.
    SentBeforeCommit,
    /// A message is settled before its attempt has ended.
    SettledBeforeSent,
    /// Actions are sent whatever has become of them meanwhile.
    ExpiredSent,
    /// Every batch is taken for the end of the input.
    EndsEarly,
    /// Unchanged rules lose their state at a reload.
    ReloadForgets,
    /// Nobody ends actions whose time is over.
    NeverExpires,
    /// What a human took back may be redone at once.
    HoldForgotten,
    /// Budgets are not looked at.
    BudgetIgnored,
    /// Rules may use more memory than there is.
    MemoryUnbounded,
    /// Evidence keeps its weight.
    NoDecay,
    /// An event just after a deadline still breaks the silence.
    QuietEdge,
    /// Steps may come a millisecond late.
    StepEdge,
    /// Keys count as known from their first observation.
    NewAtOnce,
    /// A snapshot that is said to be written is not.
    SnapshotForgotten,
    /// Dead letters are written nowhere.
    LettersLost,
    /// Dead letters are not durable when a snapshot has passed them.
    LettersUnsynced,
    /// Dead letters show what could not be read.
    LettersTell,
    /// Rows are taken out before their time.
    PrunedEarly,
    /// The process panics at its first batch. It is not for the simulation to survive, but to tell of.
    Panics,
}

impl Mutant {
    /// Whether a run can show it at all: a log that loses something, people who answer, and so on.
    pub const fn shows_in(self, profile: &Profile) -> bool {
        match self {
            Self::FrontierUnchecked => profile.truncates,
            Self::LateLaneShut | Self::LateLaneOpen => profile.producers.late > 0,
            Self::ReloadForgets => profile.reloads,
            Self::HoldForgotten => profile.has_humans,
            Self::BudgetIgnored => profile.is_tight,
            Self::MemoryUnbounded => profile.is_small,
            Self::LettersLost | Self::LettersUnsynced | Self::LettersTell => {
                profile.producers.garbage > 0
            }
            _ => true,
        }
    }

    /// Whether it lives in the compiled rules.
    pub const fn spoils_rules(self) -> bool {
        matches!(
            self,
            Self::WindowEdge
                | Self::BoundEdge
                | Self::NoDecay
                | Self::QuietEdge
                | Self::StepEdge
                | Self::NewAtOnce
                | Self::LateLaneShut
                | Self::LateLaneOpen
        )
    }

    pub const ALL: [Self; 36] = [
        Self::FrontierUnchecked,
        Self::NoReplay,
        Self::SnapshotBeforeCommit,
        Self::NoTimers,
        Self::WindowEdge,
        Self::BoundEdge,
        Self::DropDerived,
        Self::NoDedupe,
        Self::LateDropped,
        Self::LateLaneShut,
        Self::LateLaneOpen,
        Self::IdleTakesTime,
        Self::ChangesForgotten,
        Self::IncrementMissed,
        Self::IncrementTwice,
        Self::RestoreForgets,
        Self::PolicyTwice,
        Self::SeqReused,
        Self::SentBeforeCommit,
        Self::SettledBeforeSent,
        Self::ExpiredSent,
        Self::EndsEarly,
        Self::ReloadForgets,
        Self::NeverExpires,
        Self::HoldForgotten,
        Self::BudgetIgnored,
        Self::MemoryUnbounded,
        Self::NoDecay,
        Self::QuietEdge,
        Self::StepEdge,
        Self::NewAtOnce,
        Self::SnapshotForgotten,
        Self::LettersLost,
        Self::LettersUnsynced,
        Self::LettersTell,
        Self::PrunedEarly,
    ];
}
