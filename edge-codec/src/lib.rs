#![forbid(unsafe_code)]
//! edge-codec
