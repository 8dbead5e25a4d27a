//! Restart: what a stop leaves for the next process, and how a start takes it over.

pub(super) mod clean_stop_mark;
pub(super) mod disk_wait;
pub(super) mod first_rows;
pub(super) mod kept_row;
pub(super) mod resume;
pub(super) mod start_counter;

use std::pin::Pin;

/// Future that ends when the gateway has to stop, boxed so that `run` is compiled once for signals and for embedding programs.
pub(in crate::run) type Stop<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;
