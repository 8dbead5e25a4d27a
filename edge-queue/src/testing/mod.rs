//! The rig that proves the promises: a simulated disk, and the conformance suite every store must pass.
//!
//! Embedders with a store or a medium of their own can run the same proofs.
//!
//! * [`SimDir`] is a directory whose power can be cut after any operation: it keeps what the program sees (live)
//!   apart from what a power cut leaves (durable), and lets a seed decide about everything in between.
//! * [`Fault`] makes the n-th call of a kind fail, once or for good; [`Hold`] makes one hang.
//! * [`conformance`] proves the contract of [`store`](crate::store) for an implementation, against [`ModelStore`].
//! * [`CrashRig`] records a history and judges what every power cut would have left.
//! * [`Lives`] cuts the power several times in a row and judges every open between.
//! * [`survive`](survive()) runs with a call that fails.
//! * Each judge says by which [`Rule`] it convicts. [`Planted`] stores have a bug that the rig must catch; a [`SyncBug`] is the disk's, a [`Flaw`] the code's own.

mod budget;
pub mod conformance;
mod crash;
mod disk;
mod fault;
mod history;
mod hold;
mod image;
mod lives;
mod medium;
mod model;
mod mutate;
mod planted;
mod rng;
mod rule;
mod store_rule;
mod survive;
#[cfg(test)]
mod tests;

pub use crate::medium::Call;
pub use crate::planted_flaw::Flaw;
pub use budget::{budget_percent, fuzz_cases, seed};
pub use crash::{CrashRig, Open};
pub use disk::Outcome;
pub use fault::{Fault, FaultError};
pub use history::{History, Plan, Step, row_at, small_options, tight_options};
pub use hold::Hold;
pub use lives::{Lives, Survivor};
pub use medium::{Recording, SimCounters, SimDir, SimFile, SyncBug};
pub use model::ModelStore;
pub use mutate::{hostile_number, mutate};
pub use planted::{Bug, Planted};
pub use rng::Rng;
pub use rule::{JudgeRule, Violation};
pub use store_rule::Rule;
pub use survive::survive;
