//! What every backend promises, as one suite that runs over each of them, reopening included.

#![expect(clippy::disallowed_methods, reason = "tests damage files")]

mod crash;

use std::ops::ControlFlow;

use super::memory::MemoryStore;
use super::redb::RedbStore;
use super::{Range, Store, StoreError, Table, Tx, View, read, write};

/// A backend that can be closed and opened again.
trait Backend {
    fn open(&self) -> Box<dyn Store>;
}

struct Memory(MemoryStore);
impl Backend for Memory {
    fn open(&self) -> Box<dyn Store> {
        self.0.restart();
        Box::new(self.0.clone())
    }
}

struct Redb(tempfile::TempDir);
impl Backend for Redb {
    fn open(&self) -> Box<dyn Store> {
        Box::new(RedbStore::open(&self.0.path().join("tidegate.redb")).unwrap())
    }
}

#[cfg(feature = "sled")]
struct Sled(tempfile::TempDir);
#[cfg(feature = "sled")]
impl Backend for Sled {
    fn open(&self) -> Box<dyn Store> {
        // sled lets go of its lock a moment after it is dropped.
        for _ in 0..500 {
            match super::sled::SledStore::open(&self.0.path().join("sled")) {
                Ok(store) => return Box::new(store),
                Err(StoreError::Locked(_)) => {
                    std::thread::sleep(std::time::Duration::from_millis(10));
                }
                Err(error) => panic!("{error}"),
            }
        }
        panic!("sled stays locked");
    }
}

fn backends() -> Vec<Box<dyn Backend>> {
    vec![
        Box::new(Memory(MemoryStore::new())),
        Box::new(Redb(tempfile::tempdir().unwrap())),
        #[cfg(feature = "sled")]
        Box::new(Sled(tempfile::tempdir().unwrap())),
    ]
}

fn put(tx: &mut dyn Tx, key: &str, value: &str) -> Result<(), StoreError> {
    tx.put(Table::Meta, key.as_bytes(), value.as_bytes())
}

fn text(view: &(impl View + ?Sized), key: &str) -> Option<String> {
    let value = view.get(Table::Meta, key.as_bytes()).unwrap();
    value.map(|v| String::from_utf8(v).unwrap())
}

fn keys(view: &(impl View + ?Sized), range: &Range, limit: usize) -> Vec<String> {
    let mut keys = Vec::new();
    view.scan(Table::Meta, range, &mut |key, _| {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
        Ok(if keys.len() < limit {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        })
    })
    .unwrap();
    keys
}

#[test]
fn committed_rows_survive_reopening() {
    for backend in backends() {
        let store = backend.open();
        write(&*store, |tx| {
            put(tx, "a", "1")?;
            put(tx, "b", "2")?;
            assert_eq!(text(tx, "a").as_deref(), Some("1"), "own writes are seen");
            assert!(tx.delete(Table::Meta, b"b")?);
            assert!(!tx.delete(Table::Meta, b"b")?);
            Ok(())
        })
        .unwrap();
        drop(store);
        let store = backend.open();
        let found = read(&*store, |v| Ok((text(v, "a"), text(v, "b")))).unwrap();
        assert_eq!(found, (Some("1".into()), None), "{}", store.name());
        let other = read(&*store, |v| v.get(Table::Actions, b"a")).unwrap();
        assert_eq!(other, None, "tables are apart");
    }
}

#[test]
fn work_that_fails_leaves_nothing() {
    for backend in backends() {
        let store = backend.open();
        write(&*store, |tx| put(tx, "a", "1")).unwrap();
        let result = store.transact(&mut |tx| {
            put(tx, "a", "2")?;
            put(tx, "c", "3")?;
            Err(StoreError::GivenUp("test".into()))
        });
        assert!(matches!(result, Err(StoreError::GivenUp(_))));
        let found = read(&*store, |v| Ok((text(v, "a"), text(v, "c")))).unwrap();
        assert_eq!(found, (Some("1".into()), None), "{}", store.name());
        drop(store);
        let found = read(&*backend.open(), |v| Ok(text(v, "a"))).unwrap();
        assert_eq!(found.as_deref(), Some("1"));
    }
}

