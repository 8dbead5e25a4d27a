//! Tasks of all connections. Each begins with what precedes MQTT: the header of a trusted proxy, the TLS and WebSocket handshakes.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use rustls::CertificateError;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use super::acceptor::Accepted;
use super::client_stream::{ClientStream, Transport};
use super::connection::{self, FromPeer, Handshake, Outbox};
use super::handshake_limit::HandshakeLimit;
use super::proxy_protocol::read_source;
use super::read_rate::ReadRate;
use super::read_share::ReadShare;
use crate::listener::ConnectionId;
use crate::net::ServerTls;
use crate::net::tcp_stream::{Counted, Stream, bound_unsent, probe_when_idle};
use crate::net::tls::certificate::{CertificateProblem, problem};
use crate::net::utc::Utc;
use crate::wire::Utf8;

/// Idle time after which the kernel sends TCP keep-alive probes.
const PROBE_AFTER: Duration = Duration::from_secs(30);
/// Time limit of all that precedes MQTT, with the wait for the first byte and for the [handshake limit](super::handshake_limit). Less than the
/// session's time limit for CONNECT, which begins at the same time.
const HANDSHAKE_IN_TURN_WITHIN: Duration = Duration::from_secs(8);
/// Time limit of the handshakes without the wait, because a handshake without progress delays others.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);
/// Error text of a handshake that exceeds these limits.
const SLOW: &str = "no handshake within 3 s, or no first byte or turn within 8 s";
/// Error text of a proxy that exceeds [`HANDSHAKE_WITHIN`] with its header.
const NO_HEADER: &str = "no whole PROXY header within 3 s";
/// Most connections that may wait for their peer's close at a time.
const LINGERING_MAX: usize = 64;
/// Most tasks beside those of the connections: of such that linger, or were displaced and have not ended yet.
pub(super) const TASKS_BESIDE: usize = LINGERING_MAX + 64;
/// Time limit for the last bytes of all connections at a stop.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// Tasks of all connections, see the [module](self).
pub(super) struct ConnectionTasks {
    handshakes: HandshakeLimit,
    /// Number of connections that share the memory for receive buffers.
    readers: Arc<AtomicUsize>,
    max_memory: usize,
    max_bytes_per_s: Option<u32>,
    lingering: Arc<Semaphore>,
    tasks: JoinSet<()>,
    to_owner: mpsc::Sender<(ConnectionId, FromPeer)>,
}

impl ConnectionTasks {
    /// Creates the set of tasks. `max_memory` is the most bytes that clients may take, `max_bytes_per_s` what is read of each.
    pub(super) fn new(
        to_owner: mpsc::Sender<(ConnectionId, FromPeer)>,
        max_memory: usize,
        max_bytes_per_s: Option<u32>,
    ) -> Self {
        Self {
            handshakes: HandshakeLimit::new(),
            readers: Arc::default(),
            max_memory,
            max_bytes_per_s,
            lingering: Arc::new(Semaphore::new(LINGERING_MAX)),
            tasks: JoinSet::new(),
            to_owner,
        }
    }

    /// Runs a connection until the owner closes it.
    pub(super) fn spawn(&mut self, id: ConnectionId, accepted: Accepted, outbox: Arc<Outbox>) {
        let Accepted { stream, peer, tls, transport, is_forwarded } = accepted;
        // Acknowledgements are small and wait for nobody. An error would only cost time.
        let _ = stream.set_nodelay(true);
        probe_when_idle(&stream, PROBE_AFTER);
        // What a client does not read waits where it is counted, and not in the kernel, whose buffer for one grows to megabytes.
        bound_unsent(&stream);
        // Nobody asks for the bytes of the server's connections.
        let stream = Counted::new(stream, Arc::default());
        let owner = self.to_owner.clone();
        let share = (ReadShare::of(&self.readers, self.max_memory), ReadRate::new(self.max_bytes_per_s));
        let lingering = Arc::clone(&self.lingering);
        if tls.is_none() && transport.is_plain() && !is_forwarded {
            let stream = ClientStream::Plain(Stream::Tcp(stream));
            self.tasks.spawn(connection::run(id, stream, outbox, owner, share, lingering));
            return;
        }
        let begun = Begun { id, stream, address: peer, owner: owner.clone() };
        let handshakes = self.handshakes.clone();
        self.tasks.spawn(async move {
            let opened = tokio::select! {
                opened = begun.open(is_forwarded, tls, transport, &handshakes) => opened,
                // Displaced by another one: its socket is to be free at once.
                () = outbox.closed() => return,
            };
            match opened {
                Ok(stream) => connection::run(id, stream, outbox, owner, share, lingering).await,
                // The owner may have ended.
                Err(ended) => drop(owner.send((id, ended)).await),
            }
        });
    }

