//! Shell: the only module with tokio, rustls, sockets and a clock. One task per link performs the outputs of the [core](crate::bridge::Core), one
//! task per server those of the [listener](crate::listener::Listener).

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is the shell: sockets, tasks and the clock live here and nowhere else"
)]

mod builder;
mod clock;
mod closing;
mod connection_io;
mod dial;
mod driver;
mod event_log;
mod handles;
mod host_port;
mod hub_address;
#[cfg(feature = "spool-queue")]
pub mod intake;
#[cfg(test)]
mod log_fields;
mod log_rate_limit;
mod memory_spool;
mod operator_requests;
#[cfg(feature = "spool-queue")]
mod parking;
mod proxy;
#[cfg(feature = "spool-queue")]
mod queue_spool;
mod random;
mod renewal_watch;
mod repeats;
mod request;
mod reread_source;
mod send_buffer;
pub mod server;
mod start;
mod start_error;
mod subscriptions;
pub mod tcp_stream;
mod tls;
mod unsubscribing;
mod utc;
mod waits;
mod way_to_hub;
mod wire_bytes;

pub use builder::Builder;
pub use clock::Clock;
pub use handles::bridge::{Bridge, PublishError};
pub use handles::closed::{CloseError, Closed};
pub use handles::link::{Link, SubscribeError, Unsubscribed};
pub use handles::link_operator_requests::Copies;
pub use handles::receipt::{PendingReceipt, Receipt, ReceiptError};
pub use hub_address::{Target, TargetError};
pub use operator_requests::ByHandError;
pub use proxy::address::{ProxyAddress, ProxyAddressError};
pub use server::{Server, ServerBuilder};
pub use start_error::StartError;
pub use subscriptions::commands::{Acknowledgement, Command, Commands};
pub use tls::certificate::{
    CertificateProblem, authorities_have_expired, client_certificate_problem, server_certificate_problem,
};
pub use tls::certificate_chain::certificate_chain_ends;
pub use tls::certificate_dates::certificate_ends;
pub use tls::certificate_user::CertificateUser;
pub use tls::clock_floor::ClockFloor;
pub use tls::error::{RevocationLoss, TlsError};
pub use tls::hub_session::HubTls;
pub use tls::missing_authority::{MissingAuthority, missing_authority};
pub use tls::names::{TlsNameError, validate_alpn, validate_server_name};
pub use tls::revocation::revocation_list_ends;
pub use tls::revocation_replacement::revocation_lists_are_of;
pub use tls::setting_names::TlsSettingNames;
pub use tls::signer::{SignerError, signer_socket};
pub use tls::{ServerTls, Tls};

use crate::bridge::spool::Spool;
use crate::bridge::{Core, Pack};

/// Core of a link with the application's spool and pack, which are boxed so that the shell is compiled once.
type LinkCore = Core<Box<dyn Spool + Send>, Box<dyn Pack + Send>>;
