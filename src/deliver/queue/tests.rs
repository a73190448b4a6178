use super::*;
use crate::engine::containment::{Scope, Target, Verb};
use crate::engine::outbox::{Draft, Kind};
use crate::model::ids::Id;

fn rules() -> Rules {
    Rules {
        backoff: Backoff {
            first: Span::seconds(1),
            longest: Span::seconds(30),
        },
        attempts_max: 5,
        age_max: Span::hours(24),
        concurrency: 4,
    }
}

fn message(number: u64, lane: &str, slot: Option<&str>, made: i64, ends: Option<i64>) -> Message {
    let target = Target {
        scope: Scope::Ip,
        value: lane.into(),
    };
    Message {
        number,
        endpoint: "e".into(),
        draft: Draft {
            webhook_id: format!("m{number}"),
            kind: if slot.is_some() {
                Kind::ActionRequested
            } else {
                Kind::AlertOpened
            },
            lane: lane.into(),
            slot: slot.map(str::to_owned),
            subject: Id::default(),
            concerns: slot.map(|_| Concern {
                target,
                verb: Verb::Block,
                simulated: false,
            }),
            level: None,
            created_at: WallTime(made),
            began_at: None,
            expires_at: ends.map(WallTime),
            body: "{}".into(),
            data_at: 0,
        },
    }
}

fn alert(number: u64, lane: &str) -> Message {
    message(number, lane, None, 0, None)
}

fn pick(queue: &mut Queue, now: i64) -> Option<u64> {
    match queue.next(WallTime(now), &|_| None) {
        Pick::Send(message) => Some(message.number),
        Pick::Wait(_) => None,
    }
}

fn fail(fault: Fault) -> Outcome {
    Outcome::Failed(Failure::new(fault, "test"))
}

fn verdicts(queue: &mut Queue) -> Vec<(u64, Verdict)> {
    queue
        .take_settled()
        .into_iter()
        .map(|s| (s.number, s.verdict))
        .collect()
}

#[test]
fn lanes_keep_their_order_and_do_not_wait_for_each_other() {
    let mut q = Queue::new(rules(), 1);
    q.accept(vec![
        alert(1, "a"),
        alert(2, "a"),
        alert(3, "b"),
        alert(4, "a"),
    ]);
    assert_eq!(
        (pick(&mut q, 0), pick(&mut q, 0), pick(&mut q, 0)),
        (Some(1), Some(3), None)
    );
    q.sent(1, &fail(Fault::Server), WallTime(0));
    assert_eq!(pick(&mut q, 0), None, "2 does not overtake 1");
    assert_eq!(pick(&mut q, 1000), Some(1));
    q.sent(1, &Outcome::Delivered, WallTime(1000));
    q.sent(3, &Outcome::Delivered, WallTime(1000));
    assert_eq!((pick(&mut q, 1000), pick(&mut q, 1000)), (Some(2), None));
    q.sent(2, &Outcome::Delivered, WallTime(1000));
    assert_eq!(pick(&mut q, 1000), Some(4));
    q.sent(4, &Outcome::Delivered, WallTime(1000));
    assert!(q.is_empty() && q.lanes.is_empty() && q.ready.is_empty() && q.under_way() == 0);
    let done: Vec<u64> = verdicts(&mut q).into_iter().map(|v| v.0).collect();
    assert_eq!(done, [1, 3, 2, 4]);
    q.accept(vec![alert(3, "b"), alert(5, "b")]);
    assert_eq!(q.len(), 1, "what was accepted once is not accepted again");
}

#[test]
fn concurrency_is_bounded() {
    let mut q = Queue::new(rules(), 1);
    q.accept((1..=9).map(|n| alert(n, &format!("l{n}"))).collect());
    let picked = std::iter::from_fn(|| pick(&mut q, 0)).count();
    assert_eq!(picked, 4);
}

#[test]
fn expired_and_protected_actions_are_not_sent() {
    let mut q = Queue::new(rules(), 1);
    q.accept(vec![
        message(1, "a", Some("block a"), 0, Some(100)),
        message(2, "b", Some("block b"), 0, Some(900)),
    ]);
    let refuse = |c: &Concern| (c.target.value == "b").then(|| "on the allow-list".to_owned());
    assert_eq!(q.next(WallTime(100), &refuse), Pick::Wait(None));
    assert_eq!(
        verdicts(&mut q),
        [
            (1, Verdict::Expired),
            (2, Verdict::Refused("on the allow-list".into()))
        ]
    );
}

