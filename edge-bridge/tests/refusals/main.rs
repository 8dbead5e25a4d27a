//! Refusals and poison messages against a scripted hub in virtual time: whatever the hub refuses stays, and delays nothing else. Promises 1, 4, 12.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod batch_expiry;
mod by_hand;
mod by_hand_waits;
mod closed_topics;
mod downlink;
mod dropped;
mod link;
mod messages;
mod order;
mod parked_by_hand;
mod parked_counts;
mod poison;
#[path = "../support/random.rs"]
mod random;
#[path = "../refusal_support/mod.rs"]
mod refusal_support;
mod size;
mod strict_hub;
mod sweeps;
mod topics;
mod unanswered;

use crate::refusal_support::Answer;

const QUOTA: Answer = Answer::Ack(0x97);
const DENIED: Answer = Answer::Ack(0x87);
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