#[test]
fn after_the_disk_has_failed_nothing_is_written_or_read() {
    for backend in backends().iter().skip(1) {
        let store = backend.open();
        let failed = write(&*store, |_| -> Result<(), _> {
            Err(StoreError::Disk("EIO".to_owned()))
        });
        assert!(matches!(failed, Err(StoreError::Disk(_))));
        let after = write(&*store, |tx| put(tx, "k", "v"));
        assert!(
            matches!(after, Err(StoreError::Disk(_))),
            "{}",
            store.name()
        );
        let after = read(&*store, |view| Ok(text(view, "k")));
        assert!(
            matches!(after, Err(StoreError::Disk(_))),
            "{}",
            store.name()
        );
        drop(store);
        let reopened = read(&*backend.open(), |view| Ok(text(view, "k")));
        assert_eq!(reopened.unwrap(), None);
    }
}

#[test]
fn scans_keep_order_bounds_and_limits() {
    for backend in backends() {
        let store = backend.open();
        write(&*store, |tx| {
            for n in (0..700).rev() {
                put(tx, &format!("k{n:03}"), "x")?;
            }
            tx.put(Table::Meta, b"j", b"")?;
            tx.put(Table::Meta, b"l", b"")?;
            let mine = keys(tx, &Range::prefix(b"k"), usize::MAX);
            assert_eq!(mine.len(), 700);
            tx.delete(Table::Meta, b"k000")?;
            assert_eq!(keys(tx, &Range::prefix(b"k"), 1), ["k001"]);
            Ok(())
        })
        .unwrap();
        read(&*store, |v| {
            assert_eq!(keys(v, &Range::all(), usize::MAX).len(), 701);
            assert_eq!(keys(v, &Range::prefix(b"k69"), 2), ["k690", "k691"]);
            assert_eq!(
                keys(v, &Range::prefix(b"k69").reversed(), 2),
                ["k699", "k698"]
            );
            assert_eq!(
                keys(v, &Range::prefix(b"k").after(b"k698".to_vec()), 9),
                ["k699"]
            );
            assert_eq!(keys(v, &Range::all().before(b"k001".to_vec()), 9), ["j"]);
            assert_eq!(keys(v, &Range::all().reversed(), 1), ["l"]);
            let up = keys(v, &Range::prefix(b"k"), usize::MAX);
            let mut down = keys(v, &Range::prefix(b"k").reversed(), usize::MAX);
            down.reverse();
            assert_eq!(up, down);
            assert!(up.is_sorted());
            let none = Range::all().after(b"z".to_vec()).before(b"a".to_vec());
            assert_eq!(keys(v, &none, 9), Vec::<String>::new());
            assert_eq!(keys(v, &Range::prefix(b""), usize::MAX).len(), 701);
            Ok(())
        })
        .unwrap();
    }
}

/// What a transaction has written lies over what is stored, in both orders of a scan.
#[test]
fn scans_inside_a_transaction_see_its_own_writes_in_order() {
    for backend in backends() {
        let store = backend.open();
        write(&*store, |tx| {
            for key in ["b", "d", "f", "h"] {
                put(tx, key, "stored")?;
            }
            Ok(())
        })
        .unwrap();
        write(&*store, |tx| {
            for key in ["a", "d", "g", "z"] {
                put(tx, key, "written")?;
            }
            tx.delete(Table::Meta, b"f")?;
            tx.delete(Table::Meta, b"h")?;
            put(tx, "h", "again")?;
            let want = ["a", "b", "d", "g", "h", "z"];
            assert_eq!(keys(tx, &Range::all(), 99), want);
            let mut down = keys(tx, &Range::all().reversed(), 99);
            down.reverse();
            assert_eq!(down, want, "{}", store.name());
            assert_eq!(
                keys(
                    tx,
                    &Range::all().after(b"b".to_vec()).before(b"h".to_vec()),
                    99
                ),
                ["d", "g"]
            );
            assert_eq!(text(tx, "h").as_deref(), Some("again"));
            Ok(())
        })
        .unwrap();
        drop(store);
        let after = read(&*backend.open(), |v| Ok(keys(v, &Range::all(), 99))).unwrap();
        assert_eq!(after, ["a", "b", "d", "g", "h", "z"]);
    }
}

