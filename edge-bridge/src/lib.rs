#![forbid(unsafe_code)]
//! edge-bridge
