//! `tidegate silences` and `tidegate allow`: what people keep from being told, and from being acted
//! upon, on a running tidegate.
//!
//! Owns arguments, questions and tables; the running one decides.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::anyhow;
use clap::{Subcommand, ValueEnum};
use serde_json::{Value as Json, json};

use super::output::{Format, json_line, note, stdout};
use super::server::Server;
use super::{Failure, Outcome};
use crate::engine::alert::silence::{LASTS_DEFAULT, Matcher};
use crate::engine::containment::allow;
use crate::model::Span;
use crate::telemetry::escape::escape;

/// Mute alerts for a time: stored and counted, but neither told nor acted upon
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  tidegate silences add detector=reset-flood-ip 'source.ip=~203[.]0[.]113[.].*' \\
      --lasts 2h --author ada --comment 'load test, ticket 4711'
  tidegate silences list
  tidegate silences expire 1f0c33d2")]
pub enum Silences {
    /// Begin one; shows what it would have muted and asks first
    Add(Add),
    /// Those in force
    List(List),
    /// End one now: what it muted and is still open is told then
    Expire(Expire),
}

#[derive(Debug, clap::Args)]
pub struct Add {
    /// FIELD=VALUE, !=, =~ or !~ (a regex for the whole value); FIELD is detector, level, or one of
    /// the alert's key or context. All must hold
    #[arg(required = true, value_name = "MATCHER", value_parser = Matcher::parse)]
    matchers: Vec<Matcher>,
    /// Who asks for it
    #[arg(long, value_name = "NAME")]
    author: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// For how long, at most 30 days
    #[arg(long, value_name = "TIME", default_value_t = LASTS_DEFAULT, value_parser = span)]
    lasts: Span,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    server: Server,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// Those that have ended, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    server: Server,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

#[derive(Debug, clap::Args)]
pub struct Expire {
    /// Its id, or enough of its beginning
    id: String,
    #[command(flatten)]
    server: Server,
}

/// Keep containment off a target for a time, whatever detectors say; alerts about it are still told
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  tidegate allow add cidr 198.51.100.0/24 --lasts 8h --author ada --reason 'partner migrates'
  tidegate allow list
  tidegate allow expire 9b2e41aa")]
pub enum Allow {
    /// Protect a target; actions that stand on it are taken back
    Add(Protect),
    /// Entries in force; those of the configuration are not among them
    List(List),
    /// End an entry now
    Expire(Expire),
}

#[derive(Debug, clap::Args)]
pub struct Protect {
    scope: Scope,
    /// The address, range, number or id
    value: String,
    /// Who asks for it
    #[arg(long, value_name = "NAME")]
    author: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how long, at most 90 days; what is meant for good stands in the configuration
    #[arg(long, value_name = "TIME", default_value_t = allow::LASTS_DEFAULT, value_parser = span)]
    lasts: Span,
    #[command(flatten)]
    server: Server,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value = "human")]
    output: Format,
}

/// What an entry protects.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    Ip,
    Cidr,
    Asn,
    Geo,
    Account,
    Token,
    Flow,
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).ok_or_else(|| "no time; write it like 30m or 2h".to_owned())
}

const SILENCES: &str = "/api/v1/silences";
const ALLOW: &str = "/api/v1/allow";

pub fn silences(command: &Silences) -> Outcome {
    match command {
        Silences::Add(args) => add(args),
        Silences::List(args) => list(args, SILENCES, silence_line),
        Silences::Expire(args) => expire(args, SILENCES, "silence_id"),
    }
}

pub fn allow(command: &Allow) -> Outcome {
    match command {
        Allow::Add(args) => protect(args),
        Allow::List(args) => list(args, ALLOW, entry_line),
        Allow::Expire(args) => expire(args, ALLOW, "allow_id"),
    }
}

fn add(args: &Add) -> Outcome {
    let wanted = json!({
        "matchers": args.matchers, "author": args.author, "comment": args.comment,
        "lasts": args.lasts.to_string(),
    });
    let path = format!("{SILENCES}/preview");
    tell_preview(&args.server.ask("POST", &path, Some(&wanted))?);
    if !args.yes && !confirmed()? {
        return Ok(super::DOES_NOT_HOLD);
    }
    let made = args.server.ask("POST", SILENCES, Some(&wanted))?;
    show(&made, args.output, silence_line)
}

