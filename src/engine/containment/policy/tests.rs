use super::*;
use crate::engine::alert::{DetectorRef, Number, Pairs, Window};
use crate::engine::containment::Scope;
use crate::engine::containment::allow::{AllowEntry, AllowSettings};
use crate::model::{EventTime, Level};
use proptest::prelude::*;
use settings::{Budgets, Enforcement, KillSwitch};

type Key<'a> = &'a [(&'a str, &'a str)];

fn alert(id: u8, revision: u32, key: Key<'_>) -> Alert {
    let pairs = key
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Alert {
        alert_id: Id([id; 32]),
        revision,
        status: Status::Open,
        detector: DetectorRef {
            id: "d".into(),
            name: "d".into(),
            version: 1,
            level: Level::High,
        },
        time: EventTime(0),
        key: Pairs(pairs),
        observed: Pairs::default(),
        bound: Pairs::default(),
        window: Window {
            start: EventTime(0),
            end: EventTime(0),
        },
        first: EventTime(0),
        last: EventTime(0),
        events: 1,
        error: None,
        summary: String::new(),
        mode: Mode::Contain,
        tags: Vec::new(),
        runbook: None,
        actions: Vec::new(),
        positions: Vec::new(),
        peak: Number(0.0),
        context: Pairs::default(),
        suppressed: 0,
        silenced: None,
    }
}

fn detector(id: &str, respond: &[(Verb, Option<&str>, i64)]) -> Detector {
    Detector {
        id: id.into(),
        mode: Mode::Contain,
        respond: respond
            .iter()
            .map(|(verb, target, minutes)| Respond {
                verb: *verb,
                target: target.map(str::to_owned),
                ttl: Span::minutes(*minutes),
            })
            .collect(),
        ..Detector::default()
    }
}

fn enforcing() -> Settings {
    Settings {
        mode: Enforcement::Enforce,
        ..Settings::default()
    }
}

fn policy(settings: Settings) -> Policy {
    Policy::new(settings, &HashKey::fixed()).unwrap()
}

fn steps(plan: &ActionPlan) -> Vec<Step> {
    plan.changes().iter().map(|c| c.step).collect()
}

fn whys(plan: &ActionPlan) -> Vec<Withheld> {
    plan.omissions().iter().map(|o| o.why).collect()
}

const NOW: WallTime = WallTime(1_000_000_000);
const IP: Key<'_> = &[("source.ip", "203.0.113.7")];
const BLOCK_IP: &[(Verb, Option<&str>, i64)] = &[(Verb::Block, Some("source.ip"), 15)];

#[test]
fn shadow_is_the_default_and_real_needs_both() {
    let both = [
        (Enforcement::Shadow, Mode::Contain),
        (Enforcement::Enforce, Mode::Shadow),
    ];
    for (mode, detector_mode) in both {
        let mut d = detector("d", BLOCK_IP);
        d.mode = detector_mode;
        let p = policy(Settings {
            mode,
            ..Settings::default()
        });
        let plan = p.decide(&mut State::default(), &alert(1, 0, IP), &d, NOW);
        assert!(plan.changes()[0].record.action.simulated);
    }
    let d = detector("d", BLOCK_IP);
    let plan = policy(enforcing()).decide(&mut State::default(), &alert(1, 0, IP), &d, NOW);
    let action = &plan.changes()[0].record.action;
    assert!(!action.simulated);
    assert_eq!(
        action.target,
        Target {
            scope: Scope::Ip,
            value: "203.0.113.7".into()
        }
    );
    assert_eq!(action.expires_at, NOW + Span::minutes(15));
    assert_eq!((action.seq, plan.actions()), (1, &[action.action_id][..]));
    let mut quiet = detector("d", BLOCK_IP);
    quiet.mode = Mode::Alert;
    assert!(
        policy(enforcing())
            .decide(&mut State::default(), &alert(1, 0, IP), &quiet, NOW)
            .is_empty()
    );
    assert_eq!(Settings::default().mode, Enforcement::Shadow);
}

#[test]
fn a_preview_changes_nothing_and_an_incident_is_named() {
    let (p, d, mut state) = (
        policy(enforcing()),
        detector("d", BLOCK_IP),
        State::default(),
    );
    let shown = p.preview(&state, &alert(1, 0, IP), &d, NOW);
    assert_eq!(state, State::default());
    assert_eq!(
        shown,
        p.decide(&mut state.clone(), &alert(1, 0, IP), &d, NOW)
    );
    let incident = Some(Id([9; 32]));
    let plan = p.decide_in(&mut state, &alert(1, 0, IP), &d, incident, NOW);
    assert_eq!(plan.changes()[0].record.action.reason.incident_id, incident);
}

