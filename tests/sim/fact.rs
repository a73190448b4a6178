//! One thing that happened, as the generator knows it and as the stream tells it.
//!
//! Owns the JSON form; knows nothing of detectors.

use std::collections::BTreeMap;

use tidegate::model::redact::Redactor;

/// It stands in every secret of the stream, and nowhere else.
pub const HOST: &str = "Raw.Secret.Example";

/// Whether something of a secret is in these bytes, as it is or in small letters.
pub fn is_raw(bytes: &[u8]) -> bool {
    let found = |needle: &[u8]| memchr::memmem::find(bytes, needle).is_some();
    found(b"Secret.Example") || found(b"secret.example")
}

/// An event in the making: what the oracle reads, and what is written into the log.
#[derive(Clone, Debug)]
pub struct Fact {
    /// Its `event.id`; unique.
    pub id: u64,
    /// Event time in milliseconds.
    pub time: i64,
    pub kind: &'static str,
    pub fields: BTreeMap<&'static str, String>,
    /// What the stream has in the place of a field that is a secret there; the product must show it to
    /// nobody, and `fields` has what it makes of it.
    pub raw: BTreeMap<&'static str, String>,
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
            raw: BTreeMap::new(),
            amount: None,
            burst: None,
        }
    }

    /// Makes some accounts mail addresses, and some tokens links.
    pub fn hide(&mut self, redactor: &Redactor) {
        if let Some(account) = self.fields.get_mut("user.target.id")
            && account.starts_with(['r', 'f'])
        {
            let address = format!("{account}@{HOST}");
            *account = redactor.email(&address);
            self.raw.insert("user.target.id", address);
        }
        if let Some(token) = self.fields.get_mut("token.id")
            && token.starts_with('i')
        {
            let link = format!("https://{HOST}/reset/{token}");
            *token = redactor.secret(&link);
            self.raw.insert("token.id", link);
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
            let value = self.raw.get(name).unwrap_or(value);
            object.insert((*name).into(), value.clone().into());
        }
        if let Some(amount) = self.amount {
            object.insert("amount".into(), amount.into());
        }
        serde_json::Value::Object(object).to_string()
    }
}
