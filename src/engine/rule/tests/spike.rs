//! Spikes: of distinct values though the events are as ever, and of mass events that were declared.

use super::{alerts, check};

fn asked(more: &str) -> String {
    format!(
        "title: Asked\nname: asked\nlogsource: {{product: tidegate}}\n\
         detection:\n  asked: {{event.kind: recovery.requested}}\n  condition: asked\n\
         correlation:\n  type: spike\n  timespan: 10m\n  warmup: 2h\n  half_life: 1d\n{more}"
    )
}

const COUNTS: &str = "  group-by: []\n  condition: {factor: 5, count_min: 50, tail_min: 9}\n";

/// Six hours in which ten accounts come back and back, then ten minutes of accounts never seen.
const USUAL: &str = "0s x2160/10s recovery.requested user.target.id=u1
    0s x360/60s recovery.requested user.target.id=u2";
const ROTATING: &str = "6h x60/10s recovery.requested user.target.id=n{n}";

#[test]
fn distinct_accounts_leave_their_baseline_though_no_rate_does() {
    check(&asked(COUNTS), &format!("{USUAL}\n{ROTATING}"), "");
    check(
        &asked(&format!("  field: user.target.id\n{COUNTS}")),
        &format!("{USUAL}\n{ROTATING}\n7h recovery.requested user.target.id=u1"),
        "6h7m50s open asked: Asked: 50 distinct values within 10m, 2 expected from its own past
         6h20m closed asked: Asked: 0 distinct values within 10m, 2 expected from its own past",
    );
}

#[test]
fn a_thousand_distinct_values_are_estimated_and_say_so() {
    let got = alerts(
        &asked(
            "  field: user.target.id\n  group-by: []\n  condition: {factor: 5, count_min: 1000, tail_min: 300}\n",
        ),
        &format!("{USUAL}\n6h x2000/100ms recovery.requested user.target.id=n{{n}}"),
    );
    let first = &got[0];
    assert_eq!(first.error, Some(0.0325));
    let count = first.observed.get("value_count").unwrap().0;
    assert!((1000.0..1100.0).contains(&count), "{count}");
    let true_count = (first.time.0 - super::START) / 100 - 6 * 36_000 + 2;
    assert!((true_count - 1000).abs() < 100, "{true_count}");
}

const DECLARED: &str = "  expected:
    - {from: 2026-01-12T06:00:00Z, until: 2026-01-12T07:00:00Z, count_max: 700}\n";

fn mass(at: &str, step: &str) -> String {
    format!("{USUAL}\n{at} x3000/{step} recovery.requested user.target.id=n{{n}}")
}

#[test]
fn a_declared_mass_event_is_no_spike_up_to_its_size() {
    let plain = asked(COUNTS);
    let declared = asked(&format!("{COUNTS}{DECLARED}"));
    let opens = |yaml: &str, story: &str| {
        alerts(yaml, story)
            .iter()
            .filter(|a| a.revision == 0)
            .count()
    };
    // 600 in ten minutes, for 50 minutes.
    let inside = mass("6h", "1s");
    assert_eq!((opens(&plain, &inside), opens(&declared, &inside)), (1, 0));
    // Its last events are still in the window when it is over.
    let to_the_end = mass("6h9m", "1s");
    assert_eq!(opens(&declared, &to_the_end), 0);
    // Twice as many; or at another time; or beyond its end.
    assert_eq!(opens(&declared, &mass("6h", "500ms")), 1);
    assert_eq!(opens(&declared, &mass("5h", "1s")), 1);
    assert_eq!(opens(&declared, &mass("6h40m", "1s")), 1);
}

#[test]
fn a_declared_mass_event_teaches_nothing() {
    let again = format!(
        "{}\n8h x3000/1s recovery.requested user.target.id=n{{n}}",
        mass("6h", "1s")
    );
    let got = alerts(&asked(&format!("{COUNTS}{DECLARED}")), &again);
    let first = &got[0];
    assert!(first.time.0 > super::START + 8 * 3_600_000, "{first:?}");
    // 70 in ten minutes is the usual, and 600 was the mass event.
    let expected = first.observed.get("expected").unwrap().0;
    assert!((50.0..71.0).contains(&expected), "{first:?}");
}

#[test]
fn it_may_be_of_some_keys_only() {
    let keyed = |country: &str| {
        let by = COUNTS.replace("[]", "[source.geo.country_iso_code]");
        let declared = DECLARED.replace(
            "700}",
            &format!("700, key: {{source.geo.country_iso_code: {country}}}}}"),
        );
        asked(&format!("{by}{declared}"))
    };
    let story = "0s x2160/10s recovery.requested source.geo.country_iso_code=DE
        6h x3000/1s recovery.requested source.geo.country_iso_code=DE";
    assert!(alerts(&keyed("DE"), story).is_empty());
    assert!(!alerts(&keyed("FR"), story).is_empty());
}

/// One document declares it for several spikes, which one may name, or all.
#[test]
fn a_mass_event_is_declared_once_for_the_spikes_it_moves() {
    let opens = |more: &str| {
        let yaml = format!("{}---\ntitle: Forced reset\n{more}", asked(COUNTS));
        let told = alerts(&yaml, &mass("6h", "1s"));
        told.iter().filter(|a| a.revision == 0).count()
    };
    let of = |rules: &str, size: u32| {
        format!(
            "expected:\n  rules: {rules}\n  from: 2026-01-12T06:00:00Z\n  until: 2026-01-12T07:00:00Z\n  count_max: {size}\n"
        )
    };
    assert_eq!((opens(&of("any", 700)), opens(&of("[asked]", 700))), (0, 0));
    assert_eq!((opens(&of("any", 500)), opens(&of("[other]", 700))), (1, 1));
    // What it is limited to is no group of this spike.
    let one = of("any", 700) + "  key: {user.id: u1}\n";
    assert_eq!(opens(&one), 1);
}
