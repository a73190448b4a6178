use super::*;
use crate::app::meta;
use crate::engine::alert::Number;
use crate::engine::containment::policy::Settings;
use crate::model::HashKey;
use crate::store::memory::MemoryStore;
use crate::store::rows::tests::alert;

/// Removed: its open alerts are closed, once, with what was known of them; nobody else's is, and
/// none that is closed already.
#[test]
fn alerts_of_lost_detectors_are_closed() {
    let store = Arc::new(MemoryStore::default());
    let mut desk = Desk::open(
        Arc::clone(&store) as Arc<dyn Store>,
        Policy::new(Settings::default(), &HashKey::fixed()).unwrap(),
        Delivery::default(),
        Arc::default(),
    )
    .unwrap();
    let of = |id: u8, detector: &str, revision| {
        let mut alert = alert(id, revision, i64::from(id) * 1000);
        alert.detector.id = detector.into();
        alert
    };
    let mut done = of(1, "gone", 1);
    done.status = Status::Closed;
    let many = (10..=255).map(|id| of(id, "gone", 3));
    let own = meta::key_explosion(&HashKey::fixed(), "gone", 9, WallTime(0));
    let all: Vec<Alert> = [of(1, "gone", 0), done, of(2, "stays", 0), own.clone()]
        .into_iter()
        .chain(many)
        .chain((0..=255).map(|id| Alert {
            alert_id: Id(std::array::from_fn(|i| if i == 0 { id } else { 7 })),
            ..of(9, "gone", 0)
        }))
        .collect();
    desk.record(&all, WallTime(1)).unwrap();

    let lost = |d: &DetectorRef| d.id == "gone";
    let closed = desk.close_lost(lost, WallTime(2)).unwrap();
    assert_eq!(closed.alerts.len(), 246 + 256);
    let one = closed
        .alerts
        .iter()
        .find(|a| a.alert_id == Id([200; 32]))
        .unwrap();
    assert_eq!((one.revision, one.status), (4, Status::Closed));
    assert_eq!(one.observed.get("event_count"), Some(&Number(51.0)));
    assert_eq!(
        one.summary,
        "a flood; closed because its detector was changed or taken out"
    );

    let left = store::read(&*store, |v| alert_rows::open_of(v, |_| true, None, 10)).unwrap();
    let ids: Vec<&str> = left.iter().map(|a| a.detector.id.as_str()).collect();
    assert_eq!(ids, ["stays", own.detector.id.as_str()]);
    assert!(meta::is_own(&own.detector) && !meta::is_own(&left[0].detector));
    assert!(desk.close_lost(lost, WallTime(3)).unwrap().is_empty());
}
