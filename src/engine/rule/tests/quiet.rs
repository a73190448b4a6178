//! Silence: of a stream that was there, told at its deadline, over with the next event; and not
//! of streams that were never there, nor at the mere end of a replay.

use super::check;

fn canary(more: &str) -> String {
    format!(
        "title: Canary\nname: canary\nlogsource: {{product: tidegate}}\n\
         detection:\n  beat: {{event.kind: custom.canary}}\n  condition: beat\n\
         correlation:\n  type: quiet\n  group-by: [deploy.service]\n  count_min: 3\n  warmup: 1h\n  timespan: 10m\n{more}"
    )
}

const BEATS: &str = "0s x12/5m custom.canary deploy.service=mailer";
const OTHERS: &str = "0s x600/30s login.success user.id=u1";
const FOUND: &str = "1h5m open canary: Canary: no event for 10m after 12 for deploy.service mailer";

#[test]
fn a_stream_that_stops_while_others_go_on_is_told_at_the_deadline() {
    check(&canary(""), &format!("{BEATS}\n{OTHERS}"), FOUND);
}

#[test]
fn the_next_event_ends_it_and_a_second_silence_is_another_episode() {
    check(
        &canary(""),
        &format!("{BEATS}\n{OTHERS}\n2h x3/5m custom.canary deploy.service=mailer"),
        &format!(
            "{FOUND}
             2h closed canary: Canary: no event for 65m after 12 for deploy.service mailer
             2h20m open canary: Canary: no event for 10m after 3 for deploy.service mailer"
        ),
    );
}

#[test]
fn the_end_of_a_replay_is_no_silence_but_an_end_that_is_given_is() {
    check(&canary(""), BEATS, "");
    check(&canary(""), &format!("{BEATS}\n1h5m end"), "");
    check(&canary(""), &format!("{BEATS}\n1h5m1s end"), FOUND);
    // Neither is the time that another rule's deadlines still need after the last event.
    let absence = "---\ntitle: Unused\nname: unused\nlogsource: {product: tidegate}\n\
        detection:\n  issued: {event.kind: custom.canary}\n  used: {event.kind: token.used}\n\
        correlation:\n  type: absence\n  after: issued\n  expect: used\n  group-by: [deploy.service]\n  timespan: 3h\nsuppress: 1d\n";
    let got = super::alerts(&format!("{}{absence}", canary("")), BEATS);
    assert!(got.iter().all(|a| a.detector.name == "unused"), "{got:?}");
    assert!(!got.is_empty());
}

#[test]
fn an_event_at_the_deadline_breaks_the_silence() {
    check(
        &canary(""),
        &format!(
            "{BEATS}\n1h5m custom.canary deploy.service=mailer\n1h10m login.success user.id=u1"
        ),
        "",
    );
    check(
        &canary(""),
        &format!(
            "{BEATS}\n1h5m1s custom.canary deploy.service=mailer\n1h10m login.success user.id=u1"
        ),
        &format!(
            "{FOUND}
             1h5m1s closed canary: Canary: no event for 601s after 12 for deploy.service mailer"
        ),
    );
}

#[test]
fn what_was_hardly_there_is_not_missed() {
    let few = "0s x2/5m custom.canary deploy.service=mailer";
    let seldom = "0s x4/31m custom.canary deploy.service=mailer";
    check(
        &canary(""),
        &format!("{few}\n{seldom}\n{OTHERS}").replace(few, ""),
        "",
    );
    check(&canary(""), &format!("{few}\n{OTHERS}"), "");
}

#[test]
fn a_hold_keeps_a_flapping_stream_in_one_episode() {
    check(
        &canary("suppress: 30m\n"),
        &format!(
            "{BEATS}\n{OTHERS}\n1h20m custom.canary deploy.service=mailer\n1h45m x13/5m custom.canary deploy.service=mailer"
        ),
        &format!(
            "{FOUND}
             1h45m closed canary: Canary: no event for 50m after 12 for deploy.service mailer
             2h55m open canary: Canary: no event for 10m after 13 for deploy.service mailer"
        ),
    );
}

/// What is over by event time is forgotten whether or not its timer has run.
#[test]
fn a_key_whose_hold_is_over_begins_anew_however_the_input_is_cut() {
    check(
        &canary("suppress: 30m\n"),
        &format!(
            "{BEATS}\n{OTHERS}\n2h custom.canary deploy.service=mailer\n3h10m x3/5m custom.canary deploy.service=mailer\n4h login.success user.id=u1"
        ),
        &format!(
            "{FOUND}
             2h closed canary: Canary: no event for 65m after 12 for deploy.service mailer
             3h30m open canary: Canary: no event for 10m after 3 for deploy.service mailer"
        ),
    );
}
