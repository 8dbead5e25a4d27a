//! Log line about a row for which the queue has no room, in the words of the policy that is in force: each of them leaves a case in which nothing can
//! be given up.

use std::time::Duration;

use edge_queue::{Limit, OnFull};
use tokio::time::Instant;

/// Shortest time between two lines, because a lane at its limit is full and not full in turns for as long as the outage lasts.
const AGAIN: Duration = Duration::from_secs(3_600);

/// Rate limit of the line.
#[derive(Debug, Default)]
pub(super) struct FullLine {
    /// Time of the last line; `None` if there was none.
    said_at: Option<Instant>,
}

impl FullLine {
    /// Logs that a lane with this policy has no room, if a line is due.
    pub(super) fn say(&mut self, limit: Limit, on_full: Option<OnFull>) {
        let now = Instant::now();
        if self.said_at.is_some_and(|said_at| now < said_at + AGAIN) {
            return;
        }
        self.said_at = Some(now);
        match on_full {
            // Whatever the policy, it is the disk that has to take them.
            _ if limit == Limit::Unwritten => {
                tracing::warn!(%limit, "the disk does not take what waits for it in memory: sensors are not acknowledged until it does");
            }
            Some(OnFull::DropOldest) => {
                tracing::warn!(%limit, "the queue is full, and gives up nothing that is on its way to the hub: sensors are not acknowledged until the hub has taken some of it");
            }
            Some(OnFull::DropNewest) => {
                tracing::warn!(%limit, "the queue is full, and has noted as many losses between messages as it can: sensors are not acknowledged until the hub has taken some of these");
            }
            _ => {
                tracing::warn!(%limit, "the queue is full: sensors are not acknowledged until there is room");
            }
        }
    }
}

#[cfg(test)]
mod tests;
