use super::*;
use crate::deliver::Settings as Delivery;
use crate::engine::alert::silence::Matcher;
use crate::engine::containment::allow::{self, AllowSettings};
use crate::engine::containment::policy::settings::Enforcement;
use crate::engine::containment::policy::{Policy, Settings};
use crate::engine::containment::{Scope, Target, Verb};
use crate::engine::detector::plan::{Detector, Mode, Plan, Respond};
use crate::engine::outbox::{Kind, Outbox as _};
use crate::model::{HashKey, Span};
use crate::store::Store;
use crate::store::memory::MemoryStore;
use crate::store::outbox::StoreOutbox;

const NOW: WallTime = WallTime(1_000_000);

/// The alert of a reset flood from one address; `closed` at revision 2.
fn alert(id: u8, revision: u32) -> Alert {
    let mut alert = crate::app::meta::key_explosion(&HashKey::fixed(), "d", 1, NOW);
    alert.alert_id = Id([id; 32]);
    alert.revision = revision;
    alert.detector.id = "d1".to_owned();
    alert.detector.name = "reset-flood-ip".to_owned();
    alert.key.0 = vec![("source.ip".to_owned(), format!("203.0.113.{id}"))];
    if revision == 2 {
        alert.status = Status::Closed;
    }
    alert
}

fn desk(store: &MemoryStore) -> Result<Desk, StoreError> {
    let plan = Plan {
        detectors: vec![Detector {
            id: "d1".to_owned(),
            mode: Mode::Contain,
            respond: vec![Respond {
                verb: Verb::Block,
                target: Some("source.ip".to_owned()),
                ttl: Span::minutes(15),
            }],
            ..Detector::default()
        }],
        ..Plan::default()
    };
    let settings = Settings {
        mode: Enforcement::Enforce,
        allow: AllowSettings::default(),
        ..Settings::default()
    };
    let policy = Policy::new(settings, &HashKey::fixed()).unwrap();
    let delivery: Delivery = serde_json::from_value(serde_json::json!({
        "webhooks": [{"name": "soc", "url": "https://example.com/hook", "secret_env": "S"}],
    }))
    .unwrap();
    Desk::open(Arc::new(store.clone()), policy, delivery, Arc::new(plan))
}

fn flood() -> Wanted {
    Wanted {
        matchers: vec![Matcher::parse("detector=reset-flood-ip").unwrap()],
        author: "ada".to_owned(),
        comment: "a load test".to_owned(),
        lasts: Span::hours(1),
    }
}

/// What waits to be sent: kinds in order.
fn sent(store: &MemoryStore) -> Vec<Kind> {
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let messages = StoreOutbox::new(shared).load("soc", 0, 100).unwrap();
    messages.iter().map(|m| m.draft.kind).collect()
}

fn stored(store: &MemoryStore, id: u8) -> Vec<Option<Id>> {
    let all = store::read(store, |view| alerts::revisions(view, Id([id; 32]))).unwrap();
    all.iter().map(|a| a.silenced).collect()
}

#[test]
fn a_silenced_alert_is_stored_and_neither_told_nor_acted_upon() {
    let store = MemoryStore::new();
    let mut desk = desk(&store).unwrap();
    let silence = desk.silence(&flood(), "local", NOW).unwrap().unwrap();
    let id = Some(silence.silence_id);
    for revision in 0..3 {
        let done = desk.record(&[alert(1, revision)], NOW).unwrap();
        assert_eq!((done.alerts.len(), done.messages), (1, 0));
        assert_eq!(done.alerts[0].silenced, id, "counted with its reason");
    }
    assert_eq!(sent(&store), []);
    assert_eq!(desk.state().active().count(), 0);
    assert_eq!(stored(&store, 1), [id, id, id]);
    // It was over before the silence was: nobody needs to hear of it.
    let ended = desk.end_silence(silence.silence_id, NOW).unwrap().unwrap();
    assert_eq!(ended.muted, 1, "one alert, of three revisions");
    assert_eq!(desk.release(NOW).unwrap().messages, 0);
    assert!(desk.end_silence(Id([9; 32]), NOW).unwrap().is_none());
}

