//! `tidegate detectors tune`: a bound from recorded events, and what a few bounds would have meant.

use std::io::Write;
use std::time::Duration;

use serde_json::{Value, json};

use crate::app::stage::{Fate, Stage};
use crate::app::tuning::{Jump, Maxima, Versions, above, jump, quantile, rises, window};
use crate::cli::Failure;
use crate::cli::input::{Inputs, load_detectors};
use crate::cli::output::{Format, Out, json_line};
use crate::engine::detector::plan::{Bound, Plan};
use crate::engine::exchange::{Origin, Routed};
use crate::engine::program::Program;
use crate::model::HashKey;
use crate::source::{Batch, Polled};

/// Propose a bound for a detector from recorded events
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidegate detectors tune reset-flood-ip --input last-week.jsonl.zst
  tidegate detectors tune reset-flood-ip --input last-week.jsonl --quantile 0.9999 -o json")]
pub struct Args {
    /// Its id or name
    id: String,
    #[command(flatten)]
    inputs: Inputs,
    /// The share of keys that should stay below the bound
    #[arg(long, value_name = "SHARE", default_value_t = 0.999, value_parser = parse_share)]
    quantile: f64,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

/// The quantiles whose bounds are tried, beside the one that is asked for.
const TRIED: [f64; 4] = [0.9, 0.99, 0.999, 1.0];

fn parse_share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "no share; write a number from 0 to 1, like 0.999".to_owned())
}

/// What is known of one bound.
struct Proposal {
    /// Its place among the detector's bounds.
    index: usize,
    name: String,
    now: Bound,
    keys: usize,
    quantiles: Vec<(f64, f64)>,
    proposed: f64,
    /// Where the proposal lies beyond a jump: the jump, the bound before it, and some keys beyond.
    apart: Option<(Jump, f64, Vec<String>)>,
    /// (bound, alerts)
    tried: Vec<(f64, u64)>,
}

pub fn run(args: &Args, out: &mut Out) -> Result<(), Failure> {
    if args.inputs.input.as_os_str() == "-" {
        let error = anyhow::anyhow!("tuning reads its input twice; name a file");
        return Err(Failure { code: 2, error });
    }
    let plan = load_detectors(args.inputs.detectors.as_deref())?.plan;
    let detector = find(&plan, &args.id)?;
    let refused = |why: &str| Failure {
        code: 2,
        error: anyhow::anyhow!("{} cannot be tuned: {why}", args.id),
    };
    let (aggregates, bounds) = window(&plan, detector).map_err(refused)?;
    let mut maxima = Maxima::new(&plan, detector).map_err(refused)?;
    let program = std::sync::Arc::clone(maxima.program());
    read(args, &program, |routed| maxima.take(routed))?;
    let mut proposals: Vec<Proposal> = Vec::new();
    for (index, bound) in bounds
        .iter()
        .enumerate()
        .filter(|(_, b)| rises(b, aggregates))
    {
        let sorted = maxima.of(bound.aggregate);
        let name = aggregates.get(bound.aggregate);
        let quantiles = [0.5].into_iter().chain(TRIED);
        let reached = quantile(&sorted, args.quantile);
        let apart = jump(&sorted, bound).filter(|j| reached >= j.from);
        proposals.push(Proposal {
            index,
            name: name.map_or_else(String::new, |a| a.name.clone()),
            now: *bound,
            keys: sorted.len(),
            quantiles: quantiles.map(|q| (q, quantile(&sorted, q))).collect(),
            proposed: above(reached, bound),
            apart: apart.map(|j| (j, above(j.below, bound), Vec::new())),
            tried: Vec::new(),
        });
    }
    let hours = try_out(args, &plan, detector, bounds, &mut proposals)?;
    let name = plan.detectors.get(detector).map_or("", |d| d.name.as_str());
    match args.output {
        Format::Human => print(out, name, args.quantile, hours, &proposals)?,
        Format::Json => json_line(
            out,
            &json!({"detector": name, "hours": hours, "bounds": proposals.iter().map(shown).collect::<Vec<_>>()}),
        )?,
        Format::Ndjson => proposals
            .iter()
            .try_for_each(|p| json_line(out, &shown(p)))?,
    }
    Ok(())
}

fn find(plan: &Plan, id: &str) -> Result<usize, Failure> {
    let mut all = plan.detectors.iter();
    all.position(|d| d.id == id || d.name == id)
        .ok_or_else(|| Failure {
            code: 2,
            error: anyhow::anyhow!(
                "no detector has the id or name {id}; `tidegate detectors list` shows them"
            ),
        })
}

