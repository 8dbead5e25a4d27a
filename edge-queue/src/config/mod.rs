//! Limits of a queue and its behaviour at them. Every setter states unit, default and cost.

#[cfg(feature = "ring")]
mod budget;
mod consumer;
mod lane;
mod order;
mod second_queue;
mod validate;

use crate::key::Key;
use crate::per_lane::PerLane;
use crate::row::{LANES_MAX, Lane, ROW_OVERHEAD_BYTES};
use crate::store::Options;

pub use consumer::ConsumerConfig;
pub use lane::LaneConfig;
pub use order::Order;

const MIB: u64 = 1024 * 1024;
/// Bytes in a segment besides its largest row: headers, padding and the snapshot at its start.
pub(crate) const SEGMENT_EXTRA_BYTES: u64 = 128 * 1024;
/// Most bytes of key, meta and payload of a row that any queue takes.
const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Least byte limit of a lane: one row of one byte.
const BYTES_MIN: u64 = ROW_OVERHEAD_BYTES + 1;

/// Treatment of a push when its lane is at a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnFull {
    /// The oldest row that is not leased is evicted; its loss is recorded. For data whose newest value counts.
    #[default]
    DropOldest,
    /// The new row is dropped; its receipt is `Settled` and its loss recorded. For data whose history counts.
    DropNewest,
    /// The push fails and hands the row back. For producers that can wait.
    Reject,
}

/// Policy for a store that fails for so long that RAM for unwritten rows runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OnFault {
    /// Pushes are refused until the store works again; no receipt is given for a row that is not safe.
    #[default]
    Withhold,
    /// Rows are kept in RAM up to the lane's limits and their receipts say `Volatile`.
    Volatile,
}

/// Store that keeps the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreKind {
    /// A recycled segment log in one file: least wear. Feature `ring`.
    Ring,
    /// The portable alternative on redb: more bytes per commit. Feature `redb`.
    Redb,
    /// RAM only: receipts say `Volatile` and nothing survives the process.
    Memory,
}

impl StoreKind {
    /// The kinds that keep files.
    #[cfg(any(feature = "ring", feature = "redb"))]
    pub(crate) const ON_DISK: [StoreKind; 2] = [StoreKind::Ring, StoreKind::Redb];

    /// Names of files, any one of which shows that a directory has a queue of this kind; the first is that of a
    /// finished one. The second name of redb is the only one left after a power cut between the two renames that replace its file.
    pub(crate) const fn files(self) -> &'static [&'static str] {
        match self {
            StoreKind::Ring => &["queue.ring"],
            StoreKind::Redb => &["queue.redb", "queue.redb.new"],
            StoreKind::Memory => &[],
        }
    }
}

/// Settings of a queue. `Config::default()` is right for a gateway with 200 MB of flash to spare.
///
/// ```
/// # use edge_queue::{Config, Lane, LaneConfig, OnFull};
/// # use std::time::Duration;
/// const MIB: u64 = 1024 * 1024;
///
/// let config = Config::default()
///     .max_bytes(32 * MIB)
///     .max_age(Duration::from_secs(7 * 86_400))
///     .on_full(OnFull::DropOldest)
///     .lane(Lane::ALARM, LaneConfig::default().max_bytes(MIB).on_full(OnFull::Reject));
/// config.validate()?;
/// assert!(config.disk_bytes() < 80 * MIB);
/// # Ok::<(), edge_queue::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    max_messages: u64,
    max_bytes: u64,
    max_age_ms: Option<u64>,
    on_full: OnFull,
    order: Order,
    ack_within_ms: u64,
    commit_bytes: u64,
    lanes: u8,
    lane: [LaneConfig; LANES_MAX],
    row_bytes_max: usize,
    segment_bytes: u64,
    cursor_lag: u64,
    ack_write_ms: u64,
    max_unwritten_bytes: u64,
    on_fault: OnFault,
    store: StoreKind,
    key: Option<Key>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_messages: 1_000_000,
            max_bytes: 64 * MIB,
            max_age_ms: None,
            on_full: OnFull::default(),
            order: Order::default(),
            ack_within_ms: 1_000,
            commit_bytes: 256 * 1024,
            lanes: 2,
            lane: [LaneConfig::default(); LANES_MAX],
            row_bytes_max: 256 * 1024,
            segment_bytes: MIB,
            cursor_lag: 1_000,
            ack_write_ms: 10_000,
            max_unwritten_bytes: 4 * MIB,
            on_fault: OnFault::default(),
            store: StoreKind::Ring,
            key: None,
        }
    }
}

