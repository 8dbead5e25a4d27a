//! Tasks of all connections; each begins with its TLS handshake.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{self, FromPeer, Outbox};
use super::handshake_limit::HandshakeLimit;
use super::read_share::ReadShare;
use crate::listener::ConnectionId;
use crate::net::ServerTls;
use crate::net::certificate::{CertificateProblem, problem};
use crate::net::tcp_stream::{Counted, Stream, probe_when_idle};

/// Silence after which the system probes a connection.
const PROBE_AFTER: Duration = Duration::from_secs(30);
/// Time limit of a TLS handshake, with the wait for its turn: less than the session has for its CONNECT.
const TLS_WITHIN: Duration = Duration::from_secs(8);
/// Time limit of the handshake alone: while it stands still it keeps others waiting.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(3);
/// Words for a handshake beyond these limits.
const SLOW: &str = "no handshake within 3 s, or no turn within 8 s";
/// Connections that may wait for their peer's close at a time.
const LINGERING_MAX: usize = 64;
/// Time limit for the last bytes of all connections at a stop.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// See the [module](self).
pub(super) struct ConnectionTasks {
    handshakes: HandshakeLimit,
    /// Number of connections that read.
    readers: Arc<AtomicUsize>,
    max_memory: usize,
    lingering: Arc<Semaphore>,
    tasks: JoinSet<()>,
    to_owner: mpsc::Sender<(ConnectionId, FromPeer)>,
}

impl ConnectionTasks {
    /// `max_memory`: bytes that clients may hold.
    pub(super) fn new(to_owner: mpsc::Sender<(ConnectionId, FromPeer)>, max_memory: usize) -> Self {
        let handshakes = HandshakeLimit::new();
        let lingering = Arc::new(Semaphore::new(LINGERING_MAX));
        Self { handshakes, readers: Arc::default(), max_memory, lingering, tasks: JoinSet::new(), to_owner }
    }

    /// Runs a connection until the owner closes it.
    pub(super) fn spawn(
        &mut self,
        id: ConnectionId,
        (stream, tls): (TcpStream, Option<ServerTls>),
        outbox: Arc<Outbox>,
    ) {
        let address = stream.peer_addr().ok().map(|address| address.ip());
        // Acknowledgements are small and wait for nobody. An error would only cost time.
        let _ = stream.set_nodelay(true);
        probe_when_idle(&stream, PROBE_AFTER);
        // Nobody asks for the bytes of the server's connections.
        let stream = Counted::new(stream, Arc::default());
        let (owner, share) = (self.to_owner.clone(), ReadShare::of(&self.readers, self.max_memory));
        let lingering = Arc::clone(&self.lingering);
        match tls {
            None => {
                self.tasks.spawn(connection::run(id, Stream::Tcp(stream), outbox, owner, share, lingering))
            }
            Some(tls) => {
                let handshakes = self.handshakes.clone();
                self.tasks.spawn(async move {
                    let handshake = timeout(HANDSHAKE_WITHIN, tls.accept(stream));
                    let handshake = timeout(TLS_WITHIN, handshakes.run(address, handshake));
                    let stream = match handshake.await {
                        Ok(Ok(Ok(stream))) => stream,
                        failed => {
                            let error = match failed {
                                Ok(Ok(Err(error))) => failure(&error),
                                _ => SLOW.to_owned(),
                            };
                            // The owner may have ended.
                            let _ = owner.send((id, FromPeer::NoTls(error))).await;
                            return;
                        }
                    };
                    match stream.certificate_name() {
                        Some(Ok(name)) => drop(owner.send((id, FromPeer::Certified(name))).await),
                        Some(Err(unfit)) => {
                            let _ = owner.send((id, FromPeer::NoTls(unfit.to_string()))).await;
                            return;
                        }
                        None => {}
                    }
                    connection::run(id, stream, outbox, owner, share, lingering).await;
                })
            }
        };
    }

    /// Waits for the end of a task, so that it takes no memory any more. Cancel-safe.
    pub(super) async fn next_end(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the last bytes of all connections, but no longer than some seconds.
    pub(super) async fn finish(&mut self) {
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(CLOSE_WITHIN, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

/// Says why a handshake failed; the end of the connection in words of ours, the rest in those of rustls.
fn failure(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return "the client went away: a client that does not trust the certificate does so".to_owned();
    }
    let of_tls = error.get_ref().and_then(|error| error.downcast_ref());
    match of_tls {
        Some(error @ rustls::Error::InvalidCertificate(_)) => match problem(error) {
            CertificateProblem::Other(text) if text.contains("UnsupportedCertVersion") => {
                "the client's certificate is of X.509 version 1".to_owned()
            }
            CertificateProblem::Other(text) => text,
            known => format!("client: {known}"),
        },
        _ => error.to_string(),
    }
}
