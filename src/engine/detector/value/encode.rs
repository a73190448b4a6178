//! Texts as they look inside other encodings: base64 at any offset, UTF-16.
//!
//! Owns the transformation of a value into the texts to look for. Wildcards cannot be encoded.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::engine::detector::predicate::text::Pattern;

/// One step of encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Base64,
    /// Three variants, for the three places a text can begin inside encoded bytes.
    Base64Offset,
    Utf16Le,
    Utf16Be,
    /// Little-endian behind a byte order mark.
    Utf16,
}

/// The texts to look for, or what is wrong and a hint.
pub(super) fn encode(
    pattern: &Pattern,
    steps: &[Encoding],
) -> Result<Vec<Pattern>, (&'static str, &'static str)> {
    let Some(text) = pattern.plain() else {
        return Err((
            "wildcards cannot be encoded",
            "write them plain: `\\*`, or remove them",
        ));
    };
    let mut variants = vec![text.as_bytes().to_vec()];
    for step in steps {
        let mut next = Vec::new();
        for bytes in variants {
            match step {
                Encoding::Base64 => next.push(STANDARD.encode(&bytes).into_bytes()),
                Encoding::Base64Offset => next.extend((0..3).map(|i| at_offset(&bytes, i))),
                Encoding::Utf16Le => next.push(utf16(&bytes, u16::to_le_bytes, &[])?),
                Encoding::Utf16Be => next.push(utf16(&bytes, u16::to_be_bytes, &[])?),
                Encoding::Utf16 => next.push(utf16(&bytes, u16::to_le_bytes, &[0xFF, 0xFE])?),
            }
        }
        variants = next;
    }
    variants
        .into_iter()
        .map(|bytes| {
            String::from_utf8(bytes).map(Pattern::literal).map_err(|_| {
                (
                    "UTF-16 bytes are not a text",
                    "add `|base64offset|contains` behind it",
                )
            })
        })
        .collect()
}

fn utf16(
    bytes: &[u8],
    order: fn(u16) -> [u8; 2],
    mark: &[u8],
) -> Result<Vec<u8>, (&'static str, &'static str)> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        (
            "the text is already UTF-16",
            "use one of the utf16 modifiers",
        )
    })?;
    let mut out = mark.to_vec();
    out.extend(text.encode_utf16().flat_map(order));
    Ok(out)
}

/// The characters of the encoding that do not depend on the bytes around the text.
fn at_offset(bytes: &[u8], offset: usize) -> Vec<u8> {
    let mut padded = vec![b' '; offset];
    padded.extend_from_slice(bytes);
    let encoded = STANDARD.encode(&padded).into_bytes();
    let start = [0, 2, 3].get(offset).copied().unwrap_or(0);
    let cut = [0, 3, 2].get(padded.len() % 3).copied().unwrap_or(0);
    encoded
        .get(start..encoded.len().saturating_sub(cut))
        .unwrap_or_default()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_found_in_encoded_text() {
        let patterns = encode(&Pattern::literal("foobar"), &[Encoding::Base64Offset]).unwrap();
        let texts: Vec<&str> = patterns.iter().filter_map(Pattern::plain).collect();
        assert_eq!(texts, ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]);
        for before in ["", "x", "xy", "xyz", "wxyz"] {
            let encoded = STANDARD.encode(format!("{before}foobar!"));
            assert!(texts.iter().any(|t| encoded.contains(t)), "{encoded}");
        }
    }

    #[test]
    fn utf16_and_base64() {
        let encoded = |steps: &[Encoding]| {
            encode(&Pattern::literal("cmd"), steps).map(|p| p[0].plain().unwrap().to_owned())
        };
        assert_eq!(encoded(&[Encoding::Utf16Le]).unwrap(), "c\0m\0d\0");
        assert_eq!(encoded(&[Encoding::Utf16Be]).unwrap(), "\0c\0m\0d");
        assert_eq!(
            encoded(&[Encoding::Utf16Le, Encoding::Base64]).unwrap(),
            "YwBtAGQA"
        );
        assert_eq!(
            encoded(&[Encoding::Utf16, Encoding::Base64]).unwrap(),
            "//5jAG0AZAA="
        );
        assert!(encoded(&[Encoding::Utf16]).is_err());
        assert!(encode(&Pattern::sigma("a*"), &[Encoding::Base64]).is_err());
    }
}