#[test]
fn an_undo_is_sent_even_for_a_protected_target() {
    let mut q = Queue::new(rules(), 1);
    let mut undo = message(1, "a", Some("block a"), 0, None);
    undo.draft.kind = Kind::ActionReverted;
    q.accept(vec![undo]);
    assert!(matches!(
        q.next(WallTime(0), &|_| Some("no".into())),
        Pick::Send(_)
    ));
}

#[test]
fn a_message_that_is_not_taken_is_given_up_and_the_next_goes() {
    let mut q = Queue::new(rules(), 1);
    q.accept(vec![alert(1, "a"), alert(2, "a")]);
    let mut now = 0;
    for _ in 0..5 {
        while pick(&mut q, now).is_none() {
            now += 100;
        }
        q.sent(1, &fail(Fault::Message), WallTime(now));
        assert!(!q.is_down(), "the endpoint answers");
    }
    let done = verdicts(&mut q);
    assert!(
        matches!(&done[..], [(1, Verdict::Dead(why))] if why.contains("5 attempts")),
        "{done:?}"
    );
    assert_eq!(pick(&mut q, now), Some(2));
}

#[test]
fn a_poisonous_message_among_good_ones_is_given_up() {
    let mut q = Queue::new(rules(), 1);
    q.accept(vec![alert(1, "poison")]);
    let (mut now, mut next, mut dead) = (0i64, 2, false);
    while now < 600_000 && !dead {
        q.accept(vec![alert(next, "good")]);
        next += 1;
        while let Some(number) = pick(&mut q, now) {
            let outcome = if number == 1 {
                fail(Fault::Server)
            } else {
                Outcome::Delivered
            };
            q.sent(number, &outcome, WallTime(now));
        }
        dead = verdicts(&mut q).iter().any(|v| v.0 == 1);
        now += 1000;
    }
    assert!(dead, "given up after {now} ms");
}

#[test]
fn a_dead_endpoint_is_probed_one_at_a_time() {
    let mut q = Queue::new(rules(), 1);
    q.accept((1..=50).map(|n| alert(n, &format!("l{n}"))).collect());
    let (mut attempts, mut gaps, mut last) = (0, Vec::new(), 0);
    for now in (0..600_000).step_by(100) {
        while let Some(number) = pick(&mut q, now) {
            attempts += 1;
            if q.is_down() {
                gaps.push(now - last);
                last = now;
                assert_eq!(q.under_way(), 1);
            }
            q.sent(number, &fail(Fault::Connection), WallTime(now));
        }
    }
    assert!(q.is_down());
    assert!(
        (20..60).contains(&attempts),
        "{attempts} attempts in 10 minutes"
    );
    assert!(gaps.iter().all(|gap| *gap <= 30_100), "{gaps:?}");
    assert_eq!(q.len(), 50, "nothing is given up for the endpoint's fault");
}

#[test]
fn retry_after_is_honoured_by_the_whole_endpoint() {
    let mut q = Queue::new(rules(), 1);
    q.accept(vec![alert(1, "a"), alert(2, "b")]);
    assert_eq!(pick(&mut q, 0), Some(1));
    let busy = Failure {
        retry_after: Some(Span::seconds(100)),
        ..Failure::new(Fault::Busy, "429")
    };
    q.sent(1, &Outcome::Failed(busy), WallTime(0));
    assert_eq!(pick(&mut q, 99_999), None);
    assert_eq!(
        q.next(WallTime(50_000), &|_| None),
        Pick::Wait(Some(WallTime(100_000)))
    );
    assert!(pick(&mut q, 100_000).is_some());
}

#[test]
fn gone_disables() {
    let mut q = Queue::new(rules(), 1);
    q.accept(vec![alert(1, "a"), alert(2, "b")]);
    assert_eq!(pick(&mut q, 0), Some(1));
    q.sent(1, &fail(Fault::Gone), WallTime(0));
    assert!(q.is_disabled());
    assert_eq!(pick(&mut q, 1_000_000), None);
    q.sweep(WallTime(Span::hours(24).0));
    assert_eq!(verdicts(&mut q).len(), 2, "given up when too old");
}

