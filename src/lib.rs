//! tidegate guards the account-recovery flow: finds abuse in an event stream while it happens,
//! alerts, and closes the gate.
//!
//! The way of an event: [`source`] -> [`decode`] -> [`enrich`] -> [`engine`] (route, order, windows,
//! rules, alerts, containment) -> [`store`] (one commit) -> [`deliver`]. [`app`] puts them together,
//! [`cli`] runs it, [`api`] and [`telemetry`] show it. ARCHITECTURE.md is the map.
//!
//! | layer | may use |
//! |---|---|
//! | [`model`], [`yaml`], [`crash`] | nothing |
//! | [`engine`], [`simulate`] | model (and yaml) |
//! | [`source`], [`decode`], [`enrich`], [`deliver`], [`store`], [`api`], [`telemetry`], [`config`] | engine, model; never each other, but for api and its metrics |
//! | [`app`] | all of these |
//! | [`cli`] | app |

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests read fixtures and measure time"
    )
)]

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod crash;
pub mod decode;
pub mod deliver;
pub mod engine;
pub mod enrich;
pub mod model;
pub mod simulate;
pub mod source;
pub mod store;
pub mod telemetry;
pub mod yaml;
