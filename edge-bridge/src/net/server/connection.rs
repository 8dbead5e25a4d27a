//! Task of one connection, which only moves bytes.
//!
//! There is one receive buffer, and while the owner's task has it nothing is read. So a connection that is not read keeps its bytes in the
//! sender's memory, not here.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::client_stream::{ClientStream, broken_rule};
use super::read_rate::ReadRate;
use super::read_share::{READ_MIN, ReadShare};
use crate::listener::{ConnectionId, Event};
use crate::send_pieces::Pieces;
use crate::session::Violation;
use crate::wire::Utf8;

/// Longest wait for a peer to accept the last bytes.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait for a peer to close after the last bytes; with the most bytes that are read from it meanwhile.
const LINGER_WITHIN: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 256 * 1024;
/// Silence after which a sender counts as having no backlog, because the next part of a backlog comes as soon as there is room for it.
const SILENCE: Duration = Duration::from_millis(250);
/// Number of reads in a row after which a sender counts as having no backlog, if each was waited for and brought less than a TCP segment. A
/// sender with a backlog fills its segments, but for the last one.
const PIECES: u32 = 4;
const PIECE: usize = 1024;

/// Message of a connection's task to the task that owns the listener.
#[derive(Debug)]
pub(super) enum FromPeer {
    /// The client showed a certificate with this name, which was verified. Sent before any bytes.
    Certified(Utf8),
    /// The proxy that forwards the connection told the client's address. Sent before anything else.
    Forwarded(SocketAddr),
    /// Failure of a handshake that precedes MQTT; contains the cause.
    Failed(Handshake, String),
    /// Received bytes, behind those that were left in the buffer. The task waits for the buffer to come back.
    Bytes {
        buffer: BytesMut,
        /// Time of the last read, if the connection had [no backlog](Reading::is_up_to_date) then.
        up_to_date: Option<Instant>,
    },
    Written(usize),
    /// The peer closed the connection, or the network lost it, while reading was paused because the owner held the buffer. Contains a copy of the
    /// bytes that came after those in the buffer, about as many as one read brings. Sent at each [look](Outbox::look), because the owner may have
    /// handled a part of the buffer in between.
    Gone(BytesMut),
    /// End of the connection, with the rule that the peer broke if it ended for that.
    Closed(Option<Violation>),
}

/// Part of a connection that precedes MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    /// Header of the proxy that forwards the connection.
    Proxy,
    Tls,
    WebSocket,
}

impl Handshake {
    /// Returns the event for a failure.
    pub(super) fn event(self, connection: ConnectionId, error: String) -> Event {
        match self {
            Self::Proxy => Event::NoProxyHeader { connection, error },
            Self::Tls => Event::NoTls { connection, error },
            Self::WebSocket => Event::NoWebSocket { connection, error },
        }
    }
}

/// Bytes to write, and orders, from the owner to a connection's task. Limited by the listener's `max_unwritten_bytes`.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<ToPeer>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct ToPeer {
    bytes: Pieces,
    buffer: Option<BytesMut>,
    look: bool,
    close: bool,
    discard: bool,
}

impl Outbox {
    /// Appends bytes to be written. Small packets are joined to one write; large ones are not copied.
    pub(super) fn transmit(&self, bytes: Bytes) {
        self.change(|state| state.bytes.push(bytes));
    }

    /// Returns the receive buffer, so that the connection reads on, behind the bytes that are still in it.
    pub(super) fn read(&self, buffer: BytesMut) {
        self.change(|state| state.buffer = Some(buffer));
    }

    /// Makes the connection check if the peer is gone, because the end of a connection goes unnoticed while nothing is read.
    pub(super) fn look(&self) {
        self.change(|state| state.look = true);
    }

    /// Makes the connection write the remaining bytes, then close.
    pub(super) fn close(&self) {
        self.change(|state| state.close = true);
    }

    /// Makes the connection close at once: unwritten bytes are dropped and their memory is freed.
    pub(super) fn discard(&self) {
        self.change(|state| {
            state.bytes = Pieces::default();
            (state.close, state.discard) = (true, true);
        });
    }

    /// Waits until the owner closes the connection. For a connection whose handshakes are not done, for which the owner has no other order.
    pub(super) async fn closed(&self) {
        while !self.state.lock().unwrap_or_else(PoisonError::into_inner).close {
            self.wake.notified().await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut ToPeer)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.wake.notify_one();
    }

    fn take(&self) -> ToPeer {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ToPeer { close, discard, .. } = *state;
        ToPeer { close, discard, ..std::mem::take(&mut *state) }
    }
}

