//! What can be said at the end of a run: nothing lost, nothing extra, everything told.
//!
//! Two oracles: the laws over the facts that were read (`oracle`), and the same input with no
//! faults, by one shard. Owns the comparison, not what is compared.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::app::meta;
use tidegate::engine::alert::Alert;
use tidegate::engine::containment::policy::{Change, Step};
use tidegate::engine::detector::plan::Detector;
use tidegate::engine::rule::episode::SLOT_MAX;
use tidegate::store;
use tidegate::store::rows::{self, alerts};

use crate::detectors::{EDITED, Set};
use crate::fact::Fact;
use crate::invariants::{self, Clean, Rows, Told};
use crate::oracle::{self, Doubt, Opening, Unsure, laws};
use crate::world::{Outcome, World};

const M: i64 = 60_000;

/// How much of a run was held against the clean one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Alert revisions that had to be the same, and those left out.
    pub alerts: usize,
    pub exempt: usize,
    /// First actions that had to be the same.
    pub actions: usize,
}

/// Everything that is wrong with a run, if anything is.
pub fn judge(faulty: &Outcome, clean: &Outcome) -> Result<Held, String> {
    against_laws(faulty)?;
    halts_are_told(&faulty.world)?;
    let held = against_clean(&faulty.world, &clean.world)?;
    delivered(&faulty.world)?;
    Ok(held)
}

fn stored(world: &World) -> Vec<Alert> {
    let all = alerts::Filter::default();
    store::read(&world.store, |view| {
        let newest = alerts::list(view, &all, usize::MAX)?;
        let mut every = Vec::new();
        for alert in newest {
            every.extend(alerts::revisions(view, alert.alert_id)?);
        }
        Ok(every)
    })
    .unwrap()
}

/// Detector, key and time of everything that was opened.
fn openings(world: &World) -> BTreeSet<Opening> {
    let own = |a: &Alert| meta::is_own(&a.detector);
    let all = stored(world).into_iter();
    let opened = all.filter(|a| a.revision == 0 && !own(a));
    opened
        .map(|a| (a.detector.name.clone(), invariants::key(&a), a.time.0))
        .collect()
}

/// A rise is told once its burst has begun and before that has left the window; without a burst none
/// is. An estimate has no more exact law.
fn against_estimates(told: &BTreeSet<Opening>, outcome: &Outcome) -> Result<(), String> {
    let world = &outcome.world;
    let all = laws::newer::ESTIMATES.iter();
    for law in all.filter(|law| !world.unsure.touches(law.name)) {
        let (detector, span) = (law.name, law.span);
        let mut bursts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for fact in world.facts.iter().filter(|f| f.burst == Some(detector)) {
            let key = oracle::key_of(law, fact).unwrap();
            bursts.entry(key).or_default().push(fact.time);
        }
        let mut rises: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (_, key, time) in told.iter().filter(|o| o.0 == detector) {
            rises.entry(key.clone()).or_default().push(*time);
        }
        let fits = |(key, times): (&String, &Vec<i64>)| {
            let during = times[0]..=times[times.len() - 1] + span;
            rises
                .get(key)
                .is_some_and(|r| r.iter().all(|t| during.contains(t)))
        };
        if rises.len() != bursts.len() || !bursts.iter().all(fits) {
            return Err(format!(
                "against the laws: {detector} rises at {rises:?}, bursts {bursts:?}"
            ));
        }
    }
    Ok(())
}

/// What the product's own stories promise not to set off. That what must fire does is promised of
/// longer tellings only (`EVENTS_MIN`).
fn against_story(outcome: &Outcome) -> Result<(), String> {
    let world = &outcome.world;
    let story = world.profile.scenario.info();
    let fired: BTreeSet<String> = openings(world).into_iter().map(|o| o.0).collect();
    let folder = |d: &Detector| d.file.trim_end_matches("/detector.yml").to_owned();
    let told: BTreeSet<String> = world
        .program
        .plan
        .detectors
        .iter()
        .filter(|d| fired.contains(&d.name))
        .map(folder)
        .collect();
    let fires = |name: &&&str| told.iter().any(|f| f.ends_with(**name));
    if let Some(wrong) = story.must_not_fire.iter().find(fires) {
        return Err(format!("{}: {wrong} fired", story.name));
    }
    Ok(())
}

