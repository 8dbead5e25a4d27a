#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![doc = include_str!("../README.md")]

mod actuate;
#[cfg(feature = "program")]
mod app;
mod clock;
#[cfg(feature = "program")]
mod config;
pub mod loop_to_itself;
mod loops;
mod metrics;
pub mod mqtt;
#[cfg(feature = "program")]
pub mod net;
mod one_line;
pub mod plant;
pub mod restart_memory;
pub mod runner;

pub use actuate::Actuate;
#[cfg(feature = "program")]
pub use app::{App, AppError, Spool};
pub use clock::Clock;
#[cfg(feature = "program")]
pub use config::{Config, HubConfig, MqttConfig};
pub use loops::Loops;
pub use metrics::prometheus;
pub use one_line::OneLine;
