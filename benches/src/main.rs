#![forbid(unsafe_code)]
//! Starts.
fn main() {}