/// Detectors that are not held against the laws: estimates, and those that were edited in mid-run.
fn is_exempt(opening: &Opening, reloads: bool) -> bool {
    laws::newer::ESTIMATES.iter().any(|l| l.name == opening.0)
        || reloads && EDITED.contains(&opening.0.as_str())
}

/// The facts that were read, in order of arrival: those that every life would read, and those that
/// some life has.
fn read(outcome: &Outcome) -> (Vec<Fact>, Vec<Fact>) {
    let world = &outcome.world;
    let log = world.log.borrow();
    let (mut surviving, mut ever) = (Vec::new(), Vec::new());
    let frontier: BTreeMap<i32, i64> = world
        .node
        .iter()
        .flat_map(|n| n.turn.course.engine.frontier())
        .map(|(_, p, n)| (p, n))
        .collect();
    for (index, lane) in log.lanes.iter().enumerate() {
        let number = i32::try_from(index).unwrap();
        let originals = world
            .originals
            .as_ref()
            .filter(|_| world.halted.contains(&number));
        let records = &originals.map_or(lane, |o| &o[index]).records;
        for (offset, record) in (0..).zip(records).filter(|(_, r)| !r.duplicate) {
            let facts = record.facts.iter().map(|f| world.facts[*f].clone());
            if offset < frontier.get(&number).copied().unwrap_or(0) {
                surviving.extend(facts.clone());
            }
            if offset < world.reached.get(&number).copied().unwrap_or(0) {
                ever.extend(facts);
            }
        }
    }
    (surviving, ever)
}

/// What was opened against what must be, and must not.
pub fn against_laws(outcome: &Outcome) -> Result<(), String> {
    if outcome.world.profile.set != Set::Own {
        return against_story(outcome);
    }
    let world = &outcome.world;
    let told = &openings(world);
    if world.profile.is_small && outcome.evicted == 0 {
        return Err("nothing was evicted".to_owned());
    }
    against_estimates(told, outcome)?;
    let (surviving, ever) = read(outcome);
    let until = world.facts.last().map_or(0, |f| f.time) + 15 * M;
    let reloads = world.profile.reloads;
    let mut must = oracle::openings(&surviving, &world.doubt.late, until);
    must.retain(|o| !is_exempt(o, reloads));
    let mut may = oracle::openings(&ever, &world.doubt.late, until);
    // Of what was lost the laws themselves say what may be; not so of what came late or not.
    let timing = Doubt {
        lost: BTreeSet::new(),
        ..world.doubt.clone()
    };
    let unsure = oracle::unsure(&world.facts, &timing);
    must.retain(|o| !unsure.has(o));
    may.extend(told.iter().filter(|o| unsure.has(o)).cloned());
    may.extend(must.iter().cloned());
    if world.originals.is_some() {
        // A life that had read what was lost may have told it at another time in the same slot: that is
        // the same alert.
        let near = |o: &Opening| {
            let same = |t: &&Opening| t.0 == o.0 && t.1 == o.1 && (t.2 - o.2).abs() <= SLOT_MAX;
            told.iter().any(|t| same(&t))
        };
        must.retain(|o| told.contains(o) || !near(o));
    }
    let told: BTreeSet<Opening> = told
        .iter()
        .filter(|o| !is_exempt(o, reloads) && o.2 < until)
        .cloned()
        .collect();
    let lost: Vec<&Opening> = must.difference(&told).collect();
    let extra: Vec<&Opening> = told.difference(&may).collect();
    if lost.is_empty() && extra.is_empty() {
        return Ok(());
    }
    Err(format!(
        "against the laws: of {} openings {} lost, {} extra\nlost {:#?}\nextra {:#?}",
        must.len(),
        lost.len(),
        extra.len(),
        &lost[..lost.len().min(5)],
        &extra[..extra.len().min(5)],
    ))
}

/// Every alert revision that was told, as far as that is the same however a run goes.
fn told(world: &World) -> Told {
    let all = stored(world).into_iter();
    all.filter_map(|a| invariants::lasting(&world.profile, a))
        .collect()
}

/// What a run without a fault is the measure of.
pub fn clean(world: &World) -> Clean {
    Clean {
        told: told(world),
        doubt: world.doubt.clone(),
    }
}

