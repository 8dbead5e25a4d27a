//! Copy of what waits in the queue, for an operator at the control socket, while messages come in and go out.
//!
//! The copy is an export stream of `edge_queue::transfer`, in pieces: a line `data N`, then N bytes.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use edge_bridge::Link;
use edge_queue::aio::Queue;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Failed, say};
use crate::run::status::outputs::units::counted;

/// First word of the line before a piece.
pub(crate) const PIECE: &str = "data";
/// Largest piece in bytes, a row larger than it apart.
const PIECE_BYTES: usize = 64 * 1024;
/// Most pieces that wait for a slow reader. Then the export waits, and the queue goes on.
const PIECES_MAX: usize = 2;

/// Time limit for a piece, and for the line behind the last one: the other end may be behind a slow line, as of `ssh`. A quarter of what a client
/// waits for its first piece ([`pieces`](crate::command_line)), because it may wait for the turn of one that takes nothing.
const PIECE_WITHIN: Duration = Duration::from_secs(15);

/// Writes the copy, and returns the summary for the last line. A reader that takes longer than [`PIECE_WITHIN`] for a piece is given up.
/// `note` is that of the copy, `head` is the first piece, if there is one.
pub(super) async fn serve(
    stream: &mut UnixStream,
    (queue, note): (&Queue, &[u8]),
    link: &Link,
    head: &str,
) -> Result<String, Failed> {
    let parked = link.parked().await?.parked;
    if !head.is_empty() {
        let piece = format!("{PIECE} {}\n{head}", head.len());
        say(stream, piece.as_bytes()).await.map_err(Failed::Gone)?;
    }
    let (pieces, mut written) = mpsc::channel(PIECES_MAX);
    let out = io::BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces));
    // Moved, so that the export ends at its next piece when the reader is gone.
    let (exported, sent) = tokio::join!(queue.export_with_note(out, note.to_vec()), async move {
        while let Some(piece) = written.recv().await {
            let head = format!("{PIECE} {}\n", piece.len());
            write_slowly(stream, head.as_bytes()).await?;
            write_slowly(stream, &piece).await?;
        }
        Ok::<_, io::Error>(())
    });
    sent.map_err(Failed::Gone)?;
    let exported = exported.map_err(|error| Failed::Said(error.to_string()))?;
    let (rows, bytes) = (exported.rows(), exported.stream_bytes);
    tracing::info!(rows, bytes, "a copy of what waits was taken, asked for by hand");
    let left_out = match parked {
        0 => String::new(),
        parked => format!("; not in it: {parked} refused by the hub, which `parked export` writes"),
    };
    let unreported = match exported.gaps {
        // Those of a stick the gateway itself reports, as it does whatever waits.
        gaps if gaps == 0 || !head.is_empty() => String::new(),
        gaps => format!(
            "; {} of losses, not yet at the hub, which `restore` prints and does not send",
            counted(gaps, "report")
        ),
    };
    Ok(format!("{rows} rows, {bytes} B{left_out}{unreported}"))
}

/// Writes to a reader that may be behind a slow line. A row may be larger than a piece: each part of this size has the time of one.
pub(super) async fn write_slowly(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(PIECE_BYTES) {
        timeout(PIECE_WITHIN, stream.write_all(part)).await??;
    }
    Ok(())
}

/// Sender of the pieces, on the thread of the export.
struct Pieces(mpsc::Sender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(bytes.to_vec());
        sent.map(|()| bytes.len()).map_err(|_| ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
