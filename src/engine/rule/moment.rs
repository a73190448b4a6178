//! A detection that is over as soon as it is made: an alert of its own, or one event more of the
//! key's last alert while the detector's hold (`suppress`) lasts.

use super::episode::{Episode, Facts};
use super::{Context, Findings, News};
use crate::engine::exchange::Origin;

/// See the module's text.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Event time of the detection.
    pub time: i64,
    /// The first and last event it is made of, and how many there were.
    pub first: i64,
    pub last: i64,
    pub events: u64,
    pub text: &'a [u8],
    pub origin: Origin,
}

impl Moment<'_> {
    /// Tells people (`last` is the key's last alert) and the rules that build on this one.
    /// `facts` is given the number of detections in the alert.
    pub fn tell(
        &self,
        ctx: &Context<'_>,
        last: &mut Option<Box<Episode>>,
        facts: impl FnOnce(u64) -> Facts,
        out: &mut Findings,
    ) {
        let Self {
            time, text, origin, ..
        } = *self;
        out.derive(ctx, News::Begins, time, origin, text);
        self.alert(ctx, last, facts, out);
    }

    /// Tells people only.
    pub fn alert(
        &self,
        ctx: &Context<'_>,
        last: &mut Option<Box<Episode>>,
        facts: impl FnOnce(u64) -> Facts,
        out: &mut Findings,
    ) {
        let hold = ctx.detector.suppress.0;
        let within = |l: &&mut Box<Episode>| self.time <= l.until.saturating_add(hold);
        if let Some(held) = last.as_mut().filter(|_| hold > 0).filter(within) {
            held.events += self.events;
            held.last = held.last.max(self.last);
            held.until = held.until.max(self.time);
            held.origins.add(self.origin);
            held.hold_back(out);
            if held.update_due() {
                let facts = facts(held.events);
                held.update(ctx, facts, out);
            }
            return;
        }
        let mut episode = Episode::begin(ctx, self.time, self.text, last.as_deref());
        (episode.events, episode.until) = (self.events, self.time);
        (episode.first, episode.last) = (self.first, self.last);
        episode.origins.add(self.origin);
        episode.announce(ctx, facts(self.events), out);
        if ctx.rule.alerts {
            *last = Some(Box::new(episode));
        }
    }
}
