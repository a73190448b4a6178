//! One reading of file and environment: the settings, all faults and lints, and where each value
//! came from.
//!
//! Owns the order of the steps and the translation from paths to places. `load` is the only part
//! that touches files. Invariant: faults are sorted by place, and there is no `Config` with faults.

use std::collections::BTreeMap;
use std::path::Path;

use super::effective::{Origin, Setting};
use super::fault::{Fault, Faults, Place};
use super::overlay::{Environment, Overlaid, overlay};
use super::schema::{join, schema};
use super::shape::Config;
use super::{effective, files, validate, walk};
use crate::yaml::{self, At, Node, Value};

/// The longest configuration file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// What came out of a file and the environment.
#[derive(Debug)]
pub struct Reading {
    config: Option<Config>,
    faults: Vec<Fault>,
    lints: Vec<Fault>,
    places: Places,
}

/// Where each path stands.
#[derive(Debug)]
struct Places {
    file: String,
    lines: BTreeMap<String, At>,
    variables: BTreeMap<String, String>,
}

impl Places {
    fn new(file: &str, overlaid: &Overlaid) -> Self {
        let mut lines = BTreeMap::new();
        if let Some(root) = &overlaid.root {
            enter(root, String::new(), &mut lines);
        }
        let variables = overlaid.variables.clone();
        Self {
            file: file.to_owned(),
            lines,
            variables,
        }
    }

    /// Where a path stands; what is not given stands where the nearest part around it does.
    fn of(&self, path: &str) -> Place {
        let mut part = path;
        loop {
            if let Some(name) = self.variables.get(part) {
                return Place::Variable(name.clone());
            }
            if let Some(at) = self.lines.get(part) {
                return Place::File {
                    file: self.file.clone(),
                    at: *at,
                };
            }
            if part.is_empty() {
                return Place::File {
                    file: self.file.clone(),
                    at: At { line: 1, column: 1 },
                };
            }
            // Made by the environment altogether: any variable below it will do.
            let below = |p: &&String| p.starts_with(part);
            if let Some(name) = self
                .variables
                .keys()
                .find(below)
                .and_then(|p| self.variables.get(p))
            {
                return Place::Variable(name.clone());
            }
            let cut = part.rfind(['.', '[']).unwrap_or(0);
            part = part.get(..cut).unwrap_or_default();
        }
    }

    fn origin(&self, path: &str) -> Origin {
        match (self.variables.get(path), self.lines.get(path)) {
            (Some(name), _) => Origin::Variable(name.clone()),
            (None, Some(at)) => Origin::File {
                file: self.file.clone(),
                line: at.line,
            },
            (None, None) => Origin::Default,
        }
    }
}

/// Notes the place of every value that stands in the file.
fn enter(node: &Node, path: String, lines: &mut BTreeMap<String, At>) {
    match &node.value {
        Value::Scalar(_) => {}
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                enter(item, format!("{path}[{i}]"), lines);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                enter(&entry.value, join(&path, &entry.key), lines);
            }
        }
    }
    if node.at.line > 0 && !node.is_null() {
        lines.insert(path, node.at);
    }
}

/// Reads a configuration from a text. Pure: `file` is only how faults name it.
#[must_use]
pub fn read(file: &str, text: &str, env: &Environment) -> Reading {
    let (mut documents, syntax) = yaml::parse(text);
    let extra = documents.get(1).map(|second| {
        let fault = yaml::Fault::new(second.at, "a second document begins here");
        (
            String::new(),
            fault.hint("keep one document per configuration file"),
        )
    });
    let root = (!documents.is_empty()).then(|| documents.swap_remove(0));
    let overlaid = overlay(root, schema(), env);
    let places = Places::new(file, &overlaid);
    let mut reading = Reading {
        config: None,
        faults: Vec::new(),
        lints: Vec::new(),
        places,
    };
    let broken = !syntax.is_empty();
    let mut found: Vec<walk::Placed> = syntax.into_iter().map(|f| (String::new(), f)).collect();
    found.extend(extra);
    let top = At { line: 1, column: 1 };
    let empty = Node {
        at: top,
        value: Value::Map(Vec::new()),
    };
    let node = overlaid.root.filter(|n| !n.is_null()).unwrap_or(empty);
    let node = if node.at.line == 0 {
        Node { at: top, ..node }
    } else {
        node
    };
    // After a syntax fault half the keys are missing; reporting them would only mislead.
    let json = if broken {
        None
    } else {
        walk::read(&node, schema(), "", &mut found)
    };
    let sound = found.is_empty();
    for (path, fault) in found {
        reading.place(path, fault);
    }
    if let (true, Some(json)) = (sound, json) {
        match serde_json::from_value::<Config>(json) {
            Ok(config) => {
                validate::validate(&config, &mut reading);
                validate::variables(env, &config, &mut reading);
                reading.config = Some(config);
            }
            Err(error) => reading.fault("", error.to_string(), "correct this key"),
        }
    }
    reading.sort();
    reading
}

