//! The condition of a temporal correlation to the sets of rules that are enough.
//!
//! Owns the refusal of what could only be known by waiting: `not`, and upper bounds. The sets are
//! the smallest ones, in order of size, and at most `SETS_MAX`.

use std::collections::BTreeSet;

use crate::engine::detector::condition::Expr;
use crate::engine::detector::diagnostic::{Findings, Place, did_you_mean};
use crate::engine::detector::document::{Bound, Enough};
use crate::engine::detector::plan::Op;

/// More alternatives than this are several detectors.
const SETS_MAX: usize = 64;
/// And more than this on the way to them are not looked at.
const WAY_MAX: usize = SETS_MAX * SETS_MAX;

type Sets = BTreeSet<BTreeSet<usize>>;

/// The sets of positions in `names` of which one must be complete; empty is all names.
pub(super) fn sets(
    enough: &Enough,
    names: &[&str],
    findings: &mut Findings<'_>,
) -> Vec<Vec<usize>> {
    let (found, at) = match enough {
        Enough::Count(bound) => (count(bound, names.len(), findings), bound.at),
        Enough::Expression(expr, at) => (expand(expr, names, findings), *at),
    };
    let Some(found) = found else {
        return Vec::new();
    };
    if found.len() > SETS_MAX {
        too_many(at, findings);
        return Vec::new();
    }
    for (i, name) in names.iter().enumerate() {
        if !found.iter().any(|set| set.contains(&i)) {
            let message = format!("the condition does not need `{name}`");
            findings.lint(
                at,
                message,
                "name it in the condition, or take it out of `rules`",
            );
        }
    }
    let mut list: Vec<Vec<usize>> = found
        .into_iter()
        .map(|set| set.into_iter().collect())
        .collect();
    list.sort_by_key(|set: &Vec<usize>| (set.len(), set.clone()));
    if list.len() == 1 && list.iter().all(|set| set.len() == names.len()) {
        list.clear();
    }
    list
}

fn too_many(at: Place, findings: &mut Findings<'_>) {
    let hint = "split it into several correlations";
    let message = format!("the condition has more than {SETS_MAX} alternatives");
    findings.fault_hint(at, message, hint);
}

/// Every choice of `k` of `n` rules.
fn count(bound: &Bound, n: usize, findings: &mut Findings<'_>) -> Option<Sets> {
    #[expect(clippy::cast_precision_loss, reason = "a handful of rules")]
    let all = n as f64;
    let least = match bound.op {
        Op::Gte => bound.value.ceil(),
        Op::Gt => bound.value.floor() + 1.0,
        Op::Eq if bound.op.holds(all, bound.value) => all,
        Op::Eq | Op::Lt | Op::Lte | Op::Neq => {
            findings.fault_hint(
                bound.at,
                "that few rules were seen is known only by waiting",
                "write `gte:`, or `type: absence` for what should have followed",
            );
            return None;
        }
    };
    if !(1.0..=all).contains(&least) {
        let message = format!("the correlation has {n} rules");
        findings.fault_hint(bound.at, message, format!("write `gte: 1` to `gte: {n}`"));
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and the number of rules"
    )]
    let k = least as usize;
    let everyone: BTreeSet<usize> = (0..n).collect();
    // Whom to take, or whom to leave out: of the fewer there are never more sets on the way than in the end.
    let (few, rest) = (k.min(n - k), k > n - k);
    let mut sets = Sets::from([BTreeSet::new()]);
    for _ in 0..few {
        let longer = |set: &BTreeSet<usize>| {
            let from = set.last().map_or(0, |last| last + 1);
            let set = set.clone();
            (from..n).map(move |i| set.iter().copied().chain([i]).collect())
        };
        // One too many is enough to know.
        sets = sets.iter().flat_map(longer).take(SETS_MAX + 1).collect();
    }
    if rest {
        sets = sets.iter().map(|set| &everyone - set).collect();
    }
    Some(sets)
}

fn expand(expr: &Expr, names: &[&str], findings: &mut Findings<'_>) -> Option<Sets> {
    match expr {
        Expr::Name(name, at) => {
            let Some(i) = names.iter().position(|n| n == name) else {
                let message = format!("`{name}` is not among the rules of this correlation");
                let hint = did_you_mean(name, names.iter().copied());
                findings.fault_hint(*at, message, hint);
                return None;
            };
            Some(Sets::from([BTreeSet::from([i])]))
        }
        Expr::OneOf(pattern, at) => {
            let chosen = matching(pattern, *at, names, findings)?;
            Some(chosen.into_iter().map(|i| BTreeSet::from([i])).collect())
        }
        Expr::AllOf(pattern, at) => {
            let chosen = matching(pattern, *at, names, findings)?;
            Some(Sets::from([chosen.into_iter().collect()]))
        }
        Expr::Or(list) => {
            let mut all = Sets::new();
            for expr in list {
                all.append(&mut expand(expr, names, findings)?);
            }
            Some(smallest(all))
        }
        Expr::And(list) => {
            let mut all = Sets::from([BTreeSet::new()]);
            for expr in list {
                let more = expand(expr, names, findings)?;
                let with = |set: &BTreeSet<usize>| more.iter().map(|m| set | m).collect::<Vec<_>>();
                all = all.iter().flat_map(with).take(WAY_MAX + 1).collect();
                if all.len() > WAY_MAX {
                    too_many(place(expr), findings);
                    return None;
                }
                all = smallest(all);
            }
            Some(all)
        }
        Expr::Not(inner) => {
            let at = place(inner);
            findings.fault_hint(
                at,
                "that a rule was not seen is known only by waiting",
                "use `type: absence` with `after:` and `expect:`, and correlate that",
            );
            None
        }
    }
}

/// Without the sets that contain another one.
fn smallest(sets: Sets) -> Sets {
    let mut sets: Vec<BTreeSet<usize>> = sets.into_iter().collect();
    sets.sort_by_key(BTreeSet::len);
    let mut kept: Vec<BTreeSet<usize>> = Vec::new();
    for set in sets {
        if !kept.iter().any(|smaller| smaller.is_subset(&set)) {
            kept.push(set);
        }
    }
    kept.into_iter().collect()
}

fn matching(
    pattern: &str,
    at: Place,
    names: &[&str],
    findings: &mut Findings<'_>,
) -> Option<Vec<usize>> {
    let fits = |name: &str| pattern == "*" || super::detection::like(pattern, name);
    let chosen: Vec<usize> = (0..names.len())
        .filter(|i| names.get(*i).is_some_and(|n| fits(n)))
        .collect();
    if chosen.is_empty() {
        let message = format!("no rule is called like `{pattern}`");
        findings.fault_hint(at, message, "name rules of this correlation");
        return None;
    }
    Some(chosen)
}

fn place(expr: &Expr) -> Place {
    match expr {
        Expr::Name(_, at) | Expr::OneOf(_, at) | Expr::AllOf(_, at) => *at,
        Expr::Not(inner) => place(inner),
        Expr::And(list) | Expr::Or(list) => list.first().map(place).unwrap_or_default(),
    }
}
