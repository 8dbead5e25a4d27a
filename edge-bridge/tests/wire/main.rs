//! The codec: what is encoded is decoded as the same, peers read it, hostile bytes are refused. Promise 12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod defects;
mod meaning;
mod mutations;
mod peers;
mod properties;
#[path = "../support/random.rs"]
mod random;
mod traps;
mod unwritable;
#[path = "../wire_support/mod.rs"]
mod wire_support;
