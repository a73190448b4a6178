//! JSON Schemas of detector files and test cases, for editors.
//!
//! Derived from the same table of keys that reading checks against, so the two cannot differ.

use serde_json::{Map, Value, json};

use super::keys::{self, Section, Shape};
use super::value;

/// The schema of one document of a detector file.
#[must_use]
pub fn detector() -> Value {
    let mut schema = section(&keys::DOCUMENT);
    if let Value::Object(map) = &mut schema {
        map.insert(
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        map.insert(
            "title".into(),
            json!("tidegate detector (a superset of Sigma 2.1)"),
        );
        map.insert("required".into(), json!(["title"]));
        let one = |key: &str| json!({"required": [key]});
        let any = json!([
            one("detection"),
            one("correlation"),
            one("filter"),
            one("expected")
        ]);
        map.insert("anyOf".into(), any);
        // Sigma allows fields of one's own in a document; the editor shows a mistyped one.
        map.insert("patternProperties".into(), json!({"^x-": true}));
    }
    schema
}

/// The schema of one test case.
#[must_use]
pub fn case() -> Value {
    let mut schema = section(&keys::CASE);
    if let Value::Object(map) = &mut schema {
        map.insert(
            "$schema".into(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        map.insert("title".into(), json!("tidegate test case"));
        map.insert("required".into(), json!(["name", "kind", "expect"]));
    }
    schema
}

fn section(of: &Section) -> Value {
    let mut properties = Map::new();
    for key in of.keys {
        let mut schema = shape(key.shape);
        if let Value::Object(map) = &mut schema {
            map.insert("description".into(), json!(key.doc));
        }
        properties.insert(key.name.into(), schema);
    }
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn shape(shape: Shape) -> Value {
    let texts = json!({"anyOf": [
        {"type": ["string", "number"]},
        {"type": "array", "items": {"type": ["string", "number"]}},
    ]});
    match shape {
        Shape::Text => json!({"type": ["string", "number"]}),
        Shape::Number => json!({"type": "number"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Count => json!({"type": "integer", "minimum": 0}),
        Shape::Span => span(),
        Shape::Texts => texts,
        Shape::OneOf(words) => json!({"enum": words}),
        Shape::Map(inner) => {
            let mut schema = section(inner);
            if let Value::Object(map) = &mut schema
                && std::ptr::eq(inner, &raw const keys::LOGSOURCE)
            {
                map.insert("additionalProperties".into(), json!(true));
            }
            schema
        }
        Shape::List(inner) => json!({"type": "array", "items": section(inner)}),
        Shape::NamesOr(inner) => {
            let one = json!({"anyOf": [{"type": "string"}, section(inner)]});
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Shape::MapOf(inner) => json!({"type": "object", "additionalProperties": section(inner)}),
        Shape::Aliases => json!({
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}},
        }),
        Shape::Weights => json!({
            "type": "object",
            "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
        }),
        Shape::Suppress => json!({"anyOf": [span(), section(&keys::SUPPRESS)]}),
        Shape::Detection => detection(),
        Shape::Bounds => bounds(),
        Shape::Any => json!({}),
    }
}

fn span() -> Value {
    json!({"type": "string", "pattern": "^([0-9]+(ms|s|min|m|h|d|w|M|y))+$", "examples": ["5m", "1h30m"]})
}

/// Selections: a map of `field|modifier: value`, lists of them, or keywords.
fn detection() -> Value {
    let scalar = json!({"type": ["string", "number", "boolean", "null"]});
    let value = json!({"anyOf": [scalar, {"type": "array", "items": scalar}]});
    let names = value::MODIFIERS.join("|");
    let map = json!({
        "type": "object",
        "patternProperties": {(format!("^[^|]*(\\|({names}|ignorecase|multiline|dotall))*$")): value},
        "additionalProperties": false,
    });
    let item = json!({"anyOf": [map, {"type": ["string", "number"]}]});
    let list = json!({"type": "array", "items": item});
    json!({
        "type": "object",
        "properties": {
            "condition": {"anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
            ], "description": "selections joined by and, or, not, 1 of x_*, all of x_*"},
            "timeframe": {},
            "rules": {},
        },
        "additionalProperties": {"anyOf": [map, list, {"type": ["string", "number"]}]},
    })
}

fn bounds() -> Value {
    let mut operators = Map::new();
    let mut by_operator = Map::new();
    for name in keys::OPERATORS {
        operators.insert((*name).into(), json!({"type": "number"}));
        let either = json!({"anyOf": [{"type": "number"}, section(&keys::PART_OF)]});
        by_operator.insert((*name).into(), either);
    }
    let by_operator =
        json!({"type": "object", "properties": by_operator, "additionalProperties": false});
    let mut plain = operators.clone();
    plain.insert("field".into(), json!({"type": ["string", "array"]}));
    for name in keys::SPIKE_BOUNDS {
        plain.insert((*name).into(), json!({"type": "number", "minimum": 1}));
    }
    json!({"anyOf": [
        {"type": "object", "properties": plain, "additionalProperties": false},
        {"type": "object", "additionalProperties": by_operator},
        {"type": "string"},
    ]})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every key the reader accepts is in the schema, with a shape and a description.
    #[test]
    fn every_accepted_key_is_in_the_schema() {
        fn compare(of: &Section, schema: &Value) {
            for key in of.keys {
                let found = &schema["properties"][key.name];
                assert_eq!(found["description"], key.doc, "{} in {}", key.name, of.name);
                match key.shape {
                    Shape::Map(inner) => compare(inner, found),
                    Shape::List(inner) => compare(inner, &found["items"]),
                    Shape::NamesOr(inner) => compare(inner, &found["anyOf"][0]["anyOf"][1]),
                    Shape::MapOf(inner) => compare(inner, &found["additionalProperties"]),
                    Shape::Suppress => compare(&keys::SUPPRESS, &found["anyOf"][1]),
                    _ => {}
                }
            }
            let count = schema["properties"].as_object().unwrap().len();
            assert_eq!(count, of.keys.len(), "{}", of.name);
        }
        compare(&keys::DOCUMENT, &detector());
        compare(&keys::CASE, &case());
        for (name, _) in crate::engine::containment::Verb::ALL {
            assert!(keys::VERBS.contains(&name));
        }
    }
}
