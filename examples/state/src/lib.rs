#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! Small files of a state directory, for the shells of `edge-gateway`, `mqtt-bridge` and `control-loop`; and files of the operator, for these and `filter-lab`
//! and `edge-decode`.
//!
//! [`mod@file`] reads and replaces them whole, in the directory [`in_use`] alone, [`checksummed`] adds a checksum, and [`ClientFile`] keeps the clients of a listener in one.
//! [`operator_file`] reads what the operator hands over, [`password_file`] a password of it, and with the feature `rules` counts what a file of rules holds before it is parsed.

pub mod checksummed;
#[cfg(feature = "clients")]
mod clients;
pub mod file;
pub mod in_use;
pub mod operator_file;
pub mod password_file;
#[cfg(feature = "rules")]
pub mod toml_amount;

#[cfg(feature = "clients")]
pub use clients::ClientFile;
