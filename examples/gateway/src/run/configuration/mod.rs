//! Configuration while the gateway runs: reloads by an operator and by a program, refusals, and the one that was in force last.

mod decision;
pub(super) mod file_stamp;
pub(crate) mod last_configuration;
pub(crate) mod program_reload;
pub(crate) mod refusal;
pub(super) mod reload;
pub(crate) mod route_changes;
