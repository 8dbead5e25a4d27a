//! Bytes in and out of one connection, both directions at once.

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::timeout;

use super::stream::Stream;

/// Bytes read at a time at most.
const READ_MAX: usize = 32 * 1024;
/// Capacity of the send buffer that is kept when it is empty.
const OUT_KEPT: usize = 64 * 1024;
/// A last packet is given so long to leave.
const LINGER: Duration = Duration::from_millis(200);
/// More than a last packet: the peer does not read any more, nobody waits for it.
const LINGER_BYTES: usize = 512;

/// A connection with its buffers.
pub(super) struct Wire {
    reader: ReadHalf<Stream>,
    writer: WriteHalf<Stream>,
    pub(super) received: BytesMut,
    /// In one piece: what waits together leaves in one TLS record, whose price is paid by the byte.
    out: BytesMut,
    unflushed: bool,
}

/// What moved.
pub(super) enum Moved {
    /// Bytes came.
    Read,
    /// Bytes left.
    Wrote,
    /// The connection ended.
    Ended(Option<String>),
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let (reader, writer) = split(stream);
        Self { reader, writer, received: BytesMut::new(), out: BytesMut::new(), unflushed: false }
    }

    pub(super) fn send(&mut self, bytes: &Bytes) {
        self.out.extend_from_slice(bytes);
    }

    /// Waits until something moved. Cancel-safe: what was moved is in the buffers.
    pub(super) async fn step(&mut self) -> Moved {
        let Self { reader, writer, received, out, unflushed } = self;
        let wants_write = *unflushed || !out.is_empty();
        received.reserve(READ_MAX / 4);
        tokio::select! {
            read = reader.read_buf(received) => match read {
                Ok(0) => Moved::Ended(None),
                Ok(_) => Moved::Read,
                Err(error) => Moved::Ended(Some(error.to_string())),
            },
            wrote = write(writer, out, unflushed), if wants_write => match wrote {
                Ok(()) => Moved::Wrote,
                Err(error) => Moved::Ended(Some(error.to_string())),
            },
        }
    }

    /// Closes the connection; a last packet still leaves, if it leaves at once.
    pub(super) async fn hang_up(mut self) {
        if self.out.len() > LINGER_BYTES {
            return;
        }
        let last = async {
            while self.unflushed || !self.out.is_empty() {
                write(&mut self.writer, &mut self.out, &mut self.unflushed).await?;
            }
            self.writer.shutdown().await
        };
        // It is over either way.
        let _ = timeout(LINGER, last).await;
    }
}

async fn write(writer: &mut WriteHalf<Stream>, out: &mut BytesMut, unflushed: &mut bool) -> io::Result<()> {
    if out.is_empty() {
        // TLS may still hold a part of the last record.
        writer.flush().await?;
        *unflushed = false;
        return Ok(());
    }
    let n = writer.write(out).await?;
    if n == 0 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    out.advance(n);
    if out.is_empty() && out.capacity() > OUT_KEPT {
        // A window's worth of a drained backlog is not kept.
        *out = BytesMut::new();
    }
    *unflushed = true;
    Ok(())
}
