//! Connections that proxies forward: each begins with a [header](header) that tells from whom it comes. Only proxies in given networks are
//! believed, and of those the header is required: without this rule any client could claim any address.

mod header;
mod network;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};

pub use network::{Network, NetworkError};

use header::{HEAD_BYTES, Head};

/// Networks of proxies that are believed. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies(Arc<[Network]>);

impl Proxies {
    pub(super) fn new(networks: impl IntoIterator<Item = Network>) -> Self {
        Self(networks.into_iter().collect())
    }

    pub(super) fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// Reads the header at the begin of a connection, and nothing behind it. Returns the client's address; `None` if the connection is the proxy's own.
///
/// # Errors
///
/// There is no valid header; contains the reason in words.
pub(super) async fn read_source(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, String> {
    let ended = |_| "the connection ended within its PROXY header".to_owned();
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await.map_err(ended)?;
    let head = Head::parse(&head).map_err(|error| error.to_string())?;
    let mut body = vec![0; head.body_len()];
    stream.read_exact(&mut body).await.map_err(ended)?;
    Ok(head.source(&body))
}