#[test]
fn a_reader_keeps_its_view_while_writers_go_on() {
    for backend in backends() {
        let store = backend.open();
        write(&*store, |tx| put(tx, "a", "1")).unwrap();
        if store.name() == "sled" {
            // Its commits wait for readers instead: the module says so.
            continue;
        }
        read(&*store, |view| {
            assert_eq!(text(view, "a").as_deref(), Some("1"));
            write(&*store, |tx| put(tx, "a", "2"))?;
            assert_eq!(text(view, "a").as_deref(), Some("1"), "{}", store.name());
            Ok(())
        })
        .unwrap();
        assert_eq!(
            read(&*store, |v| Ok(text(v, "a"))).unwrap().as_deref(),
            Some("2")
        );
    }
}

#[test]
fn visitors_may_look_up_other_rows() {
    for backend in backends() {
        let store = backend.open();
        write(&*store, |tx| {
            put(tx, "a", "b")?;
            put(tx, "b", "end")?;
            let view: &dyn Tx = tx;
            view.scan(Table::Meta, &Range::all(), &mut |_, value| {
                let next = view.get(Table::Meta, value)?;
                assert_eq!(next.is_some(), value == b"b");
                Ok(ControlFlow::Continue(()))
            })
        })
        .unwrap();
    }
}

#[test]
fn writers_take_turns() {
    for backend in backends() {
        let store = backend.open();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        write(&*store, |tx| super::rows::next_number(tx, "n")).unwrap();
                    }
                });
            }
        });
        let last = read(&*store, |v| super::rows::last_number(v, "n")).unwrap();
        assert_eq!(last, 40, "{}", store.name());
    }
}

#[test]
fn large_and_odd_keys_and_values() {
    for backend in backends() {
        let store = backend.open();
        let big = vec![7; 300_000];
        write(&*store, |tx| {
            tx.put(Table::Evidence, b"", b"empty key")?;
            tx.put(Table::Evidence, &[0xff; 40], b"")?;
            tx.put(Table::Evidence, b"big", &big)
        })
        .unwrap();
        drop(store);
        read(&*backend.open(), |v| {
            assert_eq!(
                v.get(Table::Evidence, b"")?.as_deref(),
                Some(&b"empty key"[..])
            );
            assert_eq!(
                v.get(Table::Evidence, &[0xff; 40])?.as_deref(),
                Some(&b""[..])
            );
            assert_eq!(v.get(Table::Evidence, b"big")?.as_ref(), Some(&big));
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn damaged_rows_are_told_and_full_disks_are_met() {
    let store = MemoryStore::new();
    write(&store, |tx| put(tx, "a", "1")).unwrap();
    store.damage(Table::Meta, b"a", |bytes| bytes[9 - 1] ^= 1);
    let error = read(&store, |v| v.get(Table::Meta, b"a")).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    store.set_full(true);
    let error = write(&store, |tx| put(tx, "b", "1")).unwrap_err();
    assert_eq!(error.class(), crate::model::fault::Class::Retry);
    store.set_full(false);
    write(&store, |tx| put(tx, "b", "1")).unwrap();
}

#[test]
fn a_second_process_is_kept_out_and_damage_is_found_at_opening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tidegate.redb");
    let store = RedbStore::open(&path).unwrap();
    assert!(matches!(RedbStore::open(&path), Err(StoreError::Locked(_))));
    write(&store, |tx| {
        for n in 0..500 {
            put(tx, &format!("k{n}"), &"value".repeat(20))?;
        }
        Ok(())
    })
    .unwrap();
    drop(store);
    let good = std::fs::read(&path).unwrap();
    let mut wrong = 0;
    for n in 0..40 {
        let mut bad = good.clone();
        let at = (n * 7919 + 13) * 64 % good.len();
        bad[at] ^= 1 << (n % 8);
        std::fs::write(&path, &bad).unwrap();
        // Damage is refused, or lies where nothing is read, or is repaired: never wrong rows.
        if let Ok(store) = RedbStore::open(&path) {
            let rows = read(&store, |v| Ok(keys(v, &Range::prefix(b"k"), usize::MAX)));
            match rows {
                Ok(rows) => assert_eq!(rows.len(), 500),
                Err(error) => assert!(matches!(error, StoreError::Damaged { .. }), "{error}"),
            }
        } else {
            wrong += 1;
        }
    }
    assert!(wrong > 0, "some flip must have hit something");
    for bad in [
        &good[..good.len() / 2],
        &vec![0; good.len()],
        b"not a database",
    ] {
        std::fs::write(&path, bad).unwrap();
        let error = RedbStore::open(&path).unwrap_err();
        assert!(!error.to_string().is_empty());
    }
}
