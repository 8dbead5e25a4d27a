//! Connection of a tap: writes its samples to the reader until it has them all, its time is over, or the reader is gone.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: a socket and timers")]

use std::io;
use std::time::Duration;

use edge_bridge::escape::Escaped;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, sleep_until};

use super::registry::{Next, NotOpened, TAPS_MAX, Tap, Taps};
use super::{Request, sample};

/// Time after which a reader that takes nothing is given up, so that one that was stopped does not keep a tap from others for good.
const UNREAD_MAX: Duration = Duration::from_secs(600);
/// Longest time of a tap without a limit of its own.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);

/// End of a tap.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It did what was asked for; a summary for the operator.
    Done(String),
    /// It did not, for the reason in words.
    Refused(String),
    /// The reader is gone.
    Gone(io::Error),
}

/// Closes all taps when the gateway's control socket is closed.
#[derive(Debug)]
pub(crate) struct ClosedWithSocket(pub(crate) Taps);

impl Drop for ClosedWithSocket {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Serves the request of a connection, of which the line without its first word is given.
pub(crate) async fn serve(stream: &mut UnixStream, request: &str, taps: &Taps) -> Ended {
    let request: Request = match request.parse() {
        Ok(request) => request,
        Err(error) => return Ended::Refused(error.to_owned()),
    };
    let tap = match taps.open(request.wish.clone()) {
        Ok(tap) => tap,
        Err(NotOpened::TooMany) => {
            return Ended::Refused(format!(
                "there are {TAPS_MAX} taps already: try again when one has ended"
            ));
        }
        Err(NotOpened::Closed) => return stops(),
    };
    let filter = format!("\"{}\"", Escaped(&request.wish.filter));
    tracing::info!(stage = %request.wish.stage, %filter, "samples of messages are shown, asked for by hand");
    show(stream, &request, tap).await
}

fn stops() -> Ended {
    Ended::Refused("the gateway stops, or starts with another configuration".to_owned())
}

async fn show(stream: &mut UnixStream, request: &Request, mut tap: Tap) -> Ended {
    let (mut reader, mut writer) = stream.split();
    let time = request.seconds.map_or(FOR_EVER, |seconds| Duration::from_secs(seconds.into()));
    let (until, mut shown) = (Instant::now() + time, 0);
    while shown < request.samples {
        let mut more = [0; 1];
        let next = tokio::select! {
            // Else a stage that is never idle would outlast the time.
            biased;
            () = sleep_until(until) => break,
            // Nobody sends more than a request: it is the end, or the reader talks nonsense.
            read = reader.read(&mut more) => return Ended::Gone(read.err().unwrap_or_else(gone)),
            next = tap.next() => next,
        };
        let line = match next {
            Next::Sample(line) => {
                shown += 1;
                line
            }
            Next::Lost(lost) => sample::lost_line(lost),
            Next::Closed => return stops(),
        };
        tokio::select! {
            written = writer.write_all(line.as_bytes()) => if let Err(error) = written {
                return Ended::Gone(error);
            },
            () = tap.closed() => return stops(),
            () = sleep(UNREAD_MAX) => return Ended::Gone(io::ErrorKind::TimedOut.into()),
        }
    }
    Ended::Done(format!("{shown} shown"))
}

fn gone() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
