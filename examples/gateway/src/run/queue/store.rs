//! Queue on disk, opened with the settings of `[queue]`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_queue::{
    Config as QueueConfig, Event, FaultKind, Lane, LaneConfig, Ledger, OnFull as QueueOnFull, OpenError,
    Order as QueueOrder, SystemClock, aio,
};

use crate::config::queue_key::{QueueKey, encrypted};
use crate::config::{Config, OnFull, Order, Queue};

use crate::run::error::RunError;

use super::found_at_open::FoundAtOpen;

/// Name of the queue's file in the state directory.
pub(crate) const FILE: &str = "queue.ring";
/// Name of the hub as a consumer of the queue, under which its acknowledgements are stored.
pub(crate) const CONSUMER: &str = "hub";
/// Largest row of the queue in bytes: a packet of the listener (at most 256 KiB), plus its topic at the hub (less than 64 KiB).
pub(in crate::run) const ROW_BYTES_MAX: usize = 384 * 1024;
/// Time limit for closing a queue after a failed start.
pub(in crate::run) const CLOSE_WITHIN: Duration = Duration::from_secs(3);
/// Limit for the queue that stands for an unlimited number of messages.
const UNLIMITED_MESSAGES: u64 = u64::MAX / 4;

/// Reason why the queue is not open.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// Error that no later attempt and no other disk can mend.
    ForGood(RunError),
    /// Another process uses the directory: a gateway, or a tool that reads the queue.
    Busy,
    /// Error of the disk or the path, which may pass.
    ForNow(String),
}

