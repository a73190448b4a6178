//! How many records an unpacked batch holds: each costs librdkafka more than its bytes.
//!
//! Pure. Invariant: never fewer than librdkafka makes of it, whatever the bytes are; and what librdkafka would
//! stumble over (a length below zero takes it back to where it has been) is no batch.

/// How records follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Format 2: a length, then as many bytes.
    Records,
    /// Formats 0 and 1, from before Kafka 0.11: an offset, a size, then as many bytes.
    Messages,
}

/// The shortest message behind its size: a checksum, a byte each for magic and attributes, key and value.
const SHORTEST: usize = 14;
/// What stands before a message: its offset and its size.
const HEAD: usize = 12;

/// Records in these bytes; `None` where they are none from begin to end. Of the older forms the last one may be
/// cut, and librdkafka stops where a step leads nowhere.
pub(crate) fn count(mut bytes: &[u8], form: Form) -> Option<usize> {
    let mut count = 0;
    while !bytes.is_empty() {
        bytes = match form {
            Form::Records => record(bytes)?,
            Form::Messages => match message(bytes) {
                Some(rest) => rest,
                None => break,
            },
        };
        count += 1;
    }
    Some(count)
}

/// What is behind a record: attributes, the two deltas, key and value have to lie within its length.
fn record(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = number(bytes)?;
    let (body, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let (_, body) = body.split_first()?;
    let (_, body) = number(body)?;
    let (_, body) = number(body)?;
    field(field(body)?)?;
    Some(behind)
}

/// What is behind a key or a value; -1 is none.
fn field(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = number(bytes)?;
    if length == -1 {
        return Some(rest);
    }
    rest.get(usize::try_from(length).ok()?..)
}

/// A number of Kafka's, zigzag in groups of seven bits, and what is behind it. A time has ten bytes at most.
fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let mut number = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let number = (number >> 1).cast_signed() ^ -((number & 1).cast_signed());
            return Some((number, bytes.get(index + 1..)?));
        }
    }
    None
}

/// What is behind a message.
fn message(bytes: &[u8]) -> Option<&[u8]> {
    let size = bytes.get(8..HEAD)?.first_chunk()?;
    let size = usize::try_from(i32::from_be_bytes(*size)).ok()?;
    let rest = bytes.get(HEAD..)?.get(size..)?;
    (size >= SHORTEST).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Kafka writes a number.
    fn number(number: i64) -> Vec<u8> {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        let mut bytes = Vec::new();
        while rest >= 0x80 {
            bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes
    }

    /// This body behind its length.
    fn with(body: &[u8]) -> Vec<u8> {
        [number(body.len() as i64), body.to_vec()].concat()
    }

    /// A record without a key, with a value of that many zeros.
    fn value(length: usize) -> Vec<u8> {
        let (time, offset) = (number(-1_700_000_000_000), number(300));
        let value = [number(length as i64), vec![0; length]].concat();
        with(&[vec![0], time, offset, number(-1), value, number(0)].concat())
    }

    fn records(bytes: &[u8]) -> Option<usize> {
        count(bytes, Form::Records)
    }

    #[test]
    fn records_and_messages_are_counted() {
        assert_eq!(records(&[]), Some(0));
        let batch = [value(0), value(1), value(57), value(58), value(70_000)].concat();
        assert_eq!(records(&batch), Some(5));
        let message = |size: u8| {
            let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, size];
            bytes.resize(12 + usize::from(size), 1);
            bytes
        };
        let messages = [message(14), message(200)].concat();
        assert_eq!(count(&messages, Form::Messages), Some(2));
        let cut = &messages[..messages.len() - 1];
        assert_eq!(count(cut, Form::Messages), Some(1));
        assert_eq!(count(&[0xff; 70], Form::Messages), Some(0));
    }

    #[test]
    fn what_librdkafka_takes_for_a_record_is_one() {
        // It asks for no number of headers, and for no key and value in one that it leaves out.
        assert_eq!(records(&with(&[0, 0, 0, 1, 1])), Some(1));
        let hidden = [with(&[0, 0, 0, 1, 1]), value(0).repeat(1000)].concat();
        assert_eq!(records(&hidden), Some(1001));
    }

    #[test]
    fn what_it_would_stumble_over_is_none() {
        let good = value(3);
        for (bytes, what) in [
            (&[0; 70][..], "no length"),
            (&[0xff; 70], "a number without an end"),
            (&[13, 0, 0, 0, 1, 1, 0], "a length below zero"),
            (&good[..good.len() - 1], "past the end"),
            (&with(&[0, 0, 1]), "no key"),
            (&with(&[0, 0, 0, 4, 0, 1]), "a key past the record"),
            (&with(&[0, 0, 0, 3, 1, 0]), "a key of minus two bytes"),
            (&with(&[0, 0, 0, 1, 90, 0]), "a value past the record"),
        ] {
            assert_eq!(records(bytes), None, "{what}");
            assert_eq!(
                records(&[&good, bytes].concat()),
                None,
                "{what}, behind another"
            );
        }
    }
}
