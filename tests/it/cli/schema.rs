//! The schemas that editors read accept what the program accepts: every shipped detector and case.

use serde_json::Value;

use crate::harness::command::tidegate;

/// What of a value the schema refuses, by the words our schemas use.
fn refused(schema: &Value, value: &Value, at: &str) -> Option<String> {
    let no = |why: &str| Some(format!("{at}: {why}: {value}"));
    if let Some(any) = schema["anyOf"].as_array()
        && any.iter().all(|s| refused(s, value, at).is_some())
    {
        return no("no alternative fits");
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return no("not among the words");
    }
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    match &schema["type"] {
        Value::Null => {}
        Value::Array(types) if types.iter().any(is) => {}
        one if one.is_string() && is(one) => {}
        _ => return no("another type"),
    }
    let missing = |key: &&Value| value.get(key.as_str().unwrap()).is_none();
    if let Some(key) = schema["required"]
        .as_array()
        .and_then(|r| r.iter().find(missing))
    {
        return no(&format!("no {key}"));
    }
    let items = value.as_array().into_iter().flatten();
    let own = |name: &str| match schema["properties"].get(name) {
        // Names by a pattern are the reader's to judge.
        None if schema.get("patternProperties").is_some() => &Value::Null,
        None => &schema["additionalProperties"],
        Some(known) => known,
    };
    let entry = |(name, value): (&String, &Value)| match own(name) {
        Value::Bool(false) => no(&format!("unknown key {name}")),
        schema => refused(schema, value, &format!("{at}.{name}")),
    };
    items
        .map(|item| refused(&schema["items"], item, at))
        .chain(value.as_object().into_iter().flatten().map(entry))
        .flatten()
        .next()
}

#[test]
fn every_shipped_file_fits_its_schema() {
    let schema = |more: &[&str]| {
        let shown = tidegate(&[&["detectors", "schema"], more].concat())
            .ok()
            .text();
        serde_json::from_str::<Value>(&shown).unwrap()
    };
    let (detector, case) = (schema(&[]), schema(&["--tests"]));
    let (mut faults, mut seen) = (Vec::new(), 0);
    for (path, text) in crate::tidy::files::all_texts() {
        let is_case = path.contains("/tests/");
        if !path.starts_with("detectors/") || !path.ends_with(".yml") {
            continue;
        }
        for document in serde_saphyr::from_multiple::<Value>(&text).unwrap() {
            seen += 1;
            let schema = if is_case { &case } else { &detector };
            faults.extend(refused(schema, &document, &path));
        }
    }
    assert!(seen > 200, "{seen}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let wrong: Value = serde_json::json!({"name": "x", "kind": "fire", "expect": []});
    assert!(refused(&case, &wrong, "x").is_some_and(|f| f.contains("not among the words")));
}
