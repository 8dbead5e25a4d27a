//! Readings and filters: decodes payloads, passes the readings through the route's filter, and watches for sensors that fall silent.

pub(super) mod due_rows;
pub(super) mod filter;
pub(super) mod filter_state;
pub(crate) mod reading_row;
pub(crate) mod readings;
pub(super) mod silence;
pub(super) mod watched_sensors_file;
