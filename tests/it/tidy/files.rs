//! The tree as texts.

use std::path::{Path, PathBuf};

use crate::harness::root;

/// A source file below `src` or `unpack/src`.
pub struct Source {
    /// From the checkout on, with `/`.
    pub path: String,
    pub text: String,
    /// `tests.rs`, or below a folder `tests`.
    pub is_test: bool,
}

impl Source {
    pub fn new(path: String, text: String) -> Self {
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        Self {
            path,
            text,
            is_test,
        }
    }

    /// The module below the crate's root it belongs to; none for tests and for `lib.rs`.
    pub fn layer(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (!self.is_test && name != "lib").then_some(name)
    }

    /// Numbered lines without comments and without the test module at the end.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take(self.production_lines()).enumerate();
        lines
            .map(|(n, line)| (n + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    pub fn production_lines(&self) -> usize {
        let mut before = "";
        for (n, line) in self.text.lines().enumerate() {
            if before == "#[cfg(test)]" && line.starts_with("mod ") {
                return n - 1;
            }
            before = line;
        }
        self.text.lines().count()
    }
}

/// Every file below `src` and `unpack/src`, in order.
pub fn sources() -> impl Iterator<Item = Source> {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    walk(&root().join("unpack/src"), &mut paths);
    assert!(paths.len() > 100, "the tree is not where it was");
    let rust = paths
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "rs"));
    rust.map(|path| Source::new(shown(&path), std::fs::read_to_string(&path).unwrap()))
}

/// Every text of the checkout that is kept, by its path.
pub fn all_texts() -> impl Iterator<Item = (String, String)> {
    let mut paths = Vec::new();
    walk(root(), &mut paths);
    paths.into_iter().filter_map(|path| {
        let text = String::from_utf8(std::fs::read(&path).unwrap()).ok()?;
        Some((shown(&path), text))
    })
}

pub fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut dirs: Vec<_> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    dirs.sort();
    dirs
}

pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap()
        .to_string_lossy()
        .replace('\\', "/")
}

fn walk(dir: &Path, paths: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        // What is built, fetched or the version control's own.
        if ["target", ".cache", ".git"].contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            walk(&path, paths);
        } else {
            paths.push(path);
        }
    }
}
