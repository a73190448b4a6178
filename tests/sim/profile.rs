//! What a seed decides about a run: detectors, order, lateness, producers, limits.
//!
//! Owns the choices; draws nothing later than at the start of a run.

use std::sync::Arc;

use tidegate::deliver::Settings as Delivery;
use tidegate::engine::containment::policy::Settings as Policy;
use tidegate::engine::containment::policy::settings::{Budgets, Enforcement};
use tidegate::engine::detector::plan::{Kind, Rule};
use tidegate::engine::program::{Program, Settings};
use tidegate::model::{HashKey, Span};
use tidegate::simulate::Scenario;

use crate::arrival::Producers;
use crate::detectors::{self, Set};
use crate::log::TOPIC;
use crate::mutant::Mutant;
use crate::random::Random;

/// The first gets everything, the second actions only.
pub const ENDPOINTS: [&str; 2] = ["soc", "enforcer"];
/// Byte budget of the engine, and where keys must go for want of memory.
const MEMORY: usize = 64 << 20;
const MEMORY_SMALL: usize = 4 << 20;
/// Actions in a minute and of a verb at once where budgets are reached.
const TIGHT: (u32, u32) = (4, 8);
/// How long what a human took back stays back.
const S: i64 = 1000;
pub const HUMAN_HOLD: Span = Span(7 * 60 * S);

#[derive(Clone, Debug)]
pub struct Profile {
    pub seed: u64,
    pub set: Set,
    /// The product's own story for the shipped detectors.
    pub scenario: Scenario,
    /// Observations are put in order of event time, as `replay` does; else as the daemon does.
    pub sorted: bool,
    pub lateness: i64,
    pub minutes: i64,
    pub producers: Producers,
    /// The log loses something that was not read yet.
    pub truncates: bool,
    pub enforces: bool,
    /// People answer about actions.
    pub has_humans: bool,
    /// Detectors change in mid-run.
    pub reloads: bool,
    /// Budgets that are reached.
    pub is_tight: bool,
    /// More keys come than memory has room for.
    pub is_small: bool,
    pub shards: usize,
    /// The longest pause between two steps.
    pub step_max: i64,
    pub snapshot_every: i64,
}

impl Profile {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "profile");
        let set = if seed % 10 == 9 {
            Set::Shipped
        } else {
            Set::Own
        };
        let scenario = *random.pick(&[
            Scenario::ResetFlood,
            Scenario::RotatingIps,
            Scenario::Enumeration,
            Scenario::TokenTheft,
            Scenario::DeployRegression,
            Scenario::NearMisses,
        ]);
        let lateness = *random.pick(&[120 * S, 180 * S, 300 * S]);
        // As the daemon does: no disorder, and each key in one partition, so that what is seen does
        // not depend on who reads how fast.
        let sorted = !seed.is_multiple_of(3);
        let disorder = if sorted { lateness / 3 } else { 0 };
        let producers = Producers {
            partitions: usize::try_from(random.between(1, 6)).unwrap(),
            keyed: !sorted || random.chance(500),
            stamped: random.chance(500),
            disorder,
            disordered: if sorted {
                *random.pick(&[0, 50, 400])
            } else {
                0
            },
            duplicated: *random.pick(&[0, 20, 150]),
            late: *random.pick(&[0, 0, 10]),
            garbage: *random.pick(&[0, 10]),
            future: random.chance(300),
            lateness,
        };
        Self {
            seed,
            set,
            scenario,
            sorted,
            lateness,
            minutes: 30,
            producers,
            truncates: seed % 8 == 5,
            enforces: random.chance(700),
            has_humans: seed % 3 == 1,
            reloads: seed % 4 == 2 && set == Set::Own,
            is_tight: seed % 5 == 3,
            is_small: seed % 20 == 11,
            shards: usize::try_from(random.between(1, 5)).unwrap(),
            step_max: *random.pick(&[2 * S, 5 * S, 10 * S]),
            snapshot_every: *random.pick(&[15 * S, 45 * S, 4 * 60 * S]),
        }
    }

    /// The program in force, `edited` after a change of the detectors.
    pub fn program(&self, mutant: Mutant, edited: bool) -> Arc<Program> {
        let settings = Settings {
            lateness: Span(self.lateness),
            sorted: self.sorted,
            memory: match mutant {
                Mutant::MemoryUnbounded => 16 * self.memory(),
                _ => self.memory(),
            },
            sources: vec![TOPIC.to_owned()],
        };
        let plan = if mutant.spoils_rules() {
            let mut plan = detectors::compiled(self.set, edited);
            plan.rules.iter_mut().for_each(|rule| spoil(rule, mutant));
            for detector in &mut plan.detectors {
                detector.late = match mutant {
                    Mutant::LateLaneShut => false,
                    Mutant::LateLaneOpen => true,
                    _ => detector.late,
                };
            }
            Arc::new(plan)
        } else {
            detectors::plan(self.set, edited)
        };
        Arc::new(Program::new(plan, HashKey::fixed(), settings))
    }

    pub const fn memory(&self) -> usize {
        if self.is_small { MEMORY_SMALL } else { MEMORY }
    }

    pub const fn budgets(&self) -> (u32, u32) {
        if self.is_tight { TIGHT } else { (5000, 5000) }
    }

    /// Whether the first action on a target is that of the clean run: none was left out for want of
    /// budget, which depends on when a fault let it be decided.
    pub const fn acts_alike(&self) -> bool {
        !self.is_tight
    }

    pub fn policy(&self, mutant: Mutant) -> Policy {
        let mode = if self.enforces {
            Enforcement::Enforce
        } else {
            Enforcement::Shadow
        };
        let (actions_per_minute, active_max) = match mutant {
            Mutant::BudgetIgnored => (5000, 5000),
            _ => self.budgets(),
        };
        let budgets = Budgets {
            actions_per_minute,
            active_max,
            ..Budgets::default()
        };
        Policy {
            mode,
            budgets,
            human_hold: match mutant {
                Mutant::HoldForgotten => Span::ZERO,
                _ => HUMAN_HOLD,
            },
            ..Policy::default()
        }
    }

    pub fn delivery(&self) -> Delivery {
        let webhook = |name: &str, types: &[&str]| {
            serde_json::json!({
                "name": name, "url": "https://example.com/hook", "secret_env": "SECRET",
                "only": {"types": types},
            })
        };
        let webhooks = [
            webhook(ENDPOINTS[0], &[]),
            webhook(ENDPOINTS[1], &["tidegate.action.*"]),
        ];
        serde_json::from_value(serde_json::json!({ "webhooks": webhooks })).unwrap()
    }
}

/// What mutants do to a rule.
fn spoil(rule: &mut Rule, mutant: Mutant) {
    match (&mut rule.kind, mutant) {
        (Kind::Window { bounds, .. }, Mutant::BoundEdge) => {
            bounds.iter_mut().for_each(|b| b.value += 1.0);
        }
        (Kind::Window { .. }, Mutant::WindowEdge) | (Kind::Quiet(_), Mutant::QuietEdge) => {
            rule.timespan.0 += 1;
        }
        (Kind::Obligations { within }, Mutant::StepEdge) => {
            within.iter_mut().for_each(|span| span.0 += 1);
        }
        (Kind::Score(score), Mutant::NoDecay) => score.half_life = None,
        (Kind::NewValue(rule), Mutant::NewAtOnce) => {
            (rule.known_min, rule.warmup) = (0, Span::ZERO);
        }
        _ => {}
    }
}
