//! Byte stream of a client's MQTT, over TCP, TLS or WebSocket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(feature = "websocket")]
use super::websocket::{FrameViolation, WebSocketRules, WebSocketStream};
use crate::net::tcp_stream::Stream;
use crate::session::Violation;

/// Protocol below MQTT, and above TLS, that clients use at an address.
#[derive(Debug, Clone)]
pub(super) enum Transport {
    /// MQTT directly on TCP or TLS.
    Plain,
    #[cfg(feature = "websocket")]
    WebSocket(WebSocketRules),
}

impl Transport {
    /// Returns whether the transport has no handshake of its own.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain)
    }

    /// Performs the transport's handshake with a client.
    ///
    /// # Errors
    ///
    /// The handshake failed; contains the reason in words.
    pub(super) async fn open(&self, stream: Stream) -> Result<ClientStream, String> {
        match self {
            Self::Plain => Ok(ClientStream::Plain(stream)),
            #[cfg(feature = "websocket")]
            Self::WebSocket(rules) => Ok(ClientStream::WebSocket(Box::new(rules.accept(stream).await?))),
        }
    }
}

/// MQTT stream of a client, see the [module](self).
#[derive(Debug)]
pub(super) enum ClientStream {
    Plain(Stream),
    #[cfg(feature = "websocket")]
    WebSocket(Box<WebSocketStream>),
}

/// Calls a method of the transport that carries the bytes.
macro_rules! carrier {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Self::Plain(stream) => Pin::new(stream).$method($($argument),*),
            #[cfg(feature = "websocket")]
            Self::WebSocket(stream) => Pin::new(&mut **stream).$method($($argument),*),
        }
    };
}

impl ClientStream {
    /// Returns whether the peer closed the connection, see [`Stream::is_gone`].
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_gone(),
            #[cfg(feature = "websocket")]
            Self::WebSocket(stream) => stream.inner().is_gone(),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        carrier!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        carrier!(self, poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        carrier!(self, poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "websocket")]
            Self::WebSocket(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carrier!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        carrier!(self, poll_shutdown(cx))
    }
}

/// Returns the rule of WebSocket or TLS that the peer broke, if this error of a read is one; otherwise the network lost the connection, or the peer
/// closed it, such as by an alert.
pub(super) fn broken_rule(error: &io::Error) -> Option<Violation> {
    if error.kind() != io::ErrorKind::InvalidData {
        return None;
    }
    #[cfg(feature = "websocket")]
    if error.get_ref().is_some_and(|error| error.is::<FrameViolation>()) {
        return Some(Violation::WebSocket(error.to_string()));
    }
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    if matches!(tls, Some(rustls::Error::AlertReceived(_))) {
        return None;
    }
    Some(Violation::Tls(error.to_string()))
}
