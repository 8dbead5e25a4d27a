//! A whole gateway in virtual time: sensors, listener, PUBACK chain, a model of the queue, the bridge core, a wide-area network that
//! misbehaves, and a hub that does too. Promises 1, 3, 4, 5, 6, 7 and 12.
//!
//! ```text
//! sensor ──┐ LAN                                        WAN (netem: delay, rate, loss, cut, half-open, stall)
//! sensor ──┼─────▶ Listener ─▶ model queue ─▶ Core ─────────────▶ hub (server-role Session)
//! sensor ──┘   ◀─ PUBACK ─ receipts ◀─ commit, PUBACK ◀──────────
//! ```
//!
//! Nothing sleeps: `world` takes events from one heap, by one clock. After every event `check`, `ledger` and the two `tap`s, which read the bytes on
//! both links with nothing but the codec, say whether a rule is broken. A test in `stories` tells one field story; `random` tells thousands
//! of made-up ones; `planted` breaks the gateway on purpose, between the parts, and asserts that the rule meant for it says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod bug;
mod changing;
mod check;
mod ctx;
mod downlink;
mod exchange_forger;
mod exchange_stories;
mod exchanges;
mod fault;
mod forger;
mod gateway;
mod hub;
mod hub_stories;
mod late_answers;
mod ledger;
mod limits;
mod lives;
mod net;
mod once;
mod planted;
mod queue;
mod random;
mod refusal_stories;
#[path = "../support/random.rs"]
mod rng;
mod sensor;
mod stories;
mod tap;
mod world;
