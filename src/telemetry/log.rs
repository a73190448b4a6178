//! The program's own log: one line per event on standard error, for people or for machines.
//!
//! Owns set-up and the two line forms. Invariant: whatever a field holds, an event is exactly one
//! line without control or reordering characters, and JSON lines are valid JSON (T32).

use std::fmt;
use std::io::IsTerminal as _;

use serde_json::{Map, Value};
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::escape::{escape, escape_json};
use crate::model::WallTime;

/// How to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// JSON lines instead of text.
    pub json: bool,
    /// A level, or directives per module (`info,tidegate::source=debug`).
    pub filter: String,
    /// Never use colours (`NO_COLOR`).
    pub plain: bool,
}

/// Why logging could not begin.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter is not one.
    #[error("log filter: {0}; write it like info or info,tidegate::source=debug")]
    Filter(String),
    /// There is a log already.
    #[error("the log is set up twice")]
    Twice,
}

/// Libraries that tell more than anyone wants at info.
const QUIET: &str = "hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn,h2=warn,rdkafka=warn";

/// Sends all further log events of the process to standard error.
///
/// # Errors
/// The filter is not one, or this was called before.
pub fn start(settings: &Settings) -> Result<(), LogError> {
    let colour = !settings.json && !settings.plain && std::io::stderr().is_terminal();
    let subscriber = subscriber(settings, colour, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)
}

fn subscriber<W>(
    settings: &Settings,
    colour: bool,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + use<W>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // What the user says comes last and wins.
    let directives = format!("{QUIET},{}", settings.filter);
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| LogError::Filter(escape(&error.to_string()).into_owned()))?;
    let lines = Lines {
        json: settings.json,
        colour,
    };
    Ok(tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(SpanFields)
        .event_format(lines)
        .with_writer(writer)
        .finish())
}

/// Milliseconds since 1970 by this machine's clock.
#[expect(
    clippy::disallowed_methods,
    reason = "a log line says when it was written, whatever the app's clock"
)]
fn now() -> WallTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    WallTime(since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}

/// The two line forms.
struct Lines {
    json: bool,
    colour: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let spans: Vec<(&'static str, String)> = context
            .event_scope()
            .into_iter()
            .flat_map(|scope| scope.from_root())
            .map(|span| {
                let extensions = span.extensions();
                let fields = extensions.get::<FormattedFields<N>>();
                (
                    span.name(),
                    fields.map(|f| f.fields.clone()).unwrap_or_default(),
                )
            })
            .collect();
        let line = if self.json {
            json(event, fields, &spans)
        } else {
            self.human(event, &fields, &spans)
        };
        writer.write_str(&line)?;
        writer.write_char('\n')
    }
}

fn json(event: &Event<'_>, fields: Fields, spans: &[(&'static str, String)]) -> String {
    let mut line = fields.0;
    // Set last: a field of the same name must not replace them.
    line.insert("time".to_owned(), Value::from(now().to_string()));
    let level = event.metadata().level().as_str().to_ascii_lowercase();
    line.insert("level".to_owned(), Value::from(level));
    line.insert("target".to_owned(), Value::from(event.metadata().target()));
    if !spans.is_empty() {
        let spans = spans
            .iter()
            .map(|(name, fields)| format!("{name} {fields}").trim().to_owned());
        line.insert("spans".to_owned(), Value::from(spans.collect::<Vec<_>>()));
    }
    escape_json(Value::Object(line).to_string())
}

impl Lines {
    fn human(&self, event: &Event<'_>, fields: &Fields, spans: &[(&str, String)]) -> String {
        let level = *event.metadata().level();
        let (on, off) = if self.colour {
            (colour(level), "\x1b[0m")
        } else {
            ("", "")
        };
        let target = event.metadata().target();
        let mut line = format!("{} {on}{level:>5}{off} {target}: ", now());
        for (name, fields) in spans {
            let fields = if fields.is_empty() {
                String::new()
            } else {
                format!("{{{fields}}}")
            };
            line.push_str(&format!("{name}{fields}: "));
        }
        if let Some(message) = fields.0.get("message") {
            line.push_str(&escape(&plain(message)));
        }
        for (name, value) in fields.0.iter().filter(|(name, _)| *name != "message") {
            line.push_str(&format!(" {name}={}", escape(&plain(value))));
        }
        line
    }
}

const fn colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG | Level::TRACE => "\x1b[2m",
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    }
}

/// An event's fields as JSON values.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn enter(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.enter(field, Value::from(format!("{value:?}")));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.enter(field, Value::from(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.enter(field, Value::from(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.enter(field, Value::from(value));
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.enter(field, Value::from(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.enter(field, Value::from(value));
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.enter(field, Value::from(value.to_string()));
    }
}

/// A span's fields, escaped once when the span begins.
struct SpanFields;

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result
    where
        R: tracing_subscriber::field::RecordFields,
    {
        let mut seen = Fields::default();
        fields.record(&mut seen);
        for (i, (name, value)) in seen.0.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(writer, "{space}{name}={}", escape(&plain(value)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
