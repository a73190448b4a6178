//! The condition of a temporal correlation: which of its rules are enough.
//!
//! Owns its two forms, a number of rules and an expression over their names. What the names mean is
//! `compile`'s.

use super::{Enough, Kind, bounds};
use crate::engine::detector::condition::{self, Expr};
use crate::engine::detector::diagnostic::Findings;
use crate::engine::detector::plan::Op;
use crate::engine::detector::section::{Name, Section};
use crate::engine::detector::yaml::{Content, Node};

/// Temporal types fire when all rules were seen, or those of the condition: a number of different
/// rules, or an expression over their names.
pub(super) fn temporal(
    section: &Section<'_>,
    ordered: bool,
    rules: Option<&[Name]>,
    findings: &mut Findings<'_>,
) -> Kind {
    let enough = section
        .node("condition")
        .and_then(|node| enough(node, findings));
    let all = rules.map_or(0, <[Name]>::len);
    if ordered
        && let Some(enough) = &enough
        && !enough.is_all(all)
    {
        findings.fault_hint(
            section.place("condition"),
            "a sequence needs all of its rules",
            "remove `condition`, or use `type: temporal`",
        );
    }
    let enough = enough.filter(|_| !ordered);
    Kind::Temporal { ordered, enough }
}

fn enough(node: &Node, findings: &mut Findings<'_>) -> Option<Enough> {
    match &node.content {
        Content::Map(entries) if entries.len() == 1 => {
            let entry = entries.first()?;
            bounds::bound(entry, 0, &[], findings).map(Enough::Count)
        }
        Content::Scalar(text) => {
            let expr = condition::parse(&text.text, node.at, text.quoted, findings)?;
            Some(Enough::Expression(expr, node.at))
        }
        Content::Map(_) | Content::List(_) => {
            findings.fault_hint(
                node.at,
                "a temporal condition is one bound, or an expression",
                "write `condition: {gte: 2}`, or `condition: a and (b or c)`",
            );
            None
        }
    }
}

impl Enough {
    /// Whether it says no more than that all rules are needed.
    fn is_all(&self, rules: usize) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a handful of rules")]
        let rules_all = rules as f64;
        match self {
            Self::Count(b) => matches!(b.op, Op::Gte | Op::Eq) && Op::Eq.holds(b.value, rules_all),
            Self::Expression(Expr::And(list), _) => {
                list.len() == rules && list.iter().all(|e| matches!(e, Expr::Name(..)))
            }
            Self::Expression(..) => false,
        }
    }
}
