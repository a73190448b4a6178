use std::fs;

use proptest::prelude::*;

use super::chain::generations;
use super::file::FOOTER_LEN;
use super::*;

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

/// The last of the chain that is read.
fn newest(dir: &Path, name: &str) -> Option<Snapshot> {
    read(dir, name, KEY).unwrap().chain.pop()
}

/// Writes a base of this generation and so many increments behind it.
fn chain(dir: &Path, base: u64, increments: u64) -> Vec<PathBuf> {
    let mut last = write(dir, "s", &snapshot(base)).unwrap();
    let mut paths = vec![last.path.clone()];
    for generation in base + 1..=base + increments {
        last = append(dir, "s", &snapshot(generation), &last.digest).unwrap();
        paths.push(last.path.clone());
    }
    paths
}

fn read_generations(dir: &Path) -> Vec<u64> {
    let found = read(dir, "s", KEY).unwrap();
    found.chain.iter().map(|s| s.generation).collect()
}

#[test]
fn increments_are_read_behind_their_base_and_go_with_it() {
    let dir = dir();
    chain(dir.path(), 1, 2);
    assert_eq!(read_generations(dir.path()), [1, 2, 3]);
    chain(dir.path(), 4, 1);
    assert_eq!(read_generations(dir.path()), [4, 5]);
    assert_eq!(generations(dir.path(), "s").len(), 5);
    chain(dir.path(), 6, 0);
    let kinds = generations(dir.path(), "s").into_iter();
    let kept: Vec<_> = kinds.map(|(n, kind)| (n, kind == Kind::Base)).collect();
    assert_eq!(kept, [(6, true), (5, false), (4, true)]);
}

#[test]
fn a_chain_is_used_as_far_as_each_stands_on_the_one_before() {
    let dir = dir();
    chain(dir.path(), 1, 1);
    let paths = chain(dir.path(), 3, 3);
    let good: Vec<Vec<u8>> = paths.iter().map(|p| fs::read(p).unwrap()).collect();
    let elsewhere = self::dir();
    let other = Snapshot {
        body: b"another state".to_vec(),
        ..snapshot(3)
    };
    let foreign = write(elsewhere.path(), "s", &other).unwrap();
    let foreign = append(elsewhere.path(), "s", &snapshot(4), &foreign.digest).unwrap();
    let foreign = fs::read(foreign.path).unwrap();
    // Which file, what stands in it, and as far as what is used then.
    type Case<'a> = (usize, Option<&'a [u8]>, &'a [u64]);
    let cases: [Case<'_>; 8] = [
        (3, Some(b"short"), &[3, 4, 5]),
        (2, Some(b"short"), &[3, 4]),
        (2, None, &[3, 4]),
        (2, Some(&good[3]), &[3, 4]),
        (1, Some(&foreign), &[3]),
        (1, Some(&good[0]), &[3]),
        (0, Some(b"short"), &[1, 2]),
        (0, Some(&good[1]), &[1, 2]),
    ];
    for (at, bytes, used) in cases {
        match bytes {
            Some(bytes) => fs::write(&paths[at], bytes).unwrap(),
            None => fs::remove_file(&paths[at]).unwrap(),
        }
        let found = read(dir.path(), "s", KEY).unwrap();
        assert_eq!(found.damaged.len(), 1, "{at}: {:?}", found.damaged);
        assert_eq!(read_generations(dir.path()), used, "{at}");
        fs::write(&paths[at], &good[at]).unwrap();
    }
    assert_eq!(read_generations(dir.path()), [3, 4, 5, 6]);
}

#[test]
fn a_base_takes_the_place_of_what_was_passed_over() {
    let dir = dir();
    chain(dir.path(), 1, 3);
    let path = dir.path().join("s.00000000000000000003.increment");
    fs::write(path, b"short").unwrap();
    assert_eq!(read_generations(dir.path()), [1, 2]);
    chain(dir.path(), 3, 1);
    assert_eq!(read_generations(dir.path()), [3, 4]);
    assert!(read(dir.path(), "s", KEY).unwrap().damaged.is_empty());
    let kinds: Vec<u64> = generations(dir.path(), "s").iter().map(|f| f.0).collect();
    assert_eq!(kinds, [4, 3, 2, 1]);
}

/// What stops in the middle of removing old files leaves whole chains.
#[test]
fn each_file_is_removed_before_what_it_stands_on() {
    let dir = dir();
    let old = chain(dir.path(), 1, 3);
    chain(dir.path(), 5, 1);
    // The middle one of the increments cannot be removed.
    fs::remove_file(&old[2]).unwrap();
    fs::create_dir(&old[2]).unwrap();
    let error = write(dir.path(), "s", &snapshot(7)).unwrap_err();
    assert!(error.to_string().contains("cannot remove"), "{error}");
    let left: Vec<bool> = old.iter().map(|path| path.exists()).collect();
    assert_eq!(left, [true, true, true, false]);
    assert_eq!(read_generations(dir.path()), [7]);
}

