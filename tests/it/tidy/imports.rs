//! Which modules and crates a file names. Reads text, not syntax: that is enough for `use` lines and
//! paths as rustfmt leaves them.

use super::files::Source;

/// Line and first module of every path that starts at the crate's root.
pub fn layers_used(source: &Source) -> Vec<(usize, String)> {
    let depth = source.path.trim_end_matches(".rs").split('/').count() - 1;
    let up = "super::".repeat(depth);
    let mut found = Vec::new();
    for (number, line) in source.code() {
        // The binary is a crate of its own and knows the library by name.
        let here = if source.path == "src/main.rs" {
            "tidegate::"
        } else {
            "crate::"
        };
        for root in [here, up.as_str()] {
            for (at, _) in line.match_indices(root) {
                // A longer path of `super`s, or `$crate`-like words, start elsewhere.
                let starts =
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                if starts {
                    found.extend(firsts(&line[at + root.len()..]).map(|name| (number, name)));
                }
            }
        }
    }
    found.retain(|(_, name)| {
        name.starts_with(|c: char| c.is_ascii_lowercase()) && name != "super" && name != "self"
    });
    found
}

/// `a::b` gives a; `{a::b, c}` gives a and c.
fn firsts(path: &str) -> impl Iterator<Item = String> {
    let word = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut names = Vec::new();
    match path.strip_prefix('{') {
        None => names.push(word(path)),
        Some(list) => {
            let (mut depth, mut start) = (0, 0);
            for (at, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' | ',' if depth == 0 => {
                        names.push(word(&list[start..at]));
                        start = at + 1;
                    }
                    '}' => depth -= 1,
                    _ => {}
                }
            }
        }
    }
    names.into_iter().filter(|name| !name.is_empty())
}

/// Line and first word of every path: crates among them.
pub fn crates_used(source: &Source) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (number, line) in source.code() {
        for (at, _) in line.match_indices("::") {
            let before = &line[..at];
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let start = before.trim_end_matches(is_word).len();
            let (head, name) = (&before[..start], &before[start..]);
            if !name.is_empty() && !head.ends_with("::") {
                found.push((number, name.to_owned()));
            }
        }
        let used = line
            .trim()
            .strip_prefix("use ")
            .and_then(|u| u.strip_suffix(';'));
        if let Some(name) = used.filter(|u| !u.contains(':') && !u.contains(' ')) {
            found.push((number, name.to_owned()));
        }
    }
    found.dedup();
    found
}
