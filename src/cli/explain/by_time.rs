//! What time brings, for `explain`: deadlines, ends, and alerts of what waited for event time. They
//! come while an event is read, or at the end of the input, and are not that event's doing.

use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::engine::alert::{Alert, Status};
use crate::model::Event;

/// One alert that no event at hand has brought about.
#[derive(Debug, Serialize)]
pub struct ByTime {
    pub id: String,
    pub name: String,
    pub outcome: &'static str,
    /// As in the alert: when its bound was crossed, or the deadline.
    pub time: String,
    pub key: Map<String, Json>,
    pub summary: String,
}

impl ByTime {
    /// `muted` is what a person has kept from happening about it.
    pub fn new(alert: &Alert, muted: Option<&'static str>) -> Self {
        let by_itself = match (alert.status, alert.revision) {
            (Status::Closed, _) => "closed",
            (Status::Open, 0) => "alerted",
            (Status::Open, _) => "updated",
        };
        let key = alert.key.0.iter();
        Self {
            id: alert.detector.id.clone(),
            name: alert.detector.name.clone(),
            outcome: muted.unwrap_or(by_itself),
            time: alert.time.to_string(),
            key: key
                .map(|(name, value)| (name.clone(), Json::from(value.as_str())))
                .collect(),
            summary: alert.summary.clone(),
        }
    }
}

/// Whether the alert is what this event has brought about: it tells of nothing older.
pub fn is_own(alert: &Alert, event: &Event) -> bool {
    let told_of = match alert.revision {
        0 => alert.time,
        _ => alert.last,
    };
    alert.status == Status::Open && told_of >= event.time
}
