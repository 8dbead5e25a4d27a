//! Look at the queue of the parked messages once it is open, which is later than the other: a start may have lowered the limits that it has, too.

#![allow(clippy::disallowed_methods, reason = "a shell: it waits for the queue")]

use edge_bridge::Link;
use edge_queue::Config as QueueConfig;

use super::found_at_open::tell_beyond;
use super::store::parked_limits;

/// Directory of the parked messages' queue, inside that of the queue.
pub(crate) const DIR: &str = "parked";

/// Logs if more is parked than the limits of `queue` hold.
pub(in crate::run) async fn compare(link: Link, queue: QueueConfig) {
    let mut news = link.watch();
    let parked = loop {
        if let Some(parked) = link.parked_queue() {
            break parked;
        }
        // An error is the link's end.
        if news.changed().await.is_err() {
            return;
        }
    };
    if let Some(stats) = parked.stats().await {
        tell_beyond(&parked_limits(&queue), &stats.lanes, |_| "(parked)");
    }
}
