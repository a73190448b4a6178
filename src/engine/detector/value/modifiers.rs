//! The names behind `|` and which of them go together.
//!
//! Owns the table of Sigma 2.1's modifiers. Reads names only; values are the parent's.

use crate::engine::detector::diagnostic::{Findings, Place, did_you_mean};
use crate::engine::detector::plan::Op;
use crate::engine::detector::predicate::moment::TimePart;

use super::encode::Encoding;

/// Every modifier's name, for suggestions and the editors' schema.
pub(crate) const NAMES: &[&str] = &[
    "all",
    "base64",
    "base64offset",
    "cased",
    "cidr",
    "contains",
    "day",
    "endswith",
    "exists",
    "expand",
    "fieldref",
    "gt",
    "gte",
    "hour",
    "i",
    "lt",
    "lte",
    "m",
    "minute",
    "month",
    "neq",
    "re",
    "s",
    "startswith",
    "utf16",
    "utf16be",
    "utf16le",
    "week",
    "wide",
    "windash",
    "year",
];

/// Where in the field's text the value is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Inside,
    Start,
    End,
}

/// All modifiers of one item.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one independent modifier"
)]
pub(super) struct Modifiers {
    pub(super) all: bool,
    pub(super) neq: bool,
    pub(super) cased: bool,
    pub(super) exists: bool,
    pub(super) fieldref: bool,
    pub(super) cidr: bool,
    pub(super) regex: bool,
    pub(super) windash: bool,
    pub(super) expand: bool,
    /// Of a regex: any of `i`, `m`, `s`.
    pub(super) flags: String,
    pub(super) part_of_text: Option<Part>,
    pub(super) compare: Option<Op>,
    pub(super) part: Option<TimePart>,
    pub(super) encodings: Vec<Encoding>,
}

/// Reads the names; `None` after a fault.
pub(super) fn read(names: &[(String, Place)], findings: &mut Findings<'_>) -> Option<Modifiers> {
    let mut m = Modifiers::default();
    let mut whole = true;
    for (name, at) in names {
        whole &= apply(&mut m, name, *at, findings);
    }
    let last = names.last().map(|(_, at)| *at).unwrap_or_default();
    if let Some((one, other)) = conflict(&m) {
        let message = format!("`|{one}` and `|{other}` do not go together");
        findings.fault_hint(last, message, "remove one of them");
        whole = false;
    }
    whole.then_some(m)
}

fn apply(m: &mut Modifiers, name: &str, at: Place, findings: &mut Findings<'_>) -> bool {
    let part = TimePart::ALL
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, p)| *p);
    match name {
        "all" => m.all = true,
        "neq" => m.neq = true,
        "cased" => m.cased = true,
        "exists" => m.exists = true,
        "fieldref" => m.fieldref = true,
        "cidr" => m.cidr = true,
        "re" => m.regex = true,
        "windash" => m.windash = true,
        "expand" => m.expand = true,
        "i" | "ignorecase" | "m" | "multiline" | "s" | "dotall" => {
            if !m.regex {
                let hint = "write it behind `re`: `field|re|i`";
                findings.fault_hint(at, format!("`|{name}` is a flag of `|re`"), hint);
                return false;
            }
            m.flags.push(match name {
                "i" | "ignorecase" => 'i',
                "m" | "multiline" => 'm',
                _ => 's',
            });
        }
        "contains" => return only(&mut m.part_of_text, Part::Inside, name, at, findings),
        "startswith" => return only(&mut m.part_of_text, Part::Start, name, at, findings),
        "endswith" => return only(&mut m.part_of_text, Part::End, name, at, findings),
        "gt" => return only(&mut m.compare, Op::Gt, name, at, findings),
        "gte" => return only(&mut m.compare, Op::Gte, name, at, findings),
        "lt" => return only(&mut m.compare, Op::Lt, name, at, findings),
        "lte" => return only(&mut m.compare, Op::Lte, name, at, findings),
        "base64" => m.encodings.push(Encoding::Base64),
        "base64offset" => m.encodings.push(Encoding::Base64Offset),
        "wide" | "utf16le" => m.encodings.push(Encoding::Utf16Le),
        "utf16be" => m.encodings.push(Encoding::Utf16Be),
        "utf16" => m.encodings.push(Encoding::Utf16),
        _ => {
            if let Some(part) = part {
                return only(&mut m.part, part, name, at, findings);
            }
            let hint = did_you_mean(name, NAMES.iter().copied());
            findings.fault_hint(at, format!("there is no modifier `{name}`"), hint);
            return false;
        }
    }
    true
}

/// Enters what an item can say once; a second one of its kind would silently undo the first.
fn only<T>(
    slot: &mut Option<T>,
    value: T,
    name: &str,
    at: Place,
    findings: &mut Findings<'_>,
) -> bool {
    let first = slot.replace(value).is_none();
    if !first {
        let message = format!("`|{name}` does not go together with the one before it");
        let hint = "write two items, `field|gte: 1` and `field|lt: 5`: both must hold";
        findings.fault_hint(at, message, hint);
    }
    first
}

/// The first pair of modifiers that exclude each other.
fn conflict(m: &Modifiers) -> Option<(&'static str, &'static str)> {
    // What decides how a value is read: at most one of these.
    let kinds = [
        (m.exists, "exists"),
        (m.fieldref, "fieldref"),
        (m.cidr, "cidr"),
        (m.regex, "re"),
        (
            m.compare.is_some() || m.part.is_some(),
            "lt, gt or a time part",
        ),
        (!m.encodings.is_empty(), "base64 or utf16"),
    ];
    let mut chosen = kinds.iter().filter(|(on, _)| *on).map(|(_, name)| *name);
    let (first, second) = (chosen.next(), chosen.next());
    if let (Some(first), Some(second)) = (first, second) {
        return Some((first, second));
    }
    let ends = m.part_of_text.is_some() && !m.fieldref && !m.regex;
    match first {
        Some("base64 or utf16") | None => None,
        Some(kind) if ends => Some((kind, "contains, startswith or endswith")),
        Some(kind) if m.windash => Some((kind, "windash")),
        Some(kind) if m.expand && kind != "cidr" => Some((kind, "expand")),
        Some(_) => None,
    }
}
