//! Lower bounds of the time at which something came in a socket. Its reader may be late where the machine is busy, and then its own clock says
//! nothing about the writer.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time from a look to the next, where nothing comes.
const LOOK: Duration = Duration::from_millis(5);
/// Time that the gateway may take from a look at its clock to its write, if the machine has a processor for it.
const WRITE: Duration = Duration::from_millis(100);

/// Longest time in milliseconds that this process waited for a processor after a look.
static STALL_MS: AtomicU64 = AtomicU64::new(0);

/// Margin beyond which a gateway of this machine is late: its own time for a write, and what this process has had to wait for a processor, which a
/// gateway has no less to.
pub fn margin() -> Duration {
    WRITE + Duration::from_millis(STALL_MS.load(Ordering::SeqCst))
}

/// Looks at a socket that is read by one thread.
pub struct Arrivals {
    /// A moment at which all that had come was read.
    empty: Instant,
}

impl Arrivals {
    /// Of a connection on which nothing can have come yet.
    pub fn new() -> Self {
        Self { empty: Instant::now() }
    }

    /// Waits until there are bytes, and returns a moment at which there were none. `None`: the connection has ended.
    pub fn wait(&mut self, stream: &TcpStream) -> Option<Instant> {
        stream.set_read_timeout(Some(LOOK)).ok()?;
        while !self.look(stream)? {}
        stream.set_read_timeout(None).ok()?;
        Some(self.empty)
    }

    /// Spends this time on something else, and looks meanwhile, so that what comes soon after it is known not to have come before. `None`: the
    /// connection has ended.
    pub fn work(&mut self, stream: &TcpStream, time: Duration) -> Option<()> {
        let end = Instant::now() + time;
        stream.set_read_timeout(Some(LOOK)).ok()?;
        while Instant::now() < end && !self.look(stream)? {}
        stream.set_read_timeout(None).ok()?;
        // What has come waits.
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        Some(())
    }

    /// Returns whether there are bytes, at once or within [`LOOK`].
    fn look(&mut self, stream: &TcpStream) -> Option<bool> {
        let before = Instant::now();
        match stream.peek(&mut [0]) {
            Ok(count) => (count > 0).then_some(true),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) =>
            {
                self.empty = before;
                let stall = before.elapsed().saturating_sub(LOOK);
                STALL_MS.fetch_max(stall.as_millis() as u64, Ordering::SeqCst);
                Some(false)
            }
            Err(_) => None,
        }
    }
}
