//! The environment over the file: a tree in which every variable that names a key has replaced
//! what the file said.
//!
//! Owns the environment's snapshot and the names. Invariant: only keys of the schema can be set;
//! an empty variable is none.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::schema::{Kind, join, variable};
use crate::yaml::{At, Entry, Node, Scalar, Value};

/// The environment as it was at the start; tests make one from pairs.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(pairs: T) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }
}

impl Environment {
    /// The process's own; variables that are not UTF-8 are left out.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(k, v): (std::ffi::OsString, std::ffi::OsString)| {
            Some((k.into_string().ok()?, v.into_string().ok()?))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// A variable that is set and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// The names of all variables that begin so.
    pub fn names_from<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        let from = self.0.range(prefix.to_owned()..).map(|(k, _)| k.as_str());
        from.take_while(move |k| k.starts_with(prefix))
    }
}

/// The tree and, per path, the variable that gave it.
#[derive(Debug, Default)]
pub struct Overlaid {
    /// The file's tree with the variables' values in it.
    pub root: Option<Node>,
    /// Which path came from which variable.
    pub variables: BTreeMap<String, String>,
}

/// Lays the environment over a tree.
#[must_use]
pub fn overlay(root: Option<Node>, schema: &Json, env: &Environment) -> Overlaid {
    let mut layer = Layer {
        env,
        variables: BTreeMap::new(),
    };
    let root = layer.apply(root, schema, "");
    Overlaid {
        root,
        variables: layer.variables,
    }
}

struct Layer<'a> {
    env: &'a Environment,
    variables: BTreeMap<String, String>,
}

/// Values from the environment stand nowhere.
const NOWHERE: At = At { line: 0, column: 0 };

impl Layer<'_> {
    fn apply(&mut self, node: Option<Node>, schema: &Json, path: &str) -> Option<Node> {
        match Kind::of(schema) {
            Some(Kind::Section(section)) => {
                let keys = section.properties.iter().map(|(k, s)| (k.as_str(), s));
                self.section(node, keys, path)
            }
            Some(Kind::Tagged(branches)) => {
                let mut keys: BTreeMap<&str, &Json> = BTreeMap::new();
                for branch in branches {
                    let properties = branch.get("properties").and_then(Json::as_object);
                    for (key, schema) in properties.into_iter().flatten() {
                        keys.entry(key).or_insert(schema);
                    }
                }
                self.section(node, keys.into_iter(), path)
            }
            Some(Kind::List(item, _)) if Kind::of(item).is_some_and(|k| k.is_plain()) => {
                let Some(text) = self.value(path) else {
                    return node;
                };
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|t| !t.is_empty())
                    .map(scalar);
                Some(Node {
                    at: NOWHERE,
                    value: Value::List(items.collect()),
                })
            }
            Some(Kind::List(item, _)) => self.list(node, item, path),
            Some(Kind::Names(..)) | None => node,
            Some(_) => self.value(path).map(|text| scalar(&text)).or(node),
        }
    }

    /// The variable of a path, remembered as used.
    fn value(&mut self, path: &str) -> Option<String> {
        let name = variable(path);
        let text = self.env.get(&name)?.to_owned();
        self.variables.insert(path.to_owned(), name);
        Some(text)
    }

    fn section<'s>(
        &mut self,
        node: Option<Node>,
        keys: impl Iterator<Item = (&'s str, &'s Json)>,
        path: &str,
    ) -> Option<Node> {
        let (at, mut entries) = match node {
            None => (NOWHERE, Vec::new()),
            Some(node) if node.is_null() => (node.at, Vec::new()),
            Some(Node {
                at,
                value: Value::Map(entries),
            }) => (at, entries),
            Some(other) => return Some(other),
        };
        for (key, schema) in keys {
            let index = entries.iter().position(|e: &Entry| e.key == key);
            let old = index.and_then(|i| entries.get(i)).map(|e| e.value.clone());
            let Some(value) = self.apply(old, schema, &join(path, key)) else {
                continue;
            };
            match index.and_then(|i| entries.get_mut(i)) {
                Some(entry) => entry.value = value,
                None => entries.push(Entry {
                    key: key.to_owned(),
                    at: NOWHERE,
                    value,
                }),
            }
        }
        let unset = entries.is_empty() && at == NOWHERE;
        (!unset).then_some(Node {
            at,
            value: Value::Map(entries),
        })
    }

    fn list(&mut self, node: Option<Node>, item: &Json, path: &str) -> Option<Node> {
        let (at, items) = match node {
            None => (NOWHERE, Vec::new()),
            Some(node) if node.is_null() => (node.at, Vec::new()),
            Some(Node {
                at,
                value: Value::List(items),
            }) => (at, items),
            Some(other) => return Some(other),
        };
        let mut old = items.into_iter();
        let mut items = Vec::new();
        loop {
            let inner = format!("{path}[{}]", items.len());
            let before = old.next();
            let prefix = format!("{}_", variable(&inner));
            if before.is_none() && self.env.names_from(&prefix).next().is_none() {
                break;
            }
            // A prefix that names no key of ours (TIDEGATE_SOURCES_0_X) makes no item.
            let Some(node) = self.apply(before, item, &inner) else {
                break;
            };
            items.push(node);
        }
        let unset = items.is_empty() && at == NOWHERE;
        (!unset).then_some(Node {
            at,
            value: Value::List(items),
        })
    }
}

fn scalar(text: &str) -> Node {
    let scalar = Scalar {
        text: text.to_owned(),
        plain: true,
    };
    Node {
        at: NOWHERE,
        value: Value::Scalar(scalar),
    }
}
