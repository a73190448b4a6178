//! Results as JUnit XML, as CI systems read it: a suite per file of cases.
//!
//! Owns the form. Text in it is escaped, and characters XML cannot hold become spaces.

use std::fmt::Write as _;

use crate::app::trial::Verdict;

/// The whole document. `unread` are faults of files that could not be read as cases.
pub fn document(verdicts: &[Verdict], unread: &[String]) -> String {
    let failed = |v: &&Verdict| !v.faults.is_empty();
    let failures = verdicts.iter().filter(failed).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        xml,
        "<testsuites name=\"tidegate\" tests=\"{}\" failures=\"{failures}\" errors=\"{}\">",
        verdicts.len() + unread.len(),
        unread.len()
    );
    for suite in verdicts.chunk_by(|a, b| a.file == b.file) {
        let file = suite.first().map_or("", |v| v.file.as_str());
        let failures = suite.iter().filter(failed).count();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\">",
            escaped(file),
            suite.len()
        );
        for verdict in suite {
            case(&mut xml, verdict);
        }
        xml.push_str("  </testsuite>\n");
    }
    if !unread.is_empty() {
        let n = unread.len();
        let _ = writeln!(
            xml,
            "  <testsuite name=\"files that cannot be read\" tests=\"{n}\" failures=\"0\" errors=\"{n}\">"
        );
        for fault in unread {
            let (first, rest) = fault.split_once('\n').unwrap_or((fault, ""));
            let _ = writeln!(
                xml,
                "    <testcase classname=\"tidegate\" name=\"{}\"><error message=\"{}\">{}</error></testcase>",
                escaped(first),
                escaped(first),
                escaped(rest)
            );
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn case(xml: &mut String, verdict: &Verdict) {
    let (file, name) = (escaped(&verdict.file), escaped(&verdict.name));
    let Some(first) = verdict.faults.first() else {
        let _ = writeln!(
            xml,
            "    <testcase classname=\"{file}\" file=\"{file}\" name=\"{name}\"/>"
        );
        return;
    };
    let _ = writeln!(
        xml,
        "    <testcase classname=\"{file}\" file=\"{file}\" name=\"{name}\"><failure message=\"{}\">{}</failure></testcase>",
        escaped(first),
        escaped(&verdict.faults.join("\n"))
    );
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push('\n'),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_failures_and_errors() {
        let verdict = |file: &str, name: &str, faults: &[&str]| Verdict {
            file: file.to_owned(),
            name: name.to_owned(),
            faults: faults.iter().map(|f| (*f).to_owned()).collect(),
        };
        let xml = document(
            &[
                verdict("a.yml", "holds", &[]),
                verdict("a.yml", "a < b & \"c\"", &["one\u{1b}[31m", "two"]),
                verdict("b.yml", "holds", &[]),
            ],
            &["c.yml:1:1: fault: no\n  hint: mend".to_owned()],
        );
        assert_eq!(
            xml,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuites name=\"tidegate\" tests=\"4\" failures=\"1\" errors=\"1\">\n\
             \x20 <testsuite name=\"a.yml\" tests=\"2\" failures=\"1\" errors=\"0\">\n\
             \x20   <testcase classname=\"a.yml\" file=\"a.yml\" name=\"holds\"/>\n\
             \x20   <testcase classname=\"a.yml\" file=\"a.yml\" name=\"a &lt; b &amp; &quot;c&quot;\"><failure message=\"one [31m\">one [31m\ntwo</failure></testcase>\n\
             \x20 </testsuite>\n\
             \x20 <testsuite name=\"b.yml\" tests=\"1\" failures=\"0\" errors=\"0\">\n\
             \x20   <testcase classname=\"b.yml\" file=\"b.yml\" name=\"holds\"/>\n\
             \x20 </testsuite>\n\
             \x20 <testsuite name=\"files that cannot be read\" tests=\"1\" failures=\"0\" errors=\"1\">\n\
             \x20   <testcase classname=\"tidegate\" name=\"c.yml:1:1: fault: no\"><error message=\"c.yml:1:1: fault: no\">  hint: mend</error></testcase>\n\
             \x20 </testsuite>\n\
             </testsuites>\n"
        );
    }
}
