//! Lists of mail domains and telephone numbers: what they make of recorded events, how they are
//! refused, and that nobody reads an address or a number afterwards.

use serde_json::json;

use crate::harness::command::{Done, tidegate};
use crate::harness::{root, scratch};

/// Three resets from one address to throw-away mailboxes, three from another to VOIP numbers, and
/// as many to others.
fn events() -> String {
    let reset = |n: u32, ip: &str, whose: serde_json::Value| {
        let mut event = json!({"event.kind": "recovery.requested", "time": format!("2026-01-12T08:0{n}:00Z"),
            "source.ip": ip, "user.target.id": format!("u-{n}")});
        event
            .as_object_mut()
            .unwrap()
            .extend(whose.as_object().unwrap().clone());
        format!("{event}\n")
    };
    (0..3)
        .flat_map(|n| {
            [
                reset(n, "203.0.113.7", json!({"user.email": format!("quokka{n}@x.Mailinator.COM")})),
                reset(n, "203.0.113.8", json!({"phone": {"number": format!("+1 (500) 555-000{n}")}})),
                reset(n, "203.0.113.9", json!({"user.email": format!("quokka{n}@example.com"), "phone.number": "+44 20 7946 0000"})),
            ]
        })
        .collect()
}

/// Runs a command over the events with both lists.
fn over(command: &str, more: &[&str]) -> Done {
    let dir = scratch("lists");
    let write = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let domains = format!(
        "disposable={}",
        write("domains.txt", "# a start\nmailinator.com\n")
    );
    let numbers = format!("voip={}", write("numbers.txt", "+1500 # a start\n"));
    let input = write("events.jsonl", &events());
    let lists = ["--list", &domains, "--list", &numbers];
    let arguments = [&[command, "--input", &input][..], &lists, more].concat();
    tidegate(&arguments).ok()
}

/// Neither addresses nor numbers, however they are written.
fn nobody_is_named(done: &Done) {
    let shown = format!("{}{}", done.text(), done.stderr);
    let bare: String = shown.chars().filter(|c| !" ()-".contains(*c)).collect();
    for canary in ["quokka", "ailinator", "1500555", "2079460000"] {
        assert!(!bare.contains(canary), "{canary} in\n{done}");
    }
}

#[test]
fn resets_to_listed_mailboxes_and_numbers_are_told() {
    let done = over("replay", &["--threads", "1"]);
    nobody_is_named(&done);
    let told: Vec<_> = done
        .json()
        .iter()
        .filter(|a| a["status"] == "open" && a["revision"] == 0)
        .map(|a| format!("{} {}", a["detector"]["name"], a["key"]["source.ip"]))
        .filter(|told| told.contains("reset-to-"))
        .collect();
    assert_eq!(
        told,
        [
            "\"reset-to-disposable\" \"203.0.113.7\"",
            "\"reset-to-voip\" \"203.0.113.8\""
        ],
        "{done}"
    );
}

#[test]
fn explain_shows_what_a_list_said_and_no_number() {
    let done = over("explain", &["-o", "ndjson"]);
    nobody_is_named(&done);
    let events: Vec<_> = done
        .json()
        .into_iter()
        .map(|l| l["event"].clone())
        .collect();
    assert_eq!(events.len(), 9, "{done}");
    assert_eq!(events[0]["mailbox.kind"], "disposable");
    assert_eq!(events[1]["phone.kind"], "voip");
    assert!(
        events[1]["phone.number"]
            .as_str()
            .unwrap()
            .contains(":***0")
    );
    assert!(events[2]["mailbox.kind"].is_null() && events[2]["phone.kind"].is_null());
}

#[test]
fn a_list_with_a_fault_is_refused_with_its_line() {
    let dir = scratch("lists-wrong");
    std::fs::write(dir.join("domains.txt"), "mailinator.com\n*.example.com\n").unwrap();
    std::fs::write(dir.join("numbers.txt"), "1500\n").unwrap();
    let domains = dir.join("domains.txt").display().to_string();
    let want = "domains.txt:2: \"*.example.com\" begins with a dot";
    let list = format!("disposable={domains}");
    tidegate(&["replay", "--input", "-", "--list", &list])
        .run()
        .code(64)
        .says(want);
    let config = dir.join("tidegate.yaml");
    let text = format!(
        "version: 1\nsources: [{{kind: stdin}}]\nenrich:\n  lists:\n    - {{name: mail, file: {domains}, sets: disposable}}\n    \
         - {{name: voip, file: {}, sets: voip}}\n",
        dir.join("numbers.txt").display()
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    tidegate(&["check", "-c", config])
        .run()
        .code(64)
        .says(want)
        .says("numbers.txt:1: \"1500\" has no + before its country's code; write it like +1500")
        .says("2 fault(s)");
    let found = tidegate(&["check", "-c", config, "-o", "ndjson"])
        .run()
        .code(64)
        .json();
    assert_eq!(found.iter().filter(|f| f["about"] == "table").count(), 2);
    for wrong in ["tor", "spam=x"] {
        tidegate(&["replay", "--input", "-", "--list", wrong])
            .run()
            .code(2);
    }
}

#[test]
fn the_samples_are_read() {
    let sample = |name: &str| format!("{name}={}/config/sample/{name}.txt", root().display());
    let lists = ["tor", "hosting", "disposable", "voip"].map(sample);
    let lists: Vec<&str> = lists.iter().flat_map(|l| ["--list", l]).collect();
    let event = r#"{"event.kind":"recovery.requested","time":1768205523,"user.email":"a@yopmail.com","phone.number":"+81 50-1234-5678","source.ip":"192.0.2.201"}"#;
    let arguments = [&["explain", "--input", "-", "-o", "ndjson"][..], &lists].concat();
    let event = tidegate(&arguments).stdin(event).ok().json().remove(0)["event"].clone();
    let kinds = ["mailbox.kind", "phone.kind", "source.kind"].map(|f| event[f].clone());
    assert_eq!(kinds, ["disposable", "voip", "tor"], "{event:#}");
}
