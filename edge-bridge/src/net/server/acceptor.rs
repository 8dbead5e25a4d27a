//! Acceptor of TCP connections: accepts from the listening sockets in turn, pauses after a failed accept, and counts connections that could not
//! be accepted. These are logged once a minute for each cause, because any client can repeat them for ever.

use std::fmt::{self, Display};
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::client_stream::Transport;
use super::proxy_protocol::Proxies;
use crate::net::ServerTls;

/// Pause after a failed accept, which usually lacks file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Shortest time between two log lines of one cause.
const AGAIN: Duration = Duration::from_secs(60);

/// Most bytes that are read of a connection that is turned away: a CONNECT, or a TLS handshake's first message.
const TURNED_AWAY_BYTES: usize = 4096;

/// One address to which clients connect.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) socket: TcpListener,
    /// TLS of this address; `None` for plain connections.
    pub(super) tls: Option<ServerTls>,
    pub(super) transport: Transport,
}

/// New connection from which nothing was read yet.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: TcpStream,
    /// Address of the peer. A socket that was reset meanwhile does not tell it any more.
    pub(super) peer: SocketAddr,
    pub(super) tls: Option<ServerTls>,
    pub(super) transport: Transport,
    /// Set if a proxy forwards it, so that it begins with a PROXY header.
    pub(super) is_forwarded: bool,
}

/// Listening sockets and counts of failures, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct Acceptor {
    /// Listening sockets; empty once the server stops.
    doors: Vec<Door>,
    /// Proxies whose connections begin with a PROXY header.
    proxies: Proxies,
    /// Position of the socket that was accepted from last; the next one goes first, so that a flooded socket does not shut out others.
    turn: usize,
    /// Time until which no accept is tried, after a failed one; `None` otherwise.
    again_at: Option<Instant>,
    failed: NotAccepted,
    /// Connections closed at the limit of connections.
    turned_away: NotAccepted,
    /// Pauses of the accept while connections that have ended leave no room.
    pauses: NotAccepted,
    is_paused: bool,
    /// Limit of connections.
    pub(super) connections_max: usize,
}

impl Acceptor {
    pub(super) fn new(doors: Vec<Door>, proxies: Proxies, connections_max: usize) -> Self {
        Self { doors, proxies, connections_max, ..Self::default() }
    }

    /// Stops accepting.
    pub(super) fn close(&mut self) {
        self.doors.clear();
    }

    /// Sets the TLS for new connections, at addresses that have TLS.
    pub(super) fn set_tls(&mut self, tls: &ServerTls) {
        self.doors.iter_mut().filter_map(|door| door.tls.as_mut()).for_each(|old| *old = tls.clone());
    }

