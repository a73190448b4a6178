//! Shim until the real one is merged.
use std::path::PathBuf;
use std::sync::Arc;
use crate::model::{Event, FieldId, HashKey};
#[derive(Clone, Debug, Default)]
pub struct ListSettings { pub name: String, pub file: PathBuf, pub sets: String }
#[derive(Clone, Debug, Default)]
pub struct TablesSettings { pub asn: Option<PathBuf>, pub country: Option<PathBuf>, pub lists: Vec<ListSettings>, pub honeytokens: Option<PathBuf> }
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct LoadError;
#[derive(Debug, Default)]
pub struct Tables;
impl Tables {
    pub fn load(_: &TablesSettings, _: &HashKey) -> Result<Self, LoadError> { Ok(Self) }
    pub fn needs(&self) -> Vec<FieldId> { Vec::new() }
}
#[derive(Debug)]
pub struct Enricher(#[expect(dead_code)] Arc<Tables>);
impl Enricher {
    pub fn new(t: Arc<Tables>) -> Self { Self(t) }
    pub fn enrich(&mut self, _: &mut Event) {}
}