/// Runs a connection until the owner closes it.
pub(super) async fn run(
    id: ConnectionId,
    mut stream: ClientStream,
    outbox: Arc<Outbox>,
    owner: mpsc::Sender<(ConnectionId, FromPeer)>,
    (share, rate): (ReadShare, ReadRate),
    lingering: Arc<Semaphore>,
) {
    let mut reading = Reading::new(share, rate);
    let mut out = Out::default();
    // Whether the network still carries anything: afterwards only the owner's word is waited for.
    let mut is_up = true;
    // Whether the peer was found gone in this pause, and the bytes ahead were read.
    let mut is_gone = false;
    loop {
        let said = tokio::select! {
            () = outbox.wake.notified() => {
                let ToPeer { bytes, buffer, look, close, discard } = outbox.take();
                if discard {
                    return;
                }
                out.bytes.append(bytes);
                if buffer.is_some() {
                    reading.buffer = buffer;
                    is_gone = false;
                }
                if close {
                    break;
                }
                if !look || !is_up || reading.buffer.is_some() || !(is_gone || stream.is_gone()) {
                    continue;
                }
                if !std::mem::replace(&mut is_gone, true) {
                    reading.read_ahead(&mut stream).await;
                }
                Ok(FromPeer::Gone(reading.ahead.clone()))
            }
            said = step(&mut stream, &mut out, &mut reading), if is_up => match said {
                Ok(FromPeer::Written(0)) => continue,
                said => said,
            },
        };
        let said = said.unwrap_or_else(|error| {
            is_up = false;
            FromPeer::Closed(broken_rule(&error))
        });
        if owner.send((id, said)).await.is_err() {
            break;
        }
    }
    drop(reading);
    if is_up {
        let flush = async {
            stream.write_all_buf(&mut out.bytes).await?;
            stream.shutdown().await
        };
        // The connection is over either way.
        let is_flushed = matches!(timeout(CLOSE_WITHIN, flush).await, Ok(Ok(())));
        // At a stop nobody waits, and many who are closed at once and stay must not pile up.
        if is_flushed
            && !owner.is_closed()
            && let Ok(_place) = lingering.try_acquire()
        {
            let _ = timeout(LINGER_WITHIN, linger(&mut stream)).await;
        }
    }
}

/// Reads and drops bytes that the peer still sends, until it closes. A socket that is closed with unread bytes is reset, and the peer might
/// never see the DISCONNECT with its reason.
async fn linger(stream: &mut ClientStream) {
    let mut forgotten = BytesMut::with_capacity(READ_MIN);
    let mut left = LINGER_BYTES;
    while left > 0 {
        forgotten.clear();
        match stream.read_buf(&mut (&mut forgotten).limit(READ_MIN)).await {
            Ok(n @ 1..) => left = left.saturating_sub(n),
            Ok(0) | Err(_) => return,
        }
    }
}

/// Reads or writes, whichever is possible, alternately if both are. Cancel-safe.
async fn step(stream: &mut ClientStream, out: &mut Out, reading: &mut Reading) -> io::Result<FromPeer> {
    poll_fn(|cx| {
        let reads_first = std::mem::replace(&mut out.had_turn, false);
        for reads in [reads_first, !reads_first] {
            let done = if reads {
                reading.poll(stream, cx)
            } else if out.is_done() {
                Poll::Pending
            } else {
                out.had_turn = true;
                pin!(out.write(stream)).poll(cx).map_ok(FromPeer::Written)
            };
            if done.is_ready() {
                return done;
            }
        }
        Poll::Pending
    })
    .await
}

#[derive(Debug)]
struct Reading {
    /// Receive buffer; `None` while the owner has it.
    buffer: Option<BytesMut>,
    /// Set if the buffer was just allocated, and no byte has come yet.
    is_fresh: bool,
    /// Time of the first read without bytes since the last read with bytes.
    waits_since: Option<Instant>,
    /// Number of reads in a row that were waited for and brought less than [`PIECE`].
    pieces: u32,
    /// Bytes read while the owner had the buffer; they go into it first.
    ahead: BytesMut,
    /// Number of bytes to read at a time; doubles for a sender that fills it.
    want: usize,
    share: ReadShare,
    rate: ReadRate,
    /// Pause of a client that sends faster than its rate.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Reading {
    fn new(share: ReadShare, rate: ReadRate) -> Self {
        Self {
            buffer: Some(BytesMut::new()),
            is_fresh: false,
            waits_since: None,
            pieces: 0,
            ahead: BytesMut::new(),
            want: READ_MIN,
            share,
            rate,
            pause: None,
        }
    }