impl Config {
    /// Most messages (by weight) in the last lane, `telemetry` by default; at least 1. Default 1 000 000. Costs no RAM.
    #[must_use]
    pub fn max_messages(mut self, messages: u64) -> Config {
        self.max_messages = messages;
        self
    }

    /// Most bytes in the last lane: key, meta, payload and 32 per row; 33 to 1 TiB. Default 64 MiB. The ring store reserves
    /// twice as much and four segments, for each lane.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Config {
        self.max_bytes = bytes;
        self
    }

    /// Sets the age from which on rows are skipped when a consumer reaches them, and counted as expired; at least 1 ms. Default: no limit.
    #[must_use]
    pub fn max_age(mut self, age: std::time::Duration) -> Config {
        self.max_age_ms = Some(millis(age));
        self
    }

    /// Sets the policy at a limit. Default [`OnFull::DropOldest`].
    #[must_use]
    pub fn on_full(mut self, policy: OnFull) -> Config {
        self.on_full = policy;
        self
    }

    /// Sets the order of a lane's rows. Default [`Order::Fifo`].
    #[must_use]
    pub fn order(mut self, order: Order) -> Config {
        self.order = order;
        self
    }

    /// Sets the longest time for which a receipt waits for its commit. Default 1 s. Rows that every consumer acknowledges within
    /// it are never written, so a longer time spares flash but lets producers wait longer.
    #[must_use]
    pub fn ack_within(mut self, time: std::time::Duration) -> Config {
        self.ack_within_ms = millis(time);
        self
    }

    /// Sets the bytes of waiting rows at which a commit starts early. Default 256 KiB, which costs as much RAM.
    #[must_use]
    pub fn commit_bytes(mut self, bytes: u64) -> Config {
        self.commit_bytes = bytes;
        self
    }

    /// Number of lanes, 1 to 4, highest priority first. Default 2: [`Lane::ALARM`] and [`Lane::TELEMETRY`]. May
    /// change from open to open: rows stay in the lane of their number, so a lane that goes must be empty.
    #[must_use]
    pub fn lanes(mut self, lanes: u8) -> Config {
        self.lanes = lanes;
        self
    }

    /// Limits of one lane. Unless set, the last lane has the queue's limits and every other an eighth of them. Those of a lane beyond
    /// [`lanes`](Config::lanes) have no effect until there are so many.
    #[must_use]
    pub fn lane(mut self, lane: Lane, limits: LaneConfig) -> Config {
        if let Some(slot) = self.lane.get_mut(usize::from(lane.0)) {
            *slot = limits;
        }
        self
    }

    /// Most bytes of key, meta and payload of one row together. Default 256 KiB. A segment must hold them.
    #[must_use]
    pub fn row_bytes_max(mut self, bytes: usize) -> Config {
        self.row_bytes_max = bytes;
        self
    }

    /// Size of a segment of the ring store, the unit in which space is taken and given back. At most 64 MiB, rounded up to a
    /// multiple of 64 KiB. Default 1 MiB. If four segments of this size exceed the smallest lane's byte limit, all segments are
    /// smaller.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Config {
        self.segment_bytes = bytes;
        self
    }

    /// Most acknowledgements of stored rows that may be unwritten; after a crash those rows are delivered again. Default 1000.
    #[must_use]
    pub fn cursor_lag(mut self, rows: u64) -> Config {
        self.cursor_lag = rows;
        self
    }

    /// Bytes of RAM for rows that wait for a slow or failing store, 768 bytes of bookkeeping for each included. Default 4 MiB:
    /// some 4 000 rows of 200 bytes.
    #[must_use]
    pub fn max_unwritten_bytes(mut self, bytes: u64) -> Config {
        self.max_unwritten_bytes = bytes;
        self
    }

    /// Sets the policy beyond `max_unwritten_bytes` while the store fails. Default [`OnFault::Withhold`].
    #[must_use]
    pub fn on_fault(mut self, policy: OnFault) -> Config {
        self.on_fault = policy;
        self
    }

    /// Sets the store that keeps the rows. Default [`StoreKind::Ring`].
    #[must_use]
    pub fn store(mut self, kind: StoreKind) -> Config {
        self.store = kind;
        self
    }

    /// Encrypts rows, their keys and all changes of the bookkeeping on the disk; 28 bytes for each frame. A new file has AES-256-GCM where the
    /// processor has instructions for it, ChaCha20-Poly1305 elsewhere, and each is read everywhere. Not hidden are sizes, times of writing, counters
    /// and consumers' names. Only the ring store can: with redb the configuration is refused. A queue is made with a
    /// key or without one, for good: to change that, or the key, export its backlog and import it into a new queue.
    #[cfg(feature = "encryption")]
    #[must_use]
    pub fn encryption(mut self, key: Key) -> Config {
        self.key = Some(key);
        self
    }

    /// Returns the most bytes of rows that a lane holds: its own limit, or its share of the queue's.
    #[must_use]
    pub fn lane_max_bytes(&self, lane: Lane) -> u64 {
        self.lane_limits(lane).bytes
    }

    /// Returns the most messages, by weight, that a lane holds: its own limit, or its share of the queue's.
    #[must_use]
    pub fn lane_max_messages(&self, lane: Lane) -> u64 {
        self.lane_limits(lane).messages
    }

    /// Returns the limits of a lane, with the queue's own where the lane has none.
    pub(crate) fn lane_limits(&self, lane: Lane) -> LaneLimits {
        let own = self.lane.get(usize::from(lane.0)).copied().unwrap_or_default();
        let share = if lane.0 + 1 >= self.lanes { 1 } else { 8 };
        // A share is never rounded to nothing.
        let messages = own.max_messages.unwrap_or((self.max_messages / share).max(1));
        let bytes = own.max_bytes.unwrap_or((self.max_bytes / share).max(BYTES_MIN));
        let row_bytes_max = self
            .row_bytes_max
            .min(usize::try_from(bytes.saturating_sub(ROW_OVERHEAD_BYTES)).unwrap_or(usize::MAX));
        LaneLimits {
            messages,
            bytes,
            max_age_ms: own.max_age_ms.or(self.max_age_ms),
            on_full: own.on_full.unwrap_or(self.on_full),
            order: own.order.unwrap_or(self.order),
            row_bytes_max,
        }
    }

    pub(crate) fn store_options(&self, gateway: u64, epoch_step: u32) -> Options {
        let lane_bytes = PerLane::from_fn(|at| {
            let at = u8::try_from(at).unwrap_or(u8::MAX);
            if at < self.lanes { self.lane_limits(Lane(at)).bytes } else { 0 }
        });
        Options {
            lanes: self.lanes,
            lane_bytes,
            segment_bytes: self.segment_bytes,
            row_bytes_max: self.row_bytes_max,
            gateway,
            epoch_step,
        }
    }

    /// Returns the store that keeps the rows.
    #[must_use]
    pub fn store_kind(&self) -> StoreKind {
        self.store
    }

    /// Returns the key of an encrypted queue.
    #[cfg_attr(not(feature = "ring"), allow(dead_code, reason = "only the ring encrypts"))]
    pub(crate) fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            ack_within_ms: self.ack_within_ms,
            commit_bytes: self.commit_bytes,
            cursor_lag: self.cursor_lag,
            ack_write_ms: self.ack_write_ms,
            max_unwritten_bytes: self.max_unwritten_bytes,
            on_fault: self.on_fault,
            segment_bytes: self.segment_bytes,
            volatile: self.store == StoreKind::Memory,
            lanes: (0..self.lanes).map(|at| self.lane_limits(Lane(at))).collect(),
        }
    }
}

/// Limits of one lane, with the queue's own where the lane sets none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneLimits {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) max_age_ms: Option<u64>,
    pub(crate) on_full: OnFull,
    pub(crate) order: Order,
    pub(crate) row_bytes_max: usize,
}

/// The configuration as the model needs it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) ack_within_ms: u64,
    pub(crate) commit_bytes: u64,
    pub(crate) cursor_lag: u64,
    pub(crate) ack_write_ms: u64,
    pub(crate) max_unwritten_bytes: u64,
    pub(crate) on_fault: OnFault,
    pub(crate) segment_bytes: u64,
    pub(crate) volatile: bool,
    pub(crate) lanes: Vec<LaneLimits>,
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_lane_gets_an_eighth_unless_set() {
        let config = Config::default().max_messages(800).max_bytes(8 * MIB);
        assert_eq!(config.lane_limits(Lane::ALARM).messages, 100);
        assert_eq!(config.lane_limits(Lane::ALARM).bytes, MIB);
        assert_eq!(config.lane_limits(Lane::TELEMETRY).messages, 800);
        let config = config.lane(Lane::ALARM, LaneConfig::default().max_messages(7));
        assert_eq!(config.lane_limits(Lane::ALARM).messages, 7);
    }
}
