use super::*;

fn saved(snapshots: &mut Snapshots, commits: u64) {
    let place = Place {
        commits,
        ..Place::default()
    };
    let taken = Taken {
        kind: Kind::Base,
        body: vec![commits.to_le_bytes().to_vec()],
    };
    snapshots.save(taken, &place).unwrap();
}

fn loaded(snapshots: &mut Snapshots, commits: u64) -> (u64, bool) {
    let (_, place) = snapshots.load(commits).unwrap().unwrap();
    (place.commits, snapshots.is_fallback())
}

/// [D2] See `Turn::falling_back`.
#[test]
fn what_is_ahead_of_the_rows_is_left_out_and_gone_with_the_next_base() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Snapshots::open(dir.path(), &HashKey::fixed());
    let mut snapshots = open();
    saved(&mut snapshots, 5);
    saved(&mut snapshots, 10);
    assert_eq!(loaded(&mut open(), 10), (10, false));
    let mut behind = open();
    assert_eq!(loaded(&mut behind, 7), (5, true));
    assert_eq!(loaded(&mut open(), 10), (10, false), "it seems to fit");
    saved(&mut behind, 5);
    assert_eq!(loaded(&mut open(), 10), (5, false));
}

/// [D1] Of two that begin at once the second put its key over the one that the first had taken.
#[test]
fn a_key_that_is_there_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hash.key");
    let first = own_key(&path).unwrap();
    make_key(&path).unwrap();
    assert_eq!(read_key(&path).unwrap().id(), first.id());
    assert_eq!(own_key(&path).unwrap().id(), first.id());
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

/// [D1] A link to a disk that is not mounted is no missing key: another one would forget all that is known.
#[test]
fn a_key_that_cannot_be_looked_at_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hash.key");
    std::os::unix::fs::symlink(dir.path().join("unmounted/key"), &path).unwrap();
    assert!(own_key(&path).is_err());
    assert!(path.symlink_metadata().unwrap().is_symlink());
}

/// [D4] Of folders that were made only the last had its name synced.
#[test]
fn names_are_synced_up_to_the_folder_that_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let there = dir.path();
    assert_eq!(newest_before(&there.join("a/b/c")), there);
    assert_eq!(newest_before(there), there);
    assert_eq!(newest_before(Path::new("not-there/a")), Path::new("."));
    let made = there.join("a/b");
    let above = newest_before(&made);
    fs::create_dir_all(&made).unwrap();
    sync_names(&made, above).unwrap();
}
