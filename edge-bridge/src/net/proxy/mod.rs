//! HTTP proxy on the way to the hub: its address and login, and the tunnel through it.

pub(super) mod address;
mod http_connect;
pub(super) mod login;
pub(super) mod settings;
pub(super) mod tunnel;

use address::ProxyAddress;
use login::ProxyLogin;

/// HTTP proxy on the way to the hub.
#[derive(Debug, Clone)]
pub(super) struct Proxy {
    pub(super) address: ProxyAddress,
    pub(super) login: Option<ProxyLogin>,
}