    /// Waits for the next connection. Cancel-safe.
    pub(super) async fn accept(&mut self) -> Accepted {
        loop {
            if let Some(at) = self.again_at {
                sleep_until(at).await;
                self.again_at = None;
            }
            match poll_fn(|cx| self.poll_doors(cx)).await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    let now = Instant::now();
                    self.failed.note_refused(now, &error);
                    self.again_at = Some(now + ACCEPT_AGAIN);
                }
            }
        }
    }

    fn poll_doors(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        for _ in 0..self.doors.len() {
            self.turn = (self.turn + 1) % self.doors.len();
            let Some(door) = self.doors.get(self.turn) else { continue };
            if let Poll::Ready(accepted) = door.socket.poll_accept(cx) {
                return Poll::Ready(accepted.map(|(stream, peer)| Accepted {
                    stream,
                    peer,
                    tls: door.tls.clone(),
                    transport: door.transport.clone(),
                    is_forwarded: self.proxies.contain(peer.ip()),
                }));
            }
        }
        Poll::Pending
    }

    /// Returns a connection that can be accepted at once; `None` if there is none.
    pub(super) async fn accept_ready(&mut self) -> Option<Accepted> {
        poll_fn(|cx| match pin!(self.accept()).poll(cx) {
            Poll::Ready(accepted) => Poll::Ready(Some(accepted)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// Counts a connection that is closed at the limit, and ends its stream properly.
    pub(super) fn turn_away(&mut self, accepted: &Accepted) {
        end_properly(&accepted.stream);
        self.turned_away.note_refused(Instant::now(), &AtLimit(self.connections_max));
    }

    /// Sets whether there is room for another connection. Without it, new clients wait until ended connections have written their last bytes.
    /// Returns whether a log line was written.
    pub(super) fn set_room(&mut self, has_room: bool) -> bool {
        let was_paused = std::mem::replace(&mut self.is_paused, !has_room);
        let begins = self.is_paused && !was_paused && !self.doors.is_empty();
        let Some(held_back) = begins.then(|| self.pauses.note(Instant::now())).flatten() else {
            return false;
        };
        tracing::warn!(
            held_back,
            "new clients wait, because too many do not read the last bytes of connections that have ended"
        );
        true
    }

    /// Number of connections that could not be accepted so far.
    pub(super) fn not_accepted(&self) -> u64 {
        self.failed.total + self.turned_away.total
    }
}

/// Ends a connection that is closed next, with a FIN, and without a wait. A socket that is closed with unread bytes is reset, so those that are
/// there are read; bytes that come later are answered by a reset behind the FIN, which the peer sees first.
fn end_properly(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    // An error means that the peer is gone.
    let _ = socket.shutdown(Shutdown::Write);
    // The socket does not block.
    let _ = socket.recv(&mut [MaybeUninit::uninit(); TURNED_AWAY_BYTES]);
}

/// Reached limit of connections.
struct AtLimit(usize);

impl Display for AtLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit of {} connections is reached", self.0)
    }
}

/// Count of connections that could not be accepted, or of pauses of the accept, for one kind of cause.
#[derive(Debug, Default)]
struct NotAccepted {
    total: u64,
    said_at: Option<Instant>,
    held_back: u64,
}

impl NotAccepted {
    /// Counts one more at `now`. Returns, if a log line is due, how many had none since the last line.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.total += 1;
        if self.said_at.is_some_and(|said_at| now < said_at + AGAIN) {
            self.held_back += 1;
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }

    /// Counts a connection that could not be accepted, and writes the log line if one is due.
    fn note_refused(&mut self, now: Instant, cause: &dyn Display) {
        if let Some(held_back) = self.note(now) {
            tracing::warn!(held_back, "cannot accept a connection: {cause}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::log_fields::Fields;

    #[test]
    fn each_counts_and_a_line_is_not_repeated_within_a_minute() {
        let (start, mut noted) = (Instant::now(), NotAccepted::default());
        let lines =
            (0..1_500).filter(|n| noted.note(start + Duration::from_millis(100 * n)).is_some()).count();
        assert_eq!((noted.total, lines), (1_500, 3));
        assert_eq!(AtLimit(4).to_string(), "the limit of 4 connections is reached");
    }

    #[tokio::test]
    async fn a_pause_is_told_as_it_begins_and_not_again_within_a_minute() {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let door = Door { socket, tls: None, transport: Transport::Plain };
        let mut acceptor = Acceptor::new(vec![door], Proxies::default(), 4);
        let fields = Fields::default();
        let told = tracing::subscriber::with_default(fields.clone(), || {
            [true, false, false, true, false].map(|has_room| acceptor.set_room(has_room))
        });
        assert_eq!(told, [false, true, false, false, false]);
        let lines = fields.take();
        assert!(
            lines.contains("message=new clients wait, because ") && lines.lines().count() == 1,
            "{lines}"
        );
        assert_eq!((acceptor.pauses.total, acceptor.pauses.held_back, acceptor.not_accepted()), (2, 1, 0));
        acceptor.close();
        assert_eq!([true, false].map(|has_room| acceptor.set_room(has_room)), [false, false], "it stops");
        assert_eq!(acceptor.pauses.total, 2);
    }
}
