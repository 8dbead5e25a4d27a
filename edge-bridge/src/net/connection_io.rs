//! Socket of one connection: reads and writes at the same time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::send_buffer::Outgoing;
use super::tcp_stream::Stream;

/// Most bytes read at a time.
pub(super) const READ_MAX: usize = 32 * 1024;
/// Most bytes of packets other than messages that wait for the peer while more of it is read. A hub can ask for answers without end and take none;
/// one that takes none for longer is [given up](crate::bridge::LinkState) by its missing PUBACK or PINGRESP.
const ANSWERS_MAX: usize = 64 * 1024;
/// Longest wait at a close for the last packets to be sent, and for the peer to close.
const LINGER: Duration = Duration::from_secs(1);
/// Longest wait at a close while a message is partly written, because the rest may take that long on a slow link.
const LINGER_WITH_MESSAGE: Duration = Duration::from_secs(5);

/// A connection with its buffers.
pub(super) struct Socket {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    pub(super) received: BytesMut,
    /// Counter of bytes, both directions, without those that TLS adds.
    carried: Arc<AtomicU64>,
    /// Set if whole packets may be left in `received`.
    read_later: bool,
    out: Outgoing,
    unflushed: bool,
    /// Set if the socket's send buffer was full at some time since the last reported write.
    waited: bool,
    /// Error of the last write; `None` if there was none. No more is written, but bytes that the peer sent before are still read.
    broken: Option<String>,
}

/// Event of the connection's socket.
pub(super) enum Moved {
    /// Bytes came in.
    Read,
    /// The socket accepted bytes.
    Wrote {
        bytes: usize,
        /// Set if its send buffer was full before.
        waited: bool,
    },
    /// The connection ended, with the error if there was one. Whole packets may be left in `received`.
    Ended(Option<String>),
}

impl Socket {
    /// Bytes that are read and written are added to `carried`.
    pub(super) fn new(stream: Stream, carried: Arc<AtomicU64>) -> Self {
        let (reader, writer) = split(stream);
        Self {
            reader,
            writer,
            received: BytesMut::new(),
            carried,
            read_later: false,
            out: Outgoing::default(),
            unflushed: false,
            waited: false,
            broken: None,
        }
    }

    pub(super) fn send(&mut self, bytes: &Bytes) {
        self.out.push(bytes);
    }

    /// Leaves the bytes in `received` for later. They count as read again when reading is allowed.
    pub(super) fn read_later(&mut self) {
        self.read_later = true;
    }

    /// Waits for the next event. Reads nothing while the peer takes no answers. Cancel-safe, because bytes in either direction are in the buffers.
    pub(super) async fn step(&mut self, may_read: bool) -> Moved {
        let may_read = may_read && self.out.answers() < ANSWERS_MAX;
        if may_read && std::mem::take(&mut self.read_later) {
            return Moved::Read;
        }
        if self.broken.is_some() {
            return self.read_rest(may_read).await;
        }
        let Self { reader, writer, received, carried, out, unflushed, waited, .. } = self;
        let wants_write = *unflushed || !out.is_empty();
        received.reserve(READ_MAX / 4);
        let mut room = received.limit(READ_MAX);
        tokio::select! {
            read = reader.read_buf(&mut room), if may_read => match read {
                Ok(0) => Moved::Ended(None),
                Ok(n) => {
                    carried.fetch_add(n as u64, Ordering::Relaxed);
                    Moved::Read
                }
                Err(error) => Moved::Ended(Some(error.to_string())),
            },
            wrote = write(writer, out, unflushed, waited), if wants_write => match wrote {
                Ok(bytes) => {
                    carried.fetch_add(bytes as u64, Ordering::Relaxed);
                    Moved::Wrote { bytes, waited: std::mem::take(waited) }
                }
                Err(error) => {
                    self.broken = Some(error.to_string());
                    self.read_rest(may_read).await
                }
            },
            else => std::future::pending().await,
        }
    }

    /// Reads bytes that the peer sent before it ended the connection, such as its reason, and then reports the end. While reading is not
    /// allowed, at most [`READ_MAX`] bytes are collected in `received`.
    async fn read_rest(&mut self, may_read: bool) -> Moved {
        loop {
            self.received.reserve(READ_MAX / 4);
            let mut room = (&mut self.received).limit(READ_MAX);
            let read = timeout(LINGER, self.reader.read_buf(&mut room)).await;
            if let Ok(Ok(n)) = &read {
                self.carried.fetch_add(*n as u64, Ordering::Relaxed);
            }
            match read {
                Ok(Ok(1..)) if may_read => return Moved::Read,
                Ok(Ok(1..)) if self.received.len() < READ_MAX => {}
                _ => return Moved::Ended(self.broken.take()),
            }
        }
    }

    /// Resets the connection, so that bytes in the socket's send buffer are dropped and do not compete with the next connection.
    pub(super) fn abort(self) {
        if let Err(error) = self.reader.unsplit(self.writer).reset() {
            tracing::debug!(%error, "the connection is closed, not reset");
        }
    }

    /// Closes the connection. A partly written message and the last packets are still sent, other messages are not. Then reads until the peer
    /// closes, because the kernel sends a reset if received bytes are unread, and that drops bytes not sent yet.
    pub(super) async fn hang_up(mut self) {
        let linger = if self.out.has_begun() { LINGER_WITH_MESSAGE } else { LINGER };
        self.out.drop_messages();
        let last = async {
            while self.unflushed || !self.out.is_empty() {
                let Self { writer, out, unflushed, waited, .. } = &mut self;
                let written = write(writer, out, unflushed, waited).await?;
                self.carried.fetch_add(written as u64, Ordering::Relaxed);
            }
            self.writer.shutdown().await?;
            self.received.clear();
            while self.reader.read_buf(&mut (&mut self.received).limit(READ_MAX)).await? > 0 {
                self.received.clear();
            }
            io::Result::Ok(())
        };
        // It is over either way.
        let _ = timeout(linger, last).await;
    }
}

