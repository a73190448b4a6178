//! docs/configuration.md, written from the schema: every key with type, default and meaning.
//!
//! Owns the page's form. A test keeps the file current; invariant: a key without a description
//! fails that test.

use serde_json::Value as Json;

use super::schema::{Kind, join, schema, tag, variable};

/// One line of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The path, `[]` for the items of a list: `sources[].brokers`.
    pub path: String,
    /// The `kind` it belongs to, if the section has kinds.
    pub kind: Option<String>,
    /// What it may be, in words.
    pub wants: String,
    /// Its default as written in YAML, `required`, or `none`.
    pub default: String,
    /// What it means.
    pub meaning: String,
}

/// Every key of the configuration, sections in the file's order.
#[must_use]
pub fn keys() -> Vec<Key> {
    let mut keys = Vec::new();
    let order = [
        "version",
        "sources",
        "enrich",
        "detectors",
        "engine",
        "alerts",
    ];
    let order = order
        .into_iter()
        .chain(["dead_letters", "containment", "state", "http", "log"]);
    for name in order {
        if let Some(inner) = schema().get("properties").and_then(|p| p.get(name)) {
            list(inner, name, None, name == "version", &mut keys);
        }
    }
    keys
}

fn list(schema: &Json, path: &str, kind: Option<&str>, required: bool, keys: &mut Vec<Key>) {
    match Kind::of(schema) {
        Some(Kind::Section(section)) => {
            for (key, inner) in section.properties {
                if inner.get("const").is_none() {
                    let required = section.required().any(|r| r == key);
                    list(inner, &join(path, key), kind, required, keys);
                }
            }
        }
        Some(Kind::Tagged(branches)) => {
            let words: Vec<&str> = branches.iter().filter_map(tag).collect();
            let meaning = branches
                .iter()
                .map(|b| format!("`{}`: {}", tag(b).unwrap_or_default(), description(b)))
                .collect::<Vec<_>>()
                .join(" ");
            let default = schema.get("default").and_then(|d| d.get("kind")).map(plain);
            let default = default.unwrap_or_else(|| "required".to_owned());
            let path_kind = join(path, "kind");
            keys.push(Key {
                path: path_kind,
                kind: None,
                wants: words.join(", "),
                default,
                meaning,
            });
            for branch in branches {
                list(branch, path, tag(branch), false, keys);
            }
        }
        Some(Kind::List(item, _)) if !Kind::of(item).is_some_and(|k| k.is_plain()) => {
            keys.push(key(schema, path, kind, required));
            list(item, &format!("{path}[]"), kind, false, keys);
        }
        _ => keys.push(key(schema, path, kind, required)),
    }
}

fn key(schema: &Json, path: &str, kind: Option<&str>, required: bool) -> Key {
    let default = match schema.get("default") {
        _ if required => "required".to_owned(),
        None | Some(Json::Null) => "none".to_owned(),
        Some(value) => plain(value),
    };
    let meaning = description(schema) + &words(schema);
    Key {
        path: path.to_owned(),
        kind: kind.map(str::to_owned),
        wants: wants(schema),
        default,
        meaning,
    }
}

fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            value.to_string()
        }
    }
}

fn description(schema: &Json) -> String {
    schema
        .get("description")
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// The words' own meanings, behind the key's.
fn words(schema: &Json) -> String {
    let item = match Kind::of(schema) {
        Some(Kind::List(item, _)) => item,
        _ => schema,
    };
    let Some(Kind::Words(branches)) = Kind::of(item) else {
        return String::new();
    };
    let word = |b: &Json| {
        Some(format!(
            " `{}`: {}",
            b.get("const")?.as_str()?,
            description(b)
        ))
    };
    branches.iter().filter_map(word).collect()
}

fn wants(schema: &Json) -> String {
    let range = |what: &str, least: Option<f64>, most: Option<f64>| match (least, most) {
        (Some(least), Some(most)) => format!("{what}, {least} to {most}"),
        (Some(least), None) => format!("{what}, at least {least}"),
        (None, _) => what.to_owned(),
    };
    match Kind::of(schema) {
        Some(kind @ Kind::Words(_)) => kind.words().join(", "),
        Some(Kind::Formatted(word)) => word.to_owned(),
        Some(Kind::Text(..)) => "text".to_owned(),
        Some(Kind::Whole(least, most)) => range("whole number", least, most),
        Some(Kind::Number(least, most)) => range("number", least, most),
        Some(Kind::Bool) => "true, false".to_owned(),
        Some(Kind::Names(value, names)) => {
            let names = names.map_or_else(|| "names".to_owned(), wants);
            format!("mapping of {names} to {}", wants(value))
        }
        Some(Kind::List(item, _)) => match Kind::of(item) {
            Some(kind) if kind.is_plain() => format!("list of {}", wants(item)),
            _ => "list".to_owned(),
        },
        Some(Kind::Section(_) | Kind::Tagged(_)) | None => "mapping".to_owned(),
    }
}

const HEAD: &str = "# Configuration\n
Written from the program's own schema (`tidegate config schema`); do not edit by hand.\n
One YAML file, given with `-c`. `tidegate check -c FILE` reports every fault at once;
`tidegate check -c FILE --effective` prints each value and where it came from. The environment beats
the file, the file beats the default. A variable's name is TIDEGATE_ and the key's path in
capitals joined by `_`, list items by number from 0 (`TIDEGATE_SOURCES_0_BROKERS`); lists of plain values
are separated by commas. Relative paths start at the folder tidegate is started in. Durations carry a unit (`30s`,
`5m`, `24h`, `7d`), sizes too (`512MiB`). Secrets never stand in the file: a key ending in `_env` names a
variable, one ending in `_file` a file.\n";

/// The whole page.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(HEAD);
    let mut section = "";
    let keys = keys();
    for key in &keys {
        let name = key.path.split(['.', '[']).next().unwrap_or_default();
        if name != section {
            section = name;
            let what = schema()
                .get("properties")
                .and_then(|p| p.get(name))
                .map(description);
            let what = what.unwrap_or_default();
            page.push_str(&format!("\n## {name}\n\n{what}\n\n"));
            page.push_str("| key | wants | default | meaning |\n|---|---|---|---|\n");
        }
        page.push_str(&row(key));
    }
    let example = variable("containment.budgets.actions_per_minute");
    page.push_str("\nAs variables: `engine.memory` is `TIDEGATE_ENGINE_MEMORY`, ");
    page.push_str(&format!(
        "`containment.budgets.actions_per_minute` is\n`{example}`. "
    ));
    page.push_str("`TIDEGATE_LOG` refines the log per module.\n");
    page
}

fn row(key: &Key) -> String {
    let Key {
        path,
        kind,
        wants,
        default,
        meaning,
    } = key;
    let kind = kind.as_ref().map(|k| format!(" ({k})")).unwrap_or_default();
    let meaning = meaning.replace('|', "\\|");
    format!("| `{path}`{kind} | {wants} | {default} | {meaning} |\n")
}
