use super::*;

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
