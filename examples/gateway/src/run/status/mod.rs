//! Status: figures and verdict of the gateway, and the ways in which they are told: log, metrics, page, control socket, probes, systemd.

pub(super) mod certificates;
pub(crate) mod control_answers;
pub(crate) mod control_socket;
pub(super) mod counter_age;
pub(super) mod flash_watch;
pub(crate) mod flash_wear;
pub(super) mod http;
pub(super) mod listener_probe;
pub(super) mod loss_detection;
pub(super) mod metrics;
pub(super) mod monitor;
pub(crate) mod outputs;
mod probe_answers;
mod process_figures;
pub(super) mod prometheus_text;
pub(super) mod service;
pub(crate) mod snapshot;
pub(super) mod state_log;
mod unclaimed_messages;
pub(crate) mod verdict;
mod verdict_cause;
mod wan_bytes;