#[test]
fn what_is_open_when_the_silence_ends_is_told_once_as_it_stands() {
    let store = MemoryStore::new();
    let mut desk = desk(&store).unwrap();
    desk.silence(&flood(), "local", NOW).unwrap().unwrap();
    desk.record(&[alert(1, 0), alert(1, 1)], NOW).unwrap();
    let end = NOW + Span::hours(1);
    assert_eq!(desk.release(WallTime(end.0 - 1)).unwrap().messages, 0);
    assert_eq!(desk.release(end).unwrap().messages, 2);
    assert_eq!(sent(&store), [Kind::ActionRequested, Kind::AlertOpened]);
    assert_eq!(desk.state().active().count(), 1);
    assert_eq!(desk.release(end).unwrap().messages, 0, "once");
    desk.record(&[alert(1, 2)], end).unwrap();
    assert_eq!(sent(&store).last(), Some(&Kind::AlertClosed));
}

#[test]
fn a_new_revision_after_the_end_opens_what_nobody_has_heard_of() {
    let store = MemoryStore::new();
    let mut desk = desk(&store).unwrap();
    desk.silence(&flood(), "local", NOW).unwrap().unwrap();
    desk.record(&[alert(1, 0)], NOW).unwrap();
    let end = NOW + Span::hours(1);
    desk.record(&[alert(1, 1)], end).unwrap();
    assert_eq!(sent(&store), [Kind::ActionRequested, Kind::AlertOpened]);
    assert_eq!(desk.release(end).unwrap().messages, 0, "it is told already");
}

#[test]
fn the_end_of_what_was_told_is_told_under_a_silence() {
    let store = MemoryStore::new();
    let mut desk = desk(&store).unwrap();
    desk.record(&[alert(1, 0)], NOW).unwrap();
    desk.silence(&flood(), "local", NOW).unwrap().unwrap();
    let before = sent(&store);
    desk.record(&[alert(1, 1)], NOW).unwrap();
    assert_eq!(sent(&store), before, "but not what happens in between");
    desk.record(&[alert(1, 2)], NOW).unwrap();
    assert_eq!(sent(&store).last(), Some(&Kind::AlertClosed));
}

#[test]
fn silences_and_what_they_mute_survive_a_restart() {
    let store = MemoryStore::new();
    let mut first = desk(&store).unwrap();
    first.silence(&flood(), "local", NOW).unwrap().unwrap();
    first.record(&[alert(1, 0)], NOW).unwrap();
    let mut second = desk(&store).unwrap();
    second.record(&[alert(2, 0)], NOW).unwrap();
    assert_eq!(sent(&store), []);
    // The silence ends while nobody runs.
    let mut third = desk(&store).unwrap();
    assert_eq!(third.release(NOW + Span::hours(2)).unwrap().messages, 4);
}

/// One step of a story, tried again after every crash as the daemon would.
type Step = fn(&mut Desk) -> Result<(), StoreError>;

