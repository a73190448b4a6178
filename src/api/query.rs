//! Parameters of requests: read strictly, each fault named.
//!
//! Owns limits, cursors and ids as text. Invariant: an unknown parameter is an error, not ignored,
//! so that a mistyped filter never looks like an empty result.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Problem;
use super::view::{ActionQuery, AlertQuery};
use crate::engine::alert::Status;
use crate::engine::containment::Phase;
use crate::model::ids::Id;
use crate::model::{EventTime, Level};

/// Parameters as they came.
pub(super) type Given = Result<Query<Vec<(String, String)>>, QueryRejection>;

const LIMIT_DEFAULT: usize = 50;
const LIMIT_MAX: usize = 500;
const TEXT_MAX: usize = 512;

/// One parameter at a time.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn new(given: Given) -> Result<Self, Problem> {
        let Query(pairs) = given.map_err(|_| {
            Problem::bad_request("the query is not well-formed: write it like ?limit=50")
        })?;
        for (i, (name, value)) in pairs.iter().enumerate() {
            if pairs.iter().take(i).any(|(earlier, _)| earlier == name) {
                return Err(Problem::bad_request(
                    "a parameter is given twice: give it once",
                ));
            }
            if value.len() > TEXT_MAX || value.contains(char::is_control) {
                return Err(Problem::bad_request(format!(
                    "a parameter is longer than {TEXT_MAX} bytes or holds control characters"
                )));
            }
        }
        Ok(Self(pairs))
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let i = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.swap_remove(i).1)
    }

    fn read<T>(
        &mut self,
        name: &str,
        wants: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.take(name) else {
            return Ok(None);
        };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(Problem::bad_request(format!("`{name}` must be {wants}"))),
        }
    }

    fn limit(&mut self) -> Result<usize, Problem> {
        let read = |text: &str| text.parse().ok().filter(|n| (1..=LIMIT_MAX).contains(n));
        let limit = self.read("limit", &format!("a number from 1 to {LIMIT_MAX}"), read)?;
        Ok(limit.unwrap_or(LIMIT_DEFAULT))
    }

    fn end(self, known: &str) -> Result<(), Problem> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Problem::bad_request(format!(
            "an unknown parameter: known are {known}"
        )))
    }
}

/// The parameters of the list of alerts.
pub(super) fn alerts(given: Given) -> Result<AlertQuery, Problem> {
    let mut from = Parameters::new(given)?;
    let time = |text: &str| EventTime::parse(text);
    let wants = "a time like 2026-01-12T08:12:03Z";
    let query = AlertQuery {
        limit: from.limit()?,
        behind: from.read("cursor", "the `next` of the page before", alert_cursor)?,
        detector: from.take("detector"),
        status: from.read("status", "open or closed", |text| match text {
            "open" => Some(Status::Open),
            "closed" => Some(Status::Closed),
            _ => None,
        })?,
        level_min: from.read("level_min", "a level like high", |text| {
            Level::ALL.into_iter().find(|level| level.name() == text)
        })?,
        since: from.read("since", wants, time)?,
        until: from.read("until", wants, time)?,
        key: from.take("key"),
    };
    from.end("limit, cursor, detector, status, level_min, since, until, key")?;
    Ok(query)
}

/// The parameters of the list of actions.
pub(super) fn actions(given: Given) -> Result<ActionQuery, Problem> {
    let mut from = Parameters::new(given)?;
    let wants = "pending_approval, active, superseded, reverted, expired or denied";
    let query = ActionQuery {
        limit: from.limit()?,
        before: from.read("cursor", "the `next` of the page before", action_cursor)?,
        phase: from.read("phase", wants, phase)?,
    };
    from.end("limit, cursor, phase")?;
    Ok(query)
}

/// The parameters of the pull stream.
pub(super) fn stream(given: Given) -> Result<Option<u64>, Problem> {
    let mut from = Parameters::new(given)?;
    let since = from.read("since", "a `seq`, a whole number", |text| text.parse().ok())?;
    from.end("since")?;
    Ok(since)
}

/// For routes without parameters.
pub(super) fn none(given: Given) -> Result<(), Problem> {
    Parameters::new(given)?.end("none")
}

fn phase(text: &str) -> Option<Phase> {
    // The words are serde's, so that they cannot differ from those in answers.
    serde_json::from_value(serde_json::Value::from(text)).ok()
}

/// An id as it stands in a path.
pub(super) fn id(text: &str) -> Result<Id, Problem> {
    let mut id = [0; 32];
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    match hex::decode_to_slice(text, &mut id) {
        Ok(()) if lower => Ok(Id(id)),
        Ok(()) | Err(_) => Err(Problem::bad_request("an id is 64 lower-case hex digits")),
    }
}

/// The cursor behind an alert.
pub(super) fn alert_mark(time: EventTime, id: Id) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{id}", time.0))
}

/// The cursor behind an action.
pub(super) fn action_mark(seq: u64) -> String {
    URL_SAFE_NO_PAD.encode(format!("seq.{seq}"))
}

fn alert_cursor(text: &str) -> Option<(EventTime, Id)> {
    let inside = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (time, hex) = inside.split_once('.')?;
    Some((EventTime(time.parse().ok()?), id(hex).ok()?))
}

fn action_cursor(text: &str) -> Option<u64> {
    let inside = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    inside.strip_prefix("seq.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn given(pairs: &[(&str, &str)]) -> Given {
        Ok(Query(
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        ))
    }

    #[test]
    fn good_parameters() {
        let id = Id([7; 32]);
        let cursor = alert_mark(EventTime(-5), id);
        let pairs = [
            ("limit", "2"),
            ("cursor", cursor.as_str()),
            ("level_min", "high"),
            ("status", "open"),
        ];
        let query = alerts(given(&pairs)).unwrap();
        assert_eq!(query.behind, Some((EventTime(-5), id)));
        assert_eq!((query.limit, query.level_min), (2, Some(Level::High)));
        let query = actions(given(&[
            ("phase", "pending_approval"),
            ("cursor", &action_mark(9)),
        ]))
        .unwrap();
        assert_eq!(
            (query.phase, query.before),
            (Some(Phase::PendingApproval), Some(9))
        );
    }

    #[test]
    fn bad_parameters_are_named_and_not_repeated() {
        for pairs in [
            [("limit", "0")],
            [("limit", "501")],
            [("limit", "1e3")],
            [("cursor", "<script>")],
            [("status", "<script>")],
            [("level_min", "worst")],
            [("since", "yesterday")],
            [("detcetor", "<script>")],
            [("key", "a\nb")],
        ] {
            let problem = alerts(given(&pairs)).unwrap_err();
            assert_eq!(problem.status, 400);
            assert!(!problem.detail.contains("script"), "{problem:?}");
        }
        assert!(alerts(given(&[("limit", "1"), ("limit", "2")])).is_err());
        assert!(actions(given(&[("phase", "gone")])).is_err());
        assert!(id(&"A".repeat(64)).is_err() && id("abc").is_err());
    }

    proptest! {
        #[test]
        fn cursors_never_panic(text in "\\PC{0,80}") {
            prop_assert!(alert_cursor(&text).is_none() || !text.is_empty());
            prop_assert!(action_cursor(&text).is_none() || !text.is_empty());
        }
    }
}
