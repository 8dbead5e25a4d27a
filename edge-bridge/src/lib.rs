#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

#[cfg(feature = "access")]
pub mod access;
#[cfg(any(feature = "access", feature = "net"))]
mod base64;
mod boxed;
pub mod bridge;
mod client_network;
mod duration_histogram;
pub mod escape;
mod in_order;
pub mod ingest;
pub mod listener;
#[cfg(feature = "net")]
pub mod net;
pub mod puback_chain;
#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;
pub mod row;
mod send_pieces;
pub mod session;
#[cfg(feature = "testing")]
pub mod state_hash;
pub mod wire;

pub use client_network::client_network;
pub use duration_histogram::Durations;
#[cfg(feature = "net")]
pub use net::{Bridge, Builder, Closed, Command, Commands, Link, PendingReceipt, Receipt, Tls};
#[cfg(feature = "net")]
pub use net::{CloseError, PublishError, ReceiptError, StartError, SubscribeError};
pub use row::{Format, Row};
