//! Reads detector folders: the shipped set inside the binary, or a folder on disk.
//!
//! Owns which files count as what. A folder's `*.yml` are detectors, except below a folder named
//! `tests`; `runbook.md` and `tests/` beside a detector belong to it; `placeholders.yml` holds value
//! lists for all.

#![expect(
    clippy::disallowed_methods,
    reason = "the one place that reads detector files"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::engine::detector::SourceFile;

/// The files below `detectors/` as they were built in: (path, text).
const SHIPPED: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/shipped.rs"));
/// A detector file larger than this is a mistake.
const FILE_MAX: u64 = 1 << 20;
/// So are more files than this.
const FILES_MAX: usize = 10_000;
const DEPTH_MAX: usize = 16;

/// A file of a detector folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorFile {
    /// With `/` between its parts, whatever the system writes.
    pub path: String,
    pub text: String,
    /// A test case beside a detector.
    pub is_test: bool,
}

/// All files of a detector folder, in order of path.
///
/// # Errors
/// The folder cannot be read, or holds more than is reasonable.
pub fn files(dir: Option<&Path>) -> anyhow::Result<Vec<DetectorFile>> {
    let Some(dir) = dir else {
        let own = |(path, text): &(&str, &str)| DetectorFile {
            path: (*path).into(),
            text: (*text).into(),
            is_test: is_test(path),
        };
        return Ok(SHIPPED.iter().map(own).collect());
    };
    if !dir.is_dir() {
        bail!(
            "{} is no folder; name one with *.yml files of detectors",
            dir.display()
        );
    }
    let mut paths = Vec::new();
    walk(dir, 0, &mut paths)?;
    paths.sort();
    paths.into_iter().map(|path| read(dir, &path)).collect()
}

/// The detector files and value lists among `files`, ready to compile.
#[must_use]
pub fn sources(files: &[DetectorFile]) -> Vec<SourceFile> {
    let is_detector = |f: &&DetectorFile| is_yaml(&f.path) && !f.is_test;
    let paths: BTreeSet<&str> = files.iter().map(|f| f.path.as_str()).collect();
    let cases = paths.iter().filter(|path| is_yaml(path));
    let tested: BTreeSet<&str> = cases
        .filter_map(|path| path.rfind("/tests/").and_then(|end| path.get(..end)))
        .collect();
    let source = |f: &DetectorFile| {
        let folder = f.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        SourceFile {
            path: f.path.clone(),
            text: f.text.clone(),
            runbook_exists: paths.contains(format!("{folder}/runbook.md").as_str()),
            tests_exist: tested.contains(folder),
        }
    };
    files.iter().filter(is_detector).map(source).collect()
}

/// Whether a path below the detectors' folder is that of a test case. What stands above the folder
/// does not count: it may itself be below one named `tests`.
fn is_test(path: &str) -> bool {
    is_yaml(path) && path.rsplit('/').skip(1).any(|part| part == "tests")
}

fn is_yaml(path: &str) -> bool {
    [".yml", ".yaml"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

fn walk(dir: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > DEPTH_MAX {
        bail!(
            "{} is nested too deep; is it a link in a circle?",
            dir.display()
        );
    }
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry
            .with_context(|| format!("cannot read {}", dir.display()))?
            .path();
        if path.is_dir() {
            walk(&path, depth + 1, paths)?;
        } else if path.extension().is_some_and(|e| {
            ["yml", "yaml", "md", "jsonl"]
                .iter()
                .any(|known| e == *known)
        }) {
            paths.push(path);
        }
        if paths.len() > FILES_MAX {
            bail!(
                "more than {FILES_MAX} files below {}; name the detectors' own folder",
                dir.display()
            );
        }
    }
    Ok(())
}

fn read(dir: &Path, path: &Path) -> anyhow::Result<DetectorFile> {
    let name = path.to_string_lossy().replace('\\', "/");
    let size = fs::metadata(path)
        .with_context(|| format!("cannot read {name}"))?
        .len();
    if size > FILE_MAX {
        bail!("{name} has {size} bytes, a detector file has at most {FILE_MAX}");
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {name} as UTF-8 text"))?;
    let below = path.strip_prefix(dir).unwrap_or(path);
    let is_test = is_test(&below.to_string_lossy());
    Ok(DetectorFile {
        path: name,
        text,
        is_test,
    })
}
