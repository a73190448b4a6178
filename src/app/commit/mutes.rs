//! What people keep from being told, or from being acted upon, in the same commits as all else.
//!
//! Owns which revision is muted and what follows when a silence ends: an alert that is still open
//! is then told and decided about as it stands, once. Invariant: a muted revision leaves no
//! message and no action, and what is no longer muted is told in the commit that forgets it.

use std::sync::Arc;

use super::{Committed, Desk};
use crate::app::shelf::Shelf;
use crate::deliver::body;
use crate::engine::alert::silence::{self, Silence, Wanted};
use crate::engine::alert::{Alert, Status};
use crate::engine::containment::Target;
use crate::engine::containment::allow::{AllowEntry, AllowList};
use crate::engine::containment::policy::{ActionPlan, Omission, State, Withheld, is_protected};
use crate::model::WallTime;
use crate::model::ids::Id;
use crate::store::rows::{self, Muted, actions, alerts, mutes};
use crate::store::{self, StoreError, Tx, View};

/// Muted alerts that are looked at in one commit when a silence has ended.
const RELEASE_MAX: usize = 256;

/// The live part of the rows, as of the last commit.
pub(super) struct Mutes {
    silences: Vec<Silence>,
    /// The configuration's list, without what people added.
    base: AllowList,
    allow: Arc<Shelf<AllowList>>,
    /// Behind which muted alert to go on looking for those that nothing mutes any more.
    release: Option<Option<Id>>,
}

/// How a revision is to be told.
pub(super) struct Voice {
    /// Not at all, because of this silence.
    pub(super) silenced_by: Option<Id>,
    /// Whether receivers have heard of the alert before.
    pub(super) told: bool,
}

impl Mutes {
    pub(super) fn load(view: &dyn View, base: &AllowList) -> Result<Self, StoreError> {
        Ok(Self {
            silences: mutes::all(view)?,
            base: base.clone(),
            allow: Shelf::new(Arc::new(with_entries(base, view)?)),
            // A silence may have ended while nobody looked.
            release: Some(None),
        })
    }

    pub(super) fn allow_list(&self) -> AllowList {
        (*self.allow.get()).clone()
    }

    /// Whether and how to tell a revision that is new. The end of what was told is told even under
    /// a silence: nobody is left with an alert that never ends.
    pub(super) fn voice(
        &self,
        tx: &mut dyn Tx,
        alert: &Alert,
        now: WallTime,
    ) -> Result<Voice, StoreError> {
        let before = mutes::muted(tx, alert.alert_id)?;
        let told = before.map_or(alert.revision > 0, |m| m.told);
        let by = silence::muting(&self.silences, alert, now).map(|s| s.silence_id);
        match (by, alert.status) {
            (Some(silence_id), Status::Open) => {
                let alert_id = alert.alert_id;
                let muted = Muted {
                    alert_id,
                    silence_id,
                    told,
                };
                mutes::mute(tx, &muted)?;
            }
            (Some(_), Status::Closed) | (None, _) => {
                if before.is_some() {
                    mutes::unmute(tx, alert.alert_id)?;
                }
            }
        }
        let silenced_by = match alert.status {
            Status::Open => by,
            Status::Closed if told => None,
            Status::Closed => by.or(before.map(|m| m.silence_id)),
        };
        if let Some(id) = silenced_by
            && before.is_none_or(|m| m.silence_id != id)
        {
            mutes::change(tx, id, |silence: &mut Silence| silence.muted += 1)?;
        }
        Ok(Voice { silenced_by, told })
    }

    /// Counts for each entry that people added what was withheld because of it.
    pub(super) fn count_withheld(
        &self,
        tx: &mut dyn Tx,
        alert: &Alert,
        plan: &ActionPlan,
        now: WallTime,
    ) -> Result<(), StoreError> {
        let allowed = |o: &&Omission| o.why == Withheld::Allowed;
        let omissions = plan.omissions().iter().filter(allowed);
        let targets: Vec<&Target> = omissions.filter_map(|o| o.target.as_ref()).collect();
        if targets.is_empty() {
            return Ok(());
        }
        for entry in mutes::all::<AllowEntry>(tx)? {
            let list = self.base.of(&entry);
            let protected = |t: &&&Target| is_protected(t, alert, &list, now);
            let count = targets.iter().filter(protected).count() as u64;
            if count > 0 {
                mutes::change(tx, entry.id(), |e: &mut AllowEntry| e.withheld += count)?;
            }
        }
        Ok(())
    }
}

fn with_entries(base: &AllowList, view: &(impl View + ?Sized)) -> Result<AllowList, StoreError> {
    let entries: Vec<AllowEntry> = mutes::all(view)?;
    Ok(base.clone().with_entries(&entries).0)
}

impl Desk {
    /// The allow-list in force, for the check at delivery.
    #[must_use]
    pub fn allow_list(&self) -> Arc<Shelf<AllowList>> {
        Arc::clone(&self.mutes.allow)
    }

