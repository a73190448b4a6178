//! The store's backends on the same work in one run: bulk writes, one durable row, size on disk. As
//! ratios to redb; `docs/adr/0001-the-store.md` has the figures that decided.
//!
//! `cargo bench --bench store` (redb alone), `--features sled` (both). TIDEGATE_BENCH_ROWS sets the rows.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark measures time and files"
)]

use std::io::Write;
use std::path::Path;
use std::time::Instant;

use tidegate::store::redb::RedbStore;
use tidegate::store::{Store, Table, read, write};

const BATCH: u64 = 1000;
const VALUE: [u8; 64] = [7; 64];
/// Durable rows one by one.
const SINGLES: u64 = 200;

/// Seconds and bytes of one backend.
struct Measured {
    name: &'static str,
    bulk: f64,
    single: f64,
    scan: f64,
    disk: f64,
}

fn main() {
    let rows = std::env::var("TIDEGATE_BENCH_ROWS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200_000);
    let folder = tempfile::tempdir().unwrap();
    let mut all = vec![measure(
        &RedbStore::open(&folder.path().join("rows.redb")).unwrap(),
        rows,
        &folder.path().join("rows.redb"),
    )];
    #[cfg(feature = "sled")]
    {
        let path = folder.path().join("sled");
        let store = tidegate::store::sled::SledStore::open(&path).unwrap();
        all.push(measure(&store, rows, &path));
    }
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{rows} rows of 64 bytes in batches of {BATCH}, {SINGLES} durable rows one by one\n\n\
         {:<6} {:>10} {:>7} {:>12} {:>7} {:>10} {:>7} {:>9} {:>6}",
        "store", "bulk s", "ratio", "one row ms", "ratio", "scan s", "ratio", "disk MiB", "ratio"
    )
    .unwrap();
    let first = all.swap_remove(0);
    for m in std::iter::once(&first).chain(&all) {
        writeln!(
            out,
            "{:<6} {:>10.2} {:>7.2} {:>12.3} {:>7.2} {:>10.3} {:>7.2} {:>9.1} {:>6.2}",
            m.name,
            m.bulk,
            m.bulk / first.bulk,
            m.single * 1000.0,
            m.single / first.single,
            m.scan,
            m.scan / first.scan,
            m.disk / f64::from(1 << 20),
            m.disk / first.disk,
        )
        .unwrap();
    }
}

fn measure(store: &dyn Store, rows: u64, path: &Path) -> Measured {
    // Keys as the store has them: digests, so no two are neighbours.
    let key = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    let begin = Instant::now();
    for batch in 0..rows / BATCH {
        write(store, |tx| {
            for n in batch * BATCH..(batch + 1) * BATCH {
                tx.put(Table::Alerts, &key(n), &VALUE)?;
            }
            Ok(())
        })
        .unwrap();
    }
    let bulk = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    for n in 0..SINGLES {
        write(store, |tx| tx.put(Table::Meta, &key(n), &VALUE)).unwrap();
    }
    let single = begin.elapsed().as_secs_f64() / SINGLES as f64;
    let begin = Instant::now();
    let mut seen = 0;
    read(store, |view| {
        let all = tidegate::store::Range::all();
        view.scan(Table::Alerts, &all, &mut |_, _| {
            seen += 1;
            Ok(std::ops::ControlFlow::Continue(()))
        })
    })
    .unwrap();
    assert_eq!(seen, rows / BATCH * BATCH);
    Measured {
        name: store.name(),
        bulk,
        single,
        scan: begin.elapsed().as_secs_f64(),
        disk: size(path) as f64,
    }
}

fn size(path: &Path) -> u64 {
    let meta = std::fs::metadata(path).unwrap();
    if meta.is_file() {
        return meta.len();
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|e| size(&e.unwrap().path())).sum()
}
