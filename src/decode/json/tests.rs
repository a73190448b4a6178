use proptest::prelude::*;
use serde_json::Value;

use super::*;

const WIDE: Budget = Budget {
    depth: 64,
    members: 4096,
};

/// Collects every leaf with its full path, array indexes left out, as JSON text.
#[derive(Default)]
struct Leaves {
    paths: Vec<String>,
    seen: Vec<(String, String)>,
}

impl Visitor for Leaves {
    type Node = usize;
    fn root(&self) -> usize {
        0
    }
    fn member(&mut self, parent: usize, _: Place, key: &[u8]) -> usize {
        let key = std::str::from_utf8(key).unwrap();
        let above = if parent == 0 {
            ""
        } else {
            &self.paths[parent - 1]
        };
        self.paths.push(format!("{above}.{key}"));
        self.paths.len()
    }
    fn ignores(&self, _: usize) -> bool {
        false
    }
    fn open(&mut self, _: usize, _: Place, _: Container, _: usize) {}
    fn leaf(&mut self, node: usize, _: Place, value: Scalar<'_>) {
        let path = if node == 0 {
            String::new()
        } else {
            self.paths[node - 1].clone()
        };
        let text = match value {
            Scalar::Text(piece) => Value::from(piece.get()).to_string(),
            Scalar::Int(n) => Value::from(n).to_string(),
            Scalar::Float(n) => Value::from(n).to_string(),
            Scalar::Bool(b) => b.to_string(),
            Scalar::Null => "null".into(),
        };
        self.seen.push((path, text));
    }
}

fn leaves(text: &str, budget: Budget) -> Result<Vec<(String, String)>, Fault> {
    let mut visitor = Leaves::default();
    let mut scan = Scan::default();
    scan.prepare(text);
    let end = walk(
        (text, &scan),
        0,
        budget,
        &mut Vec::new(),
        &mut String::new(),
        &mut visitor,
    )?;
    if skip_space(text.as_bytes(), end) != text.len() {
        return Err(Fault {
            kind: FaultKind::Syntax("trailing data"),
            at: end,
        });
    }
    Ok(visitor.seen)
}

/// Checks only, as for a part of the text no one reads.
struct Nothing;
impl Visitor for Nothing {
    type Node = ();
    fn root(&self) {}
    fn member(&mut self, (): (), _: Place, _: &[u8]) {}
    fn ignores(&self, (): ()) -> bool {
        true
    }
    fn open(&mut self, (): (), _: Place, _: Container, _: usize) {}
    fn leaf(&mut self, (): (), _: Place, _: Scalar<'_>) {}
}

fn checks(text: &str) -> bool {
    let mut scan = Scan::default();
    scan.prepare(text);
    walk(
        (text, &scan),
        0,
        WIDE,
        &mut Vec::new(),
        &mut String::new(),
        &mut Nothing,
    )
    .is_ok_and(|end| skip_space(text.as_bytes(), end) == text.len())
}

fn expected(value: &Value, path: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(k, v)| expected(v, &format!("{path}.{k}"), out)),
        Value::Array(list) => list.iter().for_each(|v| expected(v, path, out)),
        // Numbers beyond i64 are doubles here.
        Value::Number(n) if !n.is_i64() => {
            out.push((path.into(), Value::from(n.as_f64()).to_string()));
        }
        scalar => out.push((path.into(), scalar.to_string())),
    }
}

fn agrees(text: &str) {
    let ours = leaves(text, WIDE);
    let theirs = serde_json::from_str::<Value>(text);
    assert_eq!(
        ours.is_ok(),
        theirs.is_ok(),
        "{text:?}: ours {ours:?}, theirs {theirs:?}"
    );
    assert_eq!(
        ours.is_ok(),
        checks(text),
        "{text:?}: checking differs from reading"
    );
}

#[test]
fn accepts_and_rejects_what_serde_json_does() {
    for text in [
        "1",
        "-1",
        "0",
        "-0",
        "01",
        "-",
        "1.",
        "1.5",
        ".5",
        "1e5",
        "1e",
        "1E+2",
        "1e400",
        "-1e-400",
        "NaN",
        "Infinity",
        "nul",
        "null",
        "true",
        "tru",
        "falsey",
        "\"\"",
        "\"a",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83dx\"",
        "\"\\ude00\"",
        "\"\\ud83d\\u0041\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "{}",
        "[]",
        "{",
        "[",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{\"a\" : [1 , {\"b\" :null} ] } ",
        "[1] 2",
        "",
        " ",
        "{\"a\":1}}",
        "\u{feff}1",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "123456789012345678901234567890",
        "[1 2]",
        "{\"a\":1 \"b\":2}",
        "\u{0}",
        "\"\u{0}\"",
        "\"\\\"\"",
        "[[[[]]]]",
        "[\"\\u0000\"]",
    ] {
        agrees(text);
    }
}

#[test]
fn limits() {
    let deep = "[".repeat(100_000);
    assert_eq!(
        leaves(&deep, WIDE).unwrap_err(),
        Fault {
            kind: FaultKind::TooDeep,
            at: 64
        }
    );
    let at_the_limit = format!("{}{}", "[".repeat(64), "]".repeat(64));
    assert!(leaves(&at_the_limit, WIDE).is_ok());
    let wide = format!("{{{}}}", vec!["\"a\":1"; 5000].join(","));
    assert_eq!(
        leaves(&wide, WIDE).unwrap_err().kind,
        FaultKind::TooManyMembers
    );
    let fits = format!("{{{}}}", vec!["\"a\":1"; 4096].join(","));
    assert!(leaves(&fits, WIDE).is_ok());
}

#[test]
fn hostile_sizes_are_refused_at_once() {
    let begun = std::time::Instant::now();
    assert!(leaves(&"{\"a\":".repeat(100_000), WIDE).is_err());
    assert!(leaves(&format!("[{}1]", "1,".repeat(1_000_000)), WIDE).is_err());
    // A few milliseconds each; the bound leaves room for slow builds on busy machines.
    assert!(begun.elapsed().as_millis() < 2000, "{:?}", begun.elapsed());
}

fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z\\\\\"/\u{0}-\u{1f}😀é]{0,30}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z.\\\\]{0,9}", inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// `serde_json` reads doubles only to within a unit in the last place.
fn close(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= a.abs() * 1e-15 + 1e-320,
        _ => false,
    }
}

proptest! {
    #[test]
    fn the_same_leaves_as_serde_json(value in tree(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        let mut want = Vec::new();
        expected(&read, "", &mut want);
        let ours = leaves(&text, WIDE).unwrap();
        prop_assert_eq!(ours.len(), want.len());
        for (a, b) in ours.iter().zip(&want) {
            prop_assert!(a == b || (a.0 == b.0 && close(&a.1, &b.1)), "{a:?} is not {b:?}");
        }
        prop_assert!(checks(&text));
    }

    #[test]
    fn agrees_on_damaged_texts(value in tree(), at in any::<prop::sample::Index>(), with in "[\\[\\]{},:\"\\\\0-9a-fu \\-+.eE\u{0}]{0,3}", cut in 0usize..3) {
        let mut text: Vec<char> = serde_json::to_string(&value).unwrap().chars().collect();
        let at = at.index(text.len() + 1);
        let end = (at + cut).min(text.len());
        text.splice(at..end, with.chars());
        agrees(&text.into_iter().collect::<String>());
    }

    #[test]
    fn agrees_on_json_like_noise(text in "[\\[\\]{},:\"\\\\ntruefalse0-9 \\-+.]{0,40}") {
        agrees(&text);
    }
}
