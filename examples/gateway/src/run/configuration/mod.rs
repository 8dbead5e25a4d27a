//! Configuration while the gateway runs: reloads, refusals, and the one that was in force last.

pub(super) mod file_stamp;
pub(crate) mod last_configuration;
pub(crate) mod refusal;
pub(super) mod reload;
pub(super) mod route_changes;
