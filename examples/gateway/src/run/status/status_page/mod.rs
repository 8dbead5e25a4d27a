//! Status of the gateway, for a person in a browser (`/`), for a program (`/status.json`), on a terminal and for a monitoring check (`edge-gateway
//! status`).
//!
//! ```text
//!  figures of /metrics ─┐
//!  facts, recorder ─────┴▶ describe ▶ SNAPSHOT ─▶ html │ json │ terminal │ nagios
//! ```
//! All of it is pure except [`snapshots`], which collects the figures, and [`pages`], which answers HTTP. All outputs are made from one snapshot,
//! so that none contradicts another.

mod chart;
mod describe;
mod door;
mod facts;
pub(crate) mod figures;
mod history;
mod html;
pub(crate) mod json;
mod ledger;
pub(crate) mod nagios;
mod needs;
pub(crate) mod pages;
mod prometheus;
mod recorder;
mod room;
mod sentence;
pub(crate) mod snapshot;
pub(crate) mod snapshots;
pub(crate) mod terminal;
mod texts;
pub(crate) mod units;

pub(crate) use describe::WithoutQueue;
pub(crate) use door::Door;
pub(crate) use facts::{CurrentFacts, Facts};
pub(crate) use ledger::Totals;
pub(crate) use recorder::is_up;

#[cfg(test)]
pub(crate) use snapshot::examples;
