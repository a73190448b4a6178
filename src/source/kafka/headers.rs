//! The headers of a message that are read: an event's id and its trace.
//!
//! The client's library panics over a header whose name is no UTF-8, and any producer can write one.
//! Invariant: no header ends the process; such a message goes on without its headers.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use rdkafka::message::{BorrowedMessage, Headers, Message};

/// What headers may say of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told<'a> {
    pub event_id: Option<&'a str>,
    pub traceparent: Option<&'a str>,
}

/// Reads a message's headers; `None` where they cannot be read.
pub(super) fn read<'a>(message: &'a BorrowedMessage<'_>) -> Option<Told<'a>> {
    let Some(headers) = message.headers() else {
        return Some(Told::default());
    };
    quietly(|| {
        let mut told = Told::default();
        for header in headers.iter() {
            let value = header.value.and_then(|v| std::str::from_utf8(v).ok());
            match header.key {
                "event.id" | "ce_id" => told.event_id = value,
                "traceparent" => told.traceparent = value,
                _ => {}
            }
        }
        told
    })
}

thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });

/// `None` where the work panics, of which nothing is written: strangers decide how often it does.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    done.ok()
}
