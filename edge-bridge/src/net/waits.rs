//! Waits of a link's task: for work that may be under way, and for a time.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::connection_io::{Moved, Socket};

/// Work that is under way; `None` if there is none.
pub(super) type Pending<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

/// Waits for the end of the work; for ever without any.
pub(super) async fn done<T>(work: &mut Pending<T>) -> T {
    match work {
        Some(work) => work.await,
        None => pending().await,
    }
}

pub(super) async fn moved(socket: &mut Option<Socket>, may_read: bool) -> Moved {
    match socket {
        Some(socket) => socket.step(may_read).await,
        None => pending().await,
    }
}

pub(super) async fn timer(due: Instant) {
    sleep_until(due.min(Instant::now() + Duration::from_secs(3600))).await;
}
