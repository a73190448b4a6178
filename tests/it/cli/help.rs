//! What `--help` shows can be typed: its examples run, and mistakes of theirs are met with a tip.

use crate::harness::command::{Run, tidegate};
use crate::harness::{root, scratch};

/// Commands whose examples need nothing but files.
const COMMANDS: [&[&str]; 7] = [
    &["check"],
    &["test"],
    &["replay"],
    &["explain"],
    &["simulate"],
    &["detectors"],
    &["detectors", "tune"],
];

/// The examples of a command's help, without the words behind them. What other programs or other
/// people's files it takes is left out.
fn examples(command: &[&str]) -> Vec<String> {
    let help = tidegate(&[command, &["--help"]].concat()).ok();
    let lines = help.lines().into_iter().skip_while(|l| l != "Examples:");
    let shown = lines.skip(1).map(|l| l.trim().to_owned());
    let own = shown.filter(|l| l.contains("tidegate ") && !l.contains(".mmdb"));
    let code = |l: String| {
        l.split("  ")
            .next()
            .unwrap_or_default()
            .replace("| jq .", "")
    };
    own.map(code).collect()
}

#[test]
fn the_examples_of_help_run() {
    let dir = scratch("help");
    let events = tidegate(&["simulate", "--events", "500"]).ok().stdout;
    for name in ["events.jsonl", "last-week.jsonl"] {
        std::fs::write(dir.join(name), &events).unwrap();
        let packed = zstd::encode_all(events.as_slice(), 1).unwrap();
        std::fs::write(dir.join(format!("{name}.zst")), packed).unwrap();
    }
    for folder in ["config", "docs", "my-detectors/tests"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    let shipped = root().join("detectors/flood/reset-ip");
    for name in ["detector.yml", "tests/fires.yml"] {
        std::fs::copy(shipped.join(name), dir.join("my-detectors").join(name)).unwrap();
    }
    let config = "version: 1\nsources: [{kind: stdin}]\nalerts: {sinks: [{kind: stdout}]}\n";
    std::fs::write(dir.join("config/tidegate.yaml"), config).unwrap();
    for command in COMMANDS {
        let examples = examples(command);
        assert!(!examples.is_empty(), "{command:?} shows no example");
        for example in examples.iter().filter(|e| *e != "tidegate test") {
            let binary = env!("CARGO_BIN_EXE_tidegate");
            let script = format!(
                "cd '{}' && tidegate() {{ '{binary}' \"$@\"; }}; {example}",
                dir.display()
            );
            Run::new("sh", &["-c", &script]).ok();
        }
    }
}

#[test]
fn a_folder_without_its_word_is_met_with_a_tip() {
    for command in ["check", "replay", "explain"] {
        tidegate(&[command, "my-detectors"])
            .run()
            .code(2)
            .says("tip: a folder of detectors is named with `--detectors DIR`");
    }
    let other = tidegate(&["simulate", "my-detectors"]).run().code(2);
    assert!(!other.stderr.contains("--detectors DIR"), "{other}");
}

#[test]
fn every_command_says_what_it_is_for() {
    let help = tidegate(&["--help"]).ok();
    assert!(!help.text().contains("Arguments of"), "{help}");
}
