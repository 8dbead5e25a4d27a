#![forbid(unsafe_code)]
//! edge-bridge

pub mod bridge;
pub mod chain;
pub mod ingest;
mod publisher;
pub mod row;
pub mod session;
pub mod wire;

pub use row::{Format, Row};
