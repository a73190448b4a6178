//! `tidegate demo`: everything on this machine, with an attack in it; tells what happens.

use std::io::Write;
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value as Json;

use super::output::{Format, json_line, note, stdout};
use super::{DOES_NOT_HOLD, Outcome};
use crate::app::demo::{Ledger, Received, Stage, Traffics, attack_begin, ending_now};
use crate::model::EventTime;
use crate::simulate::{Options, Scenario};
use crate::telemetry::{escape::escape, log};

/// Watch an attack being found and contained; needs nothing installed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate demo
  tidegate demo --scenario reset-flood --seed 7 --speed 20 --open")]
pub struct Args {
    /// Which story; `tidegate simulate --list` shows them
    #[arg(long, value_name = "NAME", default_value = "incident-2026")]
    scenario: Scenario,
    /// Another telling of the same story
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many times faster than the clock event time runs during the attack
    #[arg(long, value_name = "X", default_value_t = 120.0)]
    speed: f64,
    /// Leave the daemon and its console running at the end, until Ctrl-C
    #[arg(long)]
    open: bool,
    /// Form of the result
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

/// What the demo measured, in the traffic's event time unless it says otherwise.
#[derive(Debug, Default, Serialize)]
struct Measured {
    attack_begins: Option<EventTime>,
    first_alert: Option<EventTime>,
    first_alert_by: Option<String>,
    first_alert_wall_seconds: Option<f64>,
    mttd_seconds: Option<f64>,
    mttc_seconds: Option<f64>,
    alert_to_action_ms: Option<f64>,
    alerts: usize,
    actions: usize,
    signatures_verified: usize,
    signatures_rejected: u64,
    events: u64,
    mails_sent: u64,
    mails_prevented: u64,
    requests_refused: u64,
    /// Mails of everyone else that waited while mail was held.
    mails_of_others_held: u64,
}

pub fn run(args: &Args) -> Outcome {
    let began = Instant::now();
    let filter = "error".to_owned();
    log::start(&log::Settings {
        json: false,
        filter,
        plain: true,
    })?;
    if !(args.speed.is_finite() && args.speed >= 0.1) {
        note("tidegate: --speed must be at least 0.1");
        return Ok(2);
    }
    let options = ending_now(Options::new(args.scenario, args.seed, 20_000));
    let attack = attack_begin(&options).map(EventTime);
    let dir = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let stage = Stage::set(&dir)?;
    let mut out = stdout();
    let people = args.output == Format::Human;
    if people {
        writeln!(out, "tidegate demo: {} (seed {})", args.scenario, args.seed)?;
        writeln!(
            out,
            "  an embedded Kafka, simulated traffic, the daemon, and a receiver that verifies signatures"
        )?;
        writeln!(out, "  console  http://{}/\n", stage.daemon.address())?;
        out.flush()?;
    }
    let mut told = Told {
        began,
        attack,
        next: 0,
        attack_told: false,
        people,
    };
    let traffic = stage.play(&options, args.speed, |book, so_far| {
        told.tell(&mut out, book, so_far)
    })?;
    let book = stage.book();
    let measured = {
        let book = book
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        measure(&book, &traffic, attack, began)
    };
    match args.output {
        Format::Human => conclude(&mut out, &measured)?,
        Format::Json | Format::Ndjson => json_line(&mut out, &measured)?,
    }
    out.flush()?;
    if args.open {
        note(&format!(
            "the console stays at http://{}/ until Ctrl-C",
            stage.daemon.address()
        ));
        stage
            .daemon
            .runtime()
            .block_on(async { tokio::signal::ctrl_c().await })?;
    }
    stage.daemon.stop()?;
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    let found = attack.is_none() || measured.first_alert.is_some();
    Ok(if found { 0 } else { DOES_NOT_HOLD })
}

/// Tells the story as it happens.
struct Told {
    began: Instant,
    attack: Option<EventTime>,
    next: usize,
    attack_told: bool,
    people: bool,
}

impl Told {
    fn tell(&mut self, out: &mut impl Write, book: &Ledger, so_far: &Traffics) {
        if !self.people {
            return;
        }
        if let Some(attack) = self.attack.filter(|_| !self.attack_told) {
            self.attack_told = true;
            let _closed = writeln!(
                out,
                "{}  the attack begins ({} events of everyday traffic before it)",
                clock(attack),
                so_far.sent
            );
        }
        for received in book.received.get(self.next..).unwrap_or_default() {
            if let Some(line) = line(received, self.began) {
                let _closed = writeln!(out, "{line}");
            }
        }
        self.next = book.received.len();
        let _closed = out.flush();
    }
}

fn clock(time: EventTime) -> String {
    time.to_string().get(11..19).unwrap_or_default().to_owned()
}

fn line(received: &Received, began: Instant) -> Option<String> {
    let text = |v: &Json| escape(v.as_str().unwrap_or_default()).into_owned();
    let data = &received.data;
    let wall = received.at.duration_since(began).as_secs_f64();
    match received.kind.as_str() {
        "tidegate.alert.opened.v1" => {
            let time = text(&data["time"]);
            let level = text(&data["detector"]["level"]);
            Some(format!(
                "{}  ALERT   {:<8} {}  [{wall:.1} s]",
                time.get(11..19)?,
                level,
                text(&data["summary"])
            ))
        }
        "tidegate.action.requested.v1" => {
            let how = if data["simulated"].as_bool() == Some(true) {
                "simulated"
            } else {
                "real"
            };
            let (verb, target) = (text(&data["verb"]), text(&data["target"]["value"]));
            let until = text(&data["expires_at"]);
            let until = until.get(11..19).unwrap_or_default();
            Some(format!(
                "{}  ACTION  {verb} {target} until {until}, {how}; delivered, signature verified  [{wall:.1} s]",
                clock(received.event_now)
            ))
        }
        _ => None,
    }
}

fn measure(
    book: &Ledger,
    traffic: &Traffics,
    attack: Option<EventTime>,
    began: Instant,
) -> Measured {
    let of = |kind: &str| {
        book.received
            .iter()
            .filter(move |r| r.kind == kind)
            .collect::<Vec<_>>()
    };
    let (alerts, actions) = (
        of("tidegate.alert.opened.v1"),
        of("tidegate.action.requested.v1"),
    );
    let time = |r: &Received| EventTime::parse(r.data["time"].as_str().unwrap_or_default());
    let since = |t: EventTime| attack.map(|a| seconds((t - a).0));
    let after = |t: &EventTime| attack.is_some_and(|a| *t >= a);
    let first = alerts
        .iter()
        .filter(|r| time(r).is_some_and(|t| after(&t)))
        .min_by_key(|r| r.at)
        .copied();
    let acted = actions
        .iter()
        .filter(|r| after(&r.event_now))
        .min_by_key(|r| r.at)
        .copied();
    let cause = acted.and_then(|a| {
        let alert = a.data["reason"]["alerts"][0].as_str()?;
        alerts
            .iter()
            .find(|r| r.data["alert_id"].as_str() == Some(alert))
            .copied()
    });
    Measured {
        attack_begins: attack,
        first_alert: first.and_then(time),
        first_alert_by: first.and_then(|r| r.data["detector"]["name"].as_str().map(str::to_owned)),
        first_alert_wall_seconds: first.map(|r| r.at.duration_since(began).as_secs_f64()),
        mttd_seconds: first.and_then(time).and_then(since),
        mttc_seconds: acted.and_then(|r| since(r.event_now)),
        alert_to_action_ms: acted.zip(cause).map(|(a, c)| {
            let gap = a.at.max(c.at).duration_since(a.at.min(c.at));
            gap.as_secs_f64() * 1000.0
        }),
        alerts: alerts.len(),
        actions: actions.len(),
        signatures_verified: book.received.len(),
        signatures_rejected: book.rejected,
        events: traffic.sent,
        mails_sent: traffic.mails_sent,
        mails_prevented: traffic.mails_prevented,
        requests_refused: traffic.requests_refused,
        mails_of_others_held: traffic.mails_honest_prevented,
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of a demo")]
fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn conclude(out: &mut impl Write, m: &Measured) -> std::io::Result<()> {
    writeln!(out)?;
    let Some(attack) = m.attack_begins else {
        return writeln!(out, "no attack in this story; {} alerts", m.alerts);
    };
    writeln!(out, "attack begins        {}", clock(attack))?;
    match (&m.first_alert_by, m.first_alert, m.first_alert_wall_seconds) {
        (Some(by), Some(at), Some(wall)) => {
            writeln!(
                out,
                "first alert          {} by {by}, {wall:.1} s after this command began",
                clock(at)
            )?;
        }
        _ => writeln!(out, "first alert          none: the attack was not found")?,
    }
    let show = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.1} s"));
    writeln!(
        out,
        "MTTD                 {} of event time, first event of the attack to the alert",
        show(m.mttd_seconds)
    )?;
    writeln!(
        out,
        "MTTC                 {} of event time, to the action delivered and verified",
        show(m.mttc_seconds)
    )?;
    if let Some(ms) = m.alert_to_action_ms {
        writeln!(
            out,
            "alert and action     arrived {ms:.0} ms apart by the clock"
        )?;
    }
    writeln!(
        out,
        "mails of the attack  {} sent, {} prevented ({} requests refused)",
        m.mails_sent, m.mails_prevented, m.requests_refused
    )?;
    writeln!(
        out,
        "mails of others      {} held back meanwhile",
        m.mails_of_others_held
    )?;
    writeln!(
        out,
        "delivered            {} alerts, {} actions; {} signatures verified, {} rejected",
        m.alerts, m.actions, m.signatures_verified, m.signatures_rejected
    )?;
    writeln!(out, "events               {}", m.events)
}
