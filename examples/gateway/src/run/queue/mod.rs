//! Queue: its opening, the names of its lanes, and what holds while it is not open.

pub(crate) mod lane_names;
pub(super) mod opening;
pub(super) mod queue_account;
pub(super) mod status_without_queue;
pub(crate) mod store;
