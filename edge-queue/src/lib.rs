#![forbid(unsafe_code)]
//! edge-queue