/// T11: down for an hour under load, then up.
#[test]
fn an_hour_of_outage() {
    let mut q = Queue::new(
        Rules {
            concurrency: 8,
            ..rules()
        },
        7,
    );
    let down = 60_000i64..60_000 + 3_600_000;
    let (mut number, mut under_way) = (0u64, Vec::<(i64, Arc<Message>)>::new());
    let mut delivered: Vec<(i64, Message)> = Vec::new();
    let (mut made, mut most) = (BTreeMap::new(), 0);
    let mut now = 0i64;
    while now < down.end + 120_000 {
        if now % 1000 == 0 && now < down.end {
            let target = format!("t{}", (now / 1000) % 40);
            for ends in [now + 900_000, now + 86_400_000] {
                number += 1;
                let m = message(
                    number,
                    &target,
                    Some(&format!("{ends} {target}")),
                    now,
                    Some(ends),
                );
                made.insert(number, m.clone());
                q.accept(vec![m]);
            }
            number += 1;
            let m = message(number, &format!("alert{number}"), None, now, None);
            made.insert(number, m.clone());
            q.accept(vec![m]);
        }
        let (done, rest) = under_way.into_iter().partition(|(at, _)| *at <= now);
        under_way = rest;
        for (_, m) in done {
            let up = !down.contains(&now);
            if up {
                delivered.push((now, (*m).clone()));
            }
            let outcome = if up {
                Outcome::Delivered
            } else {
                fail(Fault::Connection)
            };
            q.sent(m.number, &outcome, WallTime(now));
        }
        while let Pick::Send(m) = q.next(WallTime(now), &|_| None) {
            under_way.push((now + 20, m));
        }
        if now % 2000 == 0 {
            q.sweep(WallTime(now));
        }
        most = most.max(q.len());
        now += 20;
    }
    let settled = verdicts(&mut q);
    assert!(q.is_empty(), "all settled: {} left", q.len());
    assert_eq!(settled.len(), made.len(), "each message ends once");
    let last = delivered.iter().map(|d| d.0).max().unwrap();
    assert!(
        last <= down.end + 60_000,
        "caught up {} ms after recovery",
        last - down.end
    );
    assert!(
        delivered
            .iter()
            .all(|(at, m)| m.draft.expires_at.is_none_or(|end| end.0 > *at))
    );
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, m) in &delivered {
        let before = seen.insert(&m.draft.lane, m.number);
        assert!(before.is_none_or(|b| b < m.number), "order within a lane");
    }
    let alerts = |n: &u64| made[n].draft.slot.is_none();
    for (n, verdict) in &settled {
        if alerts(n) {
            assert_eq!(*verdict, Verdict::Delivered, "no alert is lost");
        }
    }
    assert!(settled.iter().any(|v| v.1 == Verdict::Expired));
    assert!(most < 12_000);
}

#[test]
fn an_outage_coalesces_to_the_latest_of_a_slot() {
    let mut q = Queue::new(rules(), 1);
    let action = |n, verb: &str| message(n, "t", Some(&format!("{verb} t")), 0, None);
    q.accept(vec![
        action(1, "block"),
        action(2, "block"),
        action(3, "revoke"),
        action(4, "block"),
    ]);
    for _ in 0..3 {
        let mut now = 0;
        while pick(&mut q, now).is_none() {
            now += 500;
        }
        let n = *q.entries.iter().find(|(_, e)| e.under_way).unwrap().0;
        q.sent(n, &fail(Fault::Connection), WallTime(now));
    }
    q.sweep(WallTime(0));
    let mut done = verdicts(&mut q);
    done.sort_by_key(|v| v.0);
    assert_eq!(
        done,
        [(1, Verdict::Coalesced(4)), (2, Verdict::Coalesced(4))]
    );
    assert_eq!(
        pick(&mut q, 100_000),
        Some(3),
        "another verb is not replaced"
    );
}

#[test]
fn without_an_outage_every_state_is_told() {
    let mut q = Queue::new(rules(), 1);
    let action = |n| message(n, "t", Some("block t"), 0, None);
    q.accept(vec![action(1), action(2), action(3)]);
    for n in 1..=3 {
        assert_eq!(pick(&mut q, 10), Some(n));
        q.sent(n, &Outcome::Delivered, WallTime(10));
    }
}

#[test]
fn alerts_that_gave_way_are_not_sent_and_actions_stay() {
    let mut q = Queue::new(rules(), 1);
    let action = message(2, "t", Some("block t"), 0, None);
    let alerts = [alert(1, "a"), action, alert(3, "a"), alert(4, "a")];
    q.accept(alerts.to_vec());
    assert_eq!(pick(&mut q, 10), Some(1));
    // The first is under way: what comes of it is no longer asked.
    q.give_way(3);
    assert_eq!(q.len(), 3);
    q.sent(1, &fail(Fault::Connection), WallTime(10));
    q.give_way(3);
    assert_eq!((q.len(), q.under_way()), (2, 0));
    let mut next = || pick(&mut q, 10_000);
    assert_eq!([next(), next(), next()], [Some(2), Some(4), None]);
}