/// Opens the queue, and its consumer for the hub.
///
/// # Errors
/// The queue's error, by what can be done about it.
pub(crate) async fn open(
    state: &Path,
    settings: &Config,
    clock: Arc<SystemClock>,
) -> Result<(aio::Queue, aio::Consumer), NotOpened> {
    let opened = aio::Queue::open_with_clock(state, config(settings), clock).await;
    let opened = opened.map_err(|error| match error {
        OpenError::Busy => NotOpened::Busy,
        OpenError::Config(error) => NotOpened::ForGood(RunError::Configuration(format!("[queue] {error}"))),
        error @ OpenError::NewerFormat { .. } => {
            NotOpened::ForGood(RunError::Failed(format!("the queue in {}: {error}", state.display())))
        }
        error @ (OpenError::KeyMissing | OpenError::WrongKey | OpenError::NotEncrypted) => {
            let error = with_key(&error, settings.queue.key.as_ref());
            let error = format!("queue.key_file: the queue in {}: {error}", state.display());
            NotOpened::ForGood(RunError::QueueKey(error))
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

/// Returns the queue's error in words, with the file of the key that does not fit, and its place in the configuration.
pub(crate) fn with_key(error: &OpenError, key: Option<&QueueKey>) -> String {
    if let (OpenError::NotEncrypted, Some(key)) = (error, key) {
        return format!(
            "the queue was made without encryption and takes no key: let it drain and begin in a new state directory, or move what waits \
             by `edge-gateway backup` and `restore`. The key is that in {}",
            key.place()
        );
    }
    let place = match (error, key) {
        (OpenError::KeyMissing, _) => {
            ": [queue] key_file is not set: name the file with the queue's key there, or begin a new state directory"
                .to_owned()
        }
        (OpenError::WrongKey, Some(key)) => {
            format!(" than that in {}: put the former key back, or begin a new state directory", key.place())
        }
        _ => String::new(),
    };
    format!("{error}{place}")
}

/// Returns the number of messages that wait for the hub.
pub(in crate::run) fn waiting(queue: &aio::Queue) -> u64 {
    of_hub(queue.ledger()).iter().map(|ledger| ledger.queued).sum()
}

/// Returns the ledgers of the consumer `hub`.
pub(in crate::run) fn of_hub(ledgers: Vec<Ledger>) -> Vec<Ledger> {
    ledgers.into_iter().filter(|ledger| ledger.consumer == CONSUMER).collect()
}

/// Logs the events of the store in `state` since the last call. Returns what those of an opening found.
pub(crate) fn tell_events(queue: &aio::Queue, state: &Path) -> FoundAtOpen {
    let mut found = FoundAtOpen::default();
    for event in queue.events() {
        found.note(&event);
        if matches!(event, Event::Degraded { kind: FaultKind::NameLost, .. }) {
            let state = state.display();
            tracing::error!(%state, %event, "the queue's file is gone from its path: what the hub has not acknowledged gets no PUBACK any more. Move or mount it back, and it goes on; if it was removed, let what waits reach the hub, then restart");
            continue;
        }
        tracing::warn!(%event, "queue");
    }
    found
}

/// Returns the configuration as settings of the queue.
pub(crate) fn config(config: &Config) -> QueueConfig {
    let Queue { max_messages, max_bytes, max_age, on_full, ack_within, ref lanes, .. } = config.queue;
    let on_full = match on_full {
        OnFull::DropOldest => QueueOnFull::DropOldest,
        OnFull::DropNewest => QueueOnFull::DropNewest,
        OnFull::Reject => QueueOnFull::Reject,
    };
    let mut queue = QueueConfig::default()
        .lanes(u8::try_from(lanes.len()).unwrap_or(u8::MAX))
        .max_messages(max_messages.unwrap_or(UNLIMITED_MESSAGES))
        .max_bytes(max_bytes)
        .row_bytes_max(ROW_BYTES_MAX)
        .on_full(on_full)
        .ack_within(ack_within);
    for (lane, order) in (0..).zip(config.orders()) {
        let order = match order {
            Order::Fifo => QueueOrder::Fifo,
            Order::LiveFirst => QueueOrder::live_first(),
        };
        queue = queue.lane(Lane(lane), LaneConfig::default().order(order));
    }
    let queue = encrypted(queue, config.queue.key.as_ref());
    match max_age {
        Some(age) => queue.max_age(age),
        None => queue,
    }
}

/// Returns the limits of the parked messages' queue: the same ones, with a single lane.
pub(crate) fn parked_limits(queue: &QueueConfig) -> QueueConfig {
    queue.clone().lanes(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(route: &str, queue: &str) -> QueueConfig {
        config(&settings(route, queue))
    }

    fn settings(route: &str, queue: &str) -> Config {
        let text = format!(
            "[gateway]\nid=\"a\"\n[local]\nlisten=\"127.0.0.1:1\"\n[hub]\nurl=\"mqtt://h\"\n[[route]]\nmatch=\"#\"\n{route}\n[queue]\n{queue}"
        );
        Config::parse(Path::new("g.toml"), &text, &|_| None).unwrap().0
    }

    /// Promise 7: what comes in during a drain leaves before the rest of the backlog, but for alarms and where the plant wants it otherwise.
    #[tokio::test(flavor = "current_thread")]
    async fn a_live_row_leaves_first_in_a_drain() {
        let (alarm, telemetry) = (Lane::ALARM, Lane::TELEMETRY);
        let batches = "to = \"t\"\nformat = \"compact\"";
        for (route, queue, lane, expected) in [
            (batches, "", telemetry, [1_000, 100]),
            (batches, "", alarm, [100, 101]),
            (batches, "order = \"fifo\"", telemetry, [100, 101]),
            (batches, "lanes = [\"one\"]", alarm, [1_000, 100]),
            ("", "", telemetry, [100, 101]),
            ("", "order = \"live-first\"", telemetry, [1_000, 100]),
            ("", "order = \"live-first\"", alarm, [100, 101]),
            ("lane = \"alarm\"", "", telemetry, [1_000, 100]),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let (opened, mut hub) = open(dir.path(), &settings(route, queue), Arc::default()).await.unwrap();
            let row = |n: u32| edge_queue::Row::new(n.to_be_bytes().to_vec()).lane(lane);
            for n in 0..1_000 {
                let _stored = opened.push(row(n)).await.unwrap();
            }
            hub.lease(100).await.unwrap().ack();
            let _live = opened.push(row(1_000)).await.unwrap();
            let next = hub.lease(2).await.unwrap();
            let found: Vec<u32> = next
                .iter()
                .map(|lease| u32::from_be_bytes(lease.payload()[..].try_into().unwrap()))
                .collect();
            assert_eq!(found, expected, "{route} {queue} {lane:?}");
        }
    }

    /// Promise 1: the time to a receipt, and what a full queue does, are the configuration's and not the queue's own.
    #[test]
    fn the_queue_has_the_settings_of_its_section() {
        for (name, on_full) in [
            ("drop-oldest", QueueOnFull::DropOldest),
            ("drop-newest", QueueOnFull::DropNewest),
            ("reject", QueueOnFull::Reject),
        ] {
            let section = format!(
                "ack_within = \"20ms\"\non_full = \"{name}\"\nmax_age = \"1h\"\nmax_messages = 7\nmax_bytes = \"9MiB\""
            );
            let expected = parsed("", "").ack_within(Duration::from_millis(20)).on_full(on_full);
            let expected = expected.max_age(Duration::from_secs(3_600)).max_messages(7).max_bytes(9 << 20);
            assert_eq!(parsed("", &section), expected, "{name}");
        }
        let own = parsed("", "");
        assert!(own != own.clone().ack_within(Duration::from_millis(20)));
    }

    #[cfg(feature = "encryption")]
    #[tokio::test(flavor = "current_thread")]
    async fn a_queue_with_another_key_ends_the_start_and_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), [1; 32]).unwrap();
        std::fs::write(dir.path().join("other"), [2; 32]).unwrap();
        let keyed = |name: &str| {
            let file = dir.path().join(name).display().to_string();
            settings("", &format!("key_file = \"{file}\""))
        };
        let state = dir.path().join("state");
        let (queue, hub) = open(&state, &keyed("key"), Arc::default()).await.unwrap();
        let _stored = queue.push(edge_queue::Row::new("secret payload")).await.unwrap();
        drop(hub);
        queue.close().await.unwrap();
        let plain = dir.path().join("plain");
        let (queue, hub) = open(&plain, &settings("", ""), Arc::default()).await.unwrap();
        drop(hub);
        queue.close().await.unwrap();
        let files = || [&state, &plain].map(|state| std::fs::read(state.join(FILE)).unwrap());
        let before = files();
        assert!(!before[0].windows(14).any(|window| window == b"secret payload"));
        let place = |name: &str| format!("{} ([queue] key_file)", dir.path().join(name).display());
        for (state, settings, said) in [
            (&state, keyed("other"), format!("encrypted with another key than that in {}: put the former key back, or begin a new state directory", place("other"))),
            (&state, settings("", ""), "there is no key: [queue] key_file is not set: name the file with the queue's key there, or begin a new state directory".to_owned()),
            (
                &plain,
                keyed("key"),
                format!(
                    "made without encryption and takes no key: let it drain and begin in a new state directory, or move what waits by `edge-gateway backup` and `restore`. The key is that in {}",
                    place("key")
                ),
            ),
        ] {
            match open(state, &settings, Arc::default()).await.map(drop) {
                Err(NotOpened::ForGood(RunError::QueueKey(error))) => {
                    assert!(error.ends_with(&said), "{error}");
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(files() == before);
        let (queue, _hub) = open(&state, &keyed("key"), Arc::default()).await.unwrap();
        assert_eq!(waiting(&queue), 1);
    }

    /// Every configuration that `check` accepts, the queue accepts.
    #[test]
    fn the_least_and_the_most_that_a_configuration_may_say_are_valid() {
        for queue in [
            "",
            "max_messages = 1\nmax_bytes = \"1MiB\"\nmax_age = \"1s\"\nack_within = \"10ms\"\nlanes = [\"one\"]",
            "max_messages = 1000000000\nmax_bytes = \"1024GiB\"\nack_within = \"60s\"\nlanes = [\"a\",\"b\",\"c\",\"d\"]\non_full = \"reject\"\norder = \"live-first\"",
        ] {
            parsed("", queue).validate().unwrap();
        }
    }
}
