//! The four codecs against the encoders that producers use, and against what is no batch at all.

use std::io::Write as _;

use super::*;
use crate::{HELD_MAX, RECORD_COST};

const ALL: [Codec; 5] = [
    Codec::Gzip,
    Codec::Lz4,
    Codec::Snappy { in_chunks: false },
    Codec::Snappy { in_chunks: true },
    Codec::Zstd,
];

/// Whatever it is, taken for messages, of which the last may be cut.
fn unpack(codec: Codec, packed: &[u8]) -> Result<Vec<u8>, Cause> {
    unpack_as(Form::Messages, codec, packed)
}

fn unpack_as(form: Form, codec: Codec, packed: &[u8]) -> Result<Vec<u8>, Cause> {
    let account = Account::new(HELD_MAX);
    let result = codec.unpack(packed, form, &account, Duration::ZERO);
    let result = result.map(|unpacked| {
        assert_eq!(account.numbers().held, unpacked.cost);
        account.give_back(unpacked.cost);
        unpacked.buffer.bytes().to_vec()
    });
    assert_eq!(account.numbers().held, 0, "nothing stays on account");
    // Beside it, what lz4's decoder takes for blocks of four mebibytes.
    assert!(account.numbers().most <= HELD_MAX + (16 << 20));
    result
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8], info: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn snappy(bytes: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(bytes).unwrap()
}

fn in_chunks(bytes: &[u8]) -> Vec<u8> {
    let chunk = |part: &[u8]| {
        let packed = snappy(part);
        let length = u32::try_from(packed.len()).unwrap();
        [&length.to_be_bytes()[..], &packed].concat()
    };
    bytes.chunks(32 << 10).flat_map(chunk).collect()
}

