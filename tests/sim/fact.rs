//! One thing that happened, as the generator knows it and as the stream tells it.
//!
//! Owns the JSON form; knows nothing of detectors.

use std::collections::BTreeMap;

/// An event in the making: what the oracle reads, and what is written into the log.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its `event.id`; unique.
    pub id: u64,
    /// Event time in milliseconds.
    pub time: i64,
    pub kind: &'static str,
    pub fields: BTreeMap<&'static str, String>,
    pub amount: Option<i64>,
    /// The detector that must tell of the burst it belongs to; the stream does not say so.
    pub burst: Option<&'static str>,
}

impl Fact {
    pub fn new(time: i64, kind: &'static str, fields: &[(&'static str, &str)]) -> Self {
        Self {
            id: 0,
            time,
            kind,
            fields: fields.iter().map(|(n, v)| (*n, (*v).to_owned())).collect(),
            amount: None,
            burst: None,
        }
    }

    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(String::as_str)
    }

    /// In tidegate's own schema.
    pub fn json(&self) -> String {
        let mut object = serde_json::Map::new();
        object.insert("event.id".into(), format!("e{}", self.id).into());
        object.insert("event.kind".into(), self.kind.into());
        object.insert("time".into(), self.time.into());
        for (name, value) in &self.fields {
            object.insert((*name).into(), value.clone().into());
        }
        if let Some(amount) = self.amount {
            object.insert("amount".into(), amount.into());
        }
        serde_json::Value::Object(object).to_string()
    }
}
