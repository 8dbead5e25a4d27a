//! Shell: the only module with tokio, rustls, sockets and a clock. One task per link performs the outputs of the [core](crate::bridge::Core), one
//! task per server those of the [listener](crate::listener::Listener).

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the shell: sockets, tasks and the clock live here and nowhere else"
)]

mod back_pressure;
mod builder;
mod clock;
mod commands;
mod connection_io;
mod dial;
mod driver;
mod event_log;
mod host_port;
mod hub_address;
mod in_process;
#[cfg(feature = "spool-queue")]
pub mod intake;
mod link;
mod link_log;
mod link_operator_requests;
mod memory_spool;
mod operator_requests;
#[cfg(feature = "spool-queue")]
mod parking;
mod proxy_address;
mod proxy_login;
mod proxy_settings;
#[cfg(feature = "spool-queue")]
mod queue_spool;
mod receipt;
mod request;
mod reread_source;
mod router;
mod send_buffer;
pub mod server;
mod shared_ack;
mod start;
mod start_error;
mod subscription_queue;
pub mod tcp_stream;
mod tls;
mod utc;
mod way_to_hub;

pub use builder::Builder;
pub use clock::Clock;
pub use commands::{Acknowledgement, Command, Commands};
pub use hub_address::{Target, TargetError};
pub use in_process::{Bridge, CloseError, PublishError};
pub use link::{Link, SubscribeError};
pub use link_operator_requests::Copies;
pub use operator_requests::ByHandError;
pub use proxy_address::{ProxyAddress, ProxyAddressError};
pub use receipt::{PendingReceipt, Receipt, ReceiptError};
pub use server::{Server, ServerBuilder};
pub use start_error::StartError;
pub use tls::certificate::{CertificateProblem, authorities_have_expired, client_certificate_problem};
pub use tls::certificate_dates::certificate_ends;
pub use tls::clock_floor::ClockFloor;
pub use tls::names::{TlsNameError, validate_alpn, validate_server_name};
pub use tls::revocation::revocation_list_ends;
pub use tls::{ServerTls, Tls, TlsError};
