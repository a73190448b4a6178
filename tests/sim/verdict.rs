//! What can be said at the end of a run: nothing lost, nothing extra, everything told.
//!
//! Two oracles: the laws over the facts that were read (`oracle`), and the same input with no
//! faults, by one shard. Owns the comparison, not what is compared.

use std::collections::{BTreeMap, BTreeSet};

use tidegate::app::meta;
use tidegate::engine::alert::Alert;
use tidegate::engine::containment::policy::Step;
use tidegate::engine::detector::plan::Detector;
use tidegate::engine::rule::episode::SLOT_MAX;
use tidegate::store;
use tidegate::store::rows::alerts;

use crate::detectors::{EDITED, Set};
use crate::fact::Fact;
use crate::invariants::{self, Rows, Told};
use crate::oracle::{self, Opening};
use crate::world::{Outcome, World};

/// The detectors that the laws do not cover, for they hold against an estimate; their windows, and the
/// field of their key.
const ESTIMATES: [(&str, i64, Option<&str>); 3] = [
    ("mail-spike", 5 * M, None),
    ("bounce-rise", 5 * M, None),
    ("rotating", 4 * M, Some("event.reason")),
];
const M: i64 = 60_000;

/// Everything that is wrong with a run, if anything is.
pub fn judge(faulty: &Outcome, clean: &Outcome) -> Result<(), String> {
    against_laws(faulty)?;
    halts_are_told(&faulty.world)?;
    if faulty.world.originals.is_none()
        && !faulty.world.has_late()
        && !faulty.world.profile.is_small
    {
        against_clean(&faulty.world, &clean.world)?;
    }
    delivered(&faulty.world)
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
        .map(|a| {
            let key: Vec<String> = a.key.0.iter().map(|(n, v)| format!("{n}={v}")).collect();
            (a.detector.name.clone(), key.join(","), a.time.0)
        })
        .collect()
}

/// A rise is told once its burst has begun and before that has left the window; without a burst none
/// is. An estimate has no more exact law.
fn against_estimates(told: &BTreeSet<Opening>, outcome: &Outcome) -> Result<(), String> {
    for (detector, span, field) in ESTIMATES {
        let key =
            |f: &Fact| field.map_or_else(String::new, |n| format!("{n}={}", f.get(n).unwrap()));
        let mut bursts: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for fact in outcome.facts.iter().filter(|f| f.burst == Some(detector)) {
            bursts.entry(key(fact)).or_default().push(fact.time);
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
    ESTIMATES.iter().any(|(name, ..)| *name == opening.0)
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
        for (offset, record) in (0..).zip(records).filter(|(_, r)| !r.late && !r.duplicate) {
            let facts = record.facts.iter().map(|f| outcome.facts[*f].clone());
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
    let told = &openings(&outcome.world);
    if outcome.world.profile.is_small {
        // What was evicted is forgotten, and counted; that memory held is an invariant.
        let evicted = outcome.evicted > 0;
        return evicted
            .then_some(())
            .ok_or_else(|| "nothing was evicted".to_owned());
    }
    if !outcome.world.has_late() && outcome.world.originals.is_none() {
        against_estimates(told, outcome)?;
    }
    let (surviving, ever) = read(outcome);
    let until = outcome.facts.last().map_or(0, |f| f.time) + 15 * M;
    let reloads = outcome.world.profile.reloads;
    let mut must = oracle::openings(&surviving, until);
    must.retain(|o| !is_exempt(o, reloads));
    let mut may = oracle::openings(&ever, until);
    if outcome.world.has_late() {
        // Whether a late event was late depends on how far event time had come: its keys may differ.
        let late = late_values(outcome);
        let touched = |o: &Opening| {
            late.iter()
                .any(|v| o.1.split(',').any(|part| part.ends_with(v.as_str())))
                || o.1.is_empty()
        };
        must.retain(|o| !touched(o));
        may.extend(told.iter().filter(|o| touched(o)).cloned());
    }
    may.extend(must.iter().cloned());
    if outcome.world.originals.is_some() {
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

/// Values of fields of late events.
fn late_values(outcome: &Outcome) -> BTreeSet<String> {
    let log = outcome.world.log.borrow();
    let late = log.lanes.iter().flat_map(|l| &l.records).filter(|r| r.late);
    let facts = late.flat_map(|r| &r.facts).map(|f| &outcome.facts[*f]);
    facts
        .flat_map(|f| f.fields.values().map(|v| format!("={v}")))
        .collect()
}

/// Every alert revision that was told, as far as that is the same however a run goes.
pub fn told(world: &World) -> Told {
    let all = stored(world).into_iter();
    all.filter_map(|a| invariants::lasting(&world.profile, a))
        .collect()
}

/// The same alerts, and the same actions begun. That none is extra or has other bytes is INV-01.
fn against_clean(faulty: &World, clean: &World) -> Result<(), String> {
    let (ours, theirs) = (told(faulty), told(clean));
    if let Some((_, lost)) = theirs.iter().find(|(id, _)| !ours.contains_key(*id)) {
        return Err(format!("against the clean run: lost {lost}"));
    }
    if ours != theirs {
        return Err("against the clean run: not the same".to_owned());
    }
    if faulty.profile.set == Set::Shipped || !faulty.profile.acts_alike() {
        return Ok(());
    }
    let (ours, theirs) = (first_actions(faulty), first_actions(clean));
    if ours != theirs {
        return Err(format!(
            "against the clean run: {} actions begun, not {}",
            ours.len(),
            theirs.len()
        ));
    }
    Ok(())
}

/// The first action on each target and verb.
fn first_actions(world: &World) -> BTreeMap<String, String> {
    let changes = store::read(&world.store, |view| {
        tidegate::store::rows::actions::changes_after(view, 0, usize::MAX)
    });
    let mut first = BTreeMap::new();
    for change in changes
        .unwrap()
        .iter()
        .filter(|c| c.step == Step::Requested)
    {
        let action = &change.record.action;
        let slot = format!("{} {}", action.verb.name(), action.target);
        first.entry(slot).or_insert(action.action_id.to_string());
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