#[test]
fn a_crash_at_any_step_leaks_nothing_and_loses_nothing() {
    let end = NOW + Span::hours(2);
    let muted: [Step; 3] = [
        |desk| desk.silence(&flood(), "local", NOW).map(drop),
        |desk| desk.record(&[alert(1, 0)], NOW).map(drop),
        |desk| desk.record(&[alert(1, 0), alert(1, 1)], NOW).map(drop),
    ];
    let after: [Step; 2] = [
        |desk| desk.release(NOW + Span::hours(2)).map(drop),
        |desk| desk.record(&[alert(1, 2)], NOW + Span::hours(2)).map(drop),
    ];
    let mut crashes = 0;
    for at in 0.. {
        let store = MemoryStore::new();
        let mut running = desk(&store).unwrap();
        store.crash_at(at);
        let mut crashed = false;
        let mut go = |step: &Step| {
            while let Err(error) = step(&mut running) {
                assert!(matches!(error, StoreError::Crashed(_)), "{error}");
                store.restart();
                crashed = true;
                running = desk(&store).unwrap();
            }
        };
        muted.iter().for_each(&mut go);
        assert_eq!(sent(&store), [], "crash at {at}");
        after.iter().for_each(&mut go);
        let want = [Kind::ActionRequested, Kind::AlertOpened, Kind::AlertClosed];
        assert_eq!(sent(&store), want, "crash at {at}");
        assert_eq!(running.release(end).unwrap().messages, 0);
        if !crashed {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 30, "{crashes}");
}

#[test]
fn many_are_released_some_at_a_time() {
    let store = MemoryStore::new();
    let mut desk = desk(&store).unwrap();
    desk.silence(&flood(), "local", NOW).unwrap().unwrap();
    for n in 0..RELEASE_MAX + 10 {
        let mut one = alert(1, 0);
        one.alert_id.0[..8].copy_from_slice(&n.to_be_bytes());
        desk.record(&[one], NOW).unwrap();
    }
    let end = NOW + Span::hours(1);
    let opened = || sent_all(&store);
    desk.release(end).unwrap();
    assert_eq!(opened(), RELEASE_MAX);
    desk.release(end).unwrap();
    assert_eq!(opened(), RELEASE_MAX + 10);
}

fn sent_all(store: &MemoryStore) -> usize {
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    let messages = StoreOutbox::new(shared).load("soc", 0, 10_000).unwrap();
    let opened = messages
        .iter()
        .filter(|m| m.draft.kind == Kind::AlertOpened);
    opened.count()
}

fn entry(lasts: Span) -> AllowEntry {
    let wanted = allow::Wanted {
        target: Target {
            scope: Scope::Cidr,
            value: "203.0.113.0/24".to_owned(),
        },
        author: "ada".to_owned(),
        reason: "a partner".to_owned(),
        lasts,
    };
    wanted.entry(NOW).unwrap()
}

#[test]
fn an_entry_takes_back_what_stands_and_keeps_off_what_comes_until_its_end() {
    let store = MemoryStore::new();
    let mut running = desk(&store).unwrap();
    running.record(&[alert(1, 0)], NOW).unwrap();
    assert_eq!(running.state().active().count(), 1);
    let at_delivery = running.allow_list();
    let target = Target {
        scope: Scope::Ip,
        value: "203.0.113.1".to_owned(),
    };
    assert!(!at_delivery.get().covers(&target, NOW));
    let entry = entry(Span::hours(1));
    assert!(running.allow(&entry, NOW).unwrap().is_some());
    assert!(at_delivery.get().covers(&target, NOW));
    assert_eq!(running.state().active().count(), 0);
    assert_eq!(sent(&store).last(), Some(&Kind::ActionReverted));
    // The alert itself is told; and a restart changes nothing.
    let mut running = desk(&store).unwrap();
    let done = running.record(&[alert(2, 0)], NOW).unwrap();
    assert_eq!(
        (done.messages, running.state().active().count()),
        (1, 0),
        "told, not acted upon"
    );
    running.record(&[alert(2, 0)], NOW).unwrap();
    let withheld = |store: &MemoryStore| -> u64 {
        let all: Vec<AllowEntry> = store::read(store, |view| mutes::all(view)).unwrap();
        all.iter().map(|e| e.withheld).sum()
    };
    assert_eq!(withheld(&store), 1, "counted, and once");
    let end = NOW + Span::hours(1);
    running.record(&[alert(3, 0)], end).unwrap();
    assert_eq!(running.state().active().count(), 1, "it ends by itself");
    running.allow(&entry, NOW).unwrap();
    assert!(running.end_allow(entry.id(), NOW).unwrap().is_some());
    assert!(!running.allow_list().get().covers(&target, NOW));
    assert!(running.end_allow(Id([9; 32]), NOW).unwrap().is_none());
}

#[test]
fn rows_are_bounded_and_the_oldest_ended_gives_way() {
    let store = MemoryStore::new();
    let mut desk = desk(&store).unwrap();
    for n in 0..mutes::MUTES_MAX {
        let at = WallTime(NOW.0 + i64::try_from(n).unwrap());
        assert!(desk.silence(&flood(), "local", at).unwrap().is_some());
    }
    assert!(desk.silence(&flood(), "local", NOW).unwrap().is_none());
    let later = NOW + Span::hours(1);
    let made = desk.silence(&flood(), "local", later).unwrap();
    assert!(made.is_some(), "the first is over by then");
    let all: Vec<Silence> = store::read(&store, |view| mutes::all(view)).unwrap();
    assert_eq!(all.len(), mutes::MUTES_MAX);
    assert_eq!(all[0].silence_id, made.unwrap().silence_id);
}
