#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

mod actuate;
mod app;
mod clock;
mod config;
pub mod keep;
mod loops;
mod metrics;
pub mod mqtt;
pub mod net;
pub mod plant;
pub mod runner;
pub mod state_file;

pub use actuate::Actuate;
pub use app::{App, AppError, Spool};
pub use clock::Clock;
pub use config::{Config, HubConfig, MqttConfig};
pub use loops::Loops;
pub use metrics::prometheus;
