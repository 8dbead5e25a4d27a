//! Dialling: makes a connection to a name by DNS, TCP and TLS, or through a proxy, within one time limit. The addresses of a name are tried
//! side by side, each a little after the one before (Happy Eyeballs, RFC 8305), so that a node that does not answer SYNs does not hide one
//! that works. After a dial that failed another address is tried first, because a node may hang behind its TCP.

pub(super) mod failed_dials;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rustls_pki_types::ServerName;
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::hub_address::Target;
use super::proxy::Proxy;
use super::proxy::address::ProxyAddress;
use super::proxy::tunnel::{self, TunnelError};
use super::reread_source::RereadSource;
use super::tcp_stream::{Counted, Stream, bound_unsent, probe_when_idle};
use super::tls::Tls;
use super::tls::client_handshake::no_certificate;
use super::tls::handshake_error::{self, HandshakeFailure};
use super::tls::hub_session::LastHubTls;
use super::tls::renewal::TlsRenewal;
use super::tls::renewal::timetable::Found;
use super::wire_bytes::WireBytes;
use failed_dials::FailedDials;

/// Time after which the next address is tried too (RFC 8305 §5).
const HEAD_START: Duration = Duration::from_millis(250);

/// Idle time after which the kernel sends TCP keep-alive probes. Longer than the silence between MQTT pings, so that probes cost the link
/// something only if pings are off.
const PROBE_AFTER: Duration = Duration::from_secs(300);

/// Settings of a dial to the hub.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    pub(super) target: Target,
    /// TLS settings; `Some` exactly if the target speaks TLS.
    pub(super) tls: Option<Tls>,
    /// Source of a renewed certificate; `None` if the certificate does not change.
    pub(super) renewal: Option<TlsRenewal>,
    /// ALPN protocols, for a renewed certificate too.
    pub(super) alpn: Vec<String>,
    /// Name of the hub in TLS; `None` uses the host of the target.
    pub(super) server_name: Option<ServerName<'static>>,
    /// HTTP proxy on the way; `None` dials the hub directly.
    pub(super) proxy: Option<Proxy>,
    /// Time limit of an attempt, DNS, proxy and TLS included.
    pub(super) connect_timeout: Duration,
    /// Size of the socket's send buffer in bytes, which the kernel doubles; `None` leaves it to the kernel.
    pub(super) send_buffer_bytes: Option<u32>,
    pub(super) wire_bytes: WireBytes,
    /// TLS session of the last connection.
    pub(super) hub_tls: LastHubTls,
    /// Source of a changing password; `None` if the password does not change.
    pub(super) password: Option<RereadSource<Bytes>>,
    pub(super) failed_dials: FailedDials,
}

/// New connection to the hub, on which MQTT has not sent anything.
pub(super) struct Dialed {
    pub(super) stream: Stream,
    /// Password for the CONNECT if it was read again; `None` keeps the last one.
    pub(super) password: Option<Bytes>,
}

/// Error of a dial. Names the step that failed, because an unresolved name has another remedy than a refused certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("cannot resolve {host}: {source}")]
    Resolve { host: String, source: io::Error },
    #[error("{0} has no address")]
    NoAddress(String),
    #[error("cannot connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("proxy {proxy}: {source}")]
    ProxyUnreachable { proxy: ProxyAddress, source: Box<DialError> },
    #[error("proxy {proxy}: {source}")]
    Proxy { proxy: ProxyAddress, source: TunnelError },
    #[error("\"{0}\" cannot be the name of a TLS server")]
    ServerName(String),
    #[error("TLS with {host}: {source}")]
    Tls { host: String, source: io::Error },
    #[error("no connection to {target}{} within {timeout:?}", through(proxy))]
    Timeout { target: Target, proxy: Option<ProxyAddress>, timeout: Duration },
}

impl DialError {
    /// Returns whether a proxy refused, and will refuse again. It is dialled rarely then, because frequent wrong logins may lock the account
    /// there.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Proxy { source, .. } if source.is_refusal())
    }
}

fn through(proxy: &Option<ProxyAddress>) -> String {
    proxy.as_ref().map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"))
}

impl Dialer {
    pub(super) async fn dial(self) -> Result<Dialed, DialError> {
        let limit = self.connect_timeout;
        let Ok(connected) = timeout(limit, self.connect()).await else {
            let proxy = self.proxy.map(|proxy| proxy.address);
            return Err(DialError::Timeout { target: self.target, proxy, timeout: limit });
        };
        let stream = connected?;
        let password = match &self.password {
            Some(source) => source.read().await,
            None => None,
        };
        Ok(Dialed { stream, password })
    }

    /// Returns whether a TCP connection, through the proxy if there is one, can be made. It is closed at once.
    pub(super) async fn reaches(self) -> bool {
        timeout(self.connect_timeout, self.open(None)).await.is_ok_and(|stream| stream.is_ok())
    }

    /// Looks at the certificate's source.
    pub(super) async fn look_at_certificate(self) -> Found {
        let Some((renewal, tls)) = self.renewal.as_ref().zip(self.tls.as_ref()) else {
            return Found::Nothing;
        };
        renewal.look(tls, |renewed| renewed.with_alpn(&self.alpn)).await
    }

