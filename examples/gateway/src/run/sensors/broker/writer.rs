//! Sending half of a connection to the local broker. TLS may hold back what it was given, until it is flushed.

use std::io;

use bytes::BytesMut;
use edge_bridge::net::tcp_stream::Stream;
use tokio::io::{AsyncWriteExt, WriteHalf};

/// Sending half.
pub(super) struct Writer {
    half: WriteHalf<Stream>,
    /// Bytes that the connection has not taken.
    out: BytesMut,
    is_flushed: bool,
}

impl Writer {
    pub(super) fn new(half: WriteHalf<Stream>) -> Self {
        Self { half, out: BytesMut::new(), is_flushed: true }
    }

    /// Adds bytes that are to be sent.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Returns whether everything is on its way.
    pub(super) fn is_done(&self) -> bool {
        self.out.is_empty() && self.is_flushed
    }

    /// Sends some of the bytes, or else has TLS send what it holds back. Cancel-safe.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            self.half.flush().await?;
            self.is_flushed = true;
            return Ok(());
        }
        self.is_flushed = false;
        self.half.write_buf(&mut self.out).await.map(drop)
    }

    /// Sends all of the bytes, and ends the connection.
    pub(super) async fn end(&mut self) -> io::Result<()> {
        self.half.write_all_buf(&mut self.out).await?;
        self.half.shutdown().await
    }
}
