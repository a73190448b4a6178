use std::io::Write;
use std::sync::{Arc, Mutex};

use super::super::escape::is_unsafe;
use super::*;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(json: bool, filter: &str, write: impl FnOnce()) -> String {
    let memory = Memory::default();
    let out = memory.clone();
    let settings = Settings {
        json,
        filter: filter.to_owned(),
        plain: true,
    };
    let subscriber = subscriber(&settings, false, move || out.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, write);
    let bytes = memory.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const NASTY: &str =
    "a\r\nFORGED level=error \x1b[2J\u{202e}evil\u{9b}31m \u{200b}{{7*7}} =cmd() <b>\"";

fn write_nasty() {
    let span = tracing::info_span!("part", name = NASTY);
    let _in = span.enter();
    tracing::info!(user = NASTY, shown = %NASTY, debug = ?NASTY, count = 3, "text {NASTY}");
}

#[test]
fn a_human_line_is_one_line_without_control_characters() {
    let text = logged(false, "info", write_nasty);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.trim_end_matches('\n').contains(is_unsafe), "{text:?}");
    assert!(
        text.contains("count=3") && text.contains("part{name="),
        "{text}"
    );
}

#[test]
fn a_json_line_is_valid_and_gives_the_text_back() {
    let text = logged(true, "info", write_nasty);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.trim_end_matches('\n').contains(is_unsafe), "{text:?}");
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["user"], NASTY);
    assert_eq!(line["count"], 3);
    assert_eq!(line["level"], "info");
    assert_eq!(line["message"], format!("text {NASTY}"));
}

#[test]
fn fields_cannot_replace_time_or_level() {
    let text = logged(true, "info", || {
        tracing::info!(level = "forged", time = "never", "x")
    });
    let line: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "info");
    assert_ne!(line["time"], "never");
}

#[test]
fn the_filter_decides() {
    let text = logged(false, "warn,tidegate=debug", || {
        tracing::debug!("seen");
        tracing::info!(target: "elsewhere", "unseen");
    });
    assert!(text.contains("seen") && !text.contains("unseen"), "{text}");
    let bad = Settings {
        json: false,
        filter: "tidegate=loud".to_owned(),
        plain: true,
    };
    assert!(subscriber(&bad, false, std::io::sink).is_err());
}

#[test]
fn secrets_of_the_configuration_are_not_logged() {
    use crate::config::{Environment, Secret, read};
    let canary = "whsec_Y2FuYXJ5LWNhbmFyeQ==";
    let file = "version: 1\nsources: [{kind: stdin}]\nalerts: {sinks: [{kind: webhook, url: 'https://h.example/CANARY', secret_env: S}]}\n";
    let env: Environment = [("S", canary)].into_iter().collect();
    let text = logged(false, "trace", || {
        let reading = read("c.yaml", file, &env);
        tracing::trace!(?reading, ?env, secret = ?Secret::new(canary.to_owned()), "all of it");
    });
    assert!(
        text.contains("all of it") && !text.contains("CANARY") && !text.contains(canary),
        "{text}"
    );
}
