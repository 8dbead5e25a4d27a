#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]

mod actuate;
mod app;
mod clock;
mod config;
mod metrics;
pub mod net;
pub mod plant;
pub mod runner;

pub use actuate::Actuate;
pub use app::{App, AppError, Spool};
pub use clock::Clock;
pub use config::{Config, HubConfig, MqttConfig};
