//! One MQTT connection as a state machine, with the other side of the wire in the test's hands: the rules of MQTT on either side. Promises 1, 4, 12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod edges;
mod handshake;
mod messages;
mod packet_traps;
mod published_exactly_once;
mod published_histories;
#[path = "../support/random.rs"]
mod random;
mod requests;
mod resume_traps;
#[path = "../session_support/mod.rs"]
mod session_support;
mod turns;