/// As Java's clients write it: without the size.
fn zstd_stream(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

fn zstd_whole(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap()
}

fn pack(codec: Codec, bytes: &[u8]) -> Vec<u8> {
    match codec {
        Codec::Gzip => gzip(bytes),
        Codec::Lz4 => lz4(bytes, lz4_flex::frame::FrameInfo::new()),
        Codec::Snappy { in_chunks: false } => snappy(bytes),
        Codec::Snappy { in_chunks: true } => in_chunks(bytes),
        Codec::Zstd => zstd_stream(bytes),
    }
}

/// Text that packs to a part of its length, and that is no record.
fn text(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 40);
    let mut number = 1u64;
    while bytes.len() < length {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        write!(bytes, "{{\"user\":\"u-{}\"}}", number >> 44).unwrap();
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn what_is_packed_is_unpacked() {
    for length in [
        1,
        2,
        1000,
        (64 << 10) - 1,
        START - 1,
        START,
        START + 1,
        9 << 20,
    ] {
        let bytes = text(length);
        for codec in ALL {
            assert!(
                unpack(codec, &pack(codec, &bytes)).unwrap() == bytes,
                "{codec:?}, {length}"
            );
        }
        assert!(unpack(Codec::Zstd, &zstd_whole(&bytes)).unwrap() == bytes);
    }
}

#[test]
fn every_form_of_an_lz4_frame() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let bytes = text(11 << 20);
    for mode in [BlockMode::Independent, BlockMode::Linked] {
        for size in [
            BlockSize::Max64KB,
            BlockSize::Max256KB,
            BlockSize::Max1MB,
            BlockSize::Max4MB,
        ] {
            let info = FrameInfo::new().block_mode(mode).block_size(size);
            let checked = info.clone().block_checksums(true).content_checksum(true);
            let sized = info.clone().content_size(Some(bytes.len() as u64));
            for info in [info, checked, sized] {
                assert!(
                    unpack(Codec::Lz4, &lz4(&bytes, info)).unwrap() == bytes,
                    "{mode:?}, {size:?}"
                );
            }
        }
    }
}

#[test]
fn parts_packed_apart_are_one() {
    let (one, other) = (text(3000), text(2 << 20));
    let both = [&one[..], &other].concat();
    let members = [gzip(&one), gzip(&other)].concat();
    assert!(unpack(Codec::Gzip, &members).unwrap() == both);
    for pack in [zstd_stream, zstd_whole] {
        let frames = [pack(&one), pack(&other)].concat();
        assert!(unpack(Codec::Zstd, &frames).unwrap() == both);
    }
    let frames = [pack(Codec::Lz4, &one), pack(Codec::Lz4, &other)].concat();
    assert_eq!(
        unpack(Codec::Lz4, &frames),
        Err(Cause::Damaged),
        "nobody writes them so"
    );
}

#[test]
fn the_bound_is_met_exactly() {
    for (length, is_within) in [(BATCH_MAX, true), (BATCH_MAX + 1, false), (90 << 20, false)] {
        // No message at all, so nothing is added for them.
        let bytes = vec![0xff; length];
        let zstd = [zstd_whole(&bytes), zstd_stream(&bytes)];
        let packed = ALL.map(|codec| (codec, pack(codec, &bytes)));
        for (codec, packed) in packed.into_iter().chain(zstd.map(|p| (Codec::Zstd, p))) {
            let result = unpack(codec, &packed).map(|b| b.len());
            let want = if is_within {
                Ok(length)
            } else {
                Err(Cause::Oversized)
            };
            assert_eq!(result, want, "{codec:?}, {} bytes", packed.len());
        }
    }
}

#[test]
fn many_small_records_are_as_heavy_as_few_large_ones() {
    // Length 6, and nothing in it.
    let records = |count: usize| [12, 0, 0, 0, 1, 1, 0].repeat(count);
    let most = BATCH_MAX / (RECORD_COST + 7);
    for codec in ALL {
        assert!(
            unpack_as(Form::Records, codec, &pack(codec, &records(most))).is_ok(),
            "{codec:?}"
        );
        let more = pack(codec, &records(most + 1));
        let more = unpack_as(Form::Records, codec, &more);
        assert_eq!(more, Err(Cause::Oversized), "{codec:?}");
    }
}

#[test]
fn what_is_no_batch_of_records_is_damaged() {
    // The second record would take librdkafka back to the first, again and again.
    let back = [[12, 0, 0, 0, 1, 1, 0], [13, 0, 0, 1, 1, 1, 0]].concat();
    for codec in ALL {
        let packed = pack(codec, &back);
        let result = unpack_as(Form::Records, codec, &packed);
        assert_eq!(result, Err(Cause::Damaged), "{codec:?}");
    }
}

#[test]
fn zstd_of_unknown_size_takes_little_more_than_it_is() {
    let account = Account::new(HELD_MAX);
    let nothing_first = [zstd_whole(&[]), zstd_whole(&text(3 << 20))].concat();
    for packed in [zstd_stream(&text(3 << 20)), nothing_first] {
        let unpacked = Codec::Zstd.unpack(&packed, Form::Messages, &account, Duration::ZERO);
        let unpacked = unpacked.unwrap();
        assert_eq!(unpacked.buffer.bytes(), text(3 << 20));
        account.give_back(unpacked.cost);
    }
    assert!(account.numbers().most <= 4 << 20, "{:?}", account.numbers());
}

#[test]
fn a_size_that_is_a_lie_is_damage_or_too_much() {
    // Snappy says its length first: here 4 GiB, in five bytes and nothing behind them.
    let huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(
        unpack(Codec::Snappy { in_chunks: false }, &huge),
        Err(Cause::Oversized)
    );
    let chunks = [&[0, 0, 0, 5][..], &huge].concat().repeat(9);
    assert_eq!(
        unpack(Codec::Snappy { in_chunks: true }, &chunks),
        Err(Cause::Oversized)
    );
    let short = [&[0x80, 0x08][..], &[0]].concat();
    assert_eq!(
        unpack(Codec::Snappy { in_chunks: false }, &short),
        Err(Cause::Damaged)
    );
    // A frame of zstd with a size of eight bytes, 2^60.
    let frame = [
        0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0,
    ];
    assert_eq!(unpack(Codec::Zstd, &frame), Err(Cause::Oversized));
}

#[test]
fn nothing_cut_and_nothing_else_is_taken() {
    let bytes = text(5000);
    for codec in ALL {
        let packed = pack(codec, &bytes);
        for length in 0..packed.len() {
            if let Ok(part) = unpack(codec, &packed[..length]) {
                // Chunks end anywhere, and so do lz4's blocks.
                assert!(bytes.starts_with(&part), "{codec:?} cut at {length}");
                assert!(matches!(
                    codec,
                    Codec::Lz4 | Codec::Snappy { in_chunks: true }
                ));
            }
        }
        assert_eq!(unpack(codec, &bytes), Err(Cause::Damaged), "{codec:?}");
        assert_eq!(unpack(codec, &[]), Err(Cause::Damaged), "{codec:?}");
        assert_eq!(
            unpack(codec, &pack(codec, &[])),
            Err(Cause::Damaged),
            "{codec:?} of nothing"
        );
        for other in ALL.into_iter().filter(|other| *other != codec) {
            assert!(
                unpack(other, &packed).is_err(),
                "{codec:?} is not {other:?}"
            );
        }
    }
}

#[test]
fn a_bomb_takes_no_more_than_it_may() {
    let account = Account::new(HELD_MAX);
    let bomb = gzip(&vec![0; 200 << 20]);
    assert!(bomb.len() < 1 << 20);
    let refused = Codec::Gzip.unpack(&bomb, Form::Messages, &account, Duration::ZERO);
    assert_eq!(refused.err(), Some(Cause::Oversized));
    let numbers = account.numbers();
    assert!(numbers.most <= BATCH_MAX, "{numbers:?}");
    assert_eq!(numbers.held, 0);
}