/// Reads a configuration file, and looks whether the files and secrets it names are there.
///
/// # Errors
/// The file itself cannot be read.
pub fn load(path: &Path, env: &Environment) -> std::io::Result<Reading> {
    let text = files::text(path, BYTES_MAX)?;
    let mut reading = read(&path.display().to_string(), &text, env);
    if let Some(config) = reading.config.take() {
        for (key, file) in validate::files(&config) {
            // A default that is not there has a meaning of its own: the shipped detectors.
            if !file.exists() && !matches!(reading.places.origin(&key), Origin::Default) {
                let message = format!("there is no {}", file.display());
                reading.fault(
                    &key,
                    message,
                    "correct the path; it is taken from the folder tidegate is started in",
                );
            }
        }
        for (key, variable, file) in validate::secrets(&config) {
            if let Err(error) = super::secret::load(variable, file, env) {
                reading.lint(&key, error.to_string(), "needed to run");
            }
        }
        reading.config = Some(config);
        reading.sort();
    }
    Ok(reading)
}

impl Reading {
    /// The settings, if there are no faults; lints do not count.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_ref().filter(|_| self.faults.is_empty())
    }

    /// The settings, or all faults.
    ///
    /// # Errors
    /// There is at least one fault.
    pub fn into_result(self) -> Result<Config, Faults> {
        match self.config {
            Some(config) if self.faults.is_empty() => Ok(config),
            Some(_) | None => Err(Faults(self.faults)),
        }
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// What works but should be looked at.
    #[must_use]
    pub fn lints(&self) -> &[Fault] {
        &self.lints
    }

    /// Every setting with its value and where it came from; empty if there are faults of form.
    #[must_use]
    pub fn effective(&self) -> Vec<Setting> {
        let config = self.config.as_ref();
        config
            .map(|c| effective::settings(c, |path| self.places.origin(path)))
            .unwrap_or_default()
    }

    /// Adds a fault that another part found in a setting, e.g. a schema name it does not know.
    pub fn fault(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let fault = self.make(path, message.into(), hint.into());
        self.faults.push(fault);
    }

    /// Adds a lint to a setting.
    pub fn lint(&mut self, path: &str, message: impl Into<String>, hint: impl Into<String>) {
        let lint = self.make(path, message.into(), hint.into());
        self.lints.push(lint);
    }

    fn make(&self, path: &str, message: String, hint: String) -> Fault {
        let named = if path.is_empty() || message.contains(path) {
            message
        } else {
            format!("{path}: {message}")
        };
        Fault {
            place: self.places.of(path),
            path: path.to_owned(),
            message: named,
            hint: Some(hint),
        }
    }

    fn place(&mut self, path: String, fault: yaml::Fault) {
        let place = if fault.at.line > 0 && !self.places.variables.contains_key(&path) {
            Place::File {
                file: self.places.file.clone(),
                at: fault.at,
            }
        } else {
            self.places.of(&path)
        };
        let message = if path.is_empty() || fault.message.starts_with("unknown key") {
            fault.message
        } else {
            format!("{path}: {}", fault.message)
        };
        self.faults.push(Fault {
            place,
            path,
            message,
            hint: fault.hint,
        });
    }

    fn sort(&mut self) {
        self.faults.sort_by(|a, b| a.place.cmp(&b.place));
        self.lints.sort_by(|a, b| a.place.cmp(&b.place));
    }
}
