//! Accepting of connections: the socket, a pause after an accept that failed, and the counts of connections that could not be taken in.

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::not_accepted::NotAccepted;

/// After an accept that failed, usually for want of file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Acceptor {
    /// `None` before the server runs and once it stops.
    socket: Option<TcpListener>,
    /// Set after an accept that failed.
    again_at: Option<Instant>,
    failed: NotAccepted,
    /// Connections turned away at the limit of connections.
    turned_away: NotAccepted,
}

impl Acceptor {
    /// Accepts on `socket` from now on; `None`: nothing any more.
    pub(super) fn set_socket(&mut self, socket: Option<TcpListener>) {
        self.socket = socket;
    }

    /// Waits for the next connection. Cancel-safe.
    pub(super) async fn accept(&mut self) -> TcpStream {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        loop {
            if let Some(at) = self.again_at {
                sleep_until(at).await;
                self.again_at = None;
            }
            match socket.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => {
                    let now = Instant::now();
                    self.failed.note(now, &error);
                    self.again_at = Some(now + ACCEPT_AGAIN);
                }
            }
        }
    }

    /// Notes a connection that finds no place.
    pub(super) fn on_turned_away(&mut self) {
        self.turned_away.note(Instant::now(), &"the limit of connections is reached");
    }

    /// Connections that could not be taken in so far.
    pub(super) fn not_accepted(&self) -> u64 {
        self.failed.total + self.turned_away.total
    }
}
