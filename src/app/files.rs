//! Small files the app reads for the parts.

#![expect(clippy::disallowed_methods, reason = "the app is an edge")]

use std::path::Path;

use anyhow::Context as _;

/// # Errors
/// It cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
