//! How many records an unpacked batch holds: each costs librdkafka more than its bytes.
//!
//! Pure. Invariant: never fewer than librdkafka makes of it, whatever the bytes are.

/// The shortest record behind its length: a byte each for attributes, two deltas, key, value and headers.
const SHORTEST: usize = 6;
/// What stands before a message of the old format: its offset and its size.
const OLD_HEAD: usize = 12;

/// Records of a batch of format 2, or messages of the older formats: what the format is only the caller of
/// our caller knows, so the larger number counts. Where a step leads nowhere, librdkafka stops, too.
pub(crate) fn count(bytes: &[u8]) -> usize {
    steps(bytes, record).max(steps(bytes, message))
}

fn steps(mut rest: &[u8], step: fn(&[u8]) -> Option<usize>) -> usize {
    let mut count = 0;
    while let Some(next) = step(rest).and_then(|length| rest.get(length..)) {
        rest = next;
        count += 1;
    }
    count
}

/// The length of a record: a zigzag number, and that many bytes.
fn record(bytes: &[u8]) -> Option<usize> {
    let mut number = 0u64;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let is_negative = number & 1 == 1;
            let body = usize::try_from(number >> 1).ok()?;
            return (!is_negative && body >= SHORTEST).then_some(index + 1 + body);
        }
    }
    None
}

/// The length of a message of format 0 or 1.
fn message(bytes: &[u8]) -> Option<usize> {
    let size = bytes.get(8..OLD_HEAD)?.first_chunk()?;
    let size = usize::try_from(i32::from_be_bytes(*size)).ok()?;
    (size >= SHORTEST).then_some(OLD_HEAD + size)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with a value of zeros.
    fn with(length: usize) -> Vec<u8> {
        let mut number = (length + 6) << 1;
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes.resize(bytes.len() + length + 6, 0);
        bytes
    }

    #[test]
    fn records_and_messages_are_counted() {
        assert_eq!(count(&[]), 0);
        let batch = [with(0), with(1), with(57), with(58), with(70_000)].concat();
        assert_eq!(count(&batch), 5);
        let message = |size: u8| {
            let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, size];
            bytes.resize(12 + usize::from(size), 1);
            bytes
        };
        assert_eq!(count(&[message(14), message(200)].concat()), 2);
    }

    #[test]
    fn counting_ends_where_a_step_leads_nowhere() {
        let cut = [with(3), with(4), with(100)].concat();
        assert_eq!(count(&cut[..cut.len() - 1]), 2);
        assert_eq!(count(&[0; 70]), 0, "a record of no length is none");
        assert_eq!(count(&[0xff; 70]), 0, "nor is one of a length below zero");
        assert_eq!(count(&with(0)), 1, "the shortest there is");
        let mixed = [with(0), with(0), with(0), vec![0xff; 9]].concat();
        assert_eq!(count(&mixed), 3);
    }
}