#[test]
fn increments_without_a_base_are_no_empty_folder() {
    let dir = dir();
    let paths = chain(dir.path(), 1, 2);
    fs::remove_file(&paths[0]).unwrap();
    let error = read(dir.path(), "s", KEY).unwrap_err();
    assert!(error.to_string().contains("a base that is gone"), "{error}");
}

#[test]
fn an_increment_that_does_not_fit_ends_the_chain_before_it() {
    let dir = dir();
    chain(dir.path(), 1, 2);
    let fits = |s: &Snapshot| (s.generation < 3).then_some(()).ok_or("no".to_owned());
    let found = read_fitting(dir.path(), "s", KEY, &fits).unwrap();
    assert_eq!((found.chain.len(), found.damaged.len()), (2, 1));
}

#[test]
fn the_newest_is_read_and_the_previous_is_kept() {
    let dir = dir();
    assert!(newest(dir.path(), "shard-0").is_none());
    for generation in 1..=4 {
        write(dir.path(), "shard-0", &snapshot(generation)).unwrap();
    }
    write(dir.path(), "shard-01", &snapshot(9)).unwrap();
    assert_eq!(newest(dir.path(), "shard-0"), Some(snapshot(4)));
    let kept = generations(dir.path(), "shard-0");
    assert_eq!(kept, [(4, Kind::Base), (3, Kind::Base)]);
}

#[test]
fn half_written_files_are_never_seen() {
    let dir = dir();
    write(dir.path(), "s", &snapshot(1)).unwrap();
    fs::write(dir.path().join("s.writing"), b"half").unwrap();
    assert_eq!(newest(dir.path(), "s"), Some(snapshot(1)));
    write(dir.path(), "s", &snapshot(2)).unwrap();
    assert!(!dir.path().join("s.writing").exists());
}

#[test]
fn falls_back_to_the_previous_and_says_so() {
    let dir = dir();
    write(dir.path(), "s", &snapshot(1)).unwrap();
    let last = write(dir.path(), "s", &snapshot(2)).unwrap().path;
    for damage in ["", "TIDEGATE", "zeros"] {
        let bytes = if damage == "zeros" {
            vec![0; 900]
        } else {
            damage.as_bytes().to_vec()
        };
        fs::write(&last, bytes).unwrap();
        let found = read(dir.path(), "s", KEY).unwrap();
        assert_eq!(found.chain, [snapshot(1)]);
        assert_eq!(found.damaged.len(), 1);
    }
    fs::write(dir.path().join("s.00000000000000000001.snapshot"), b"x").unwrap();
    let error = read(dir.path(), "s", KEY).unwrap_err();
    assert!(matches!(error, SnapshotError::NoneGood { .. }), "{error}");
}

#[test]
fn an_old_file_under_a_new_name_is_refused() {
    let dir = dir();
    let one = write(dir.path(), "s", &snapshot(1)).unwrap().path;
    let two = write(dir.path(), "s", &snapshot(2)).unwrap().path;
    fs::copy(&one, &two).unwrap();
    let found = read(dir.path(), "s", KEY).unwrap();
    assert_eq!((found.chain, found.damaged.len()), (vec![snapshot(1)], 1));
    let other = write(dir.path(), "t", &snapshot(3)).unwrap().path;
    fs::copy(&other, dir.path().join("s.00000000000000000003.snapshot")).unwrap();
    assert_eq!(newest(dir.path(), "s"), Some(snapshot(1)));
}

/// Changes a file and gives it the checksum that fits.
fn reseal(path: &Path, change: impl Fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(bytes.len() - FOOTER_LEN);
    change(&mut bytes);
    let sum = blake3::hash(&bytes);
    bytes.extend_from_slice(sum.as_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn other_keys_and_newer_versions_stop() {
    let dir = dir();
    let path = write(dir.path(), "s", &snapshot(1)).unwrap().path;
    let error = read(dir.path(), "s", "another").unwrap_err();
    assert!(matches!(error, SnapshotError::Key { .. }));
    reseal(&path, |bytes| bytes[8] = 2);
    let error = read(dir.path(), "s", KEY).unwrap_err();
    assert!(matches!(error, SnapshotError::Newer { found: 2, .. }));
    assert_eq!(error.class(), Class::Operator);
    let base = write(dir.path(), "s", &snapshot(1)).unwrap();
    let newer = append(dir.path(), "s", &snapshot(2), &base.digest).unwrap();
    reseal(&newer.path, |bytes| bytes[8] = 2);
    let error = read(dir.path(), "s", KEY).unwrap_err();
    assert!(matches!(error, SnapshotError::Newer { found: 2, .. }));
    assert!(error.to_string().contains("run the newer tidegate"));
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
        let path = write(dir.path(), "s", &snapshot(5)).unwrap().path;
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
