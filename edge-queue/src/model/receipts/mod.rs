//! Receipts still to be delivered: rows of a lane without one, the shared slots where producers wait for them, and the outbox that resolves them
//! once the model's lock is released.

mod outbox;
mod outstanding;
mod settling;
mod slot;

pub(crate) use outbox::Outbox;
pub(super) use outstanding::OutstandingReceipts;
pub(super) use settling::Settling;
pub(crate) use slot::{Slot, Ticket, WaitObserver};