/// The same alerts, and the same actions begun, of all that is not in doubt. That none is extra or has other
/// bytes is INV-01.
fn against_clean(faulty: &World, clean: &World) -> Result<Held, String> {
    let (mut ours, mut theirs) = (told(faulty), told(clean));
    let all = theirs.len();
    for told in [&mut ours, &mut theirs] {
        told.retain(|_, said| !faulty.unsure.covers(&said.detector, &said.key, said.time));
    }
    if let Some((_, lost)) = theirs.iter().find(|(id, _)| !ours.contains_key(*id)) {
        return Err(format!("against the clean run: lost {}", lost.json));
    }
    if ours != theirs {
        return Err("against the clean run: not the same".to_owned());
    }
    let mut held = Held {
        alerts: theirs.len(),
        exempt: all - theirs.len(),
        actions: 0,
    };
    if faulty.profile.set == Set::Shipped || !faulty.profile.acts_alike() {
        return Ok(held);
    }
    let mut apart = apart(faulty, &faulty.unsure);
    apart.extend(self::apart(clean, &faulty.unsure));
    let (ours, theirs) = (first_actions(faulty, &apart), first_actions(clean, &apart));
    if ours != theirs {
        return Err(format!(
            "against the clean run: {} actions begun, not {}",
            ours.len(),
            theirs.len()
        ));
    }
    held.actions = theirs.len();
    Ok(held)
}

fn changes(world: &World) -> Vec<Change> {
    let all = store::read(&world.store, |view| {
        rows::actions::changes_after(view, 0, usize::MAX)
    });
    all.unwrap()
}

/// Targets about which a human said something, or an alert that is in doubt: what stands there decides what
/// begins there next.
fn apart(world: &World, unsure: &Unsure) -> BTreeSet<String> {
    let alerts = stored(world).into_iter();
    let of_doubt: BTreeSet<_> = alerts
        .filter(|a| unsure.covers(&a.detector.name, &invariants::key(a), i64::MAX))
        .map(|a| a.alert_id)
        .collect();
    let asked = |c: &Change| matches!(c.step, Step::Pending | Step::Denied | Step::Reverted);
    let in_doubt = |c: &Change| {
        let mut reasons = c.record.action.reason.alerts.iter();
        reasons.any(|alert| of_doubt.contains(alert))
    };
    let all = changes(world).into_iter();
    let apart = all.filter(|c| asked(c) || in_doubt(c));
    apart.map(|c| c.record.action.target.to_string()).collect()
}

/// The first action on each target and verb.
fn first_actions(world: &World, apart: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut first = BTreeMap::new();
    for change in changes(world) {
        let action = &change.record.action;
        let target = action.target.to_string();
        if change.step == Step::Requested && !apart.contains(&target) {
            let slot = format!("{} {target}", action.verb.name());
            first.entry(slot).or_insert(action.action_id.to_string());
        }
    }
    first
}

/// A partition that stands still is an alert.
fn halts_are_told(world: &World) -> Result<(), String> {
    let own = stored(world)
        .into_iter()
        .filter(|a| meta::is_own(&a.detector));
    let number = |a: Alert| a.key.0.into_iter().find(|(name, _)| name == "partition");
    let told: BTreeSet<String> = own.filter_map(number).map(|(_, number)| number).collect();
    let halted: BTreeSet<String> = world.halted.iter().map(ToString::to_string).collect();
    if told == halted {
        return Ok(());
    }
    Err(format!("{halted:?} are halted, of {told:?} it was told"))
}

/// Every alert revision has come to the SOC, once by its id; outboxes are empty.
fn delivered(world: &World) -> Result<(), String> {
    let rows = Rows::default().after(&world.store, &world.receivers, true);
    if let Some(((endpoint, _), message)) = rows.outbox.first_key_value() {
        let id = &message.draft.webhook_id;
        return Err(format!(
            "{} messages still wait, {id} for {endpoint}",
            rows.outbox.len()
        ));
    }
    for alert in stored(world) {
        let id = format!("{}_{}", alert.alert_id, alert.revision);
        if !world.receivers[0].taken.contains_key(&id) {
            return Err(format!("alert {id} never came to the SOC"));
        }
    }
    Ok(())
}
