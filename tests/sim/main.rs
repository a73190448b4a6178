//! The simulation: the whole way of an event on virtual time, with faults drawn from a seed, held
//! against numbered invariants and two oracles.
//!
//! One thread, no sleep, no randomness but the seed's: `TIDEGATE_SIM_SEED=7 cargo test --test sim one
//! -- --nocapture` repeats a run exactly. `TIDEGATE_SIM_SEEDS=1000` runs more of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a test stops at the first thing that does not hold and prints what it saw"
)]

mod arrival;
mod crash;
mod detectors;
mod disk;
mod edges;
mod fact;
mod fault;
mod invariants;
mod log;
mod mutant;
mod node;
mod oracle;
mod profile;
mod random;
mod receiver;
mod rig;
mod sender;
mod verdict;
mod workload;
mod world;

use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use tidegate::crash::POINTS;

use mutant::Mutant;
use profile::Profile;
use verdict::Held;
use world::{Outcome, Violation};

/// Seeds of a normal run.
const SEEDS: u64 = 100;
/// Of a hundred seeds so many are held against the run without a fault, so many by their actions, too; and of a
/// hundred alert revisions that are, at most so many more are not.
const HELD_MIN: u64 = 90;
const ACTED_MIN: u64 = 60;
const EXEMPT_MAX: usize = 20;
/// A base and its increments that are a long chain.
const CHAIN: usize = 4;
/// How a violation begins that is a panic.
const PANIC: &str = "it panicked: ";
/// Seeds within which a mutant must be caught.
const MUTANT_SEEDS: u64 = 20;

/// A whole run of a seed: with faults, without, and the verdict. A panic is none the less a violation.
fn simulate(seed: u64, mutant: Mutant) -> Result<(Outcome, Held), Violation> {
    // What a panic leaves half done is dropped with the run.
    let run = AssertUnwindSafe(|| judged(seed, mutant));
    catch_unwind(run).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        let what = format!("{PANIC}{}", said.unwrap_or("without a word"));
        let step = 0;
        Err(Violation { seed, step, what })
    })
}

fn judged(seed: u64, mutant: Mutant) -> Result<(Outcome, Held), Violation> {
    let profile = Profile::new(seed);
    let fail = |step, what| Violation { seed, step, what };
    let clean = world::run(&profile, mutant, None)?;
    verdict::against_laws(&clean).map_err(|what| fail(0, format!("without a fault, {what}")))?;
    let first = verdict::clean(&clean.world);
    let faulty = world::run(&profile, mutant, Some(&first))?;
    let step = faulty.steps;
    let held = verdict::judge(&faulty, &clean).map_err(|what| fail(step, what))?;
    Ok((faulty, held))
}

fn report(violation: &Violation) -> String {
    let Violation { seed, step, what } = violation;
    format!(
        "seed {seed}, step {step}: {what}\nrepeat it: TIDEGATE_SIM_SEED={seed} cargo test --locked --test sim one -- --nocapture"
    )
}

