//! Queue: its opening, the names of its lanes, and what holds while it is not open.

pub(super) mod lane_names;
pub(super) mod no_queue;
pub(super) mod opening;
pub(super) mod queue_account;
pub(crate) mod store;
