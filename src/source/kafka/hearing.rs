//! Whether a partition's broker answers: only then is the end of its log known.
//!
//! Pure, over the client's statistics. A broker that cannot be reached says nothing of what is
//! written meanwhile, and the first answer after a silence may be one that waited in the socket.
//! Invariant: after a silence an end is believed only once a question put after it was answered.

use std::time::Duration;

/// A broker that answered lately, and how often it was asked for records until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub broker: i32,
    /// Never more than one of these is on its way.
    pub fetches: i64,
}

/// What one lane's ear knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ear {
    /// Nothing was said yet of a partition that has just been assigned.
    #[default]
    Fresh,
    /// The broker answers.
    Sure { broker: i32 },
    /// It answers again, or another one does.
    Again(Heard),
    /// It does not.
    Deaf,
}

impl Ear {
    /// What it knows after another report: who was heard, if anybody.
    #[must_use]
    pub(super) const fn after(self, report: Option<Heard>) -> Self {
        match (self, report) {
            (_, None) => Self::Deaf,
            (Self::Fresh, Some(now)) => Self::Sure { broker: now.broker },
            (Self::Sure { broker }, Some(now)) if broker == now.broker => self,
            (Self::Again(since), Some(now))
                if since.broker == now.broker && since.fetches <= now.fetches =>
            {
                // The first of the two was sent after `since`, and answered before the second.
                if since.fetches + 2 <= now.fetches {
                    Self::Sure { broker: now.broker }
                } else {
                    self
                }
            }
            (_, Some(now)) => Self::Again(now),
        }
    }

    /// Whether an end of the log may be believed.
    #[must_use]
    pub(super) const fn is_sure(self) -> bool {
        matches!(self, Self::Fresh | Self::Sure { .. })
    }
}

/// How long a broker may be silent that answers every question for records within `fetch_wait`.
pub(super) fn patience(fetch_wait: Duration) -> Duration {
    fetch_wait + Duration::from_secs(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn heard(broker: i32, fetches: i64) -> Option<Heard> {
        Some(Heard { broker, fetches })
    }

    fn after(reports: &[Option<Heard>]) -> Ear {
        reports.iter().fold(Ear::default(), |ear, r| ear.after(*r))
    }

    #[test]
    fn a_broker_that_answers_is_believed() {
        assert!(after(&[]).is_sure());
        assert!(after(&[heard(1, 3)]).is_sure());
        assert!(after(&[heard(1, 3), heard(1, 3), heard(1, 9)]).is_sure());
        assert!(!after(&[heard(1, 3), None]).is_sure());
    }

    #[test]
    fn after_a_silence_a_question_must_have_been_answered() {
        let silence = [heard(1, 3), None];
        let then = |more: &[Option<Heard>]| after(&[&silence, more].concat()).is_sure();
        assert!(!then(&[heard(1, 3)]), "that may be an old answer");
        assert!(!then(&[heard(1, 3), heard(1, 4)]), "and so may this be");
        assert!(then(&[heard(1, 3), heard(1, 4), heard(1, 5)]));
        assert!(!then(&[heard(1, 3), None, heard(1, 5)]));
    }

    #[test]
    fn another_broker_or_a_new_client_begins_anew() {
        assert!(!after(&[heard(1, 90), heard(2, 90)]).is_sure());
        assert!(after(&[heard(1, 90), heard(2, 90), heard(2, 92)]).is_sure());
        let anew = [heard(1, 90), None, heard(1, 91), heard(1, 1)];
        assert!(!after(&anew).is_sure());
        assert!(after(&[&anew[..], &[heard(1, 3)]].concat()).is_sure());
    }
}
