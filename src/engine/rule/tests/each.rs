//! Plain detections: which alert is which event's, whatever comes between and however often it is read.

use std::collections::BTreeMap;

use super::*;

const DECOYS: &str = "title: A decoy\nname: decoy\nid: 8b0a5c8e-2f5b-4a43-9d0e-0c1d8f0f6a01\nstatus: stable\n\
    logsource: {product: tidegate}\ndetection: {s: {event.kind: custom.decoy}, condition: s}\nlevel: high\n";

/// One event of a record: where the record stands, when it was, and its id if it has one.
type Read = ((i32, i64), i64, Option<&'static str>);

/// The id of the alert that each of these came to, by partition, offset and the event's place in the record; read
/// one record after the other.
fn told(reads: &[Read]) -> BTreeMap<((i32, i64), usize), String> {
    let program = program_in(
        DECOYS,
        Settings {
            sorted: false,
            lateness: Span::seconds(1),
            ..Settings::default()
        },
    );
    let mut engine = Engine::new(Arc::clone(&program), 2);
    let mut router = Router::new(Arc::clone(&program));
    let mut all = BTreeMap::new();
    for record in reads.chunk_by(|a, b| a.0 == b.0) {
        let mut routed = Routed::default();
        for ((partition, offset), time, id) in record {
            let mut event = Event::default();
            event.clear(program.plan.fields.len());
            event.time = EventTime(START + time);
            event.set(field::EVENT_KIND, Value::Text("custom.decoy"));
            if let Some(id) = id {
                event.set(field::EVENT_ID, Value::Text(id));
            }
            let origin = Origin {
                source: 0,
                partition: *partition,
                offset: *offset,
            };
            router.route(&event, origin, true, &mut routed);
        }
        engine.handle(&Input::Batch(&routed));
    }
    engine.handle(&Input::End { until: None });
    let mut alerts = Vec::new();
    drain(&mut engine, &mut alerts);
    for alert in alerts {
        let at = &alert.positions[0];
        let nth = (0..).find(|n| !all.contains_key(&((at.partition, at.from), *n)));
        all.insert(
            ((at.partition, at.from), nth.unwrap()),
            alert.alert_id.to_string(),
        );
    }
    all
}

/// A detection without `group-by` has one key: all its events of a millisecond were numbered as they came. One that
/// came behind another moment's had an id that was told, and nobody heard of it; and another order of the partitions
/// after a crash gave an event the id of another.
#[test]
fn an_alert_of_one_event_has_the_same_id_in_every_order() {
    let own: &[Read] = &[
        ((0, 0), 0, Some("a")),
        ((0, 1), 90_000, Some("b")),
        ((1, 0), 0, Some("c")),
        ((1, 1), 90_000, Some("d")),
        ((2, 7), 0, Some("e")),
    ];
    let places: Vec<Read> = own.iter().map(|(at, time, _)| (*at, *time, None)).collect();
    for reads in [own, &places] {
        let want = told(reads);
        let distinct: std::collections::BTreeSet<_> = want.values().collect();
        assert_eq!((want.len(), distinct.len()), (5, 5), "{want:?}");
        for order in [[4, 3, 2, 1, 0], [2, 0, 3, 4, 1], [1, 4, 0, 3, 2]] {
            assert_eq!(told(&order.map(|i| reads[i])), want);
        }
    }
}

/// Events of one record have one place; those of a log that was made anew have the places of the one before.
#[test]
fn events_of_one_place_are_told_apart() {
    let record: &[Read] = &[((0, 3), 0, None), ((0, 3), 0, None), ((0, 3), 0, None)];
    let ids = told(record);
    assert_eq!(told(record), ids);
    let anew = told(&[((0, 3), 60_000, None)]);
    let distinct: std::collections::BTreeSet<_> = ids.values().chain(anew.values()).collect();
    assert_eq!(distinct.len(), 4);
}
