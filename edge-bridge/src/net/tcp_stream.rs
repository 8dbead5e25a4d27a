//! Network connection with or without TLS, which counts the bytes on the wire.

mod tls_records;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::tls::certificate_user::{CertificateUser, Nameless};
use super::tls::own_refusal::{OwnCertificate, in_plain_words};
use crate::session::UNSENT_MAX;
use crate::wire::Utf8;

/// TCP connection that counts its bytes, both directions together.
#[derive(Debug)]
pub struct Counted {
    stream: TcpStream,
    bytes: Arc<AtomicU64>,
    /// Bytes received since TLS last delivered data, and their limit if there is one.
    silent: usize,
    silent_max: Option<usize>,
    /// Error of TLS that came behind data, for the next read.
    failed: Option<io::Error>,
    /// Certificate shown to a server, which may refuse it once the handshake is complete here (TLS 1.3).
    pub(super) own: Option<Box<OwnCertificate>>,
}

/// Most bytes that a client's TLS may receive without delivering data: a record without its last byte (16 645 bytes at most, RFC 8446 §5.2), and
/// one more read. Without the limit a client that is not authenticated could make TLS keep up to 64 KiB of a handshake that never ends.
const SILENT_MAX: usize = 36 * 1024;

impl Counted {
    /// Wraps `stream`; its bytes are added to `bytes`.
    pub fn new(stream: TcpStream, bytes: Arc<AtomicU64>) -> Self {
        Self { stream, bytes, silent: 0, silent_max: None, failed: None, own: None }
    }

    /// Waits until bytes have come, or the peer has closed the connection. Returns whether there are bytes. Cancel-safe.
    pub async fn has_bytes(&self) -> bool {
        // Readiness alone may be reported for nothing. An error shows again when it is read.
        matches!(self.stream.peek(&mut [0]).await, Ok(1..))
    }

    fn count(&self, n: usize) {
        self.bytes.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// Most bytes of a client's certificates, which TLS keeps as long as the connection and no other limit counts.
const CHAIN_MAX: usize = 8 * 1024;

/// Error of a verified certificate that cannot be used.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum UnfitCertificate {
    #[error("the client's certificate has {0}: it is to be its user name")]
    Nameless(Nameless),
    #[error("the client's certificate and its chain have {bytes} bytes, the limit is {CHAIN_MAX}")]
    TooLarge { bytes: usize },
}

/// TCP keep-alive interval: time between probes of an idle connection. The kernel ends the connection after [`PROBES`] unanswered ones. Its end
/// is [seen](Stream::is_gone) also while it is not read.
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Makes the kernel probe a connection after this idle time. An error only leaves it without probes.
pub(super) fn probe_when_idle(stream: &TcpStream, idle: Duration) {
    let probes = TcpKeepalive::new().with_time(idle);
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows))]
    let probes = probes.with_interval(PROBE_EVERY).with_retries(PROBES);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&probes) {
        tracing::debug!(%error, "the system does not probe an idle connection");
    }
}

/// Limits the unsent bytes in the socket's buffer (`TCP_NOTSENT_LOWAT`), so that a write shows that earlier bytes left. Limits neither bytes on
/// the path nor the throughput.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn bound_unsent(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX) {
        tracing::debug!(%error, "the system bounds unsent bytes by the send buffer only");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn bound_unsent(_: &TcpStream) {}

/// Interest in the end of a connection alone, not in received bytes.
#[cfg(any(target_os = "linux", target_os = "android"))]
const END: Interest = Interest::PRIORITY.add(Interest::ERROR);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const END: Interest = Interest::ERROR;

