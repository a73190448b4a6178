use super::*;
use crate::engine::alert::{Alert, DetectorRef, Number, Pairs, Status, Window};
use crate::engine::containment::policy::settings::Enforcement;
use crate::engine::containment::policy::{Policy, Settings, State};
use crate::engine::containment::{Outcome, Phase, Receipt, Verb};
use crate::engine::detector::plan::{Detector, Mode, Respond};
use crate::engine::outbox::{Draft, Kind, Settled, Verdict};
use crate::model::ids::Id;
use crate::model::{EventTime, HashKey, Level, Span, WallTime};
use crate::store::memory::MemoryStore;
use crate::store::{read, write};

pub(crate) fn alert(id: u8, revision: u32, time: i64) -> Alert {
    Alert {
        alert_id: Id([id; 32]),
        revision,
        status: Status::Open,
        detector: DetectorRef {
            id: "d1".into(),
            name: "reset-flood-ip".into(),
            version: 1,
            level: Level::High,
        },
        time: EventTime(time),
        key: Pairs(vec![("source.ip".into(), format!("203.0.113.{id}"))]),
        observed: Pairs(vec![("event_count".into(), Number(51.0))]),
        bound: Pairs::default(),
        window: Window {
            start: EventTime(time - 1000),
            end: EventTime(time),
        },
        first: EventTime(time - 1000),
        last: EventTime(time),
        events: 51,
        error: None,
        summary: "a flood".into(),
        mode: Mode::Shadow,
        tags: Vec::new(),
        runbook: None,
        actions: Vec::new(),
        positions: Vec::new(),
        peak: Number(51.0),
        context: Pairs::default(),
        suppressed: 0,
        silenced: None,
    }
}

fn draft(n: u8, slot: Option<&str>) -> Draft {
    Draft {
        webhook_id: format!("m{n}"),
        kind: if slot.is_some() {
            Kind::ActionRequested
        } else {
            Kind::AlertOpened
        },
        lane: "lane".into(),
        slot: slot.map(str::to_owned),
        subject: Id([n; 32]),
        concerns: None,
        level: None,
        created_at: WallTime(i64::from(n)),
        began_at: None,
        expires_at: None,
        body: "{}".into(),
        data_at: 0,
    }
}