/// Runs the detector with each bound to try, all at once; the hours the input covers.
fn try_out(
    args: &Args,
    plan: &Plan,
    detector: usize,
    bounds: &[Bound],
    proposals: &mut [Proposal],
) -> Result<f64, Failure> {
    let mut versions = Vec::new();
    let mut places = Vec::new();
    for (p, proposal) in proposals.iter().enumerate() {
        let now = proposal.now.value;
        let others = proposal.quantiles.iter().skip(1);
        let mut values: Vec<f64> = others.map(|(_, v)| above(*v, &proposal.now)).collect();
        values.extend([now, proposal.proposed, 2.0 * proposal.proposed]);
        values.extend(proposal.apart.as_ref().map(|(_, before, _)| *before));
        values.sort_by(f64::total_cmp);
        values.dedup();
        for value in values {
            let mut version = bounds.to_vec();
            if let Some(bound) = version.get_mut(proposal.index) {
                bound.value = value;
            }
            versions.push(version);
            places.push((p, value));
        }
    }
    let mut versions = Versions::new(plan, detector, &versions);
    let program = std::sync::Arc::clone(versions.program());
    read(args, &program, |routed| versions.take(routed))?;
    let told = versions.alerts().iter().zip(versions.named());
    for ((p, value), (alerts, named)) in places.into_iter().zip(told) {
        let Some(proposal) = proposals.get_mut(p) else {
            continue;
        };
        proposal.tried.push((value, *alerts));
        if let Some((_, _, keys)) = proposal.apart.as_mut().filter(|a| a.1 == value) {
            *keys = named.iter().cloned().collect();
        }
    }
    Ok(versions.hours())
}

/// Sends each event of the input through stage 1.
fn read(
    args: &Args,
    program: &std::sync::Arc<Program>,
    mut take: impl FnMut(&Routed),
) -> Result<(), Failure> {
    let tables = args.inputs.tables(&HashKey::fixed())?;
    let mut stage = Stage::new(program, program.projection(&tables.needs()), tables);
    let (mut source, mut batch) = (args.inputs.source()?, Batch::default());
    let mut routed = Routed::default();
    while source.poll(&mut batch, Duration::from_secs(60))? != Polled::End || !batch.is_empty() {
        for record in batch.records() {
            let origin = Origin {
                source: 0,
                partition: 0,
                offset: record.offset,
            };
            stage.each(record.payload, args.inputs.schema.0, |fate, router| {
                if let Fate::Event(event) = fate {
                    routed.clear();
                    // The first time of all would wait for a second event to confirm it.
                    router.route(event, origin, record.offset == 1, &mut routed);
                    take(&routed);
                }
            });
        }
        batch.clear();
    }
    Ok(())
}

fn print(
    out: &mut impl Write,
    name: &str,
    share: f64,
    hours: f64,
    proposals: &[Proposal],
) -> std::io::Result<()> {
    writeln!(out, "{name}, over {hours:.1} hours of events")?;
    for p in proposals {
        let op = p.now.op.name();
        writeln!(out, "\n{} {op} {}: {} keys", p.name, p.now.value, p.keys)?;
        let told: Vec<String> = (p.quantiles.iter())
            .map(|(q, v)| {
                if *q < 1.0 {
                    format!("{q}: {v}")
                } else {
                    format!("most: {v}")
                }
            })
            .collect();
        writeln!(
            out,
            "  the most a key reached, by share of keys  {}",
            told.join("  ")
        )?;
        writeln!(out, "  proposed for {share}: {{{op}: {}}}", p.proposed)?;
        if let Some((jump, before, keys)) = &p.apart {
            writeln!(
                out,
                "  beware: {} keys reached {} or more, all others at most {}; if they are the attack, it is\n  \
                 {{{op}: {before}}} that finds it: {}",
                jump.keys,
                jump.from,
                jump.below,
                keys.join(", ")
            )?;
        }
        writeln!(out, "  {:>12} {:>8} {:>10}", "bound", "alerts", "an hour")?;
        for (value, alerts) in &p.tried {
            let marks = [(p.now.value, "now"), (p.proposed, "proposed")];
            let marks: Vec<&str> = marks
                .iter()
                .filter(|(v, _)| v == value)
                .map(|(_, word)| *word)
                .collect();
            #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
            let rate = *alerts as f64 / hours;
            writeln!(
                out,
                "  {value:>12} {alerts:>8} {rate:>10.1}  {}",
                marks.join(", ")
            )?;
        }
    }
    Ok(())
}

fn shown(p: &Proposal) -> Value {
    let quantiles: Vec<Value> = p
        .quantiles
        .iter()
        .map(|(q, v)| json!({"share": q, "value": v}))
        .collect();
    let tried: Vec<Value> = p
        .tried
        .iter()
        .map(|(b, n)| json!({"bound": b, "alerts": n}))
        .collect();
    let apart = p.apart.as_ref().map(|(jump, before, keys)| {
        json!({
            "below": jump.below, "from": jump.from, "keys": jump.keys, "bound": before,
            "named": keys,
        })
    });
    json!({
        "apart": apart, "number": p.name, "op": p.now.op.name(), "now": p.now.value, "keys": p.keys,
        "proposed": p.proposed, "quantiles": quantiles, "tried": tried,
    })
}