/// Writes as much as the socket accepts and returns the number of bytes. Sets `waited` if its send buffer is full.
async fn write(
    writer: &mut WriteHalf<Stream>,
    out: &mut Outgoing,
    unflushed: &mut bool,
    waited: &mut bool,
) -> io::Result<usize> {
    let flushes = out.is_empty();
    let n = poll_fn(|cx| {
        let mut writer = Pin::new(&mut *writer);
        let done = match flushes {
            // TLS may still hold a part of the last record.
            true => writer.as_mut().poll_flush(cx).map_ok(|()| 0),
            false => writer.as_mut().poll_write(cx, out.bytes()),
        };
        *waited |= matches!(done, Poll::Pending);
        done
    })
    .await?;
    if flushes {
        *unflushed = false;
        return Ok(0);
    }
    if n == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    out.advance(n);
    *unflushed = true;
    Ok(n)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    use super::super::tcp_stream::{Counted, bound_unsent};
    use super::*;

    /// A hub may give its reason and close the connection while we write: the reason is read, whether reading or writing comes first.
    #[tokio::test]
    async fn the_last_words_of_a_peer_are_read_although_it_takes_nothing_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for _ in 0..20 {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut socket = Socket::new(Stream::Tcp(Counted::new(stream, Arc::default())), Arc::default());
            socket.send(&Bytes::from_static(b"not read by the peer"));
            assert!(matches!(socket.step(true).await, Moved::Wrote { bytes: 20, .. }));
            peer.readable().await.unwrap();
            peer.write_all(b"reason").await.unwrap();
            drop(peer);
            socket.send(&Bytes::from_static(b"more"));
            let mut ended = false;
            while !ended {
                ended = matches!(socket.step(true).await, Moved::Ended(_));
            }
            assert_eq!(&socket.received[..], b"reason");
        }
    }

    /// Answers to what a hub sends without end would be kept here if it reads none of them.
    #[tokio::test]
    async fn a_peer_that_takes_no_answers_is_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut socket = Socket::new(Stream::Tcp(Counted::new(stream, Arc::default())), Arc::default());
        let answers = Bytes::from([0xd0, 0].repeat(4096));
        loop {
            peer.write_all(b"asks").await.unwrap();
            match timeout(Duration::from_millis(300), socket.step(true)).await {
                Ok(Moved::Read) => {
                    socket.received.clear();
                    socket.send(&answers);
                }
                Ok(Moved::Wrote { .. }) => {}
                Ok(Moved::Ended(why)) => panic!("{why:?}"),
                Err(_) => break,
            }
            assert!(socket.out.bytes().len() < 256 * 1024, "answers are kept without end");
        }
        let mut taken = vec![0; 16 * 1024 * 1024];
        peer.read_exact(&mut taken[..8192]).await.unwrap();
        tokio::spawn(async move { while peer.read(&mut taken).await.unwrap() > 0 {} });
        while !matches!(socket.step(true).await, Moved::Read) {}
    }

    /// Next event of a write; `None` when the system has no room.
    async fn next_write(socket: &mut Socket) -> Option<(usize, bool)> {
        match timeout(Duration::from_millis(300), socket.step(false)).await {
            Ok(Moved::Wrote { bytes, waited }) => Some((bytes, waited)),
            Ok(_) => panic!("a write expected"),
            Err(_) => None,
        }
    }

    /// The stall breaker takes a write for an answer if, and only if, earlier bytes had to leave for it.
    #[tokio::test]
    async fn promise_5_a_write_says_whether_it_waited_for_bytes_to_leave() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let small = TcpSocket::new_v4().unwrap();
        small.set_send_buffer_size(4096).unwrap();
        let stream = small.connect(listener.local_addr().unwrap()).await.unwrap();
        bound_unsent(&stream);
        let (mut peer, _) = listener.accept().await.unwrap();
        let mut socket = Socket::new(Stream::Tcp(Counted::new(stream, Arc::default())), Arc::default());
        let message = vec![0; 1024 * 1024];
        socket.send(&message.clone().into());
        let (_, waited) = next_write(&mut socket).await.expect("room for the first bytes");
        assert!(!waited, "nothing had to leave");
        while next_write(&mut socket).await.is_some() {}
        let left = socket.out.bytes().len();
        assert!(left > 0, "the peer reads nothing, and the system took all");
        let peer = tokio::spawn(async move {
            peer.read_exact(&mut vec![0; message.len()]).await.unwrap();
            peer.write_all(b"all").await.unwrap();
            peer
        });
        let Moved::Wrote { waited, .. } = socket.step(false).await else { panic!("a write expected") };
        assert!(waited, "bytes left");
        while socket.unflushed || !socket.out.is_empty() {
            assert!(matches!(socket.step(false).await, Moved::Wrote { .. }));
        }
        // With these bytes the system learns that the peer has all: its buffer is empty.
        assert!(matches!(socket.step(true).await, Moved::Read));
        socket.send(&Bytes::from_static(b"ten bytes."));
        let Moved::Wrote { bytes, waited } = socket.step(false).await else { panic!("a write expected") };
        assert_eq!((bytes, waited), (10, false), "there was room");
        drop(peer.await.unwrap());
    }
}
