//! Reading of a client's TLS: the records that are there in one turn, as far as there is room for their data.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::Counted;

/// Most records that are read in one turn. Each costs its time, also if there is one byte in it, and that is nobody's until the bytes are handed over.
const RECORDS_MAX: usize = 256;

/// Reads the data of the records that are there, as far as there is room for them. A client that sends each packet as a record of its own has so the
/// turns of one without TLS.
pub(super) fn poll_read(
    stream: &mut TlsStream<Counted>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    if let Some(error) = stream.get_mut().0.failed.take() {
        return Poll::Ready(Err(error));
    }
    ready!(poll_read_record(stream, cx, buf))?;
    for _ in 1..RECORDS_MAX {
        let before = buf.filled().len();
        if buf.remaining() == 0 {
            break;
        }
        match poll_read_record(stream, cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() > before => {}
            // An end comes again at the next read.
            Poll::Ready(Ok(())) | Poll::Pending => break,
            Poll::Ready(Err(error)) => {
                stream.get_mut().0.failed = Some(error);
                break;
            }
        }
    }
    Poll::Ready(Ok(()))
}

/// Reads the data of one record. The stream's own `poll_read` would take in as many records as there is room for before it returns, and all of
/// them would count against the limit.
fn poll_read_record(
    stream: &mut TlsStream<Counted>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let there = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))?;
    let taken = there.len().min(buf.remaining());
    buf.put_slice(there.get(..taken).unwrap_or_default());
    Pin::new(&mut *stream).consume(taken);
    if taken > 0 {
        stream.get_mut().0.silent = 0;
    }
    Poll::Ready(Ok(()))
}
