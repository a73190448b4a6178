//! How coverage is shown: a line per detector, what was never seen, a total; or JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::app::coverage::{Coverage, Covered, Point};

/// For people.
pub fn print(out: &mut impl Write, coverage: &Coverage) -> io::Result<()> {
    writeln!(
        out,
        "\n{:<44} {:>9} {:>6}",
        "coverage of detector", "sides", "seen"
    )?;
    for covered in coverage.detectors() {
        row(out, &covered.detector, covered.sides())?;
        for (point, side) in covered.points.iter().flat_map(missing) {
            writeln!(out, "    never {side}: {}", point.what)?;
        }
    }
    row(out, "all", total(coverage))
}

fn row(out: &mut impl Write, name: &str, (seen, all): (usize, usize)) -> io::Result<()> {
    let shown = format!("{seen}/{all}");
    writeln!(out, "{name:<44} {shown:>9} {:>5}%", percent(seen, all))
}

/// For programs.
pub fn json(coverage: &Coverage) -> Value {
    let detectors: Vec<Value> = coverage.detectors().iter().map(of_detector).collect();
    let (seen, sides) = total(coverage);
    json!({"detectors": detectors, "seen": seen, "sides": sides})
}

fn of_detector(covered: &Covered) -> Value {
    let (seen, sides) = covered.sides();
    json!({
        "detector": covered.detector, "seen": seen, "sides": sides, "points": covered.points,
    })
}

fn missing(point: &Point) -> impl Iterator<Item = (&Point, &'static str)> {
    let held = (!point.held).then_some((point, "met"));
    let failed = (!point.failed).then_some((point, "missed"));
    held.into_iter().chain(failed)
}

fn total(coverage: &Coverage) -> (usize, usize) {
    let add = |a: (usize, usize), b: (usize, usize)| (a.0 + b.0, a.1 + b.1);
    coverage
        .detectors()
        .iter()
        .map(Covered::sides)
        .fold((0, 0), add)
}

/// Rounded down: 100 % is all of them.
const fn percent(seen: usize, all: usize) -> usize {
    match all {
        0 => 100,
        all => seen * 100 / all,
    }
}
