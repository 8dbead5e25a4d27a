//! The rig that proves the promises: a simulated disk, and the conformance suite every store must pass.
//!
//! Embedders with a store or a medium of their own can run the same proofs.
//!
//! * [`SimDir`] is a directory whose power can be cut after any operation: it keeps what the program sees (live)
//!   apart from what a power cut leaves (durable), and lets a seed decide about everything in between.
//! * [`Recording`] replays a recorded run operation by operation and makes the crash states of every boundary.
//! * [`Fault`] makes the n-th call of a kind fail, once or for good.

mod disk;
mod fault;
mod image;
mod medium;
mod rng;
#[cfg(test)]
mod tests;

pub use disk::Outcome;
pub use fault::{Call, Fault, FaultError};
pub use medium::{Recording, SimCounters, SimDir, SimFile};
pub use rng::Rng;
