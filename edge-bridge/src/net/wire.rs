//! Bytes in and out of one connection, both directions at once.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::outgoing::Outgoing;
use super::stream::Stream;

/// Bytes read at a time at most.
pub(super) const READ_MAX: usize = 32 * 1024;
/// Longest wait for the last packets to leave and for the peer to close.
const LINGER: Duration = Duration::from_secs(1);
/// The same while a message is partly written: its rest may take as long on a thin link.
const LINGER_WITH_MESSAGE: Duration = Duration::from_secs(5);

/// A connection with its buffers.
pub(super) struct Wire {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    pub(super) received: BytesMut,
    /// Whole packets may be left in `received`.
    read_later: bool,
    out: Outgoing,
    unflushed: bool,
    /// The system had no room for what is to be written.
    waits: bool,
}

/// What moved.
pub(super) enum Moved {
    /// Bytes came.
    Read,
    /// The system took bytes.
    Wrote {
        bytes: usize,
        /// It had no room before.
        waited: bool,
    },
    /// The connection ended.
    Ended(Option<String>),
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let (reader, writer) = split(stream);
        Self {
            reader,
            writer,
            received: BytesMut::new(),
            read_later: false,
            out: Outgoing::default(),
            unflushed: false,
            waits: false,
        }
    }

    pub(super) fn send(&mut self, bytes: &Bytes) {
        self.out.push(bytes);
    }

    /// Leaves what is in `received` for later: it counts as read once more, when there may be reading again.
    pub(super) fn read_later(&mut self) {
        self.read_later = true;
    }

    /// Waits until something moved. Cancel-safe: what was moved is in the buffers.
    pub(super) async fn step(&mut self, may_read: bool) -> Moved {
        if may_read && std::mem::take(&mut self.read_later) {
            return Moved::Read;
        }
        let Self { reader, writer, received, read_later: _, out, unflushed, waits } = self;
        let wants_write = *unflushed || !out.is_empty();
        received.reserve(READ_MAX / 4);
        let mut room = received.limit(READ_MAX);
        tokio::select! {
            read = reader.read_buf(&mut room), if may_read => match read {
                Ok(0) => Moved::Ended(None),
                Ok(_) => Moved::Read,
                Err(error) => Moved::Ended(Some(error.to_string())),
            },
            wrote = write(writer, out, unflushed, waits), if wants_write => match wrote {
                Ok(bytes) => Moved::Wrote { bytes, waited: std::mem::take(waits) },
                Err(error) => Moved::Ended(Some(error.to_string())),
            },
            else => std::future::pending().await,
        }
    }

    /// Resets the connection: what the system still holds is dropped, so that it does not take the path from the next connection.
    pub(super) fn abort(self) {
        if let Err(error) = self.reader.unsplit(self.writer).reset() {
            tracing::debug!(%error, "the connection is closed, not reset");
        }
    }

    /// Closes the connection: the message that is partly written and the last packets still leave, other messages do not. Then reads until the
    /// peer closes: if unread bytes were there, the system would send a reset, which drops what has not left yet.
    pub(super) async fn hang_up(mut self) {
        let linger = if self.out.has_begun() { LINGER_WITH_MESSAGE } else { LINGER };
        self.out.drop_messages();
        let last = async {
            while self.unflushed || !self.out.is_empty() {
                write(&mut self.writer, &mut self.out, &mut self.unflushed, &mut self.waits).await?;
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

/// Returns the bytes taken. `waits`: is set when the system has no room.
async fn write(
    writer: &mut WriteHalf<Stream>,
    out: &mut Outgoing,
    unflushed: &mut bool,
    waits: &mut bool,
) -> io::Result<usize> {
    let flushes = out.is_empty();
    let n = poll_fn(|cx| {
        let mut writer = Pin::new(&mut *writer);
        let done = match flushes {
            // TLS may still hold a part of the last record.
            true => writer.as_mut().poll_flush(cx).map_ok(|()| 0),
            false => writer.as_mut().poll_write(cx, out.bytes()),
        };
        *waits |= matches!(done, Poll::Pending);
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
