#![forbid(unsafe_code)]
//! edge-filter
