//! Shares: of any number of events, and against their own past.

use super::check;
use crate::engine::alert::Alert;

fn bounces(condition: &str) -> String {
    format!(
        "title: Bounces\nname: bounces\nlogsource: {{product: tidegate}}\n\
         detection:\n  bounced: {{event.kind: message.bounced}}\n  sent: {{event.kind: message.sent}}\n\
         correlation:\n  type: ratio\n  group-by: []\n  numerator: bounced\n  denominator: sent\n  denominator_min: 100\n  timespan: 1h\n{condition}"
    )
}

#[test]
fn a_share_of_thousands_is_their_share() {
    // A quarter of 6,000: neither number stands still at a bound of its own.
    let yaml = bounces("  condition: {gte: 0.3}\n");
    check(
        &yaml,
        "0s x6000/500ms message.sent\n100ms x1500/2s message.bounced",
        "",
    );
}

/// Four hours of 2 in 100, then what the case is about.
const USUAL: &str = "0s x1440/10s message.sent\n0s x29/500s message.bounced";

const PAST: &str = "  baseline: {gte: 3, warmup: 2h, half_life: 1d}\n";

#[test]
fn a_share_of_three_times_its_past_fires_and_ends_with_it() {
    check(
        &bounces(PAST),
        &format!(
            "{USUAL}\n4h x720/10s message.sent\n4h x60/60s message.bounced\n6h x720/10s message.sent"
        ),
        "4h16m open bounces: Bounces: share 0.063 within 1h, 0.021 expected from its own past
         5h10m40s update bounces: Bounces: share 0.136 within 1h, 0.021 expected from its own past
         5h36m closed bounces: Bounces: share 0.056 within 1h, 0.021 expected from its own past",
    );
}

#[test]
fn its_own_past_is_needed_and_an_absolute_bound_can_be_added() {
    let rise = format!("{USUAL}\n4h x720/10s message.sent\n4h x60/60s message.bounced");
    check(&bounces(&PAST.replace("2h", "1d")), &rise, "");
    check(
        &bounces(&format!("  condition: {{gte: 0.5}}\n{PAST}")),
        &rise,
        "",
    );
    // Twice is not three times, and few are no share.
    let twice = format!("{USUAL}\n4h x720/10s message.sent\n4h x24/300s message.bounced");
    check(&bounces(PAST), &twice, "");
    let few = format!("{USUAL}\n6h x90/10s message.sent\n6h x80/10s message.bounced");
    check(&bounces(PAST), &few, "");
}

#[test]
fn a_collapse_is_a_share_too() {
    let yaml = bounces("  baseline: {lte: 0.25, warmup: 2h, half_life: 1d}\n");
    let usual = "0s x1440/10s message.sent\n0s x720/20s message.bounced";
    check(
        &yaml,
        &format!("{usual}\n4h x720/10s message.sent\n4h x360/20s message.bounced"),
        "",
    );
    check(
        &yaml,
        &format!("{usual}\n4h x300/10s message.sent"),
        "4h42m open bounces: Bounces: share 0.111 within 1h, 0.500 expected from its own past",
    );
}

#[test]
fn a_long_attack_does_not_become_the_past() {
    let got = super::alerts(
        &bounces(PAST),
        &format!("{USUAL}\n4h x17280/10s message.sent\n4h x2880/60s message.bounced"),
    );
    let past = |a: &Alert| a.observed.get("expected").unwrap().0;
    assert_eq!(past(got.last().unwrap()), past(&got[0]));
    assert_eq!(got.iter().filter(|a| a.revision == 0).count(), 1);
}
