//! Wake protocol: who sleeps, until when, and who wakes whom without a system call when nobody sleeps.
//!
//! Whatever a sleeper waits for changes under the lock of the model. Three rules keep a wake-up from being lost:
//! 1. The writer and consumers look at the model and go to sleep under its lock, and say so before they sleep.
//! 2. Whoever changes the model reads under the same lock who sleeps, and wakes when the lock is released.
//! 3. A producer counts itself and reads the counter of turns before it tries; whoever made room turns it afterwards.
//!
//! Nothing here knows the model or the engine, so `tests/wakes.rs` tries every order of steps in a model checker.

mod waiting_consumers;
mod waiting_producers;
mod writer_sleep;

pub(crate) use waiting_consumers::WaitingConsumers;
pub(crate) use waiting_producers::WaitingProducers;
pub(crate) use writer_sleep::WriterSleep;