    async fn connect(&self) -> Result<Stream, DialError> {
        self.wire_bytes.begin();
        if let Some((renewal, tls)) = self.renewal.as_ref().zip(self.tls.as_ref())
            && let Some(why) = renewal.awaiting(tls, |renewed| renewed.with_alpn(&self.alpn)).await
        {
            // Each connection would cost bytes, and a line at the hub, for nothing.
            return Err(DialError::Tls { host: self.target.host.clone(), source: no_certificate(&why) });
        }
        let stream = self.open(Some(&self.failed_dials)).await?;
        let peer = stream.peer_addr().ok();
        self.secure(peer, Counted::new(stream, self.wire_bytes.on_wire.clone())).await
    }

    /// Makes a connection to the hub, by TCP and through the proxy, without TLS. `turns`: the dials that failed before;
    /// `None` begins with the first address.
    async fn open(&self, turns: Option<&FailedDials>) -> Result<TcpStream, DialError> {
        match &self.proxy {
            None => self.reach(turns).await,
            Some(Proxy { address, login }) => {
                let proxy = || address.clone();
                let unreachable =
                    |source| DialError::ProxyUnreachable { proxy: proxy(), source: Box::new(source) };
                let mut stream = self.reach(turns).await.map_err(unreachable)?;
                tunnel::open(&mut stream, &self.target, login.as_ref(), &self.wire_bytes.on_wire)
                    .await
                    .map_err(|source| DialError::Proxy { proxy: proxy(), source })?;
                Ok(stream)
            }
        }
    }

    /// Host and port to which this machine connects: of the proxy, which resolves the hub's name, or of the hub.
    fn next_hop(&self) -> (&str, u16) {
        match &self.proxy {
            Some(Proxy { address, .. }) => (&address.host, address.port),
            None => (&self.target.host, self.target.port),
        }
    }

    async fn reach(&self, turns: Option<&FailedDials>) -> Result<TcpStream, DialError> {
        let (host, port) = self.next_hop();
        let addresses = lookup_host((host, port))
            .await
            .map_err(|source| DialError::Resolve { host: host.to_owned(), source })?;
        let addresses = interleaved(addresses);
        self.connect_first(match turns {
            Some(dials) => dials.in_turn(&self.target, addresses),
            None => addresses,
        })
        .await
    }

    /// Connects to the addresses and returns the first connection that is made.
    async fn connect_first(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
        let mut last = DialError::NoAddress(self.next_hop().0.to_owned());
        let mut addresses = addresses.into_iter().peekable();
        let mut attempts = JoinSet::new();
        loop {
            if let Some(address) = addresses.next() {
                let send_buffer_bytes = self.send_buffer_bytes;
                attempts.spawn(async move { (address, connect_to(address, send_buffer_bytes).await) });
            }
            tokio::select! {
                done = attempts.join_next() => match done {
                    Some(Ok((_, Ok(stream)))) => return Ok(stream),
                    Some(Ok((address, Err(source)))) => last = DialError::Connect { address, source },
                    Some(Err(error)) => tracing::error!(%error, "an attempt to connect"),
                    None => return Err(last),
                },
                () = sleep(HEAD_START), if addresses.peek().is_some() => {}
            }
        }
    }

    async fn secure(&self, peer: Option<SocketAddr>, stream: Counted) -> Result<Stream, DialError> {
        let Some(tls) = &self.tls else { return Ok(Stream::Tcp(stream)) };
        let host = &self.target.host;
        let name = match &self.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.clone()).map_err(|_| DialError::ServerName(host.clone()))?,
        };
        let tls = match &self.renewal {
            Some(renewal) => {
                let address = (self.target.clone(), peer);
                renewal.next(&address, tls, |renewed| renewed.with_alpn(&self.alpn)).await
            }
            None => tls.clone(),
        };
        let connected = tls.connect(name.clone(), stream).await;
        let says_nothing =
            |failed: &HandshakeFailure| handshake_error::says_nothing_of_own_certificate(&failed.error);
        let is_judged = !connected.as_ref().is_err_and(says_nothing);
        let judged = if is_judged { TlsRenewal::on_judged } else { TlsRenewal::on_not_judged };
        self.renewal.iter().for_each(judged);
        let in_words = |failed| {
            let source = handshake_error::in_words(failed, &tls, &name);
            DialError::Tls { host: host.clone(), source }
        };
        let stream = connected.map_err(in_words)?;
        self.hub_tls.set(stream.get_ref().1);
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

async fn connect_to(address: SocketAddr, send_buffer_bytes: Option<u32>) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    let stream = socket.connect(address).await?;
    // A PUBLISH must not wait for the PUBACK of the one before it.
    stream.set_nodelay(true)?;
    bound_unsent(&stream);
    probe_when_idle(&stream, PROBE_AFTER);
    Ok(stream)
}

/// Addresses in the resolver's order, with the two families alternating (RFC 8305 §4).
fn interleaved(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let all: Vec<_> = addresses.collect();
    let first_is_v4 = all.first().is_some_and(SocketAddr::is_ipv4);
    let (own, other): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let (mut own, mut other, mut turns) = (own.into_iter(), other.into_iter(), Vec::new());
    loop {
        match (own.next(), other.next()) {
            (None, None) => return turns,
            (one, two) => turns.extend(one.into_iter().chain(two)),
        }
    }
}

#[cfg(test)]
mod tests;
