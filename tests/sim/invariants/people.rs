//! Promises about actions: what people say stands, budgets hold, and everything has an end.

use std::collections::BTreeMap;

use tidegate::engine::containment::policy::{Change, Step};
use tidegate::engine::containment::{Phase, Record};

use tidegate::model::WallTime;

use super::{Book, Sight, ensure};
use crate::profile::HUMAN_HOLD;

/// What a human's answers are noted with.
pub const HUMAN: &str = "somebody";

fn by_human(change: &Change) -> bool {
    change.record.note.as_deref() == Some(HUMAN)
}

fn slot(record: &Record) -> String {
    format!("{} {}", record.action.verb.name(), record.action.target)
}

pub fn taken_back_stays_back(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    // Over once the clock has come that far, even if it is then set back.
    let now = WallTime(sight.world.clock());
    book.held.retain(|_, until| *until > now);
    let Some(rows) = book.is_new(sight) else {
        return Ok(());
    };
    for change in rows.changes.iter().skip(book.changes) {
        let (slot, at) = (slot(&change.record), change.record.changed_at);
        match change.step {
            Step::Denied | Step::Reverted if by_human(change) => {
                book.held.insert(slot, at + HUMAN_HOLD);
            }
            Step::Requested | Step::Pending => {
                let until = book.held.get(&slot);
                ensure(until.is_none_or(|until| at >= *until), || {
                    format!("{slot} at {at}, taken back until {until:?}")
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}

pub fn budgets_hold(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(rows) = book.is_new(sight) else {
        return Ok(());
    };
    let (per_minute, active_max) = sight.world.profile.budgets();
    for (n, change) in rows.changes.iter().enumerate().skip(book.changes) {
        if change.step != Step::Requested || by_human(change) {
            continue;
        }
        let (own, upto) = (&change.record, &rows.changes[..=n]);
        let minute = |c: &&Change| {
            let age = own.changed_at - c.record.changed_at;
            let alike = c.record.action.simulated == own.action.simulated;
            c.step == Step::Requested && alike && (0..60_000).contains(&age.0)
        };
        let issued = upto.iter().filter(minute).count();
        ensure(issued <= per_minute as usize, || {
            format!("{issued} actions in a minute, {per_minute} may be")
        })?;
        let mut last: BTreeMap<_, &Record> = BTreeMap::new();
        for change in upto {
            last.insert(change.record.action.action_id, &change.record);
        }
        let stands = |r: &&&Record| {
            let action = &r.action;
            let alike = (action.verb, action.simulated) == (own.action.verb, own.action.simulated);
            r.phase == Phase::Active && alike
        };
        let active = last.values().filter(stands).count();
        ensure(active <= active_max as usize, || {
            format!(
                "{active} of {} stand, {active_max} may",
                own.action.verb.name()
            )
        })?;
    }
    Ok(())
}

pub fn nothing_outstays(_: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let Some(kept_house) = sight.world.kept_house else {
        return Ok(());
    };
    for record in &sight.rows.active {
        let end = record.action.expires_at.0;
        ensure(end > kept_house, || {
            format!("{} of {end} stands at {kept_house}", slot(record))
        })?;
    }
    Ok(())
}
