//! Queue: its opening, the names of its lanes, and what holds while it is not open.

mod cause_line;
pub(crate) mod found_at_open;
pub(crate) mod lane_names;
pub(crate) mod open_queue;
pub(super) mod opening;
pub(crate) mod parked_messages;
pub(super) mod queue_account;
pub(super) mod status_without_queue;
pub(crate) mod store;
