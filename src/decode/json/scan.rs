//! One pass over a text before it is read: where its quotes are.
//!
//! Pays for itself on every key and every string, whose end is then a bit to be found. A text with
//! a backslash or a control character in it has no such map and is read character by character.

/// What is known of a text beforehand. Kept and filled anew for each.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// One bit per byte, set for quotes; empty if the text is not clean.
    quotes: Vec<u64>,
    /// There is no backslash and no control character anywhere.
    clean: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const SEVENS: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// One bit per quote among eight bytes, the first byte's lowest.
#[inline]
const fn quotes(word: u64) -> u64 {
    let zero = word ^ (ONES * b'"' as u64);
    let marks = !(((zero & SEVENS) + SEVENS) | zero | SEVENS);
    (marks >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

impl Scan {
    /// Looks a text over.
    pub(crate) fn prepare(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let (blocks, rest) = bytes.as_chunks::<16>();
        let unclean = |found: u8, b: &u8| found | u8::from(*b < 0x20) | u8::from(*b == b'\\');
        let found = blocks.iter().fold([0u8; 16], |mut found, block| {
            for (place, b) in found.iter_mut().zip(block) {
                *place = unclean(*place, b);
            }
            found
        });
        self.clean = rest.iter().chain(b" ").fold(0, unclean) == 0 && found == [0; 16];
        self.quotes.clear();
        if !self.clean {
            return;
        }
        let (blocks, rest) = bytes.as_chunks::<64>();
        self.quotes.extend(blocks.iter().map(map));
        if !rest.is_empty() {
            let mut last = [0; 64];
            last.iter_mut().zip(rest).for_each(|(place, b)| *place = *b);
            self.quotes.push(map(&last));
        }
    }

    pub(super) const fn is_clean(&self) -> bool {
        self.clean
    }

    /// The first quote at or after `at`. Only for clean texts.
    #[inline]
    pub(super) fn next_quote(&self, at: usize) -> Option<usize> {
        let mut block = at / 64;
        let mut bits = self.quotes.get(block)? >> (at % 64);
        if bits != 0 {
            return Some(at + bits.trailing_zeros() as usize);
        }
        while bits == 0 {
            block += 1;
            bits = *self.quotes.get(block)?;
        }
        Some(block * 64 + bits.trailing_zeros() as usize)
    }
}

/// The map of 64 bytes.
#[inline]
fn map(block: &[u8; 64]) -> u64 {
    let (words, _) = block.as_chunks::<8>();
    (0..).zip(words).fold(0, |map, (i, word)| {
        map | quotes(u64::from_le_bytes(*word)) << (8 * i)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_one_byte_at_a_time(text in "[\"a-c\\\\\u{0}\u{1f} é]{0,20}[\"a-z€\u{7f}]{0,200}", at in 0usize..220) {
            let mut scan = Scan::default();
            scan.prepare(&text);
            prop_assert_eq!(scan.is_clean(), !text.bytes().any(|b| b < 0x20 || b == b'\\'));
            if scan.is_clean() {
                let want = text.bytes().enumerate().skip(at).find(|(_, b)| *b == b'"').map(|(i, _)| i);
                prop_assert_eq!(scan.next_quote(at), want);
            }
        }
    }
}
