//! Silences and the allow-list of a running daemon, as the API shows and changes them.

use super::{Shared, unavailable};
use crate::api::mutes::{AllowView, Mutes, Preview, SilenceView};
use crate::api::view::{Refused, Unavailable};
use crate::app::commit::Committed;
use crate::engine::alert::Status;
use crate::engine::alert::silence::{self, Silence, Wanted};
use crate::engine::containment::allow::{AllowEntry, Wanted as WantedEntry};
use crate::model::WallTime;
use crate::model::ids::Id;
use crate::store;
use crate::store::rows::{alerts, mutes};

/// Most stored alerts that a preview looks at, and how many it reads and shows at a time.
const LOOKED_AT_MAX: usize = 10_000;
const PAGE: usize = 500;
const SHOWN: usize = 10;

fn shown(silence: Silence, now: WallTime) -> SilenceView {
    SilenceView {
        active: !silence.is_over(now),
        silence,
    }
}

fn entry_shown(entry: AllowEntry, now: WallTime) -> AllowView {
    AllowView {
        allow_id: entry.id(),
        active: !entry.is_over(now),
        entry,
    }
}

fn too_many(what: &str) -> Refused {
    let max = mutes::MUTES_MAX;
    Refused::Conflict(format!("there are {max} {what} in force: end one first"))
}

impl Mutes for Shared {
    fn silences(&self) -> Result<Vec<SilenceView>, Unavailable> {
        let now = self.clock.now();
        let all = store::read(&*self.store, |view| mutes::all(view)).map_err(unavailable)?;
        Ok(all.into_iter().map(|s| shown(s, now)).collect())
    }

    fn preview(&self, wanted: &Wanted) -> Result<Preview, Unavailable> {
        let mut preview = Preview::default();
        let mut filter = alerts::Filter::default();
        while preview.looked_at < LOOKED_AT_MAX {
            let page = store::read(&*self.store, |view| alerts::list(view, &filter, PAGE));
            let page = page.map_err(unavailable)?;
            let Some(last) = page.last() else { break };
            filter.behind = Some((last.time, last.alert_id));
            preview.looked_at += page.len();
            for alert in page {
                if silence::takes(&wanted.matchers, &alert) {
                    preview.muted += 1;
                    preview.open += usize::from(alert.status == Status::Open);
                    if preview.newest.len() < SHOWN {
                        preview.newest.push(alert);
                    }
                }
            }
        }
        Ok(preview)
    }

    fn silence(&self, wanted: &Wanted, by: &str) -> Result<SilenceView, Refused> {
        let (wanted, by) = (wanted.clone(), by.to_owned());
        let made = self.ask(move |desk, now| {
            let made = desk.silence(&wanted, &by, now)?;
            Ok((Committed::default(), made.map(|s| shown(s, now))))
        })?;
        made.ok_or_else(|| too_many("silences"))
    }

    fn end_silence(&self, id: Id) -> Result<SilenceView, Refused> {
        let ended = self.ask(move |desk, now| {
            let ended = desk.end_silence(id, now)?;
            Ok((Committed::default(), ended.map(|s| shown(s, now))))
        })?;
        ended.ok_or(Refused::NoSuch)
    }

    fn allowed(&self) -> Result<Vec<AllowView>, Unavailable> {
        let now = self.clock.now();
        let all = store::read(&*self.store, |view| mutes::all(view)).map_err(unavailable)?;
        Ok(all.into_iter().map(|e| entry_shown(e, now)).collect())
    }

    fn allow(&self, wanted: &WantedEntry) -> Result<AllowView, Refused> {
        let now = self.clock.now();
        let entry = wanted.clone().entry(now).map_err(Refused::Malformed)?;
        let made = self.ask(move |desk, now| {
            let Some(done) = desk.allow(&entry, now)? else {
                return Ok((Committed::default(), None));
            };
            Ok((done, Some(entry_shown(entry.clone(), now))))
        })?;
        made.ok_or_else(|| too_many("entries of the allow-list"))
    }

    fn end_allow(&self, id: Id) -> Result<AllowView, Refused> {
        let ended = self.ask(move |desk, now| {
            let ended = desk.end_allow(id, now)?;
            Ok((Committed::default(), ended.map(|e| entry_shown(e, now))))
        })?;
        ended.ok_or(Refused::NoSuch)
    }
}