#[test]
fn the_same_alert_extends_instead_of_asking_again() {
    let (p, d, mut state) = (
        policy(enforcing()),
        detector("d", BLOCK_IP),
        State::default(),
    );
    let first = p.decide(&mut state, &alert(1, 0, IP), &d, NOW);
    let id = first.actions()[0];
    let soon = p.decide(&mut state, &alert(1, 1, IP), &d, NOW + Span::seconds(5));
    assert_eq!(
        (steps(&soon), soon.actions()),
        (vec![], &[id][..]),
        "too little to tell"
    );
    let later = p.decide(&mut state, &alert(1, 2, IP), &d, NOW + Span::minutes(10));
    assert_eq!(steps(&later), [Step::Extended]);
    let action = &later.changes()[0].record.action;
    assert_eq!((action.action_id, action.seq), (id, 2));
    assert_eq!(action.expires_at, NOW + Span::minutes(25));
    let other = p.decide(&mut state, &alert(2, 0, IP), &d, NOW + Span::minutes(20));
    assert_eq!(steps(&other), [Step::Extended], "another alert, one action");
    assert_eq!(other.changes()[0].record.action.reason.alerts.len(), 2);
}

#[test]
fn a_lifetime_has_an_end() {
    let settings = Settings {
        lifetime_max: Span::hours(24),
        ..enforcing()
    };
    let (p, d, mut state) = (policy(settings), detector("d", BLOCK_IP), State::default());
    drop(p.decide(&mut state, &alert(1, 0, IP), &d, NOW));
    let mut now = NOW;
    for revision in 1..200 {
        now = now + Span::minutes(10);
        drop(p.decide(&mut state, &alert(1, revision, IP), &d, now));
        if state
            .active()
            .next()
            .is_none_or(|r| r.action.expires_at <= now)
        {
            break;
        }
    }
    assert!(now - NOW <= Span::hours(24));
    let over = p.tick(&mut state, NOW + Span::hours(24));
    assert_eq!(steps(&over), [Step::Expired]);
    let again = p.decide(&mut state, &alert(1, 900, IP), &d, NOW + Span::hours(25));
    assert_eq!(steps(&again), [Step::Requested]);
    assert_ne!(
        again.actions()[0],
        over.changes()[0].record.action.action_id
    );
}

#[test]
fn actions_expire_and_seq_rises() {
    let (p, d, mut state) = (
        policy(enforcing()),
        detector("d", BLOCK_IP),
        State::default(),
    );
    drop(p.decide(&mut state, &alert(1, 0, IP), &d, NOW));
    assert_eq!(state.next_end(), Some(NOW + Span::minutes(15)));
    assert!(p.tick(&mut state, NOW + Span::minutes(14)).is_empty());
    let plan = p.tick(&mut state, NOW + Span::minutes(15));
    assert_eq!(
        (steps(&plan), plan.changes()[0].record.action.seq),
        (vec![Step::Expired], 2)
    );
    assert_eq!(plan.changes()[0].record.phase, Phase::Expired);
    assert_eq!((state.next_end(), state.active().count()), (None, 0));
}

