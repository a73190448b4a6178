//! The catalogue of detectors as Markdown: what each means, when it fires, what it asks for.
//!
//! Owns the form of `docs/detectors.md`. Everything in it comes from the detectors' own files, so
//! it is stale only if nobody ran `tidegate detectors docs`; a test says so.

use std::fmt::Write as _;

use crate::app::detectors::DetectorFile;
use crate::engine::detector::case::{self, Purpose};
use crate::engine::detector::plan::{
    Aggregate, Bound, Detector, From, Function, Kind, Mode, Plan, Rule, Score, Spike,
};
use crate::model::Span;

const HEAD: &str = "\
# The detectors

Written by `tidegate detectors docs > docs/detectors.md` from the detectors' own files; do not edit.
[Writing a detector](language.md) explains the words.
";

/// The whole page. `files` are those of the folder the plan comes from.
pub fn page(plan: &Plan, files: &[DetectorFile]) -> String {
    let mut out = String::from(HEAD);
    let mut detectors: Vec<&Detector> = plan.detectors.iter().collect();
    detectors.sort_by_key(|d| (d.file.as_str(), d.line));
    let (mut family, mut folder) = ("", "");
    for d in detectors {
        let path = folder_of(&d.file);
        let own = path.rsplit_once('/').map_or("", |(above, _)| last(above));
        if own != family {
            family = own;
            line(&mut out, &format!("\n## {family}"));
        }
        if path != folder {
            folder = path;
            line(&mut out, &format!("\n### {}\n", last(folder)));
            line(&mut out, &beside(folder, d, files));
        }
        detector(&mut out, plan, d);
    }
    out
}

/// The runbook and the cases of a folder.
fn beside(folder: &str, d: &Detector, files: &[DetectorFile]) -> String {
    let mut purposes: Vec<(Purpose, usize)> = Vec::new();
    let is_case = |f: &&DetectorFile| f.is_test && f.path.starts_with(&format!("{folder}/tests/"));
    let cases = files.iter().filter(is_case);
    for case in cases.flat_map(|f| case::parse(&f.path, &f.text).0) {
        match purposes.iter_mut().find(|(p, _)| *p == case.purpose) {
            Some((_, count)) => *count += 1,
            None => purposes.push((case.purpose, 1)),
        }
    }
    purposes.sort_unstable();
    let told: Vec<String> = purposes
        .iter()
        .map(|(purpose, count)| format!("{count} {}", word(*purpose)))
        .collect();
    let tests = match told.as_slice() {
        [] => "none".to_owned(),
        _ => told.join(", "),
    };
    let runbook = match &d.runbook {
        Some(path) if path.contains("://") => format!("[Runbook]({path})"),
        Some(path) => format!("[Runbook](../{path})"),
        None => "No runbook".to_owned(),
    };
    format!("{runbook}. Tests: {tests}.")
}

fn detector(out: &mut String, plan: &Plan, d: &Detector) {
    let Some(rule) = plan.rules.get(d.rule) else {
        return;
    };
    let mode = match d.mode {
        Mode::Shadow => "shadow",
        Mode::Alert => "alert",
        Mode::Contain => "contain",
    };
    let serves = if rule.alerts { "" } else { ", serves others" };
    line(out, &format!("\n**`{}`** - {}", d.name, d.title));
    line(out, &format!("({}, {mode}{serves})\n", d.level.name()));
    if !d.description.is_empty() {
        line(out, &format!("{}\n", d.description.trim()));
    }
    line(out, &format!("- fires on {}", fires(plan, rule)));
    let wider = |r: &&Rule| matches!(r.inputs.first().map(|i| i.from), Some(From::Rest(_)));
    let own = plan.rules.iter().filter(|r| r.detector == rule.detector);
    for rule in own.filter(wider) {
        line(
            out,
            &format!("- of what that leaves, on {}", fires(plan, rule)),
        );
    }
    if !d.respond.is_empty() {
        let step = |r: &crate::engine::detector::plan::Respond| {
            let target = r.target.as_deref().unwrap_or("flow");
            format!("{} {target} for {}", r.verb.name(), r.ttl)
        };
        let steps: Vec<String> = d.respond.iter().map(step).collect();
        line(out, &format!("- asks for {}", steps.join(", ")));
    }
    if d.suppress.0 > 0 {
        line(out, &format!("- stays open for {} after it", d.suppress));
    }
    let graded = format!("confidence {}, spoofable {}", d.confidence, d.spoofable);
    let tags = d.tags.iter().map(|tag| format!(", {tag}"));
    line(out, &format!("- {graded}{}", tags.collect::<String>()));
}

