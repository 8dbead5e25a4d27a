//! Sensors' side: messages come in from the listener or a local broker, find their route, become rows, and get their PUBACK once the rows are safe.

pub(super) mod access_and_certificate_reload;
mod access_refusals;
pub(super) mod arrival_clock;
mod birth_requests;
pub(super) mod broker;
pub(super) mod bulkhead;
pub(super) mod client_log;
pub(super) mod held_receipts;
pub(crate) mod ingest;
pub(super) mod intake_figures;
pub(super) mod listener_figures;
mod listener_tls;
pub(super) mod local_side;
pub(crate) mod own_rows;
pub(super) mod refused_topic;
mod saved_clients;
pub(super) mod time_drops;
mod unusable_certificate;