/// One row of the table of `make faults`, past the capture of passing tests' output.
fn row(fault: &str, how: &str, result: &str) {
    writeln!(std::io::stderr(), "| {fault} | {how} | {result} |").ok();
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn seeds() {
    let count = number("TIDEGATE_SIM_SEEDS").unwrap_or(SEEDS);
    let (begin, mut steps, mut injected) = (Instant::now(), 0, BTreeMap::<_, u64>::new());
    let mut compared = Compared::default();
    let (mut restored, mut halved) = (BTreeMap::<_, u64>::new(), 0);
    let mut died: BTreeMap<&str, u64> = POINTS.iter().map(|point| (*point, 0)).collect();
    let mut failed = Vec::new();
    for seed in 0..count {
        match simulate(seed, Mutant::None) {
            Ok((outcome, held)) => {
                compared.add(held);
                steps += outcome.steps;
                for (name, n) in outcome.injected {
                    *injected.entry(name).or_default() += n;
                }
                for (files, n) in outcome.world.chains.restored {
                    *restored.entry(files).or_default() += n;
                }
                halved += outcome.world.chains.halved;
                for (point, n) in outcome.died {
                    *died.entry(point).or_default() += n;
                }
            }
            Err(violation) => {
                println!("{}", report(&violation));
                failed.push(seed);
            }
        }
    }
    let rate = steps as f64 / begin.elapsed().as_secs_f64();
    let hit = died.values().filter(|n| **n > 0).count();
    row(
        "T4 simulation",
        &format!(
            "{count} seeds, {} faults of {} kinds, {} deaths at {hit} of {} crash points",
            injected.values().sum::<u64>(),
            injected.len(),
            died.values().sum::<u64>(),
            died.len(),
        ),
        &format!(
            "{} runs broke a law; {compared}; {steps} steps, {rate:.0} steps/s",
            failed.len()
        ),
    );
    println!("faults: {injected:?}");
    println!("died at: {died:?}");
    println!("restored from so many files: {restored:?}, {halved} to the middle of a chain");
    assert!(
        failed.is_empty(),
        "{} seeds failed: {failed:?}",
        failed.len()
    );
    assert!(count < SEEDS || compared.is_enough(count), "{compared}");
    let never: Vec<_> = died.iter().filter(|(_, n)| **n == 0).collect();
    assert!(count < SEEDS || never.is_empty(), "never died at {never:?}");
    let long: u64 = restored.range(CHAIN..).map(|(_, n)| n).sum();
    assert!(
        count < SEEDS || (long >= count && halved > 0),
        "{long} long chains were gone on from, {halved} to their middle: {restored:?}"
    );
}

#[test]
fn one() {
    let seed = number("TIDEGATE_SIM_SEED").unwrap_or(1);
    match simulate(seed, Mutant::None) {
        Ok((outcome, held)) => println!(
            "seed {seed}: {} steps, {held:?}, {:?}",
            outcome.steps, outcome.injected
        ),
        Err(violation) => panic!("{}", report(&violation)),
    }
}

/// How much of all runs was held against the run without a fault.
#[derive(Default)]
struct Compared {
    seeds: u64,
    acted: u64,
    sum: Held,
}

impl Compared {
    fn add(&mut self, held: Held) {
        self.seeds += u64::from(held.alerts > 0);
        self.acted += u64::from(held.actions > 0);
        self.sum.alerts += held.alerts;
        self.sum.exempt += held.exempt;
        self.sum.actions += held.actions;
    }

    /// Who exempts more has to say so here.
    const fn is_enough(&self, of: u64) -> bool {
        self.seeds * 100 >= of * HELD_MIN
            && self.acted * 100 >= of * ACTED_MIN
            && self.sum.exempt * 100 <= self.sum.alerts * EXEMPT_MAX
    }
}

impl Display for Compared {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let (seeds, acted, sum) = (self.seeds, self.acted, &self.sum);
        write!(
            f,
            "{seeds} held against the run without a fault ({} revisions, {} left out), {acted} by their actions ({})",
            sum.alerts, sum.exempt, sum.actions
        )
    }
}

/// The same seed is the same run, to the last byte; other seeds are other runs.
#[test]
fn a_seed_repeats_itself() {
    let traces = [3, 4].map(|seed| {
        let profile = Profile::new(seed);
        let clean = world::run(&profile, Mutant::None, None).unwrap();
        let first = verdict::clean(&clean.world);
        let run = || world::run(&profile, Mutant::None, Some(&first)).unwrap();
        let (once, again) = (run().trace, run().trace);
        assert_eq!(once, again, "seed {seed}");
        once
    });
    assert_ne!(traces[0], traces[1]);
}

/// A panic is told as any other broken promise: by its seed, and by the command that repeats it.
#[test]
fn a_panic_names_its_seed() {
    let violation = simulate(7, Mutant::Panics).err().unwrap();
    let said = report(&violation);
    let repeat = "TIDEGATE_SIM_SEED=7 cargo test --locked --test sim one -- --nocapture";
    assert!(said.contains(PANIC) && said.contains(repeat), "{said}");
}

/// Every broken behaviour is found within some seeds; the report says in which, and by what.
#[test]
fn every_mutant_is_caught() {
    let readme = include_str!("../../README.md");
    let counted = format!("{} broken behaviours caught", Mutant::ALL.len());
    assert!(
        readme.contains(&counted),
        "the README does not say {counted}"
    );
    let mut survivors = Vec::new();
    for mutant in Mutant::ALL {
        let shows = |seed: &u64| mutant.shows_in(&Profile::new(*seed));
        let mut seeds = (0..MUTANT_SEEDS).filter(shows);
        let caught = seeds.find_map(|seed| simulate(seed, mutant).err());
        match caught {
            Some(Violation { seed, what, .. }) => {
                assert!(!what.starts_with(PANIC), "{mutant:?}, seed {seed}: {what}");
                let first = what.lines().next().unwrap_or_default();
                let first: String = first.chars().take(100).collect();
                row(
                    "T4 a mutant",
                    &format!("{mutant:?}"),
                    &format!("caught by seed {seed}: {}", first.replace('|', "/")),
                );
            }
            None => survivors.push(mutant),
        }
    }
    assert!(
        survivors.is_empty(),
        "not caught in {MUTANT_SEEDS} seeds: {survivors:?}"
    );
}
