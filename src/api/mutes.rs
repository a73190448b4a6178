//! Silences and the allow-list over HTTP: what people keep from being told, and from being acted
//! upon.
//!
//! Owns these routes' functions and what they need of the rest (`Mutes`). Invariant: whoever adds
//! or ends something is named, by the token too, and every entry has an end.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::answer::{self, Answer, blocking};
use super::auth::Caller;
use super::query::{self, Given};
use super::route::{Page, read};
use super::view::{Refused, Unavailable};
use super::{Problem, Shared};
use crate::engine::alert::Alert;
use crate::engine::alert::silence::{Silence, Wanted};
use crate::engine::containment::allow::{AllowEntry, Wanted as WantedEntry};
use crate::model::ids::Id;

/// The part of `View` that is about mutes.
pub trait Mutes {
    /// Silences, newest first, ended ones included.
    ///
    /// # Errors
    /// They cannot be read now.
    fn silences(&self) -> Result<Vec<SilenceView>, Unavailable>;

    /// What a silence would have muted among the alerts that are stored.
    ///
    /// # Errors
    /// They cannot be read now.
    fn preview(&self, wanted: &Wanted) -> Result<Preview, Unavailable>;

    /// Begins a silence that has no fault.
    ///
    /// # Errors
    /// There are too many, or nothing can be written now.
    fn silence(&self, wanted: &Wanted, by: &str) -> Result<SilenceView, Refused>;

    /// Ends a silence now.
    ///
    /// # Errors
    /// There is no such one, or nothing can be written now.
    fn end_silence(&self, id: Id) -> Result<SilenceView, Refused>;

    /// Entries of the allow-list that people added, newest first, ended ones included.
    ///
    /// # Errors
    /// They cannot be read now.
    fn allowed(&self) -> Result<Vec<AllowView>, Unavailable>;

    /// Puts a target on the allow-list; actions that stand on it are reverted.
    ///
    /// # Errors
    /// It cannot be read, there are too many, or nothing can be written now.
    fn allow(&self, wanted: &WantedEntry) -> Result<AllowView, Refused>;

    /// Ends an entry now.
    ///
    /// # Errors
    /// There is no such one, or nothing can be written now.
    fn end_allow(&self, id: Id) -> Result<AllowView, Refused>;
}

/// A silence as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct SilenceView {
    #[serde(flatten)]
    pub silence: Silence,
    /// Whether it has not ended.
    pub active: bool,
}

/// An entry of the allow-list as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AllowView {
    pub allow_id: Id,
    #[serde(flatten)]
    pub entry: AllowEntry,
    /// Whether it has not ended.
    pub active: bool,
}

/// What a silence would have muted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Preview {
    /// Stored alerts that were looked at, newest first.
    pub looked_at: usize,
    /// Those it would have muted.
    pub muted: usize,
    /// Those of them that are open.
    pub open: usize,
    /// The newest of them.
    pub newest: Vec<Alert>,
}

type Body = Result<Bytes, BytesRejection>;

pub(super) async fn silences(State(shared): State<Shared>, given: Given) -> Answer {
    query::none(given)?;
    let items = blocking(move || Ok(shared.view.silences()?)).await?;
    answer::ok(&Page { items, next: None })
}

fn wanted(headers: &HeaderMap, body: Body) -> Result<Wanted, Problem> {
    let wanted: Wanted = read(headers, &body?)?;
    match wanted.fault() {
        Some(fault) => Err(Problem::bad_request(fault)),
        None => Ok(wanted),
    }
}

pub(super) async fn preview(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let wanted = wanted(&headers, body)?;
    let preview = blocking(move || Ok(shared.view.preview(&wanted)?)).await?;
    answer::ok(&preview)
}

pub(super) async fn add_silence(
    State(shared): State<Shared>,
    Extension(Caller(by)): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let wanted = wanted(&headers, body)?;
    let made = blocking(move || Ok(shared.view.silence(&wanted, &by)?)).await?;
    tracing::info!(silence = %made.silence.silence_id, by = made.silence.via, author = made.silence.author, "a silence begins");
    Ok(answer::json(StatusCode::CREATED, &made))
}

pub(super) async fn end_silence(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Extension(Caller(by)): Extension<Caller>,
) -> Answer {
    let id = query::id(&id)?;
    let ended = blocking(move || Ok(shared.view.end_silence(id)?)).await?;
    tracing::info!(silence = %id, by, "a silence is ended");
    answer::ok(&ended)
}

pub(super) async fn allowed(State(shared): State<Shared>, given: Given) -> Answer {
    query::none(given)?;
    let items = blocking(move || Ok(shared.view.allowed()?)).await?;
    answer::ok(&Page { items, next: None })
}

pub(super) async fn add_allow(
    State(shared): State<Shared>,
    Extension(Caller(by)): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let wanted: WantedEntry = read(&headers, &body?)?;
    let made = blocking(move || Ok(shared.view.allow(&wanted)?)).await?;
    tracing::info!(entry = %made.allow_id, by, author = made.entry.added_by, "added to the allow-list");
    Ok(answer::json(StatusCode::CREATED, &made))
}

pub(super) async fn end_allow(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    Extension(Caller(by)): Extension<Caller>,
) -> Answer {
    let id = query::id(&id)?;
    let ended = blocking(move || Ok(shared.view.end_allow(id)?)).await?;
    tracing::info!(entry = %id, by, "an entry of the allow-list is ended");
    answer::ok(&ended)
}
