use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::net::server::read_share::READ_MAX;
use crate::net::tcp_stream::{Counted, Stream};

/// Stream that keeps back what was written until it is flushed, as TLS does while the socket is full.
#[derive(Default)]
struct KeepsBack {
    taken: Vec<u8>,
    is_flushed: bool,
}

impl AsyncWrite for KeepsBack {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let part = &bytes[..bytes.len().min(4)];
        self.taken.extend_from_slice(part);
        self.is_flushed = false;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn nothing_is_left_to_do_once_all_bytes_are_written_and_flushed() {
    let (mut out, mut to) = (Out::default(), KeepsBack::default());
    out.bytes.last().extend_from_slice(b"sixteen of bytes");
    let mut steps = Vec::new();
    while !out.is_done() {
        steps.push(out.write(&mut to).await.unwrap());
    }
    assert_eq!((steps, to.taken.as_slice()), (vec![4, 4, 4, 4, 0], b"sixteen of bytes".as_slice()));
    assert!(to.is_flushed);
}

/// A connection's receiving half, which all clients together may use `max_memory` with, and the peer's end.
async fn pair(max_memory: usize) -> (Reading, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (own, _) = listener.accept().await.unwrap();
    let share = ReadShare::of(&Arc::default(), max_memory);
    (Reading::new(share, ReadRate::new(None)), own, peer)
}

fn client_stream(own: TcpStream) -> ClientStream {
    ClientStream::Plain(Stream::Tcp(Counted::new(own, Arc::default())))
}

#[tokio::test]
async fn promise_12_a_connection_that_is_waited_for_keeps_no_large_buffer() {
    let (mut reading, own, _peer) = pair(usize::MAX).await;
    let mut own = client_stream(own);
    reading.buffer = Some(BytesMut::with_capacity(4 * READ_MAX));
    let is_pending = poll_fn(|cx| Poll::Ready(reading.poll(&mut own, cx).is_pending())).await;
    assert!(is_pending, "nothing has come");
    let capacity = reading.buffer.as_ref().map(BytesMut::capacity);
    assert!(capacity.is_some_and(|capacity| capacity <= READ_MAX), "{capacity:?} bytes");
}

#[tokio::test]
async fn promise_12_what_a_peer_that_is_gone_left_behind_is_read_ahead_within_its_share() {
    let (mut reading, own, mut peer) = pair(8_192).await;
    peer.write_all(&[b'x'; 64 * 1024]).await.unwrap();
    peer.shutdown().await.unwrap();
    let mut there = vec![0; 32 * 1024];
    while own.peek(&mut there).await.unwrap() < there.len() {
        tokio::task::yield_now().await;
    }
    reading.read_ahead(&mut client_stream(own)).await;
    let (ahead, max) = (reading.ahead.len(), reading.share.max());
    assert!((max..max + 2 * READ_MIN).contains(&ahead), "{ahead} bytes, a share of {max}");
}
