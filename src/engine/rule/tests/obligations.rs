//! Chains of obligations: kept, broken at each step, overtaken, and begun twice.

use super::check;

const RECOVERY: &str = "title: Recovery\nname: recovery\nlogsource: {product: tidegate}\n\
    detection:\n  asked: {event.kind: recovery.requested}\n  issued: {event.kind: token.issued}\n  mailed: {event.kind: message.sent}\n\
    correlation:\n  type: obligations\n  group-by: [user.target.id]\n  steps:\n    - {rule: asked}\n    - {rule: issued, within: 30s}\n    - {rule: mailed, within: 5m}\n";

const ASKED: &str = "0s recovery.requested user.target.id=u1";
const ISSUED: &str = "10s token.issued user.target.id=u1";

#[test]
fn a_chain_that_is_kept_says_nothing_and_one_that_breaks_names_the_step() {
    check(
        RECOVERY,
        &format!("{ASKED}\n{ISSUED}\n5m message.sent user.target.id=u1"),
        "",
    );
    check(
        RECOVERY,
        ASKED,
        "30s open recovery: Recovery: step 2 of 3: issued did not follow asked within 30s for user.target.id u1",
    );
    let third = "5m10s open recovery: Recovery: step 3 of 3: mailed did not follow issued within 5m for user.target.id u1";
    check(RECOVERY, &format!("{ASKED}\n{ISSUED}"), third);
    check(
        RECOVERY,
        &format!("{ASKED}\n{ISSUED}\n5m11s message.sent user.target.id=u1"),
        third,
    );
    // At the deadline is in time.
    check(
        RECOVERY,
        &format!("{ASKED}\n{ISSUED}\n5m10s message.sent user.target.id=u1"),
        "",
    );
}

#[test]
fn steps_of_nobody_and_of_other_keys_keep_nothing() {
    check(
        RECOVERY,
        "0s token.issued user.target.id=u1\n1s message.sent user.target.id=u1",
        "",
    );
    check(
        RECOVERY,
        &format!("{ASKED}\n10s token.issued user.target.id=u2\n11s message.sent user.target.id=u1"),
        "30s open recovery: Recovery: step 2 of 3: issued did not follow asked within 30s for user.target.id u1",
    );
}

#[test]
fn one_step_keeps_one_chain_the_oldest() {
    check(
        RECOVERY,
        &format!(
            "{ASKED}\n5s recovery.requested user.target.id=u1\n{ISSUED}\n20s message.sent user.target.id=u1"
        ),
        "35s open recovery: Recovery: step 2 of 3: issued did not follow asked within 30s for user.target.id u1",
    );
}

#[test]
fn a_flood_of_beginnings_is_bounded_and_a_hold_gathers_it() {
    let flood = "0s x200/10ms recovery.requested user.target.id=u1";
    let got = super::alerts(&format!("{RECOVERY}suppress: 1h\n"), flood);
    assert_eq!(got.iter().filter(|a| a.revision == 0).count(), 1);
    assert_eq!(got.last().unwrap().events, 64);
}

const AGAIN: &str = "title: Again\nname: again\nlogsource: {product: tidegate}\n\
    detection:\n  asked: {event.kind: recovery.requested}\n  more: {event.kind: [recovery.requested, token.issued]}\n  mailed: {event.kind: message.sent}\n\
    correlation:\n  type: obligations\n  group-by: [user.target.id]\n  steps:\n    - {rule: asked}\n    - {rule: more, within: 30s}\n";

/// A request is the first step and the second: while a chain waits it goes on with that one, and
/// begins none.
#[test]
fn an_event_serves_one_step_and_goes_on_before_it_begins() {
    let asked = |at: &str| format!("{at} recovery.requested user.target.id=u1\n");
    let broken = |at: &str| {
        format!(
            "{at} open again: Again: step 2 of 2: more did not follow asked within 30s for user.target.id u1"
        )
    };
    check(AGAIN, &asked("0s"), &broken("30s"));
    // The second ends what the first began; the third begins anew.
    check(AGAIN, &format!("{}{}", asked("0s"), asked("10s")), "");
    check(
        AGAIN,
        &format!("{}{}{}", asked("0s"), asked("10s"), asked("20s")),
        &broken("50s"),
    );
    // Two at one moment are two events.
    check(AGAIN, &format!("{}{}", asked("0s"), asked("0s")), "");
    // A longer chain: going on, too, leaves nothing to begin.
    let longer = format!("{AGAIN}    - {{rule: mailed, within: 1m}}\n");
    check(
        &longer,
        &format!("{}{}", asked("0s"), asked("10s")),
        "1m10s open again: Again: step 3 of 3: mailed did not follow more within 1m for user.target.id u1",
    );
}

/// Of two waiting chains an event takes one step of one, the later step first.
#[test]
fn an_event_takes_the_later_of_two_steps_that_are_waited_for() {
    let either = RECOVERY.replace(
        "mailed: {event.kind: message.sent}",
        "mailed: {event.kind: [message.sent, token.issued]}",
    );
    check(
        &either,
        &format!(
            "{ASKED}\n5s recovery.requested user.target.id=u1\n{ISSUED}\n20s token.issued user.target.id=u1"
        ),
        "35s open recovery: Recovery: step 2 of 3: issued did not follow asked within 30s for user.target.id u1",
    );
}