/// When a rule fires, in a sentence.
fn fires(plan: &Plan, rule: &Rule) -> String {
    let names: Vec<&str> = rule.inputs.iter().map(|i| i.name.as_str()).collect();
    let (first, second) = (
        names.first().copied().unwrap_or_default(),
        names.get(1).copied().unwrap_or_default(),
    );
    let what = match &rule.kind {
        Kind::Each => return "every event that meets its condition".to_owned(),
        Kind::Window { aggregates, bounds } => window(aggregates, bounds),
        Kind::Temporal { ordered: true, .. } => names.join(", then "),
        Kind::Temporal { sets, .. } if sets.is_empty() => names.join(" and "),
        Kind::Temporal { sets, .. } => {
            let one = |set: &Vec<usize>| -> String {
                let names = set.iter().filter_map(|i| names.get(*i).copied());
                names.collect::<Vec<_>>().join(" and ")
            };
            sets.iter().map(one).collect::<Vec<_>>().join(", or ")
        }
        Kind::Absence { .. } => format!("{first} without {second}"),
        Kind::Ratio {
            bound,
            value,
            denominator_min,
        } => format!(
            "{first} / {second} {} {value}, of at least {denominator_min}",
            bound.sign()
        ),
        Kind::Share(share) => {
            let bound = share
                .bound
                .map_or(String::new(), |(op, v)| format!(" and {} {v}", op.sign()));
            format!(
                "{first} / {second} {} {} times its own past{bound}, of at least {}",
                share.times.0.sign(),
                share.times.1,
                share.denominator_min
            )
        }
        Kind::Spike(spike) => rate(spike),
        Kind::NewValue(new) => {
            let fields: Vec<&str> = new.fields.iter().map(|f| plan.fields.name(*f)).collect();
            let burst = new.burst.map_or(String::new(), |b| {
                format!(", {} times within {}", b.count_min, b.within)
            });
            format!("a value of {} not seen before{burst}", fields.join(" and "))
        }
        Kind::Score(score) => score_of(score, &names),
        Kind::Quiet(quiet) => format!(
            "silence after {} events in {}",
            quiet.count_min, quiet.warmup
        ),
        Kind::Obligations { within } => {
            let step = |(name, within): (&&str, &Span)| format!(", then {name} within {within}");
            let steps: String = names.iter().skip(1).zip(within).map(step).collect();
            return format!("a step that does not come: {first}{steps}");
        }
    };
    let per = match rule.key_names.as_slice() {
        [] => "over all".to_owned(),
        keys => format!("per {}", keys.join(" and ")),
    };
    format!("{what}, within {}, {per}", rule.timespan)
}

/// The evidence with its weights, and the sum that fires.
fn score_of(score: &Score, names: &[&str]) -> String {
    let after = names.first().filter(|_| score.after);
    let evidence = names.iter().skip(usize::from(score.after));
    let weighed: Vec<String> = evidence
        .zip(&score.weights)
        .map(|(name, weight)| format!("{name} {weight}"))
        .collect();
    let after = after.map_or(String::new(), |name| format!(" after {name}"));
    format!(
        "evidence that sums to {} {} ({}){after}",
        score.op.sign(),
        score.value,
        weighed.join(", ")
    )
}

fn window(aggregates: &[Aggregate], bounds: &[Bound]) -> String {
    let one = |b: &Bound| {
        let name = aggregates.get(b.aggregate).map_or("", |a| a.name.as_str());
        let share = aggregates
            .get(b.aggregate)
            .is_some_and(|a| a.function == Function::OnceShare);
        let shown = if share { "share " } else { "" };
        let of = b.of.and_then(|of| aggregates.get(of));
        let of = of.map_or(String::new(), |of| format!(" times {}", of.name));
        format!("{shown}{name} {} {}{of}", b.op.sign(), b.value)
    };
    bounds.iter().map(one).collect::<Vec<_>>().join(" and ")
}

fn rate(spike: &Spike) -> String {
    format!(
        "at least {} events and {} times the usual rate, or a chance below 1e-{} (half-life {}, after {})",
        spike.count_min, spike.factor, spike.tail_min, spike.half_life, spike.warmup
    )
}

const fn word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Fires => "fires",
        Purpose::NearMiss => "near miss",
        Purpose::Boundary => "boundary",
        Purpose::OutOfOrder => "out of order",
        Purpose::Evasion => "evasion",
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn last(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}
