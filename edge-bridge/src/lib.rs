#![forbid(unsafe_code)]
//! edge-bridge

pub mod wire;
