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
