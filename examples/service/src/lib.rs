#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! Datagrams of a service to systemd, as sd_notify(3) has them: ready, status, watchdog, stopping. Used by `edge-gateway` and `mqtt-bridge`.
//!
//! [`Notifier`] sends them, [`makes_progress`] decides whether a watchdog is fed.

mod notifier;
mod progress;

pub use notifier::Notifier;
pub use progress::makes_progress;