impl Stream {
    /// Returns whether the peer closed the connection or the network lost it. Reads nothing, so that bytes that came before are still there. A
    /// proper close is seen on Linux only.
    pub(super) fn is_gone(&self) -> bool {
        let end = pin!(self.counted().stream.ready(END));
        end.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Returns the user name in the client's verified certificate, which is there as `user` says; `None` if the client showed none.
    ///
    /// # Errors
    ///
    /// The certificate has no name, or several, or is too large with its chain.
    pub(super) fn certificate_name(&self, user: CertificateUser) -> Option<Result<Utf8, UnfitCertificate>> {
        let Self::Tls(tls) = self else { return None };
        let chain = tls.get_ref().1.peer_certificates()?;
        let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
        if bytes > CHAIN_MAX {
            return Some(Err(UnfitCertificate::TooLarge { bytes }));
        }
        Some(user.name_in(chain.first()?).map_err(UnfitCertificate::Nameless))
    }

    /// Limits the bytes that TLS receives without delivering data. For a server, after the handshake.
    pub(super) fn bound_silence(&mut self) {
        if let Self::Tls(stream) = self
            && let tokio_rustls::TlsStream::Server(stream) = &mut **stream
        {
            let counted = stream.get_mut().0;
            (counted.silent, counted.silent_max) = (0, Some(SILENT_MAX));
        }
    }

    fn counted(&self) -> &Counted {
        match self {
            Self::Tcp(counted) => counted,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Ends the connection by a reset (RST), so that bytes in the socket's send buffer are dropped.
    pub(super) fn reset(self) -> io::Result<()> {
        self.counted().stream.set_zero_linger()
    }
}

/// Connection to a hub, or of a client. New kinds come only with a breaking release.
#[derive(Debug)]
pub enum Stream {
    /// TCP without TLS.
    Tcp(Counted),
    /// TLS, as client or as server.
    Tls(Box<tokio_rustls::TlsStream<Counted>>),
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(cx, buf);
        let received = buf.filled().len() - before;
        self.count(received);
        self.silent += received;
        if self.silent_max.is_some_and(|max| self.silent > max) {
            let error = "TLS has taken in too much without a message";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        done
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = done {
            self.count(n);
        }
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        if let Poll::Ready(Ok(n)) = done {
            self.count(n);
        }
        done
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => match &mut **stream {
                tokio_rustls::TlsStream::Server(stream) => {
                    tls_records::poll_read(stream, cx, buf).map_err(|error| in_plain_words(error, None))
                }
                tokio_rustls::TlsStream::Client(stream) => {
                    let read = Pin::new(&mut *stream).poll_read(cx, buf);
                    read.map_err(|error| in_plain_words(error, stream.get_ref().0.own.as_deref()))
                }
            },
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{sleep, timeout};

    use super::*;

    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (own, _) = listener.accept().await.unwrap();
        (Stream::Tcp(Counted::new(own, Arc::default())), peer)
    }

    #[tokio::test]
    async fn what_tls_takes_in_without_a_message_is_bounded() {
        let (own, mut peer) = pair().await;
        let Stream::Tcp(mut own) = own else { panic!("TCP expected") };
        own.silent_max = Some(SILENT_MAX);
        peer.write_all(&vec![0; SILENT_MAX + 1]).await.unwrap();
        let mut bytes = vec![0; SILENT_MAX];
        own.read_exact(&mut bytes).await.unwrap();
        let error = own.read(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    async fn is_soon_gone(stream: &Stream) -> bool {
        let until_gone = async {
            while !stream.is_gone() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), until_gone).await.is_ok()
    }

    #[tokio::test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    async fn a_close_is_seen_behind_bytes_that_are_still_there() {
        let (mut own, mut peer) = pair().await;
        peer.write_all(b"unread").await.unwrap();
        own.write_all(b"unread").await.unwrap();
        sleep(Duration::from_millis(50)).await;
        assert!(!own.is_gone(), "bytes are no end");
        peer.shutdown().await.unwrap();
        assert!(is_soon_gone(&own).await);
        let mut bytes = Vec::new();
        own.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"unread");
    }

    #[tokio::test]
    async fn a_reset_is_seen() {
        let (own, peer) = pair().await;
        assert!(!own.is_gone());
        peer.set_zero_linger().unwrap();
        drop(peer);
        assert!(is_soon_gone(&own).await);
    }

    #[tokio::test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    async fn urgent_data_is_no_end() {
        let (own, peer) = pair().await;
        SockRef::from(&peer).send_out_of_band(b"!").unwrap();
        sleep(Duration::from_millis(200)).await;
        assert!(!own.is_gone());
        drop(peer);
        assert!(is_soon_gone(&own).await);
    }

    #[tokio::test]
    #[cfg(target_os = "linux")]
    async fn an_idle_connection_is_probed() {
        let (own, _peer) = pair().await;
        let tcp = &own.counted().stream;
        assert!(!SockRef::from(tcp).keepalive().unwrap());
        probe_when_idle(tcp, Duration::from_secs(40));
        let socket = SockRef::from(tcp);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(40));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE_EVERY);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), PROBES);
    }
}
