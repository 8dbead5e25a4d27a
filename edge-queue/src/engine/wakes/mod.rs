//! Wake protocol of the writer thread, consumers and producers: which thread sleeps until when, and which one wakes it, without a system call if
//! none sleeps.
//!
//! The state that a sleeping thread waits for changes under the model's lock. Three rules keep a wake-up from being lost:
//! 1. The writer and consumers check the model and go to sleep under its lock, and set a flag before they sleep.
//! 2. A thread that changes the model reads these flags under the same lock, and wakes the sleepers after it has released the lock.
//! 3. A producer counts itself and reads the counter of wake-ups before it tries; a thread that made room raises that counter afterwards.
//!
//! Nothing here depends on the model or the engine, so `tests/wakes.rs` checks every order of steps with a model checker.

mod waiting_consumers;
mod waiting_producers;
mod writer_sleep;

pub(crate) use waiting_consumers::WaitingConsumers;
pub(crate) use waiting_producers::WaitingProducers;
pub(crate) use writer_sleep::WriterSleep;
