//! "Did you mean": the known name closest to a wrong one. Owns no names. Invariant: silent rather
//! than silly, a name that differs in more than a third of its letters is not proposed.

/// The name of `known` closest to `wrong`, if it is close.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = fold(wrong);
    let limit = (wrong.len() / 3).max(1);
    known
        .into_iter()
        .map(|name| (distance(&wrong, &fold(name)), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Letters that decide: case and the choice of `-` or `_` do not.
fn fold(name: &str) -> Vec<char> {
    name.chars()
        .take(128)
        .map(|c| {
            if c == '-' {
                '_'
            } else {
                c.to_ascii_lowercase()
            }
        })
        .collect()
}

/// Optimal string alignment: insertions, deletions, replacements and swapped neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], i: usize| row.get(i).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, j) + usize::from(x != y);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposes_what_is_close_and_nothing_else() {
        let known = ["brokers", "topics", "group", "group-by", "start"];
        for (wrong, want) in [
            ("broker", Some("brokers")),
            ("tpoics", Some("topics")),
            ("Group", Some("group")),
            ("group_by", Some("group-by")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known), want, "{wrong}");
        }
    }
}
