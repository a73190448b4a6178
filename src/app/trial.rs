//! One test case of a detector: its events through stage 1 and the engine, its alerts against
//! what it expects.

mod why;

use std::sync::Arc;

use serde::Serialize;

use super::stage::{Beside, Stage};
use crate::engine::alert::Alert;
use crate::engine::detector::case::{Case, Expectation};
use crate::engine::exchange::Routed;
use crate::engine::program::Program;
use crate::engine::{Engine, Input, Output};
use crate::enrich::Tables;

/// How a case ended.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub file: String,
    pub name: String,
    /// Empty if it holds.
    pub faults: Vec<String>,
}

/// A case to run.
pub struct Trial<'a> {
    pub program: &'a Arc<Program>,
    /// The content of the case's `input`.
    pub input: Option<&'a str>,
}

impl Trial<'_> {
    #[must_use]
    pub fn run(&self, file: &str, case: &Case) -> Verdict {
        let mut stage = Stage::new(
            self.program,
            self.program.projection(&[]),
            Arc::new(Tables::default()),
        );
        let mut engine = Engine::new(Arc::clone(self.program), 1);
        let (mut routed, mut dead) = (Routed::default(), Vec::new());
        for (offset, line) in (1..).zip(lines(self.input, case)) {
            stage.work(
                line.as_bytes(),
                &Beside::line(offset),
                &mut routed,
                &mut dead,
            );
        }
        engine.handle(&Input::Batch(&routed));
        engine.handle(&Input::End { until: case.until });
        let alerts: Vec<Alert> = std::iter::from_fn(|| engine.poll())
            .map(|Output::Alert(a)| *a)
            .filter(|a| a.revision == 0)
            .collect();
        let mut faults: Vec<String> = dead
            .iter()
            .map(|(origin, letter)| {
                format!(
                    "event {} is no event: {}: {}",
                    origin.offset, letter.reason, letter.detail
                )
            })
            .collect();
        for expect in &case.expect {
            let found: Vec<&Alert> = alerts.iter().filter(|a| fits(expect, a)).collect();
            let came = found.len() as u64;
            if came != expect.count {
                let times = found.iter().map(|a| format!(" {}", a.time));
                let at = if found.is_empty() { "" } else { " at" };
                let mut fault = format!(
                    "line {}: {} alert(s) of {} expected, {came} came{at}{}",
                    expect.line,
                    expect.count,
                    expect.detector,
                    times.collect::<String>()
                );
                if came < expect.count {
                    let reasons = why::reasons(self, case, expect, &alerts, &engine.counts());
                    let reasons = reasons.iter().map(|r| format!("\n  {r}"));
                    fault.extend(reasons);
                }
                faults.push(fault);
            }
            let first = found.first().map(|a| a.time);
            if let (Some(want), Some(got)) = (expect.time, first)
                && want != got
            {
                faults.push(format!(
                    "line {}: {} fires at {got}, expected {want}",
                    expect.line, expect.detector
                ));
            }
        }
        let detectors = &self.program.plan.detectors;
        let own = |a: &&Alert| {
            let mut all = detectors.iter();
            all.any(|d| d.id == a.detector.id && is_beside(file, &d.file))
        };
        for alert in alerts
            .iter()
            .filter(own)
            .filter(|a| !case.expect.iter().any(|e| fits(e, a)))
        {
            faults.push(format!(
                "unexpected alert at {}: {}",
                alert.time, alert.summary
            ));
        }
        Verdict {
            file: file.to_owned(),
            name: case.name.clone(),
            faults,
        }
    }
}

/// The events of a case as JSON lines in the order they arrive; `input` is what its file holds.
pub fn lines<'a>(input: Option<&'a str>, case: &'a Case) -> impl Iterator<Item = &'a str> {
    let read = input.into_iter().flat_map(str::lines);
    read.chain(case.events.iter().map(String::as_str))
}

/// Whether a detector stands in the folder of a case: what others make of its events is told by
/// their own cases.
#[must_use]
pub fn is_beside(case: &str, detector: &str) -> bool {
    fn folder(path: &str) -> &str {
        path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
    let mut home = folder(case);
    if home.ends_with("/tests") || home == "tests" {
        home = folder(home);
    }
    folder(detector) == home
}

fn fits(expect: &Expectation, alert: &Alert) -> bool {
    let named = alert.detector.name == expect.detector || alert.detector.id == expect.detector;
    named
        && expect
            .key
            .iter()
            .all(|(name, value)| alert.key.get(name) == Some(value))
}
