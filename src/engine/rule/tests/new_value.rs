//! New values: of a known key, of one not known yet, of all keys together, and in numbers.

use super::{alerts, check};

fn country(more: &str) -> String {
    format!(
        "title: New country\nname: new-country\nlogsource: {{product: tidegate}}\n\
         detection:\n  seen: {{event.kind: login.success}}\n  condition: seen\n\
         correlation:\n  type: new_value\n  group-by: [user.id]\n  field: source.geo.country_iso_code\n  timespan: 30d\n{more}"
    )
}

const AT: &str = "login.success user.id=u1 source.geo.country_iso_code";

#[test]
fn a_value_not_seen_before_fires_once_where_the_key_is_known() {
    check(
        &country(""),
        &format!("0s {AT}=DE\n1d {AT}=DE\n2d {AT}=BR\n3d {AT}=BR\n4d {AT}=DE"),
        "2d open new-country: New country: source.geo.country_iso_code BR first seen within 30d, 1 known for user.id u1",
    );
}

#[test]
fn the_first_value_of_a_fresh_key_is_not_new() {
    check(
        &country(""),
        "0s x9/1m login.success user.id=u{n} source.geo.country_iso_code=BR",
        "",
    );
}

#[test]
fn a_value_is_new_again_after_the_timespan_to_the_second() {
    let last = "open new-country: New country: source.geo.country_iso_code BR first seen within 30d, 1 known for user.id u1";
    let story = |gap: &str| format!("0s {AT}=BR\n1d x60/1d {AT}=DE\n{gap} {AT}=BR");
    check(
        &country(""),
        &story("29d23h59m59s"),
        "1d open new-country: New country: source.geo.country_iso_code DE first seen within 30d, 1 known for user.id u1",
    );
    check(
        &country(""),
        &story("30d"),
        &format!(
            "1d open new-country: New country: source.geo.country_iso_code DE first seen within 30d, 1 known for user.id u1\n30d {last}"
        ),
    );
}

/// Whether the table has swept the key in the meantime must not matter.
#[test]
fn a_key_not_seen_for_the_timespan_is_a_fresh_key() {
    let others = "5d x200/1h login.success user.id=o{n} source.geo.country_iso_code=FR";
    let back = |at: &str| format!("0s {AT}=DE\n{others}\n{at} {AT}=BR\n40d {AT}=US");
    check(
        &country(""),
        &back("30d"),
        "30d open new-country: New country: source.geo.country_iso_code BR first seen within 30d, 1 known for user.id u1
         40d open new-country: New country: source.geo.country_iso_code US first seen within 30d, 2 known for user.id u1",
    );
    check(
        &country(""),
        &back("31d"),
        "40d open new-country: New country: source.geo.country_iso_code US first seen within 30d, 1 known for user.id u1",
    );
}

#[test]
fn warmup_and_known_min_are_learnt_through_in_silence() {
    let story = format!("0s {AT}=DE\n1h {AT}=FR\n2d {AT}=BR");
    let found = "2d open new-country: New country: source.geo.country_iso_code BR first seen within 30d, 2 known for user.id u1";
    check(&country("  warmup: 1d\n"), &story, found);
    check(&country("  known_min: 2\n"), &story, found);
    check(&country("  known_min: 3\n"), &story, "");
}

#[test]
fn an_event_without_the_field_teaches_nothing() {
    check(
        &country(""),
        &format!("0s login.success user.id=u1\n1h {AT}=DE\n2h {AT}=BR"),
        "2h open new-country: New country: source.geo.country_iso_code BR first seen within 30d, 1 known for user.id u1",
    );
}

#[test]
fn the_new_value_is_shown_and_two_fields_are_one_value() {
    let yaml = country("").replace(
        "field: source.geo.country_iso_code",
        "field: [source.geo.country_iso_code, device.id]",
    );
    let got = alerts(
        &yaml,
        &format!(
            "0s {AT}=DE device.id=a\n1h {AT}=FR device.id=b\n2h {AT}=DE device.id=b\n3h {AT}=DE device.id=a"
        ),
    );
    let shown: Vec<_> = got
        .iter()
        .map(|a| {
            a.context
                .0
                .iter()
                .map(|(_, v)| v.as_str())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(shown, ["FR b", "DE b"]);
}

#[test]
fn a_network_new_to_us_counts_only_in_numbers() {
    let yaml = "title: New network\nname: new-asn\nlogsource: {product: tidegate}\n\
        detection:\n  asked: {event.kind: recovery.requested}\n  condition: asked\n\
        correlation:\n  type: new_value\n  group-by: []\n  field: source.as.number\n  timespan: 30d\n  warmup: 1d\n  count_min: 100\n  within: 10m\n";
    let usual = "0s x30/1h recovery.requested source.as.number=3320";
    let found = "2d1m39s open new-asn: New network: source.as.number 64500 first seen within 30d, then 100 times within 10m, 1 known";
    let flood = |n: u32, step: &str| {
        format!("{usual}\n2d x{n}/{step} recovery.requested source.as.number=64500")
    };
    check(yaml, &flood(400, "1s"), found);
    check(yaml, &flood(99, "1s"), "");
    check(yaml, &flood(400, "7s"), "");
    // A crowd of other new networks does not push the rising one out.
    let crowd = "2d x500/100ms recovery.requested source.as.number={n}";
    let found = found.replace(", 1 known", ", 501 known");
    check(yaml, &format!("{}\n{crowd}", flood(400, "1s")), &found);
}

#[test]
fn a_hold_keeps_several_new_values_in_one_alert() {
    let got = alerts(
        &country("suppress: 1h\n"),
        &format!("0s {AT}=DE\n1d {AT}=FR\n24h30m {AT}=BR\n26h {AT}=US"),
    );
    let told: Vec<_> = got.iter().map(|a| (a.revision, a.events)).collect();
    assert_eq!(told, [(0, 1), (1, 2), (0, 1)]);
}

/// Log-ins teach and never fire; they make the key known, too.
#[test]
fn what_only_teaches_is_never_new() {
    let yaml = country("  learn: entered\n  known_min: 2\n").replace(
        "seen: {event.kind: login.success}",
        "seen: {event.kind: recovery.requested}\n  entered: {event.kind: [login.success, mfa.enrolled]}",
    );
    let asked = AT.replace("login.success", "recovery.requested");
    check(
        &yaml,
        &format!(
            "0s {AT}=DE\n1d {AT}=FR\n2d {AT}=BR\n3d {asked}=BR\n4d {asked}=US\n5d {AT}=US\n6d {asked}=US"
        ),
        "4d open new-country: New country: source.geo.country_iso_code US first seen within 30d, 3 known for user.id u1",
    );
    let both = yaml.replace(
        "login.success, mfa.enrolled",
        "login.success, recovery.requested",
    );
    check(&both, &format!("0s {AT}=DE\n1d {AT}=FR\n4d {asked}=US"), "");
}