#[test]
fn an_alert_revision_is_written_once() {
    let store = MemoryStore::new();
    write(&store, |tx| {
        assert!(alerts::insert(tx, &alert(1, 0, 100))?);
        assert!(!alerts::insert(tx, &alert(1, 0, 100))?);
        assert!(alerts::insert(tx, &alert(1, 2, 110))?);
        assert!(
            alerts::insert(tx, &alert(1, 1, 105))?,
            "a late revision is kept"
        );
        Ok(())
    })
    .unwrap();
    read(&store, |view| {
        assert_eq!(alerts::newest(view, Id([1; 32]))?, Some(alert(1, 2, 110)));
        let all = alerts::revisions(view, Id([1; 32]))?;
        assert_eq!(
            all.iter().map(|a| a.revision).collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert_eq!(
            alerts::list(view, &alerts::Filter::default(), 9)?,
            [alert(1, 2, 110)]
        );
        Ok(())
    })
    .unwrap();
}

#[test]
fn alerts_are_listed_newest_first_by_filter_and_page() {
    let store = MemoryStore::new();
    write(&store, |tx| {
        for id in 1..=9u8 {
            let mut a = alert(id, 0, i64::from(id) * 10 - 50);
            a.status = if id % 2 == 0 {
                Status::Closed
            } else {
                Status::Open
            };
            a.detector.level = if id > 6 { Level::Critical } else { Level::Low };
            alerts::insert(tx, &a)?;
        }
        Ok(())
    })
    .unwrap();
    let ids = |filter: alerts::Filter, limit| {
        let found = read(&store, |view| alerts::list(view, &filter, limit)).unwrap();
        found.iter().map(|a| a.alert_id.0[0]).collect::<Vec<_>>()
    };
    let filter = alerts::Filter::default;
    assert_eq!(ids(filter(), 3), [9, 8, 7]);
    assert_eq!(ids(filter(), 0), [0u8; 0]);
    let behind = Some((EventTime(7 * 10 - 50), Id([7; 32])));
    assert_eq!(ids(alerts::Filter { behind, ..filter() }, 2), [6, 5]);
    assert_eq!(
        ids(
            alerts::Filter {
                status: Some(Status::Closed),
                ..filter()
            },
            9
        ),
        [8, 6, 4, 2]
    );
    assert_eq!(
        ids(
            alerts::Filter {
                level_min: Some(Level::High),
                ..filter()
            },
            9
        ),
        [9, 8, 7]
    );
    let (since, until) = (Some(EventTime(-20)), Some(EventTime(10)));
    assert_eq!(
        ids(
            alerts::Filter {
                since,
                until,
                ..filter()
            },
            9
        ),
        [5, 4, 3]
    );
    let key_value = Some("203.0.113.4".to_owned());
    assert_eq!(
        ids(
            alerts::Filter {
                key_value,
                ..filter()
            },
            9
        ),
        [4]
    );
    assert_eq!(
        ids(
            alerts::Filter {
                detector: Some("nope".into()),
                ..filter()
            },
            9
        ),
        [0u8; 0]
    );
    let closed = |a: &Alert| a.status == Status::Closed;
    let prune = |limit| write(&store, |tx| alerts::prune(tx, EventTime(0), closed, limit)).unwrap();
    // The first is open: it stands in nobody's way.
    assert_eq!(
        (prune(1), prune(100)),
        (1, 1),
        "closed ones before the time: 2 and 4"
    );
    assert_eq!(ids(filter(), 99), [9, 8, 7, 6, 5, 3, 1]);
}

fn settled(number: u64, verdict: Verdict) -> Settled {
    Settled {
        number,
        webhook_id: String::new(),
        kind: Kind::AlertOpened,
        verdict,
        attempts: 2,
        created_at: WallTime(0),
        began_at: None,
        at: WallTime(500),
    }
}

#[test]
fn the_outbox_keeps_order_and_counts() {
    let store = MemoryStore::new();
    let numbers: Vec<u64> = write(&store, |tx| {
        let mut numbers = Vec::new();
        for n in 1..=4 {
            let slot = (n == 2).then_some("slot");
            numbers.push(messages::push(tx, "a", &draft(n, slot), 100)?.number);
            messages::push(tx, "ab", &draft(n, None), 100)?;
        }
        Ok(numbers)
    })
    .unwrap();
    let ids = |endpoint: &str, after| {
        let found = read(&store, |view| messages::load(view, endpoint, after, 3)).unwrap();
        found
            .into_iter()
            .map(|m| m.draft.webhook_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("a", 0), ["m1", "m2", "m3"]);
    assert_eq!(ids("a", numbers[2]), ["m4"]);
    assert_eq!(ids("nobody", 0), Vec::<String>::new());
    write(&store, |tx| {
        let done = [
            settled(numbers[0], Verdict::Dead("500".into())),
            settled(numbers[1], Verdict::Delivered),
            settled(99, Verdict::Delivered),
        ];
        messages::settle(tx, "a", &done)?;
        messages::settle(tx, "a", &done)
    })
    .unwrap();
    read(&store, |view| {
        assert_eq!(messages::depth(view, "a")?, 2);
        assert_eq!(messages::depth(view, "ab")?, 4);
        assert_eq!(messages::oldest(view, "a")?.unwrap().draft.webhook_id, "m3");
        let dead = messages::dead_letters(view, None, 9)?;
        assert_eq!(
            (dead.len(), dead[0].reason.as_str(), dead[0].attempts),
            (1, "500", 2)
        );
        let sent = actions::deliveries(view, Id([2; 32]))?;
        assert_eq!((sent.len(), sent[0].delivered_at), (1, WallTime(500)));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_full_outbox_gives_up_its_oldest_alert_and_never_an_action() {
    let store = MemoryStore::new();
    write(&store, |tx| {
        messages::push(tx, "a", &draft(1, Some("slot")), 3)?;
        let gave_way = (2..=5)
            .map(|n| Ok(messages::push(tx, "a", &draft(n, None), 3)?.gave_way))
            .collect::<Result<Vec<bool>, StoreError>>()?;
        assert_eq!(gave_way, [false, false, true, true]);
        Ok(())
    })
    .unwrap();
    read(&store, |view| {
        let left: Vec<_> = messages::load(view, "a", 0, 9)?;
        let left: Vec<_> = left.iter().map(|m| m.draft.webhook_id.as_str()).collect();
        assert_eq!(left, ["m1", "m4", "m5"]);
        assert_eq!(messages::gave_way(view, "a")?, 3);
        assert_eq!(messages::gave_way(view, "ab")?, 0);
        assert_eq!(messages::depth(view, "a")?, 3);
        assert_eq!(messages::dead_letters(view, Some("a"), 9)?.len(), 2);
        Ok(())
    })
    .unwrap();
}

#[test]
fn evidence_is_numbered_and_a_key_is_bound_once() {
    let store = MemoryStore::new();
    write(&store, |tx| {
        assert_eq!(append_evidence(tx, b"one")?, 0);
        assert_eq!(append_evidence(tx, b"two")?, 1);
        bind_key(tx, "aaaa")?;
        bind_key(tx, "aaaa")?;
        assert!(matches!(bind_key(tx, "bbbb"), Err(StoreError::Key { .. })));
        Ok(())
    })
    .unwrap();
    let found = read(&store, |view| evidence(view, 1, 9)).unwrap();
    assert_eq!(found, [(1, b"two".to_vec())]);
}

#[test]
fn signed_numbers_sort() {
    let numbers = [i64::MIN, -5, -1, 0, 1, 7, i64::MAX];
    assert!(numbers.map(sortable).is_sorted());
}

/// One batch as the app commits it: an alert, what policy decides about it, and the messages.
fn commit(
    store: &MemoryStore,
    policy: &Policy,
    state: &mut State,
    alert: &Alert,
    now: WallTime,
) -> Result<(), StoreError> {
    let detector = Detector {
        id: "d1".into(),
        mode: Mode::Contain,
        respond: vec![Respond {
            verb: Verb::Block,
            target: Some("source.ip".into()),
            ttl: Span::minutes(5),
        }],
        ..Detector::default()
    };
    let done = write(store, |tx| {
        if alerts::exists(tx, alert.alert_id, alert.revision)? {
            return Ok(());
        }
        let plan = policy.decide(state, alert, &detector, now);
        let told = Alert {
            actions: plan.actions().to_vec(),
            ..alert.clone()
        };
        alerts::insert(tx, &told)?;
        actions::save(tx, &plan, state)?;
        for change in plan.changes() {
            let seq = u8::try_from(change.record.action.seq).unwrap();
            messages::push(tx, "enforcer", &draft(seq, Some("slot")), 100)?;
        }
        Ok(())
    });
    if done.is_err() {
        store.restart();
        *state = read(store, actions::load)?;
    }
    done
}

/// T2 for this part: a crash at every step, then a replay, ends where no crash ends.
#[test]
fn a_replay_after_a_crash_at_any_step_decides_nothing_twice() {
    let settings = Settings {
        mode: Enforcement::Enforce,
        ..Settings::default()
    };
    let policy = Policy::new(settings, &HashKey::fixed()).unwrap();
    let alerts_in_order: Vec<Alert> = (0..6)
        .map(|n| alert(n % 3 + 1, u32::from(n / 3), 100 + i64::from(n)))
        .collect();
    let now = WallTime(1_000_000);
    let run = |store: &MemoryStore| {
        let mut state = read(store, actions::load)?;
        for alert in &alerts_in_order {
            commit(store, &policy, &mut state, alert, now)?;
        }
        Ok::<_, StoreError>(state)
    };
    let outcome = |store: &MemoryStore| {
        read(store, |view| {
            let all = alerts::list(view, &alerts::Filter::default(), 99)?;
            let changes = actions::changes_after(view, 0, 99)?;
            Ok((
                all,
                changes,
                messages::load(view, "enforcer", 0, 99)?,
                actions::load(view)?,
            ))
        })
        .unwrap()
    };
    let calm = MemoryStore::new();
    let state = run(&calm).unwrap();
    let want = outcome(&calm);
    assert_eq!((want.0.len(), want.1.len(), want.2.len()), (3, 3, 3));
    assert_eq!(state, want.3);
    for step in 0..calm.steps() {
        let store = MemoryStore::new();
        store.crash_at(step);
        assert!(run(&store).is_err(), "step {step}");
        run(&store).unwrap();
        assert_eq!(outcome(&store), want, "step {step}");
    }
}

#[test]
fn actions_are_listed_newest_first_and_pruned() {
    let settings = Settings {
        mode: Enforcement::Enforce,
        ..Settings::default()
    };
    let policy = Policy::new(settings, &HashKey::fixed()).unwrap();
    let store = MemoryStore::new();
    let mut state = State::default();
    for n in 1..=3u8 {
        let now = WallTime(i64::from(n) * 1000);
        commit(&store, &policy, &mut state, &alert(n, 0, 100), now).unwrap();
    }
    let later = WallTime(2000 + Span::minutes(5).0);
    let plan = policy.tick(&mut state, later);
    write(&store, |tx| actions::save(tx, &plan, &state)).unwrap();
    read(&store, |view| {
        let all = actions::newest(view, None, None, 9)?;
        let seqs: Vec<u64> = all.iter().map(|r| r.action.seq).collect();
        assert_eq!(seqs, [5, 4, 3], "two have expired since, each action once");
        let page = actions::newest(view, None, Some(5), 1)?;
        assert_eq!(page[0].action.seq, 4);
        let active = actions::newest(view, Some(Phase::Active), None, 9)?;
        assert_eq!((active.len(), actions::active(view)?.len()), (1, 1));
        assert_eq!(
            actions::find(view, active[0].action.action_id)?.as_ref(),
            active.first()
        );
        assert_eq!(actions::changes_after(view, 3, 9)?.len(), 2);
        Ok(())
    })
    .unwrap();
    let id = state.active().next().unwrap().action.action_id;
    let receipt = Receipt {
        action_id: id,
        enforcer: "edge-1".into(),
        outcome: Outcome::Applied,
        at: later,
        detail: None,
    };
    write(&store, |tx| {
        actions::add_receipt(tx, &receipt)?;
        assert_eq!(actions::prune(tx, later, 9)?, 3);
        Ok(())
    })
    .unwrap();
    read(&store, |view| {
        assert_eq!(actions::receipts(view, id)?, std::slice::from_ref(&receipt));
        assert_eq!(actions::first_change(view)?, Some(4));
        assert!(actions::find(view, id)?.is_some(), "active ones stay");
        Ok(())
    })
    .unwrap();
}
