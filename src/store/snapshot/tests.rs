use super::*;
use proptest::prelude::*;

const KEY: &str = "0badcafe";

fn snapshot(generation: u64) -> Snapshot {
    let body = (0..200u32)
        .flat_map(|n| (n.wrapping_mul(u32::try_from(generation).unwrap())).to_le_bytes())
        .collect();
    Snapshot {
        generation,
        key_id: KEY.into(),
        frontier: b"{\"0\":7}".to_vec(),
        body,
    }
}

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_newest_is_read_and_the_previous_is_kept() {
    let dir = dir();
    assert!(read(dir.path(), "shard-0", KEY).unwrap().snapshot.is_none());
    for generation in 1..=4 {
        write(dir.path(), "shard-0", &snapshot(generation)).unwrap();
    }
    write(dir.path(), "shard-01", &snapshot(9)).unwrap();
    assert_eq!(
        read(dir.path(), "shard-0", KEY).unwrap().snapshot,
        Some(snapshot(4))
    );
    let kept: Vec<u64> = list(dir.path(), "shard-0")
        .unwrap()
        .iter()
        .map(|f| f.0)
        .collect();
    assert_eq!(kept, [4, 3]);
}

#[test]
fn half_written_files_are_never_seen() {
    let dir = dir();
    write(dir.path(), "s", &snapshot(1)).unwrap();
    fs::write(dir.path().join("s.writing"), b"half").unwrap();
    assert_eq!(
        read(dir.path(), "s", KEY).unwrap().snapshot,
        Some(snapshot(1))
    );
    write(dir.path(), "s", &snapshot(2)).unwrap();
    assert!(!dir.path().join("s.writing").exists());
}

#[test]
fn falls_back_to_the_previous_and_says_so() {
    let dir = dir();
    write(dir.path(), "s", &snapshot(1)).unwrap();
    let newest = write(dir.path(), "s", &snapshot(2)).unwrap();
    for damage in ["", "TIDEGATE", "zeros"] {
        let bytes = if damage == "zeros" {
            vec![0; 900]
        } else {
            damage.as_bytes().to_vec()
        };
        fs::write(&newest, bytes).unwrap();
        let found = read(dir.path(), "s", KEY).unwrap();
        assert_eq!(found.snapshot, Some(snapshot(1)));
        assert_eq!(found.damaged.len(), 1);
    }
    fs::write(dir.path().join("s.00000000000000000001.snapshot"), b"x").unwrap();
    let error = read(dir.path(), "s", KEY).unwrap_err();
    assert!(matches!(error, SnapshotError::NoneGood { .. }), "{error}");
}

#[test]
fn an_old_file_under_a_new_name_is_refused() {
    let dir = dir();
    let one = write(dir.path(), "s", &snapshot(1)).unwrap();
    let two = write(dir.path(), "s", &snapshot(2)).unwrap();
    fs::copy(&one, &two).unwrap();
    let found = read(dir.path(), "s", KEY).unwrap();
    assert_eq!(
        (found.snapshot, found.damaged.len()),
        (Some(snapshot(1)), 1)
    );
    let other = write(dir.path(), "t", &snapshot(3)).unwrap();
    fs::copy(&other, dir.path().join("s.00000000000000000003.snapshot")).unwrap();
    assert_eq!(
        read(dir.path(), "s", KEY).unwrap().snapshot,
        Some(snapshot(1))
    );
}

#[test]
fn other_keys_and_newer_versions_stop() {
    let dir = dir();
    let path = write(dir.path(), "s", &snapshot(1)).unwrap();
    let error = read(dir.path(), "s", "another").unwrap_err();
    assert!(matches!(error, SnapshotError::Key { .. }));
    let mut bytes = fs::read(&path).unwrap();
    bytes.truncate(bytes.len() - FOOTER_LEN);
    bytes[8] = 2;
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    fs::write(&path, bytes).unwrap();
    let error = read(dir.path(), "s", KEY).unwrap_err();
    assert!(matches!(error, SnapshotError::Newer { found: 2, .. }));
    assert_eq!(error.class(), Class::Operator);
    for name in ["", "../x", "A", "a.b"] {
        assert!(matches!(
            write(dir.path(), name, &snapshot(1)),
            Err(SnapshotError::Name(_))
        ));
    }
}

proptest! {
    #[test]
    fn every_flip_cut_and_zeroed_page_is_detected(at: prop::sample::Index, bit in 0u8..8, len in 1usize..64) {
        let dir = dir();
        let path = write(dir.path(), "s", &snapshot(5)).unwrap();
        let good = fs::read(&path).unwrap();
        let start = at.index(good.len());
        let mut flipped = good.clone();
        flipped[start] ^= 1 << bit;
        let mut zeroed = good.clone();
        let end = (start + len).min(good.len());
        zeroed[start..end].fill(0);
        for bad in [flipped, zeroed, good[..start].to_vec(), [&good[..], b"x"].concat()] {
            if bad == good {
                continue;
            }
            fs::write(&path, &bad).unwrap();
            let error = read(dir.path(), "s", KEY).unwrap_err();
            prop_assert!(matches!(error, SnapshotError::NoneGood { .. }), "{}", error);
        }
    }
}
