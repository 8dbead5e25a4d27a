//! The upstream link's core against a scripted hub, step by step, without a network. Promises 1, 4, 5, 9.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod addresses;
mod core;
mod ends;
mod exactly_once;
#[path = "../link_support/mod.rs"]
mod link_support;
mod many_filters;
mod replacing;
mod rules;
mod subscriptions;
