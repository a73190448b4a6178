use super::*;
use proptest::prelude::*;

fn one(text: &str) -> Node {
    let (mut documents, faults) = parse(text);
    assert_eq!(faults, [], "{text}");
    assert_eq!(documents.len(), 1, "{text}");
    documents.remove(0)
}

#[test]
fn places_are_lines_and_columns_from_one() {
    let node = one("a: 1\nb:\n  - x\n  - {c: \"ü\", d: ~}\n");
    let list = node.get("b").unwrap();
    assert_eq!(node.entry("b").unwrap().at, At { line: 2, column: 1 });
    assert_eq!(list.items().unwrap()[0].at, At { line: 3, column: 5 });
    let map = &list.items().unwrap()[1];
    assert_eq!(
        map.entry("d").unwrap().at,
        At {
            line: 4,
            column: 14
        }
    );
    assert!(map.get("d").unwrap().is_null());
}

#[test]
fn scalars_by_the_core_schema() {
    for (text, want) in [
        ("5", Resolved::Int(5)),
        ("-0x1f", Resolved::Text("-0x1f")),
        ("0x1f", Resolved::Int(31)),
        ("0o17", Resolved::Int(15)),
        ("0.5", Resolved::Float(0.5)),
        ("1e3", Resolved::Float(1000.0)),
        ("yes", Resolved::Text("yes")),
        ("inf", Resolved::Text("inf")),
        ("true", Resolved::Bool(true)),
        ("\"true\"", Resolved::Text("true")),
        ("!!str 5", Resolved::Text("5")),
        ("5m", Resolved::Text("5m")),
        ("1.2.3", Resolved::Text("1.2.3")),
        ("~", Resolved::Null),
        ("''", Resolved::Text("")),
    ] {
        assert_eq!(one(text).resolve(), Some(want), "{text}");
    }
}

#[test]
fn faults_are_all_found_and_placed() {
    let (_, faults) = parse("a: 1\na: 2\nb: *none\n? [x]\n: 1\nc: {d: 1, d: 2}\n");
    let found: Vec<String> = faults
        .iter()
        .map(|f| format!("{} {}", f.at, f.message))
        .collect();
    assert_eq!(
        found,
        [
            "2:1 key `a` is given twice, first on line 1",
            "3:4 there is no anchor `none` above this alias",
            "4:3 a key must be text, not a list or a mapping",
            "6:11 key `d` is given twice, first on line 6",
        ]
    );
}

#[test]
fn syntax_faults_keep_the_other_documents() {
    let (documents, faults) = parse("a: 1\n---\nb: [1,\n---\nc: 2\n");
    assert_eq!(documents.len(), 2);
    assert_eq!(faults.len(), 1);
    assert!(faults[0].at.line >= 3, "{faults:?}");
}

#[test]
fn several_documents_and_merge_keys() {
    let (documents, faults) = parse("base: &b {x: 1, y: 2}\nmore: {<<: *b, x: 3}\n---\nz: 1\n");
    assert_eq!(faults, []);
    assert_eq!(documents.len(), 2);
    let more = documents[0].get("more").unwrap();
    assert_eq!(more.get("x").unwrap().text(), Some("3"));
    assert_eq!(more.get("y").unwrap().text(), Some("2"));
}

#[test]
fn nested_aliases_do_not_explode() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..12 {
        let before = i - 1;
        let refs = vec![format!("*a{before}"); 10].join(", ");
        text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    let (_, faults) = parse(&text);
    assert!(
        faults.iter().any(|f| f.message.contains("more than")),
        "{faults:?}"
    );
}

#[test]
fn depth_is_bounded() {
    let (_, faults) = parse(&"[".repeat(100_000));
    assert_eq!(faults.len(), 1);
}

proptest! {
    #[test]
    fn never_panics(text in "[-a-c:{}\\[\\]&*!|>#%@,?\"' \n\t~<0-9é]{0,80}") {
        let (documents, faults) = parse(&text);
        prop_assert!(documents.len() + faults.len() < 1000);
    }
}
