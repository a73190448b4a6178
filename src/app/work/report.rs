//! What the turn tells, as metrics, log lines, what the API shows, and a push for those who send.
//!
//! Decides nothing.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::app::commit::Committed;
use crate::app::measures::Measures;
use crate::app::meta;
use crate::app::pipeline::Intake;
use crate::app::turn::{Happening, Trouble};
use crate::app::view::Shared;
use crate::engine::containment::policy::State;
use crate::engine::program::Program;
use crate::engine::rule::Usage;
use crate::engine::watermark::Passed;
use crate::model::WallTime;
use crate::source::{Halt, Notice, Partition};

/// See the module's text.
pub struct Report {
    /// The sources' topics by their numbers.
    pub names: Vec<String>,
    pub shared: Arc<Shared>,
    pub measures: Measures,
    pub wakes: Vec<Arc<Notify>>,
}

impl Report {
    pub(super) fn hear(&mut self, what: &Happening<'_>, now: WallTime) {
        match what {
            Happening::Taken {
                intake,
                passed,
                program,
            } => self.taken(intake, passed, program),
            Happening::Reloaded {
                before,
                after,
                restored,
                held,
                holds,
            } => {
                lost(before, after, held);
                let (kept, fresh) = (restored.kept, restored.fresh);
                tracing::info!(kept, fresh, "detectors reloaded");
                self.shared.set_plan(Arc::clone(&after.plan));
                self.measures.reloaded(&after.plan, holds.to_vec());
            }
            Happening::Noisy(detector) => {
                tracing::error!(
                    detector,
                    "alerts without end since the reload; the detectors before it are put back"
                );
                self.measures.reverted();
            }
            Happening::Adopted([]) => {}
            Happening::Adopted(closed) => tracing::warn!(
                closed = closed.len(),
                "alerts closed: their detectors were changed or went"
            ),
            Happening::Told { alerts, read_at } => {
                let opened = alerts.iter().filter(|a| a.revision == 0);
                for alert in opened.filter(|a| !meta::is_own(&a.detector)) {
                    self.measures.alert(alert, *read_at, now);
                    if alert.silenced.is_none() {
                        tracing::info!(alert = %alert.alert_id, detector = alert.detector.name, summary = alert.summary, "alert");
                    }
                }
            }
            Happening::Committed { done, state } => self.committed(done, state),
            Happening::Heeded(notice) => self.heeded(notice),
            Happening::Reading => self.shared.assigned(),
            Happening::Saved { kind, size, took } => {
                self.measures.snapshot(*kind, *took, *size as u64);
                self.shared.saved();
            }
            Happening::Unsaved(trouble) => tracing::error!(
                error = format!("{trouble:#}"),
                "no snapshot could be written; it is tried again"
            ),
        }
    }

    fn taken(&self, intake: &Intake, passed: &[Passed], program: &Program) {
        self.shared
            .count_events(passed.iter().map(|p| p.events).sum());
        self.measures.intake(intake, passed, program);
    }

    fn committed(&self, done: &Committed, state: &State) {
        self.measures.silenced(&done.alerts);
        self.measures.decided(done, state);
        self.measures.gave_way(&done.gave_way);
        for (endpoint, alerts) in &done.gave_way {
            tracing::error!(
                endpoint,
                alerts,
                "the outbox is full: the oldest alerts are given up for new ones"
            );
        }
        self.shared.committed(done, state.journal().seq());
        if done.messages > 0 {
            self.wakes.iter().for_each(|wake| wake.notify_one());
        }
    }

    fn heeded(&self, notice: &Notice) {
        match notice {
            Notice::Assigned { partition, .. } => self.shared.begun(*partition),
            Notice::Behind { .. } | Notice::Log { .. } => {}
            Notice::Accepted {
                partition,
                next,
                cause,
            } => {
                tracing::warn!(
                    partition = self.name(*partition),
                    next,
                    %cause,
                    "the loss is accepted: reading goes on with what there is"
                );
                if let Halt::Expired { lost, .. } = cause {
                    self.measures.lost(self.topic(*partition), *lost);
                }
            }
            Notice::End { partition, .. } => {
                self.shared.assigned();
                self.shared.caught_up(*partition);
            }
            Notice::Halted {
                partition,
                next,
                cause,
            } => self.halted(*partition, *next, *cause),
            Notice::Gone { partition } => {
                self.shared.caught_up(*partition);
                tracing::warn!(
                    partition = self.name(*partition),
                    "the partition is gone and its loss accepted: it has no place any more; should it come back, all it holds is read"
                );
            }
            Notice::Silent { partition } => tracing::error!(
                partition = self.name(*partition),
                "nobody answers for the partition: event time goes on without it, and what it brings later may be late"
            ),
            Notice::Stalled { partition, next } => tracing::warn!(
                ?partition,
                next,
                "the source gave nothing though there was more; reconnected"
            ),
            Notice::Trouble { detail } => {
                tracing::warn!(detail, "the source has trouble");
                self.shared.trouble(detail);
            }
        }
    }

    fn halted(&self, partition: Partition, next: i64, cause: Halt) {
        self.shared.caught_up(partition);
        let name = self.name(partition);
        tracing::error!(
            partition = name,
            next,
            %cause,
            "the partition is stopped: what comes next is gone or cannot be read; decide whether to go on without it"
        );
        let (topic, why) = (self.topic(partition), format!("offset {next}: {cause}"));
        let count = self.shared.halted(topic, &name, &why);
        self.measures.halted(topic, count);
    }

    fn topic(&self, partition: Partition) -> &str {
        let topic = usize::from(partition.topic);
        self.names.get(topic).map_or("?", |name| name)
    }

    fn name(&self, partition: Partition) -> String {
        format!("{}/{}", self.topic(partition), partition.number)
    }

    pub(super) fn cannot_write(&self, trouble: &Trouble) {
        let part = trouble.part();
        tracing::error!(part, error = %trouble, "cannot write; reading stands still until it can");
        self.shared.trouble_with(part, Some(trouble.to_string()));
    }

    pub(super) fn can_write(&self, part: &'static str) {
        self.shared.trouble_with(part, None);
    }
}

/// Detectors that are not as they were have lost their windows.
fn lost(before: &Program, after: &Program, held: &[Usage]) {
    let kept = before.keep(&after.identities());
    for (rule, _) in kept.iter().enumerate().filter(|(_, at)| at.is_none()) {
        let keys = held.get(rule).map_or(0, |u| u.keys);
        let detector = &before.detector(rule).name;
        tracing::warn!(detector, keys, "changed or gone: its windows are lost");
    }
}