    fn poll(&mut self, from: &mut ClientStream, cx: &mut Context<'_>) -> Poll<io::Result<FromPeer>> {
        let before = self.buffer.as_ref().map(BytesMut::len);
        if before.is_some() && self.pauses(cx) {
            return Poll::Pending;
        }
        let read = pin!(self.read(from)).poll(cx);
        if read.is_pending() && before.is_some() {
            self.waits_since.get_or_insert_with(Instant::now);
        }
        read.map_ok(|buffer| {
            let now = Instant::now();
            let bytes = buffer.len().saturating_sub(before.unwrap_or_default());
            self.rate.on_read(bytes, now);
            let up_to_date = self.is_up_to_date(bytes, now).then_some(now);
            FromPeer::Bytes { buffer, up_to_date }
        })
    }

    /// Returns whether the client is faster than its rate. A pause is no wait for the client: it may have a backlog.
    fn pauses(&mut self, cx: &mut Context<'_>) -> bool {
        if self.pause.is_none() {
            let until = self.rate.pause_until(Instant::now());
            self.pause = until.map(|until| Box::pin(sleep_until(until)));
        }
        let pauses = self.pause.as_mut().is_some_and(|pause| pause.as_mut().poll(cx).is_pending());
        if pauses {
            self.waits_since = None;
        } else {
            self.pause = None;
        }
        pauses
    }

    /// Returns whether a read of this many bytes shows that the sender has no backlog. An empty receive buffer does not show it, because the
    /// sender's send buffer may be full.
    fn is_up_to_date(&mut self, bytes: usize, now: Instant) -> bool {
        let waited = self.waits_since.take().map(|since| now - since);
        self.pieces = if waited.is_some() && bytes < PIECE { self.pieces.saturating_add(1) } else { 0 };
        self.pieces >= PIECES || waited.is_some_and(|waited| waited >= SILENCE)
    }

    /// Reads into the buffer and hands it out. Cancel-safe, because bytes that were read are in the buffer.
    async fn read(&mut self, from: &mut ClientStream) -> io::Result<BytesMut> {
        let Some(buffer) = &mut self.buffer else { return std::future::pending().await };
        if !self.ahead.is_empty() {
            buffer.unsplit(std::mem::take(&mut self.ahead));
            return Ok(self.buffer.take().unwrap_or_default());
        }
        let max = self.share.max().min(self.rate.step());
        let want = self.want.min(max);
        if buffer.is_empty() && !std::mem::replace(&mut self.is_fresh, true) {
            // Not that of the last bytes, which may be large and is not needed while nothing comes.
            *buffer = BytesMut::new();
        }
        // A buffer with room has the size of its packet.
        if buffer.capacity() - buffer.len() < READ_MIN {
            buffer.reserve(want);
        }
        let want = want.min(buffer.capacity() - buffer.len());
        let n = from.read_buf(&mut buffer.limit(want)).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.is_fresh = false;
        self.want = if n >= want { want * 2 } else { want / 2 }.clamp(READ_MIN, max);
        Ok(self.buffer.take().unwrap_or_default())
    }

    /// Reads the bytes that are available at once. An error comes again at the next [`read`](Self::read).
    async fn read_ahead(&mut self, from: &mut ClientStream) {
        while self.ahead.len() < self.share.max() {
            self.ahead.reserve(READ_MIN);
            let there = poll_fn(|cx| match pin!(from.read_buf(&mut self.ahead)).poll(cx) {
                Poll::Ready(Ok(n)) => Poll::Ready(n),
                Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(0),
            });
            if there.await == 0 {
                return;
            }
        }
    }
}

#[derive(Debug, Default)]
struct Out {
    bytes: Pieces,
    /// Set while TLS may still hold a part of the written bytes.
    to_flush: bool,
    /// Set if the last step tried to write, so that the next one tries to read first.
    had_turn: bool,
}

impl Out {
    fn is_done(&self) -> bool {
        !self.bytes.has_remaining() && !self.to_flush
    }

    /// Writes bytes that the socket accepts, or flushes if all are written. Returns the number of bytes. Cancel-safe.
    async fn write(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<usize> {
        if !self.bytes.has_remaining() {
            to.flush().await?;
            self.to_flush = false;
            return Ok(0);
        }
        let n = to.write_buf(&mut self.bytes).await?;
        self.to_flush = true;
        if n == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(n) }
    }
}

#[cfg(test)]
mod tests;