    /// Waits for the end of a task and removes it, to free its memory. Cancel-safe.
    pub(super) async fn next_end(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Removes all tasks that have ended, to free their memory: connections may be made and ended faster than the owner comes round.
    pub(super) fn remove_ended(&mut self) {
        while self.tasks.try_join_next().is_some() {}
    }

    /// Returns whether another connection may be accepted beside `connections_max`.
    pub(super) fn has_room(&self, connections_max: usize) -> bool {
        self.tasks.len() < connections_max.saturating_add(TASKS_BESIDE)
    }

    /// Waits until all connections have written their last bytes, at most [`CLOSE_WITHIN`].
    pub(super) async fn finish(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(CLOSE_WITHIN, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Connection of which nothing was read.
struct Begun {
    id: ConnectionId,
    stream: Counted,
    /// Address of the peer, later of the client for which it forwards the connection.
    address: SocketAddr,
    owner: mpsc::Sender<(ConnectionId, FromPeer)>,
}

impl Begun {
    /// Performs what precedes MQTT, and tells the owner the client's address and the name in its certificate, if it learns them.
    async fn open(
        mut self,
        is_forwarded: bool,
        tls: Option<ServerTls>,
        transport: Transport,
        handshakes: &HandshakeLimit,
    ) -> Result<ClientStream, FromPeer> {
        let until = Instant::now() + HANDSHAKE_IN_TURN_WITHIN;
        let mut is_proxys_own = false;
        if is_forwarded {
            let source = timeout(HANDSHAKE_WITHIN, read_source(&mut self.stream)).await;
            let source = source.unwrap_or_else(|_| Err(NO_HEADER.to_owned()));
            let source = source.map_err(|error| FromPeer::Failed(Handshake::Proxy, error))?;
            is_proxys_own = source.is_none();
            if let Some(client) = source {
                self.address = client;
                // The owner may have ended.
                let _ = self.owner.send((self.id, FromPeer::Forwarded(client))).await;
            }
        }
        if tls.is_none() && transport.is_plain() {
            return Ok(ClientStream::Plain(Stream::Tcp(self.stream)));
        }
        let first = if tls.is_some() { Handshake::Tls } else { Handshake::WebSocket };
        let address = self.address.ip();
        let Self { id, owner, stream, .. } = self;
        let handshake = async {
            // Who says nothing waits without a place, and keeps nobody out.
            if !stream.has_bytes().await && is_proxys_own {
                // A proxy that looks whether this is there, as it does every few seconds. It is no client that failed.
                return Ok(Err(FromPeer::Closed(None)));
            }
            let handshake = timeout(HANDSHAKE_WITHIN, shake_hands(stream, tls, transport));
            handshakes.run(address, handshake).await
        };
        let Ok(Ok(opened)) = timeout_at(until, handshake).await else {
            return Err(FromPeer::Failed(first, SLOW.to_owned()));
        };
        let (stream, name) = opened?;
        if let Some(name) = name {
            // The owner may have ended.
            let _ = owner.send((id, FromPeer::Certified(name))).await;
        }
        Ok(stream)
    }
}

/// Performs the handshakes of a connection. Returns it with the name in the client's certificate, `None` without one.
async fn shake_hands(
    stream: Counted,
    tls: Option<ServerTls>,
    transport: Transport,
) -> Result<(ClientStream, Option<Utf8>), FromPeer> {
    let no_tls = |error| FromPeer::Failed(Handshake::Tls, error);
    let user = tls.as_ref().map(ServerTls::certificate_user).unwrap_or_default();
    let stream = match tls {
        None => Stream::Tcp(stream),
        Some(tls) => tls.accept(stream).await.map_err(|error| no_tls(failure(&error, &tls)))?,
    };
    let name = stream.certificate_name(user).transpose();
    let name = name.map_err(|unfit| no_tls(unfit.to_string()))?;
    let opened = transport.open(stream).await;
    Ok((opened.map_err(|error| FromPeer::Failed(Handshake::WebSocket, error))?, name))
}

/// Returns a text for a failed handshake: a text of this crate if the connection ended, a certificate is refused or there is none to show, else that of
/// rustls.
fn failure(error: &io::Error, tls: &ServerTls) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "the client went away: a client that does not trust the certificate does so".to_owned();
    }
    let of_tls = error.get_ref().and_then(|error| error.downcast_ref());
    if let (Some(rustls::Error::General(_)), Some(cert)) = (of_tls, tls.unusable_certificate()) {
        let cert = cert.display();
        return format!("the server has no certificate to show: that in {cert}, or its key, cannot be used");
    }
    let file = tls.client_authorities_file();
    let file = file.map_or_else(|| "the trusted".into(), Path::to_string_lossy);
    match of_tls {
        Some(rustls::Error::InvalidCertificate(CertificateError::BadSignature)) => format!(
            "client: a signature does not fit: its authority has another key in {file}, or its own key is not its certificate's, or one of both is of RSA with less than 2048 bits"
        ),
        // A client shows none, too, if its key is of no kind that it was offered.
        Some(rustls::Error::NoCertificatesPresented) => {
            "client: it shows no certificate, or has none with a key that is taken, such as one on P-256"
                .to_owned()
        }
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            "the client does not speak TLS".to_owned()
        }
        Some(rustls::Error::PeerIncompatible(what)) => {
            format!("the client offers no TLS 1.2 or 1.3 with algorithms that are taken here: {what:?}")
        }
        Some(error @ rustls::Error::InvalidCertificate(_)) => match problem(error) {
            CertificateProblem::Other(text) => text,
            CertificateProblem::OtherAuthority => {
                format!("client: another authority than those in {file} has signed the certificate")
            }
            known => format!("client: {known}{}", dates(error)),
        },
        // Of a signer: rustls would put its own words before these.
        Some(rustls::Error::Other(other)) => other.0.to_string(),
        _ => error.to_string(),
    }
}

/// Returns the date for which a certificate is refused, behind a colon, and nothing for another reason.
fn dates(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            format!(": it ended at {}", Utc::from(*not_after))
        }
        rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            format!(": it begins at {}", Utc::from(*not_before))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use tokio::task::AbortHandle;

    use super::*;

    impl ConnectionTasks {
        /// Begins so many tasks that do not end by themselves.
        pub(in crate::net::server) fn fill(&mut self, count: usize) -> Vec<AbortHandle> {
            (0..count).map(|_| self.tasks.spawn(std::future::pending())).collect()
        }
    }

    /// As of clients that connect and leave at once, faster than the owner comes round.
    #[tokio::test]
    async fn promise_12_all_tasks_that_have_ended_are_removed_at_once() {
        let (to_owner, _inputs) = mpsc::channel(1);
        let mut tasks = ConnectionTasks::new(to_owner, 1 << 20, None);
        let running = tasks.fill(10 + TASKS_BESIDE);
        assert!(!tasks.has_room(10), "they run");
        assert!(tasks.has_room(11));
        running.iter().for_each(AbortHandle::abort);
        while !running.iter().all(AbortHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        assert!(!tasks.has_room(10), "nobody has removed them");
        tasks.remove_ended();
        assert!(tasks.tasks.is_empty());
        assert!(tasks.has_room(10));
    }
}