fn tell_preview(preview: &Json) {
    note(&format!(
        "it would have muted {} of the newest {} alerts, {} of them open",
        preview["muted"], preview["looked_at"], preview["open"]
    ));
    for alert in preview["newest"].as_array().into_iter().flatten() {
        let (time, summary) = (text(&alert["time"]), text(&alert["summary"]));
        note(&format!("  {time} {summary}"));
    }
}

fn confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        let error = anyhow!("nothing is muted: nobody is there to ask, add --yes");
        return Err(Failure { code: 2, error });
    }
    note("Mute from now on? [y/N]");
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

fn protect(args: &Protect) -> Outcome {
    let scope = args.scope.to_possible_value();
    let wanted = json!({
        "target": {"scope": scope.as_ref().map(|s| s.get_name()), "value": args.value},
        "author": args.author, "reason": args.reason, "lasts": args.lasts.to_string(),
    });
    let made = args.server.ask("POST", ALLOW, Some(&wanted))?;
    show(&made, args.output, entry_line)
}

fn show(item: &Json, form: Format, line: fn(&Json) -> String) -> Outcome {
    let mut out = stdout();
    match form {
        Format::Human => writeln!(out, "{}", line(item))?,
        Format::Json | Format::Ndjson => json_line(&mut out, item)?,
    }
    out.flush()?;
    Ok(0)
}

fn list(args: &List, path: &str, line: fn(&Json) -> String) -> Outcome {
    let page = args.server.ask("GET", path, None)?;
    let items = page["items"].as_array().into_iter().flatten();
    let wanted: Vec<&Json> = items
        .filter(|item| args.all || item["active"] == true)
        .collect();
    let mut out = stdout();
    match args.output {
        Format::Json => json_line(&mut out, &wanted)?,
        Format::Ndjson => wanted
            .iter()
            .try_for_each(|item| json_line(&mut out, item))?,
        Format::Human if wanted.is_empty() => writeln!(out, "none")?,
        Format::Human => wanted
            .iter()
            .try_for_each(|item| writeln!(out, "{}", line(item)))?,
    }
    out.flush()?;
    Ok(0)
}

fn expire(args: &Expire, path: &str, name: &str) -> Outcome {
    let page = args.server.ask("GET", path, None)?;
    let items = page["items"].as_array().into_iter().flatten();
    let ids = items
        .filter(|item| item["active"] == true)
        .filter_map(|item| item[name].as_str());
    let fits: Vec<&str> = ids.filter(|id| id.starts_with(&args.id)).collect();
    let &[id] = fits.as_slice() else {
        let count = fits.len();
        let error = anyhow!("{count} in force begin with {:?}; see `list`", args.id);
        return Err(Failure { code: 2, error });
    };
    args.server.ask("DELETE", &format!("{path}/{id}"), None)?;
    note(&format!("{id} has ended"));
    Ok(0)
}

fn silence_line(silence: &Json) -> String {
    let matchers = silence["matchers"].as_array().into_iter().flatten();
    let matchers: Vec<String> = matchers.map(text).collect();
    format!(
        "{}  until {}{}  {}  muted {}  ({}: {})",
        short(&silence["silence_id"]),
        text(&silence["expires_at"]),
        ended(silence),
        matchers.join(" "),
        silence["muted"].as_u64().unwrap_or(0),
        text(&silence["author"]),
        text(&silence["comment"]),
    )
}

fn entry_line(entry: &Json) -> String {
    format!(
        "{}  until {}{}  {} {}  withheld {}  ({}: {})",
        short(&entry["allow_id"]),
        text(&entry["expires_at"]),
        ended(entry),
        text(&entry["scope"]),
        text(&entry["value"]),
        entry["withheld"].as_u64().unwrap_or(0),
        text(&entry["added_by"]),
        text(&entry["reason"]),
    )
}

fn ended(item: &Json) -> &'static str {
    if item["active"] == true {
        ""
    } else {
        " (ended)"
    }
}

fn short(id: &Json) -> String {
    text(id).chars().take(12).collect()
}

/// A text of the answer, safe for a terminal.
fn text(value: &Json) -> String {
    escape(value.as_str().unwrap_or("?")).to_string()
}
