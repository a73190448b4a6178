//! An alert that goes on is told again, less and less often, with what it held back.

use super::alerts;

fn flood(suppress: &str) -> String {
    format!(
        "title: Flood\nname: flood\nlogsource: {{product: tidegate}}\n\
         detection:\n  asked: {{event.kind: recovery.requested}}\n  condition: asked\n\
         correlation:\n  type: event_count\n  group-by: [source.ip]\n  timespan: 10m\n  condition: {{gte: 10}}\n\
         {suppress}"
    )
}

const STEADY: &str = "0s x170/1m recovery.requested source.ip=a";

fn times(suppress: &str) -> Vec<i64> {
    let told = alerts(&flood(suppress), STEADY);
    let first = told[0].time.0;
    let open = told
        .iter()
        .filter(|a| a.revision > 0 && a.status == super::Status::Open);
    open.map(|a| (a.last.0 - first) / 60_000).collect()
}

#[test]
fn repeats_come_after_twice_the_time_up_to_a_longest() {
    // Without `repeat` whenever it has doubled: ever more seldom while it is steady.
    assert_eq!(times(""), [10, 30, 70, 150]);
    assert_eq!(
        times("suppress: {for: 5m, repeat: 4m}"),
        [4, 12, 28, 60, 124]
    );
    let capped = times("suppress: {repeat: 20m, repeat_max: 30m}");
    assert_eq!(capped, [10, 30, 60, 90, 120, 150]);
}

/// Each event is a detection of its own; those within the hold are counted, none is lost.
#[test]
fn what_was_held_back_is_in_the_next_revision() {
    let yaml = "title: Each\nname: each\nlogsource: {product: tidegate}\n\
        detection:\n  asked: {event.kind: recovery.requested}\n  condition: asked\n\
        fields: [source.ip]\nsuppress: {for: 30m, repeat: 1h}\n";
    let told = alerts(yaml, "0s x100/10m recovery.requested source.ip=a");
    let held: Vec<u64> = told.iter().map(|a| a.suppressed).collect();
    assert_eq!((told[0].revision, held[0]), (0, 0));
    for (before, now) in told.iter().zip(&told[1..]) {
        assert_eq!(
            now.suppressed,
            now.events - before.events,
            "revision {}",
            now.revision
        );
    }
    assert!(held.iter().sum::<u64>() > 60, "{held:?}");
}
