#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
//! Lines of a mosquitto.conf with their places, their values, the words that Mosquitto knows, and findings about them.
//!
//! What a line means is the matter of who reads it: `mqtt-bridge` runs its connections, `edge-gateway import` makes a gateway.toml of it.

pub mod conf;
pub mod findings;
pub mod prefix_order;
pub mod trailing_text;
pub mod values;
pub mod words;
