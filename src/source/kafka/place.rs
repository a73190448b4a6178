//! Where a partition is read from, or why it is not.
//!
//! Pure. Invariant: a position that state holds is never moved, only kept or refused.

use super::super::Halt;
use super::settings::Start;

/// The offset to begin at: the kept one if the log still holds it. A partition that is new in a
/// known topic is read from its beginning; a topic that is new from where configuration says.
///
/// # Errors
/// Why the partition must not be read.
pub const fn begin(
    kept: Option<i64>,
    topic_known: bool,
    (low, high): (i64, i64),
    start: Start,
) -> Result<i64, Halt> {
    match (kept, topic_known, start) {
        (Some(next), ..) if next < low => {
            let lost = low - next;
            Err(Halt::Expired { low, lost })
        }
        (Some(next), ..) if next > high => Err(Halt::Truncated { high }),
        (Some(next), ..) => Ok(next),
        (None, true, _) | (None, false, Start::Earliest) => Ok(low),
        (None, false, Start::Latest) => Ok(high),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_positions_are_kept_or_refused() {
        let bounds = (10, 20);
        for start in [Start::Earliest, Start::Latest] {
            for known in [true, false] {
                assert_eq!(begin(Some(10), known, bounds, start), Ok(10));
                assert_eq!(begin(Some(20), known, bounds, start), Ok(20));
                assert_eq!(
                    begin(Some(9), known, bounds, start),
                    Err(Halt::Expired { low: 10, lost: 1 })
                );
                assert_eq!(
                    begin(Some(21), known, bounds, start),
                    Err(Halt::Truncated { high: 20 })
                );
            }
            assert_eq!(begin(None, true, bounds, start), Ok(10));
        }
        assert_eq!(begin(None, false, bounds, Start::Earliest), Ok(10));
        assert_eq!(begin(None, false, bounds, Start::Latest), Ok(20));
    }
}
