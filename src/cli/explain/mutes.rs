//! What people mute, for `explain`: lists as `tidegate silences list -o json` and `tidegate allow
//! list -o json` write them.
//!
//! Each entry counts as if it were in force: recorded events have another time than their reader.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::de::DeserializeOwned;
use serde_json::{Deserializer, Value as Json};

use crate::app::files;
use crate::cli::Failure;
use crate::engine::alert::Alert;
use crate::engine::alert::silence::{self, Silence};
use crate::engine::containment::allow::{AllowEntry, AllowList, AllowSettings};
use crate::engine::containment::policy::{Policy, Settings, State, Withheld};
use crate::engine::detector::plan::Detector;
use crate::model::redact::Redactor;
use crate::model::{HashKey, WallTime};

/// Where the lists are.
#[derive(Debug, Default, clap::Args)]
pub struct Lists {
    /// Silences, as `tidegate silences list -o json` writes them: each as if in force
    #[arg(long, value_name = "FILE")]
    silences: Option<std::path::PathBuf>,
    /// Allow-list, as `tidegate allow list -o json` writes it: each entry as if in force
    #[arg(long, value_name = "FILE")]
    allow: Option<std::path::PathBuf>,
}

/// See the module's text.
pub struct Mutes {
    silences: Vec<Silence>,
    policy: Option<Policy>,
}

impl Mutes {
    pub fn read(lists: &Lists, key: &HashKey) -> Result<Self, Failure> {
        let silences = lists.silences.as_deref().map(items).transpose()?;
        let entries = lists.allow.as_deref().map(items).transpose()?;
        let policy = entries
            .map(|entries| protecting(entries, key))
            .transpose()?;
        Ok(Self {
            silences: silences.unwrap_or_default(),
            policy,
        })
    }

    /// What a person has kept from happening about an alert, if anything.
    pub fn outcome(&self, alert: &Alert, detector: &Detector) -> Option<&'static str> {
        let muted = |s: &Silence| silence::takes(&s.matchers, alert);
        if self.silences.iter().any(muted) {
            return Some("silenced");
        }
        let policy = self.policy.as_ref()?;
        let now = WallTime(alert.last.0);
        let plan = policy.preview(&State::default(), alert, detector, now);
        let allowed = plan.omissions().iter().any(|o| o.why == Withheld::Allowed);
        (allowed && plan.changes().is_empty()).then_some("allow_listed")
    }
}

fn protecting(mut entries: Vec<AllowEntry>, key: &HashKey) -> Result<Policy, Failure> {
    for entry in &mut entries {
        entry.expires_at = None;
    }
    let faults = |faults: Vec<String>| anyhow!(faults.join("; "));
    let mut policy = Policy::new(Settings::default(), key).map_err(faults)?;
    let base = AllowList::build(&AllowSettings::default(), Redactor::new(key)).map_err(faults)?;
    let (list, unread) = base.with_entries(&entries);
    if let Some(entry) = unread.first() {
        let error = anyhow!("{:?} is no {}", entry.value, entry.scope.name());
        return Err(Failure { code: 2, error });
    }
    policy.set_allow(list);
    Ok(policy)
}

/// The items of an array, or of lines.
fn items<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, Failure> {
    let wrong = || format!("{} is no list of this kind", path.display());
    let usage = |error: anyhow::Error| Failure { code: 2, error };
    let text = files::read(path)?;
    let mut all = Vec::new();
    for value in Deserializer::from_slice(&text).into_iter::<Json>() {
        let value = value.with_context(wrong).map_err(usage)?;
        let list = match value {
            Json::Array(list) => list,
            one => vec![one],
        };
        for item in list {
            let item = serde_json::from_value(item).with_context(wrong);
            all.push(item.map_err(usage)?);
        }
    }
    Ok(all)
}
