//! Byte stream of MQTT over a WebSocket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use super::frames::{End, FrameDecoder, encode};
use crate::net::tcp_stream::Stream;

/// Most bytes of a frame to a client. They are buffered here when the client does not read, and no other limit counts them.
const WRITE_MAX: usize = 4 * 1024;

/// Frames without payload that a client may send per second, on average.
const EMPTY_PER_S: u32 = 10;

/// MQTT stream over a WebSocket. Reading from it also answers pings and the close.
#[derive(Debug)]
pub(in super::super) struct WebSocketStream {
    inner: Stream,
    decoder: FrameDecoder,
    /// Time up to which frames without payload have been allowed.
    allowed: Instant,
    /// Frames to be written: at most one of a message, a pong and a close.
    out: BytesMut,
    /// Set while TLS may still hold a part of the written bytes.
    to_flush: bool,
    said_close: bool,
}

impl WebSocketStream {
    /// Wraps a stream after its handshake. `frame_max`: most bytes of a client's frame.
    pub(super) fn new(inner: Stream, frame_max: u64) -> Self {
        let decoder = FrameDecoder::new(frame_max);
        let allowed = Instant::now();
        Self { inner, decoder, allowed, out: BytesMut::new(), to_flush: false, said_close: false }
    }

    pub(in super::super) fn inner(&self) -> &Stream {
        &self.inner
    }

    fn allow_empty(&mut self) {
        let frames = (self.allowed.elapsed() * EMPTY_PER_S).as_secs();
        if frames > 0 {
            self.allowed = Instant::now();
            self.decoder.allow_empty(u32::try_from(frames).unwrap_or(u32::MAX));
        }
    }

    fn close(&mut self, code: Option<u16>) {
        if !std::mem::replace(&mut self.said_close, true) {
            let code = code.map(u16::to_be_bytes);
            let payload = code.as_ref().map_or(&[][..], |code| code);
            encode(OpCode::Control(Control::Close), payload, &mut self.out);
        }
    }

    /// Writes all waiting frames, and flushes.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let n = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.out))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.advance(n);
            self.to_flush = true;
        }
        // An idle connection has no buffer.
        self.out = BytesMut::new();
        if self.to_flush {
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            self.to_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Answers a ping, unless another frame waits to be written, so that a client that does not read gets one pong however many pings it sends.
    fn answer_ping(&mut self) {
        if self.out.is_empty()
            && !self.said_close
            && let Some(payload) = self.decoder.take_ping()
        {
            encode(OpCode::Control(Control::Pong), &payload, &mut self.out);
        }
    }
}

impl AsyncRead for WebSocketStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.answer_ping();
            if let Some(end) = this.decoder.end() {
                this.close(end.code());
            }
            // A client that takes nothing more may have said something before.
            let _ = this.poll_drain(cx);
            match this.decoder.end() {
                Some(End::Closed(_)) => return Poll::Ready(Ok(())),
                Some(End::Violated(violation)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation)));
                }
                None => {}
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
            let received = buf.filled_mut().get_mut(before..).unwrap_or_default();
            if received.is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.allow_empty();
            let kept = this.decoder.decode(received);
            buf.set_filled(before + kept);
            if kept > 0 {
                // An answer does not wait for the next read.
                this.answer_ping();
                let _ = this.poll_drain(cx);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for WebSocketStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.said_close {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(this.poll_drain(cx))?;
        this.answer_ping();
        let part = buf.get(..buf.len().min(WRITE_MAX)).unwrap_or_default();
        if !part.is_empty() {
            encode(OpCode::Data(Data::Binary), part, &mut this.out);
        }
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(part.len())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(Some(CloseCode::Normal.into()));
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
