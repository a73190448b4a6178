//! The pull stream: the full active set first, then every change, as server-sent events.
//!
//! Owns the protocol: event `full` replaces what a reader has, event `change` alters one action,
//! both carry the newest `seq` as their id, so that a reader that comes back (`since` or
//! `Last-Event-ID`) misses nothing. Invariant: a slow reader holds one batch, never more.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::answer::{self, Answer, blocking};
use super::query::{self, Given};
use super::view::{ActionView, Changes};
use super::{Problem, Shared};
use crate::engine::containment::policy::{Change, Step};

/// Changes that are read at once.
const BATCH: usize = 256;
/// A line of remark this often, so that both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// `GET /api/v1/actions/stream`
pub(super) async fn follow(
    State(shared): State<Shared>,
    headers: HeaderMap,
    given: Given,
) -> Answer {
    let since = query::stream(given)?;
    // A browser that reconnects says where it was by itself.
    let last = headers
        .get("last-event-id")
        .and_then(|v| v.to_str().ok()?.parse().ok());
    let Ok(permit) = std::sync::Arc::clone(&shared.streams).try_acquire_owned() else {
        return Err(Problem::unavailable("too many streams at once: close one"));
    };
    let (sender, receiver) = mpsc::channel(1);
    let feed = Feed {
        newest: shared.view.newest_change(),
        stop: shared.stop.clone(),
        shared,
        sender,
    };
    let task = tokio::spawn(feed.run(last.or(since)));
    let events = Events {
        receiver,
        task,
        _permit: permit,
    };
    Ok(Sse::new(events)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response())
}

/// What is sent to one reader.
struct Feed {
    shared: Shared,
    sender: mpsc::Sender<Event>,
    newest: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
}

impl Feed {
    async fn run(mut self, mut since: Option<u64>) {
        loop {
            // Marked as seen before reading: a change between the two is read again, not lost.
            self.newest.mark_unchanged();
            crate::crash::point("stream-reading");
            let view = std::sync::Arc::clone(&self.shared.view);
            let read = blocking(move || Ok(view.changes(since, BATCH)?)).await;
            let Ok(changes) = read else { return };
            let more = matches!(&changes, Changes::Since(c) if c.len() == BATCH);
            for (seq, event) in events(changes) {
                if self.sender.send(event).await.is_err() {
                    return;
                }
                since = Some(seq);
            }
            if more {
                continue;
            }
            tokio::select! {
                changed = self.newest.changed() => if changed.is_err() { return },
                _ = self.stop.wait_for(|stop| *stop) => return,
                () = self.sender.closed() => return,
            }
        }
    }
}

#[derive(Serialize)]
struct Full {
    seq: u64,
    actions: Vec<ActionView>,
}

#[derive(Serialize)]
struct One {
    step: Step,
    action: ActionView,
}

/// The events of a batch, each with the `seq` a reader is at after it.
fn events(changes: Changes) -> Vec<(u64, Event)> {
    let event = |name: &str, seq: u64, data: Option<String>| {
        let event = Event::default().event(name).id(seq.to_string());
        Some((seq, event.data(data?)))
    };
    match changes {
        Changes::Full { active, seq } => {
            let actions = active.into_iter().map(ActionView::from).collect();
            event("full", seq, answer::text(&Full { seq, actions }))
                .into_iter()
                .collect()
        }
        Changes::Since(changes) => changes
            .into_iter()
            .filter_map(|Change { step, record }| {
                let seq = record.action.seq;
                event(
                    "change",
                    seq,
                    answer::text(&One {
                        step,
                        action: record.into(),
                    }),
                )
            })
            .collect(),
    }
}

/// The body of the answer; ends its feed when the reader goes.
struct Events {
    receiver: mpsc::Receiver<Event>,
    task: tokio::task::JoinHandle<()>,
    _permit: OwnedSemaphorePermit,
}

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context).map(|event| event.map(Ok))
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.task.abort();
    }
}
