//! From a name to a connection: DNS, TCP, TLS, each within the time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, lookup_host};
use tokio::time::timeout;

use super::password::PasswordSource;
use super::stream::{Counted, Stream};
use super::target::Target;
use super::tls::Tls;

/// Way to the hub.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    pub(super) target: Target,
    /// `Some` if and only if the target speaks TLS.
    pub(super) tls: Option<Tls>,
    /// For everything together, DNS and TLS included.
    pub(super) connect_timeout: Duration,
    /// The socket's send buffer, which the kernel doubles; `None` leaves it to the kernel.
    pub(super) send_buffer_bytes: Option<u32>,
    /// Counts raw bytes.
    pub(super) wire_bytes: Arc<AtomicU64>,
    /// `None` if the password does not change.
    pub(super) password: Option<PasswordSource>,
}

/// A connection to the hub on which nothing was sent yet.
pub(super) struct Dialed {
    pub(super) stream: Stream,
    /// The password of the CONNECT, if it was read again.
    pub(super) password: Option<Bytes>,
}

/// Error of a dial. Says how far it got: a name that is not found is another person's job than a refused certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot resolve {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{0} has no address")]
    NoAddress(String),
    #[error("cannot connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("\"{0}\" cannot be the name of a TLS server")]
    ServerName(String),
    #[error("TLS with {host}: {source}")]
    Tls { host: String, source: io::Error },
    #[error("no connection to {target} within {timeout:?}")]
    Timeout { target: Target, timeout: Duration },
}

impl Dialer {
    pub(super) async fn dial(self) -> Result<Dialed, DialError> {
        let limit = self.connect_timeout;
        let Ok(connected) = timeout(limit, self.connect()).await else {
            return Err(DialError::Timeout { target: self.target, timeout: limit });
        };
        let stream = connected?;
        let password = match &self.password {
            Some(source) => source.read().await,
            None => None,
        };
        Ok(Dialed { stream, password })
    }

    async fn connect(&self) -> Result<Stream, DialError> {
        let Target { host, port, .. } = &self.target;
        let addresses = lookup_host((host.as_str(), *port))
            .await
            .map_err(|source| DialError::Resolve { host: host.clone(), source })?;
        let mut last = DialError::NoAddress(host.clone());
        for address in addresses {
            match self.connect_to(address).await {
                Ok(stream) => return self.secure(stream).await,
                Err(source) => last = DialError::Connect { address, source },
            }
        }
        Err(last)
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<Counted> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_send_buffer_size(bytes)?;
        }
        let stream = socket.connect(address).await?;
        // A PUBLISH must not wait for the PUBACK of the one before it.
        stream.set_nodelay(true)?;
        Ok(Counted::new(stream, self.wire_bytes.clone()))
    }

    async fn secure(&self, stream: Counted) -> Result<Stream, DialError> {
        let Some(tls) = &self.tls else { return Ok(Stream::Tcp(stream)) };
        let host = &self.target.host;
        let name = ServerName::try_from(host.clone()).map_err(|_| DialError::ServerName(host.clone()))?;
        let stream = tokio_rustls::TlsConnector::from(tls.config.clone())
            .connect(name, stream)
            .await
            .map_err(|source| DialError::Tls { host: host.clone(), source })?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}
