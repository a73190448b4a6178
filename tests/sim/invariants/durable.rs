//! Promises about what outlives a process: alerts, snapshots, dead letters, and that no secret is in them.

use std::collections::BTreeMap;

use tidegate::app::meta;
use tidegate::engine::alert::Alert;
use tidegate::source::ledger::Frontier;
use tidegate::store::{Range, Store as _, Table};

use super::{Book, Sight, ensure};
use crate::detectors::EDITED;
use crate::fact::is_raw;
use crate::log::TOPIC;
use crate::oracle::Doubt;
use crate::profile::Profile;

/// Alert revisions by id and number.
pub type Told = BTreeMap<(String, u32), Said>;

/// What an alert revision says, however a run goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub detector: String,
    pub key: String,
    /// It depends on nothing behind it; of later revisions that is not said.
    pub time: i64,
    pub json: String,
}

/// What a run without a fault has told, and what is in doubt of it.
pub struct Clean {
    pub told: Told,
    pub doubt: Doubt,
}

/// How much was looked at already.
#[derive(Default)]
pub struct Looked {
    alerts: usize,
    receipts: BTreeMap<String, usize>,
    /// The frontier to which dead letters were looked for.
    letters: Option<Frontier>,
}

/// An alert without what depends on when it was committed; none of a detector that changed in mid-run.
pub fn lasting(profile: &Profile, mut alert: Alert) -> Option<((String, u32), Said)> {
    if meta::is_own(&alert.detector)
        || profile.reloads && EDITED.contains(&alert.detector.name.as_str())
    {
        return None;
    }
    // Which action stands for it depends on the time of its commit.
    alert.actions.clear();
    let said = Said {
        detector: alert.detector.name.clone(),
        key: key(&alert),
        time: if alert.revision == 0 {
            alert.time.0
        } else {
            i64::MAX
        },
        json: serde_json::to_string(&alert).unwrap(),
    };
    Some(((alert.alert_id.to_string(), alert.revision), said))
}

/// The key as laws name it.
pub fn key(alert: &Alert) -> String {
    let parts = alert.key.0.iter().map(|(n, v)| format!("{n}={v}"));
    parts.collect::<Vec<_>>().join(",")
}

pub fn alerts_are_those_of_the_clean_run(
    book: &mut Book<'_>,
    sight: &Sight<'_>,
) -> Result<(), String> {
    let world = sight.world;
    let Some(clean) = book.clean else {
        return Ok(());
    };
    for alert in sight.rows.told.iter().skip(book.looked.alerts) {
        let Some((id, own)) = lasting(&world.profile, alert.clone()) else {
            continue;
        };
        // Where input was lost, late or forgotten for want of memory, what is told may be another thing.
        let unsure = world.unsure.covers(&own.detector, &own.key, own.time);
        ensure(unsure || clean.get(&id) == Some(&own), || {
            format!("{}\nwithout a fault:\n{:?}", own.json, clean.get(&id))
        })?;
    }
    book.looked.alerts = sight.rows.told.len();
    Ok(())
}

pub fn snapshots_hold_what_is_committed(_: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    kept(sight, "INV-05")?;
    let Some(node) = &sight.world.node else {
        return Ok(());
    };
    let edges = &node.turn.effects;
    let published = &edges.reader.published;
    ensure(*published == edges.saved, || {
        format!("{published:?} is published, {:?} is saved", edges.saved)
    })
}

/// Nothing was written against a promise, whatever became of the life that wrote it.
fn kept(sight: &Sight<'_>, promise: &str) -> Result<(), String> {
    sight.world.disk.wrong(promise).map_or(Ok(()), Err)
}

/// Every record that could not be decoded and that no life will read again has a dead letter that lasts.
pub fn dead_are_buried(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    let world = sight.world;
    let edges = world.node.iter().map(|n| &n.turn.effects);
    let Some(saved) = edges.filter_map(|e| e.saved.as_ref()).next() else {
        return Ok(());
    };
    if book.looked.letters.as_ref() == Some(saved) {
        return Ok(());
    }
    let (letters, log) = (world.disk.letters(), world.log.borrow());
    for (index, lane) in log.lanes.iter().enumerate() {
        let number = i32::try_from(index).unwrap();
        let next = saved.next(TOPIC, number).unwrap_or(0);
        let before = world
            .originals
            .as_ref()
            .filter(|_| world.halted.contains(&number));
        let records = &before.map_or(lane, |lanes| &lanes[index]).records;
        let dead = (0..next).zip(records).filter(|(_, r)| r.events == 0);
        for (offset, _) in dead {
            ensure(letters.contains(&(number, offset)), || {
                format!("{number}/{offset} is behind the frontier, and there is no dead letter")
            })?;
        }
    }
    book.looked.letters = Some(saved.clone());
    Ok(())
}

pub fn secrets_stay_inside(book: &mut Book<'_>, sight: &Sight<'_>) -> Result<(), String> {
    kept(sight, "INV-07")?;
    for (receiver, endpoint) in sight.receivers() {
        let looked = book.looked.receipts.entry(endpoint.to_owned()).or_default();
        for id in receiver.order.iter().skip(*looked) {
            let body = &receiver.taken[id].message.draft.body;
            ensure(!is_raw(body.as_bytes()), || {
                format!("one was sent to {endpoint}: {body}")
            })?;
        }
        *looked = receiver.order.len();
    }
    if !sight.rows.whole || book.is_new(sight).is_none() {
        return Ok(());
    }
    let mut raw = None;
    for table in Table::ALL {
        let mut look = |key: &[u8], bytes: &[u8]| {
            if is_raw(key) || is_raw(bytes) {
                raw = Some(format!("one is in the table {table:?}"));
            }
            Ok(std::ops::ControlFlow::Continue(()))
        };
        sight
            .world
            .store
            .read(&mut |view| view.scan(table, &Range::all(), &mut look))
            .unwrap();
    }
    raw.map_or(Ok(()), Err)
}
