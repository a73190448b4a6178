//! Why a batch is not unpacked, and how that travels from a broker's thread of librdkafka to its user.
//!
//! The only way there is the text of an error, which librdkafka puts together from its own words and
//! ours. Invariant: what `Display` writes is what `read` reads.

use std::fmt;

/// Why a batch was not unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It costs more than a batch may, now and ever.
    Oversized,
    /// It is not what its codec packs, now and ever.
    Damaged,
    /// There was no room for it in time; it is fetched again.
    Busy,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Oversized, Self::Damaged, Self::Busy];

    /// A word for metrics, and between threads.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oversized => "oversized",
            Self::Damaged => "damaged",
            Self::Busy => "busy",
        }
    }
}

/// One batch that was not unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub topic: String,
    pub partition: i32,
    /// The batch's first offset.
    pub offset: i64,
    pub cause: Cause,
    /// Rises with each refusal in this process.
    pub number: u64,
}

const HEAD: &str = "refused as ";

impl Refusal {
    /// Finds a refusal in the text of an error, such as
    /// `Decompression (codec 0x1) of message at 7 of 61 bytes failed: refused as busy, 12, of events [3]`.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (before, own) = text.rsplit_once(HEAD)?;
        let (_, at) = before.split_once(" message at ")?;
        let mut parts = own.splitn(3, ", ");
        let cause = parts.next()?;
        let number = parts.next()?.parse().ok()?;
        let place = parts.next()?.strip_prefix("of ")?.strip_suffix(']')?;
        let (topic, partition) = place.rsplit_once(" [")?;
        Some(Self {
            topic: topic.to_owned(),
            partition: partition.parse().ok()?,
            offset: at.split(' ').next()?.parse().ok()?,
            cause: Cause::ALL.into_iter().find(|c| c.name() == cause)?,
            number,
        })
    }
}

/// Our part of the text: librdkafka says the offset.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            topic,
            partition,
            cause,
            number,
            ..
        } = self;
        let cause = cause.name();
        write!(f, "{HEAD}{cause}, {number}, of {topic} [{partition}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (cause, topic) in Cause::ALL.into_iter().zip(["events", "a.b-c_d", "x"]) {
            let refusal = Refusal {
                topic: topic.to_owned(),
                partition: 31,
                offset: 1_234_567,
                cause,
                number: 9,
            };
            let text = format!(
                "Decompression (codec 0x4) of message at 1234567 of 990 bytes failed: {refusal}"
            );
            assert_eq!(Refusal::read(&text), Some(refusal), "{text}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in [
            "",
            "Decompression (codec 0x4) of message at 12 of 990 bytes failed: Local: Invalid compressed data",
            "refused as busy, 12, of events [3]",
            "of message at 5 of 6: refused as odd, 12, of events [3]",
            "of message at 5 of 6: refused as busy, 12, of events [x]",
            "of message at x of 6: refused as busy, 12, of events [3]",
        ] {
            assert_eq!(Refusal::read(text), None, "{text}");
        }
    }
}
