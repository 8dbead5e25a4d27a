//! Exhaustive state exploration (explicit-state model checking) of a gateway: from one start every order of every step is taken, and a state
//! that was seen before is not gone on with. Promises 1, 3 and 4.
//!
//! ```text
//! publisher ──▶ PUBACK chain ─▶ model queue ─▶ Core ──▶ packets ──▶ hub by the book
//! publisher ◀── PUBACKs    ◀─── commit, PUBACK    ◀──── packets ◀──
//! ```
//!
//! The chain, the uplink and the session are the product's; the queue, the taps, the ledger with its rules and the planted bugs are those of the
//! simulation (`tests/sim`), which takes random orders of many more faults. Here a `step` is one packet, one commit or one fault, `bounds` says how
//! many of them there may be, `fingerprint` what of a state counts (`description` says the same by text), and `search` goes through all states, or finds the
//! shortest way to a bug.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod bounds;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/bug.rs"]
mod bug;
mod description;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/exchange_forger.rs"]
mod exchange_forger;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/exchanges.rs"]
mod exchanges;
mod fingerprint;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/forger.rs"]
mod forger;
mod gateway;
mod hub;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/ledger.rs"]
mod ledger;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/limits.rs"]
mod limits;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/lives.rs"]
mod lives;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/once.rs"]
mod once;
mod planted;
mod publishers;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/queue.rs"]
mod queue;
#[path = "../support/random.rs"]
mod rng;
mod search;
mod states;
mod step;
#[allow(dead_code, reason = "of the simulation, which uses all of it")]
#[path = "../sim/tap.rs"]
mod tap;
mod wire_units;
mod world;
