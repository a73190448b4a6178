//! One test case of a detector: its events through stage 1 and the engine, its alerts against
//! what it expects.

use std::sync::Arc;

use serde::Serialize;

use super::stage::Stage;
use crate::engine::alert::Alert;
use crate::engine::detector::case::{Case, Expectation};
use crate::engine::exchange::{Origin, Routed};
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
        let mut stage = Stage::new(self.program, self.program.projection(&[]), Arc::new(Tables::default()));
        let mut engine = Engine::new(Arc::clone(self.program), 1);
        let (mut routed, mut dead) = (Routed::default(), Vec::new());
        let lines = self.input.into_iter().flat_map(str::lines).chain(case.events.iter().map(String::as_str));
        for (offset, line) in (1..).zip(lines) {
            let origin = Origin { source: 0, partition: 0, offset };
            stage.work(line.as_bytes(), None, origin, None, &mut routed, &mut dead);
        }
        engine.handle(&Input::Batch(&routed));
        engine.handle(&Input::End { until: case.until });
        let alerts: Vec<Alert> = std::iter::from_fn(|| engine.poll())
            .map(|Output::Alert(a)| *a)
            .filter(|a| a.revision == 0)
            .collect();
        let mut faults: Vec<String> = dead
            .iter()
            .map(|(origin, letter)| format!("event {} is no event: {}: {}", origin.offset, letter.reason, letter.detail))
            .collect();
        for expect in &case.expect {
            let found: Vec<&Alert> = alerts.iter().filter(|a| fits(expect, a)).collect();
            if found.len() as u64 != expect.count {
                let times: Vec<String> = found.iter().map(|a| a.time.to_string()).collect();
                faults.push(format!(
                    "line {}: {} alert(s) of {} expected, {} came {}",
                    expect.line,
                    expect.count,
                    expect.detector,
                    found.len(),
                    times.join(" ")
                ));
            }
            let first = found.first().map(|a| a.time);
            if let (Some(want), Some(got)) = (expect.time, first)
                && want != got
            {
                faults.push(format!("line {}: {} fires at {got}, expected {want}", expect.line, expect.detector));
            }
        }
        let own = self.beside(file);
        let judged = |a: &&Alert| own.is_empty() || own.contains(&a.detector.name.as_str());
        let expected = |a: &Alert| case.expect.iter().any(|e| fits(e, a));
        for alert in alerts.iter().filter(judged).filter(|a| !expected(a)) {
            faults.push(format!("unexpected alert at {}: {}", alert.time, alert.summary));
        }
        Verdict { file: file.to_owned(), name: case.name.clone(), faults }
    }

    /// The detectors in whose folder a case stands. It judges them only: whoever writes a case
    /// need not know what all other detectors make of the same events.
    fn beside(&self, file: &str) -> Vec<&str> {
        let folder = file.rsplit_once("/tests/").map(|(folder, _)| folder);
        let stands = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder) == folder;
        let own = self.program.plan.detectors.iter().filter(|d| folder.is_some() && stands(&d.file));
        own.map(|d| d.name.as_str()).collect()
    }
}

fn fits(expect: &Expectation, alert: &Alert) -> bool {
    let named = alert.detector.name == expect.detector || alert.detector.id == expect.detector;
    named && expect.key.iter().all(|(name, value)| alert.key.get(name) == Some(value))
}