#[test]
fn the_allow_list_is_absolute() {
    let settings = Settings {
        allow: AllowSettings {
            cidrs: vec!["203.0.113.0/24".into()],
            accounts: vec!["vip".into()],
            asns: vec![64500],
            ..AllowSettings::default()
        },
        ..enforcing()
    };
    let p = policy(settings);
    let mut state = State::default();
    let cases: [(Key<'_>, &str, Verb); 4] = [
        (IP, "source.ip", Verb::Block),
        (&[("user.id", "VIP")], "user.id", Verb::RequireMfa),
        (
            &[("source.as.number", "AS64500")],
            "source.as.number",
            Verb::Throttle,
        ),
        (
            &[("source.ip", "198.51.100.1"), ("source.as.number", "64500")],
            "source.ip",
            Verb::Block,
        ),
    ];
    for (key, field, verb) in cases {
        let d = detector("d", &[(verb, Some(field), 5)]);
        let plan = p.decide(&mut state, &alert(1, 0, key), &d, NOW);
        assert_eq!(
            (whys(&plan), steps(&plan)),
            (vec![Withheld::Allowed], vec![]),
            "{field}"
        );
    }
}

#[test]
fn what_is_allowed_later_is_reverted() {
    let (mut p, d, mut state) = (
        policy(enforcing()),
        detector("d", BLOCK_IP),
        State::default(),
    );
    drop(p.decide(&mut state, &alert(1, 0, IP), &d, NOW));
    let entry = AllowEntry {
        scope: Scope::Ip,
        value: "203.0.113.7".into(),
        expires_at: None,
        added_by: "soc".into(),
        reason: "partner".into(),
        added_at: NOW,
        withheld: 0,
    };
    p.set_allow(AllowList::default().with_entries(&[entry]).0);
    let plan = p.tick(&mut state, NOW + Span::seconds(1));
    assert_eq!(steps(&plan), [Step::Reverted]);
    assert_eq!(
        p.decide(&mut state, &alert(1, 1, IP), &d, NOW).omissions()[0].why,
        Withheld::Allowed
    );
}

#[test]
fn budgets_withhold_and_recover() {
    let budgets = Budgets {
        actions_per_minute: 3,
        active_max_by_verb: BTreeMap::from([(Verb::Throttle, 4)]),
        ..Budgets::default()
    };
    let p = policy(Settings {
        budgets,
        ..enforcing()
    });
    let d = detector("d", &[(Verb::Throttle, Some("user.id"), 60)]);
    let mut state = State::default();
    let ask = |state: &mut State, n: u8, now| {
        let user = format!("u{n}");
        p.decide(state, &alert(n, 0, &[("user.id", &user)]), &d, now)
    };
    for n in 0..3 {
        assert_eq!(steps(&ask(&mut state, n, NOW)), [Step::Requested]);
    }
    assert_eq!(whys(&ask(&mut state, 3, NOW)), [Withheld::BudgetRate]);
    let minute = NOW + Span::minutes(1);
    assert_eq!(steps(&ask(&mut state, 3, minute)), [Step::Requested]);
    assert_eq!(whys(&ask(&mut state, 4, minute)), [Withheld::BudgetActive]);
    let mut shadow = d.clone();
    shadow.mode = Mode::Shadow;
    let plan = p.decide(
        &mut state,
        &alert(5, 0, &[("user.id", "u5")]),
        &shadow,
        minute,
    );
    assert_eq!(
        steps(&plan),
        [Step::Requested],
        "simulated ones have budgets of their own"
    );
}

#[test]
fn the_kill_switch_needs_two_detectors() {
    let p = policy(enforcing());
    let kill = |id| detector(id, &[(Verb::DisableFlow, None, 600)]);
    let mut state = State::default();
    let one = p.decide(&mut state, &alert(1, 0, &[]), &kill("a"), NOW);
    assert_eq!(steps(&one), [Step::Pending]);
    assert_eq!(Step::Pending.message(), None);
    let same = p.decide(
        &mut state,
        &alert(2, 0, &[]),
        &kill("a"),
        NOW + Span::minutes(1),
    );
    assert_eq!(
        (steps(&same), same.actions()),
        (vec![], one.actions()),
        "one detector stays one"
    );
    let two = p.decide(
        &mut state,
        &alert(3, 0, &[]),
        &kill("b"),
        NOW + Span::minutes(2),
    );
    assert_eq!(steps(&two), [Step::Requested]);
    let record = &two.changes()[0].record;
    assert_eq!((two.actions(), record.detectors.len()), (one.actions(), 2));
    assert_eq!(record.action.reason.alerts, [Id([1; 32]), Id([3; 32])]);
    assert_eq!(record.action.expires_at, NOW + Span::minutes(32), "capped");
    assert_eq!(state.pending().count(), 0);
}

#[test]
fn two_detectors_far_apart_are_not_two() {
    let p = policy(enforcing());
    let kill = |id| detector(id, &[(Verb::DisableFlow, None, 5)]);
    let mut state = State::default();
    drop(p.decide(&mut state, &alert(1, 0, &[]), &kill("a"), NOW));
    let late = p.decide(
        &mut state,
        &alert(2, 0, &[]),
        &kill("b"),
        NOW + Span::minutes(11),
    );
    assert_eq!(steps(&late), []);
    assert_eq!(
        steps(&p.tick(&mut state, NOW + Span::hours(1))),
        [Step::Denied]
    );
}

#[test]
fn a_human_approves_denies_and_reverts() {
    let p = policy(enforcing());
    let kill = detector("a", &[(Verb::DisableFlow, None, 5)]);
    let mut state = State::default();
    let id = p
        .decide(&mut state, &alert(1, 0, &[]), &kill, NOW)
        .actions()[0];
    assert_eq!(
        p.answer(&mut state, id, Answer::Revert, "", NOW),
        Err(Refusal::NotActive)
    );
    let yes = p
        .answer(
            &mut state,
            id,
            Answer::Approve,
            "by soc",
            NOW + Span::minutes(3),
        )
        .unwrap();
    assert_eq!(steps(&yes), [Step::Requested]);
    assert_eq!(
        yes.changes()[0].record.action.expires_at,
        NOW + Span::minutes(8)
    );
    assert_eq!(
        p.answer(&mut state, id, Answer::Approve, "", NOW),
        Err(Refusal::NotPending)
    );
    let back = p
        .answer(
            &mut state,
            id,
            Answer::Revert,
            "wrong",
            NOW + Span::minutes(4),
        )
        .unwrap();
    assert_eq!(steps(&back), [Step::Reverted]);
    let again = p.decide(&mut state, &alert(1, 1, &[]), &kill, NOW + Span::minutes(5));
    assert_eq!(whys(&again), [Withheld::HeldByHuman]);
    drop(p.tick(&mut state, NOW + Span::minutes(65)));
    let later = p.decide(
        &mut state,
        &alert(1, 2, &[]),
        &kill,
        NOW + Span::minutes(65),
    );
    assert_eq!(steps(&later), [Step::Pending]);
    let no = p
        .answer(
            &mut state,
            later.actions()[0],
            Answer::Deny,
            "no",
            NOW + Span::minutes(66),
        )
        .unwrap();
    assert_eq!(steps(&no), [Step::Denied]);
}

#[test]
fn what_can_be_spoofed_and_not_undone_waits() {
    let p = policy(enforcing());
    let user = [("user.id", "u")];
    for (verb, spoofable, want) in [
        (Verb::RevokeSessions, 3, Step::Pending),
        (Verb::Block, 3, Step::Pending),
        (Verb::Challenge, 3, Step::Requested),
        (Verb::RevokeSessions, 2, Step::Requested),
    ] {
        let mut d = detector("d", &[(verb, Some("user.id"), 5)]);
        d.spoofable = spoofable;
        let plan = p.decide(&mut State::default(), &alert(1, 0, &user), &d, NOW);
        assert_eq!(steps(&plan), [want], "{verb:?} {spoofable}");
    }
}

#[test]
fn a_stronger_action_takes_the_place_of_a_weaker() {
    let (p, mut state) = (policy(enforcing()), State::default());
    let with = |verb| detector("d", &[(verb, Some("source.ip"), 5)]);
    let weak = p.decide(&mut state, &alert(1, 0, IP), &with(Verb::Throttle), NOW);
    let mail = p.decide(&mut state, &alert(1, 0, IP), &with(Verb::HoldMail), NOW);
    assert_eq!(
        steps(&mail),
        [Step::Requested],
        "another kind stands beside it"
    );
    let strong = p.decide(&mut state, &alert(2, 0, IP), &with(Verb::Block), NOW);
    assert_eq!(steps(&strong), [Step::Superseded, Step::Requested]);
    let block = &strong.changes()[1].record.action;
    assert_eq!(block.supersedes, Some(weak.actions()[0]));
    let seqs: Vec<u64> = strong
        .changes()
        .iter()
        .map(|c| c.record.action.seq)
        .collect();
    assert!(seqs.is_sorted());
    let weak = p.decide(&mut state, &alert(3, 0, IP), &with(Verb::Challenge), NOW);
    assert_eq!(
        (whys(&weak), weak.actions()),
        (vec![Withheld::StrongerActive], &[block.action_id][..])
    );
    assert_eq!(state.active().count(), 2);
}

#[test]
fn enforcing_takes_the_place_of_simulating_and_never_the_reverse() {
    let (p, mut state) = (policy(enforcing()), State::default());
    let real = detector("real", BLOCK_IP);
    let mut shadow = detector("shadow", BLOCK_IP);
    shadow.mode = Mode::Shadow;
    let first = p.decide(&mut state, &alert(1, 0, IP), &shadow, NOW);
    let second = p.decide(&mut state, &alert(2, 0, IP), &real, NOW);
    assert_eq!(steps(&second), [Step::Superseded, Step::Requested]);
    assert_eq!(
        second.changes()[1].record.action.supersedes,
        Some(first.actions()[0])
    );
    let third = p.decide(
        &mut state,
        &alert(3, 0, IP),
        &shadow,
        NOW + Span::minutes(14),
    );
    assert_eq!(
        (steps(&third), third.actions()),
        (vec![], second.actions()),
        "not prolonged"
    );
}

#[test]
fn targets_are_clean_or_refused() {
    let p = policy(enforcing());
    for (field, value, want) in [
        ("source.ip", "::ffff:203.0.113.7", Ok("ip:203.0.113.7")),
        ("source.ip", "2001:DB8::1", Ok("ip:2001:db8::1")),
        ("source.ip", "evil; drop", Err(Withheld::InvalidTarget)),
        ("source.ip", "0.0.0.0", Err(Withheld::InvalidTarget)),
        ("source.cidr", "203.0.113.9/24", Ok("cidr:203.0.113.0/24")),
        ("source.cidr", "203.0.0.0/8", Err(Withheld::TooWide)),
        ("source.cidr", "2001:db8::/32", Err(Withheld::TooWide)),
        ("source.cidr", "::ffff:0:0/96", Err(Withheld::TooWide)),
        ("source.as.number", "AS64500", Ok("asn:64500")),
        ("source.geo.country_iso_code", "de", Ok("geo:DE")),
        ("user.id", "u1", Ok("account:u1")),
        ("user.id", "a\nb", Err(Withheld::InvalidTarget)),
        ("user.id", "  ", Err(Withheld::NoTarget)),
        ("token.id", "t", Ok("token:t")),
        ("device.id", "d", Err(Withheld::NoScope)),
    ] {
        let d = detector("d", &[(Verb::Throttle, Some(field), 5)]);
        let plan = p.decide(
            &mut State::default(),
            &alert(1, 0, &[(field, value)]),
            &d,
            NOW,
        );
        match want {
            Ok(text) => assert_eq!(plan.changes()[0].record.action.target.to_string(), text),
            Err(why) => assert_eq!(whys(&plan), [why], "{field} {value}"),
        }
    }
    let d = detector("d", &[(Verb::Throttle, Some("user.id"), 5)]);
    assert_eq!(
        whys(&p.decide(&mut State::default(), &alert(1, 0, IP), &d, NOW)),
        [Withheld::NoTarget]
    );
    let mut with_context = alert(1, 0, IP);
    with_context.context = Pairs(vec![("user.id".into(), "u9".into())]);
    let plan = p.decide(&mut State::default(), &with_context, &d, NOW);
    assert_eq!(plan.changes()[0].record.action.target.value, "u9");
}

#[test]
fn every_fault_of_the_settings_is_told() {
    let settings = Settings {
        ttl_min: Span::hours(2),
        widest_ipv4: 40,
        kill_switch: KillSwitch {
            detectors_min: 1,
            ..KillSwitch::default()
        },
        allow: AllowSettings {
            ips: vec!["x".into()],
            ..AllowSettings::default()
        },
        ..Settings::default()
    };
    assert_eq!(
        Policy::new(settings, &HashKey::fixed()).unwrap_err().len(),
        5
    );
    let text = r#"{"mode":"enforce","ttl_max":"2h","budgets":{"active_max_by_verb":{"block":5}}}"#;
    let read: Settings = serde_json::from_str(text).unwrap();
    assert_eq!(
        (read.ttl_max, read.budgets.active_max_of(Verb::Block)),
        (Span::hours(2), 5)
    );
    for bad in [
        r#"{"mod":"enforce"}"#,
        r#"{"ttl_max":"2"}"#,
        r#"{"mode":"on"}"#,
    ] {
        assert!(serde_json::from_str::<Settings>(bad).is_err(), "{bad}");
    }
    let back: Settings = serde_json::from_value(serde_json::to_value(&read).unwrap()).unwrap();
    assert_eq!(back, read);
}

#[derive(Clone, Debug)]
enum Deed {
    Alert {
        id: u8,
        ip: u8,
        verb: usize,
        detector: u8,
        real: bool,
    },
    Wait(i64),
    Answer(u8, usize),
    Restart,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        8 => (any::<u8>(), 0u8..6, 0usize..10, 0u8..3, any::<bool>())
            .prop_map(|(id, ip, verb, detector, real)| Deed::Alert { id, ip, verb, detector, real }),
        3 => (0i64..600_000).prop_map(Deed::Wait),
        1 => (0u8..3, 0usize..8).prop_map(|(a, n)| Deed::Answer(a, n)),
        1 => Just(Deed::Restart),
    ];
    proptest::collection::vec(deed, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_promises_hold_in_every_order(deeds in deeds()) {
        let budgets = Budgets { actions_per_minute: 6, active_max: 5, ..Budgets::default() };
        let allow = AllowSettings { ips: vec!["203.0.113.0".into()], ..AllowSettings::default() };
        let p = policy(Settings { budgets, allow, ..enforcing() });
        let (mut state, mut now, mut seq) = (State::default(), NOW, 0);
        let mut asked: Vec<(WallTime, bool)> = Vec::new();
        for (n, deed) in deeds.into_iter().enumerate() {
            let plan = match deed {
                Deed::Alert { id, ip, verb, detector: d, real } => {
                    let verb = Verb::ALL[verb].1;
                    let target = (verb != Verb::DisableFlow).then_some("source.ip");
                    let mut d = detector(&format!("d{d}"), &[(verb, target, 3)]);
                    if !real { d.mode = Mode::Shadow; }
                    let ip = format!("203.0.113.{ip}");
                    let a = alert(id, u32::try_from(n).unwrap(), &[("source.ip", &ip)]);
                    p.decide(&mut state, &a, &d, now)
                }
                Deed::Wait(ms) => { now = now + Span(ms); p.tick(&mut state, now) }
                Deed::Answer(a, n) => {
                    let all: Vec<Id> = state.active().chain(state.pending()).map(|r| r.action.action_id).collect();
                    let Some(id) = all.get(n) else { continue };
                    let answer = [Answer::Approve, Answer::Deny, Answer::Revert][usize::from(a)];
                    p.answer(&mut state, *id, answer, "", now).unwrap_or_default()
                }
                Deed::Restart => {
                    let journal = serde_json::to_string(state.journal()).unwrap();
                    let records = state.active().chain(state.pending()).cloned().collect();
                    let restored = State::restore(serde_json::from_str(&journal).unwrap(), records);
                    prop_assert_eq!(&restored, &state);
                    state = restored;
                    continue;
                }
            };
            for change in plan.changes() {
                prop_assert!(change.record.action.seq > seq, "seq rises");
                seq = change.record.action.seq;
                prop_assert!(change.record.action.target.value != "203.0.113.0", "allow-list");
                prop_assert!(!change.record.action.reason.alerts.is_empty(), "no action without alert");
                if change.step == Step::Requested && change.record.note.is_none() {
                    asked.push((now, change.record.action.simulated));
                }
            }
            for real in [false, true] {
                let recent = asked.iter().filter(|(at, s)| *s != real && (now - *at) < Span::minutes(1)).count();
                prop_assert!(recent <= 6, "budget per minute");
            }
            for r in state.active() {
                prop_assert!(r.action.expires_at - r.action.issued_at <= p.settings().lifetime_max);
            }
        }
    }
}

/// A response for a wider group of a roll-up is not for the narrower ones inside it, though their
/// alerts may show its name.
#[test]
fn a_roll_up_responds_for_the_group_it_tells_of() {
    let respond = [
        (Verb::Block, Some("source.ip"), 60),
        (Verb::Throttle, Some("source.as.number"), 60),
        (Verb::RequireMfa, None, 60),
    ];
    let rolled_up = Detector {
        roll_up: vec!["source.ip".into(), "source.as.number".into()],
        ..detector("d", &respond)
    };
    let mut of_address = alert(1, 0, &[("source.ip", "203.0.113.7")]);
    of_address.context = Pairs(vec![("source.as.number".into(), "64500".into())]);
    let of_system = alert(2, 0, &[("source.as.number", "64500")]);
    let asked = |alert: &Alert| -> Vec<Verb> {
        let mine = rolled_up
            .respond
            .iter()
            .filter(|r| rolled_up.asks(r, alert));
        mine.map(|r| r.verb).collect()
    };
    assert_eq!(asked(&of_address), [Verb::Block, Verb::RequireMfa]);
    assert_eq!(asked(&of_system), [Verb::Throttle, Verb::RequireMfa]);
}
