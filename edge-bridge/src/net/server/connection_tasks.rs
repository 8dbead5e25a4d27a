//! Tasks of all connections; each begins with its TLS handshake.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::{self, FromPeer, Outbox};
use super::read_share::ReadShare;
use crate::listener::ConnectionId;
use crate::net::ServerTls;
use crate::net::tcp_stream::{Counted, Stream, probe_when_idle};

/// Silence after which the system probes a connection.
const PROBE_AFTER: Duration = Duration::from_secs(30);
/// Time limit of a TLS handshake.
const TLS_WITHIN: Duration = Duration::from_secs(10);
/// Connections that may wait for their peer's close at a time.
const LINGERING_MAX: usize = 64;
/// Time limit for the last bytes of all connections at a stop.
const CLOSE_WITHIN: Duration = Duration::from_secs(3);

/// See the [module](self).
pub(super) struct ConnectionTasks {
    tls: Option<ServerTls>,
    /// Number of connections that read.
    readers: Arc<AtomicUsize>,
    max_memory: usize,
    lingering: Arc<Semaphore>,
    tasks: JoinSet<()>,
    to_owner: mpsc::Sender<(ConnectionId, FromPeer)>,
}

impl ConnectionTasks {
    /// `max_memory`: bytes that clients may hold.
    pub(super) fn new(
        tls: Option<ServerTls>,
        to_owner: mpsc::Sender<(ConnectionId, FromPeer)>,
        max_memory: usize,
    ) -> Self {
        let lingering = Arc::new(Semaphore::new(LINGERING_MAX));
        Self { tls, readers: Arc::default(), max_memory, lingering, tasks: JoinSet::new(), to_owner }
    }

    /// Runs a connection until the owner closes it.
    pub(super) fn spawn(&mut self, id: ConnectionId, stream: TcpStream, outbox: Arc<Outbox>) {
        // Acknowledgements are small and wait for nobody. An error would only cost time.
        let _ = stream.set_nodelay(true);
        probe_when_idle(&stream, PROBE_AFTER);
        // Nobody asks for the bytes of the server's connections.
        let stream = Counted::new(stream, Arc::default());
        let (owner, share) = (self.to_owner.clone(), ReadShare::of(&self.readers, self.max_memory));
        let lingering = Arc::clone(&self.lingering);
        match self.tls.clone() {
            None => {
                self.tasks.spawn(connection::run(id, Stream::Tcp(stream), outbox, owner, share, lingering))
            }
            Some(tls) => self.tasks.spawn(async move {
                match timeout(TLS_WITHIN, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection::run(id, stream, outbox, owner, share, lingering).await,
                    failed => {
                        tracing::debug!(connection = id.0, error = ?failed.err(), "no TLS handshake");
                        // The owner may have ended.
                        let _ = owner.send((id, FromPeer::Closed)).await;
                    }
                }
            }),
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
