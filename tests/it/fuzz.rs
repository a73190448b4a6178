//! (T15) The functions of `fuzz/` on every change, without nightly: the kept corpora as they are, and what
//! a small mutator makes of them. `make fuzz` goes deeper.
//!
//! `TIDEGATE_TEST_FUZZ=60` gives each function so many seconds. A failure leaves its input in a file
//! and names it.

#[path = "../../fuzz/src/entry.rs"]
mod entry;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::harness::{root, scratch, sized, tell};

/// Longest input that is made up.
const LENGTH_MAX: usize = 4096;
/// What parsers trip over.
const WORDS: &[&str] = &[
    "0",
    "-1",
    "1e999",
    "18446744073709551616",
    "null",
    "true",
    "\"",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\n",
    "\u{0}",
    "\u{feff}",
    "é",
    "🦀",
    "&a",
    "*a",
    "<<: ",
    "!!str",
    "|",
    "- ",
    "%",
    "..",
    "::",
    "/0",
    "/129",
    "1d",
    "0s",
    "all of them",
    "1 of x*",
    "|re: (a+)+$",
    "|cidr: ",
    "group-by",
    "timespan",
    "whsec_",
    "v1,",
];

/// Numbers without order, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (limit.max(1) as u64)).unwrap()
    }
}

/// One or several small changes, some of them with a piece of another input.
fn mutated(input: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = (at + 1 + dice.below(16)).min(bytes.len());
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = u8::try_from(dice.below(256)).unwrap(),
            2 if at < end => drop(bytes.drain(at..end)),
            3 => bytes.truncate(at),
            4 if at < end => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 if !other.is_empty() => {
                let from = dice.below(other.len());
                let to = (from + 1 + dice.below(64)).min(other.len());
                bytes.splice(at..end.max(at), other[from..to].iter().copied());
            }
            _ => {
                let word = WORDS[dice.below(WORDS.len())];
                bytes.splice(at..at, word.bytes());
            }
        }
    }
    bytes.truncate(LENGTH_MAX);
    bytes
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = root().join("fuzz/corpus").join(name);
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|f| std::fs::read(f).unwrap()).collect()
}

/// Runs it, and keeps the input if it fails.
fn survives(name: &str, entry: entry::Entry, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| entry(input))).is_err() {
        let file = scratch("fuzz").join(name);
        std::fs::write(&file, input).unwrap();
        panic!("{name} fails on {}", file.display());
    }
}

#[test]
fn no_bytes_of_strangers_make_a_door_fail() {
    let limit = Duration::from_secs(sized("TIDEGATE_TEST_FUZZ", 2));
    for (name, entry) in entry::ENTRIES {
        let seeds = corpus(name);
        assert!(seeds.len() >= 5, "{name} has a corpus of {}", seeds.len());
        for seed in &seeds {
            survives(name, *entry, seed);
        }
        let (mut dice, began, mut runs) = (Dice(0x7469_6465), Instant::now(), 0u64);
        while began.elapsed() < limit {
            let (one, other) = (dice.below(seeds.len()), dice.below(seeds.len()));
            survives(
                name,
                *entry,
                &mutated(&seeds[one], &seeds[other], &mut dice),
            );
            runs += 1;
        }
        tell(&format!(
            "| T15 fuzz {name} | {} kept inputs, {} s of mutations | {runs} runs, no failure |",
            seeds.len(),
            limit.as_secs()
        ));
    }
}

#[test]
fn every_function_is_a_target() {
    for (name, _) in entry::ENTRIES {
        let file = root().join(format!("fuzz/fuzz_targets/{name}.rs"));
        assert!(file.is_file(), "{} is missing", file.display());
    }
}