    /// Begins a silence; `None` if there are too many.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn silence(
        &mut self,
        wanted: &Wanted,
        via: &str,
        now: WallTime,
    ) -> Result<Option<Silence>, StoreError> {
        let made = store::write(&*self.store, |tx| {
            let number = rows::next_number(tx, "silences")?;
            let silence = Silence::new(number, wanted.clone(), via, now);
            Ok(mutes::save(tx, &silence, now)?.then_some(silence))
        })?;
        self.mutes.silences.extend(made.clone());
        Ok(made)
    }

    /// Ends a silence now; `None` if there is no such one.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn end_silence(&mut self, id: Id, now: WallTime) -> Result<Option<Silence>, StoreError> {
        let ended = store::write(&*self.store, |tx| {
            let Some(mut silence) = mutes::find::<Silence>(tx, id)? else {
                return Ok(None);
            };
            silence.expires_at = silence.expires_at.min(now);
            mutes::save(tx, &silence, now)?;
            Ok(Some(silence))
        })?;
        if ended.is_some() {
            self.mutes.silences.retain(|s| s.silence_id != id);
            self.mutes.release = Some(None);
        }
        Ok(ended)
    }

    /// Puts an entry on the allow-list and takes back at once what stands against it; `None` if
    /// there are too many.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn allow(
        &mut self,
        entry: &AllowEntry,
        now: WallTime,
    ) -> Result<Option<Committed>, StoreError> {
        let (mut policy, mut state) = (self.policy.clone(), self.state.clone());
        let done = store::write(&*self.store, |tx| {
            if !mutes::save(tx, entry, now)? {
                return Ok(None);
            }
            policy.set_allow(with_entries(&self.mutes.base, tx)?);
            state = self.state.clone();
            let plan = policy.tick(&mut state, now);
            actions::save(tx, &plan, &state)?;
            let mut done = Committed::default();
            let drafts = plan.changes().iter().filter_map(body::action);
            self.send(tx, drafts, &mut done)?;
            done.plans.push(plan);
            Ok(Some(done))
        })?;
        if done.is_some() {
            self.mutes.allow.put(Arc::new(policy.allow().clone()));
            (self.policy, self.state) = (policy, state);
        }
        Ok(done)
    }

    /// Ends an entry of the allow-list now; `None` if there is no such one.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn end_allow(&mut self, id: Id, now: WallTime) -> Result<Option<AllowEntry>, StoreError> {
        let ended = store::write(&*self.store, |tx| {
            let Some(mut entry) = mutes::find::<AllowEntry>(tx, id)? else {
                return Ok(None);
            };
            entry.expires_at = Some(entry.expires_at.map_or(now, |end| end.min(now)));
            mutes::save(tx, &entry, now)?;
            Ok(Some((entry, with_entries(&self.mutes.base, tx)?)))
        })?;
        Ok(ended.map(|(entry, list)| {
            self.mutes.allow.put(Arc::new(list.clone()));
            self.policy.set_allow(list);
            entry
        }))
    }

    /// Tells and decides about open alerts that no silence mutes any more, some in each call. Call
    /// it now and then.
    ///
    /// # Errors
    /// When the store cannot be written; then nothing has changed.
    pub fn release(&mut self, now: WallTime) -> Result<Committed, StoreError> {
        let before = self.mutes.silences.len();
        self.mutes.silences.retain(|s| !s.is_over(now));
        if self.mutes.silences.len() < before {
            self.mutes.release = Some(None);
        }
        let Some(after) = self.mutes.release else {
            return Ok(Committed::default());
        };
        let mut state = self.state.clone();
        let (done, next) = store::write(&*self.store, |tx| {
            state = self.state.clone();
            let mut done = Committed::default();
            let muted = mutes::muted_after(&*tx, after, RELEASE_MAX)?;
            for one in &muted {
                self.release_one(tx, one, &mut state, now, &mut done)?;
            }
            let last = muted.last().map(|m| m.alert_id);
            Ok((done, (muted.len() == RELEASE_MAX).then_some(last)))
        })?;
        self.state = state;
        self.mutes.release = next;
        Ok(done)
    }

    fn release_one(
        &self,
        tx: &mut dyn Tx,
        muted: &Muted,
        state: &mut State,
        now: WallTime,
        done: &mut Committed,
    ) -> Result<(), StoreError> {
        let newest = alerts::newest(tx, muted.alert_id)?;
        let Some(mut alert) = newest.filter(|a| a.status == Status::Open) else {
            return mutes::unmute(tx, muted.alert_id);
        };
        if silence::muting(&self.mutes.silences, &alert, now).is_some() {
            return Ok(());
        }
        mutes::unmute(tx, muted.alert_id)?;
        self.act(tx, &mut alert, state, now, done)?;
        let draft = body::alert_to(&alert, muted.told, now);
        self.send(tx, std::iter::once(draft), done)
    }
}

#[cfg(test)]
mod tests;
