//! Scores: what counts, how often, for how long, and after what.

use super::{alerts, check};

fn takeover(more: &str) -> String {
    format!(
        "title: Takeover\nname: takeover\nlogsource: {{product: tidegate}}\n\
         detection:\n  device: {{event.kind: device.registered}}\n  mfa: {{event.kind: mfa.removed}}\n  payout: {{event.kind: payout.changed}}\n  reset: {{event.kind: password.changed}}\n\
         correlation:\n  type: score\n  group-by: [user.id]\n  weights: {{device: 30, mfa: 50, payout: 40}}\n  timespan: 24h\n  condition: {{gte: 70}}\n{more}"
    )
}

const AFTER: &str = "  after: reset\n";

#[test]
fn evidence_adds_up_and_is_named() {
    check(
        &takeover(AFTER),
        "0s password.changed user.id=u1\n1m device.registered user.id=u1\n2m mfa.removed user.id=u1\n3m payout.changed user.id=u1",
        "2m open takeover: Takeover: score 80 of 70 within 24h after reset (mfa 50, device 30) for user.id u1
         3m update takeover: Takeover: score 120 of 70 within 24h after reset (mfa 50, payout 40, device 30) for user.id u1",
    );
}

#[test]
fn below_the_bound_without_the_after_or_on_two_keys_nothing_fires() {
    let yaml = takeover(AFTER);
    check(
        &yaml,
        "0s password.changed user.id=u1\n1m mfa.removed user.id=u1",
        "",
    );
    check(
        &yaml,
        "1m device.registered user.id=u1\n2m mfa.removed user.id=u1",
        "",
    );
    check(
        &yaml,
        "0s mfa.removed user.id=u1\n1m password.changed user.id=u1\n2m payout.changed user.id=u1",
        "",
    );
    check(
        &yaml,
        "0s password.changed user.id=u{n}\n1m mfa.removed user.id=u1\n2m payout.changed user.id=u2",
        "",
    );
    // A day later the reset no longer explains anything.
    check(
        &yaml,
        "0s password.changed user.id=u1\n24h mfa.removed user.id=u1\n24h1m payout.changed user.id=u1",
        "",
    );
}

#[test]
fn one_evidence_counts_once_however_often_it_is_seen() {
    let unlisted = "\n# every mfa.removed within the timespan is one evidence\n";
    check(&takeover(unlisted), "0s x50/1m mfa.removed user.id=u1", "");
    check(
        &takeover("  once: 10m\n"),
        "0s x50/1m mfa.removed user.id=u1",
        "10m open takeover: Takeover: score 100 of 70 within 24h (mfa 100) for user.id u1
         21m update takeover: Takeover: score 150 of 70 within 24h (mfa 150) for user.id u1
         43m update takeover: Takeover: score 250 of 70 within 24h (mfa 250) for user.id u1",
    );
}

#[test]
fn evidence_loses_its_weight_and_the_episode_ends_when_the_score_falls() {
    let yaml = takeover("  half_life: 1h\n");
    // 50 + 30 = 80 is 70 after log2(80 / 70) of an hour: 11 min 33 s.
    check(
        &yaml,
        "0s mfa.removed user.id=u1\n0s device.registered user.id=u1\n1d end",
        "0s open takeover: Takeover: score 80 of 70 within 24h (mfa 50, device 30) for user.id u1
         11m33s522ms closed takeover: Takeover: score 80 of 70 within 24h (mfa 50, device 30) for user.id u1",
    );
    check(
        &yaml,
        "0s mfa.removed user.id=u1\n20m device.registered user.id=u1\n1d end",
        "",
    );
}

#[test]
fn without_a_half_life_evidence_leaves_with_the_timespan() {
    let got = alerts(
        &takeover(""),
        "0s mfa.removed user.id=u1\n1h device.registered user.id=u1\n3d end",
    );
    let ends: Vec<_> = got
        .iter()
        .map(|a| (a.revision, a.window.end.0 - super::START))
        .collect();
    assert_eq!(ends, [(0, 3_600_000), (1, 24 * 3_600_000)]);
    assert_eq!(
        got[0]
            .observed
            .0
            .iter()
            .map(|(n, v)| (n.as_str(), v.0))
            .collect::<Vec<_>>(),
        [("score", 80.0), ("device", 30.0), ("mfa", 50.0)]
    );
}

#[test]
fn detections_of_other_documents_are_evidence() {
    let yaml = "title: Takeover\nname: takeover\nlogsource: {product: tidegate}\n\
        detection:\n  mfa: {event.kind: mfa.removed}\n\
        correlation:\n  type: score\n  group-by: [user.id]\n  weights: {new-country: 40, mfa: 50}\n  timespan: 24h\n  condition: {gte: 70}\n\
        ---\ntitle: New country\nname: new-country\nlogsource: {product: tidegate}\n\
        detection:\n  seen: {event.kind: login.success}\n  condition: seen\n\
        correlation:\n  type: new_value\n  group-by: [user.id]\n  field: source.geo.country_iso_code\n  timespan: 90d\n";
    check(
        yaml,
        "0s login.success user.id=u1 source.geo.country_iso_code=DE\n1d login.success user.id=u1 source.geo.country_iso_code=BR\n26h mfa.removed user.id=u1",
        "1d2h open takeover: Takeover: score 90 of 70 within 24h (mfa 50, new-country 40) for user.id u1",
    );
}
