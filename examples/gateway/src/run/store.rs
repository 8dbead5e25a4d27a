//! The queue on disk, as `[queue]` wants it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_queue::{
    Config as QueueConfig, OnFull as QueueOnFull, OpenError, Order as QueueOrder, SystemClock, aio,
};

use crate::config::{OnFull, Order, Queue};

use super::error::RunError;

/// The hub's name in the queue: what it has acknowledged is kept under it.
pub(crate) const CONSUMER: &str = "hub";
/// Largest row that the queue takes: a packet of the listener, 256 KiB at most, and its topic, less than 64 KiB, once more under another name.
const ROW_BYTES_MAX: usize = 384 * 1024;
/// For the end of a queue that was opened in vain.
pub(super) const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// No limit, in the queue's terms.
const UNLIMITED_MESSAGES: u64 = u64::MAX / 4;

/// Error of opening the queue.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// Neither time nor a better disk mends it.
    ForGood(RunError),
    /// Another process has the directory: a gateway, or somebody who looks into the queue.
    Busy,
    /// The disk or the path refused.
    ForNow(String),
}

/// Opens the queue and the place of the hub in it.
///
/// # Errors
/// As the queue's.
pub(crate) async fn open(
    state: &Path,
    queue: &Queue,
    clock: Arc<SystemClock>,
) -> Result<(aio::Queue, aio::Consumer), NotOpened> {
    let opened = aio::Queue::open_with_clock(state, config(queue), clock).await;
    let opened = opened.map_err(|error| match error {
        OpenError::Busy => NotOpened::Busy,
        OpenError::Config(error) => NotOpened::ForGood(RunError::Configuration(format!("[queue] {error}"))),
        error @ OpenError::NewerFormat { .. } => {
            NotOpened::ForGood(RunError::Failed(format!("the queue in {}: {error}", state.display())))
        }
        // Without the bytes that are free, which change: the same cause is said once an hour.
        OpenError::NoSpace { needed, lower: Some(key), .. } => {
            NotOpened::ForNow(format!("disk full: the configuration reserves {needed} bytes: lower {key}"))
        }
        OpenError::NoSpace { needed, lower: None, .. } => {
            NotOpened::ForNow(format!("disk full: {needed} bytes are needed"))
        }
        error => NotOpened::ForNow(error.to_string()),
    })?;
    match opened.consumer(CONSUMER).await {
        Ok(consumer) => Ok((opened, consumer)),
        Err(error) => {
            // Here, and not where the last handle is dropped, which would hold up the runtime's only thread.
            let _closed = tokio::time::timeout(CLOSE_WITHIN, opened.close()).await;
            Err(NotOpened::ForNow(error.to_string()))
        }
    }
}

/// Writes what happened to the store since the last call to the log.
pub(crate) fn tell_events(queue: &aio::Queue) {
    for event in queue.events() {
        tracing::warn!(%event, "queue");
    }
}

/// The queue's own configuration.
pub(crate) fn config(queue: &Queue) -> QueueConfig {
    let on_full = match queue.on_full {
        OnFull::DropOldest => QueueOnFull::DropOldest,
        OnFull::DropNewest => QueueOnFull::DropNewest,
        OnFull::Reject => QueueOnFull::Reject,
    };
    let order = match queue.order {
        Order::Fifo => QueueOrder::Fifo,
        Order::LiveFirst => QueueOrder::live_first(),
    };
    let config = QueueConfig::default()
        .lanes(u8::try_from(queue.lanes.len()).unwrap_or(u8::MAX))
        .max_messages(queue.max_messages.unwrap_or(UNLIMITED_MESSAGES))
        .max_bytes(queue.max_bytes)
        .row_bytes_max(ROW_BYTES_MAX)
        .on_full(on_full)
        .order(order)
        .ack_within(queue.ack_within);
    match queue.max_age {
        Some(age) => config.max_age(age),
        None => config,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn parsed(queue: &str) -> Queue {
        let text = format!(
            "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n[queue]\n{queue}"
        );
        Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap().0.queue
    }

    /// Promise 7: with `order = "live-first"` what comes in during a drain leaves before the rest of the backlog.
    #[tokio::test(flavor = "current_thread")]
    async fn a_live_row_leaves_first_in_a_drain_if_the_plant_wants_it() {
        for (order, expected) in [("", [100, 101]), ("order = \"live-first\"", [1_000, 100])] {
            let dir = tempfile::tempdir().unwrap();
            let (queue, mut hub) = open(dir.path(), &parsed(order), Arc::default()).await.unwrap();
            for n in 0..1_000u32 {
                let _stored = queue.push(edge_queue::Row::new(n.to_be_bytes().to_vec())).await.unwrap();
            }
            hub.lease(100).await.unwrap().ack();
            let _live = queue.push(edge_queue::Row::new(1_000u32.to_be_bytes().to_vec())).await.unwrap();
            let next = hub.lease(2).await.unwrap();
            let found: Vec<u32> = next
                .iter()
                .map(|lease| u32::from_be_bytes(lease.payload()[..].try_into().unwrap()))
                .collect();
            assert_eq!(found, expected, "{order}");
        }
    }

    /// Every configuration that `check` accepts, the queue accepts.
    #[test]
    fn the_least_and_the_most_that_a_configuration_may_say_are_valid() {
        for queue in [
            "",
            "max_messages = 1\nmax_bytes = \"1MiB\"\nmax_age = \"1s\"\nack_within = \"10ms\"\nlanes = [\"one\"]",
            "max_messages = 1000000000\nmax_bytes = \"1024GiB\"\nack_within = \"60s\"\nlanes = [\"a\",\"b\",\"c\",\"d\"]\non_full = \"reject\"\norder = \"live-first\"",
        ] {
            config(&parsed(queue)).validate().unwrap();
        }
    }
}
