//! Rows, as they go in and come out, and their identity.

use bytes::Bytes;

use crate::row_age::Expiry;
use crate::time::Stamp;

/// Position of a row in its lane. Starts at 1, never restarts, has holes where a row was delivered before it
/// had to be written (elision).
pub type Seq = u64;

/// Most lanes a queue can have, for code that checks lane numbers or keeps something for each lane before it has a queue.
pub const LANES_MAX: usize = 4;

/// A priority class: 0 is served first. A queue has 1 to [`LANES_MAX`] of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u8);

impl Lane {
    /// The default urgent lane.
    pub const ALARM: Lane = Lane(0);
    /// The default lane of ordinary data.
    pub const TELEMETRY: Lane = Lane(1);
}

/// A message to be pushed, with what the queue must know about it.
///
/// ```
/// # use edge_queue::{Lane, Row};
/// # use std::time::Duration;
/// let row = Row::new("overpressure").key("plant/boiler 2").lane(Lane::ALARM).ttl(Duration::from_secs(3600));
/// assert_eq!((row.payload.as_ref(), row.ttl_ms), (b"overpressure".as_slice(), Some(3_600_000)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Row {
    /// The message itself, opaque to the queue.
    pub payload: Bytes,
    /// Data that the application needs to send the row later (a resolved topic, a format); opaque to the queue.
    pub meta: Bytes,
    /// Subject of the row; opaque, may be empty.
    pub key: Bytes,
    /// Priority class; `None` is the last lane of the queue.
    pub lane: Option<Lane>,
    /// Age in milliseconds after which the row is skipped and counted as expired. `None` when only the queue's `max_age` applies.
    pub ttl_ms: Option<u64>,
    /// Rule for a row whose age cannot be known (another boot, unsynchronised clock): whether it counts as expired.
    pub expiry: Expiry,
    /// Number of readings that this row stands for, as count limits count it; at least 1.
    pub weight: u32,
}

impl Row {
    /// Creates a row with a payload alone: last lane, weight 1, no time to live.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>) -> Row {
        Row {
            payload: payload.into(),
            meta: Bytes::new(),
            key: Bytes::new(),
            lane: None,
            ttl_ms: None,
            expiry: Expiry::Lenient,
            weight: 1,
        }
    }

    /// Sets the subject of the row.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Row {
        self.key = key.into();
        self
    }

    /// Sets the data that the application needs to send the row later.
    #[must_use]
    pub fn meta(mut self, meta: impl Into<Bytes>) -> Row {
        self.meta = meta.into();
        self
    }

    /// Sets the priority class.
    #[must_use]
    pub fn lane(mut self, lane: Lane) -> Row {
        self.lane = Some(lane);
        self
    }

    /// Sets the age after which the row is skipped and counted as expired. Rounded down to whole milliseconds.
    #[must_use]
    pub fn ttl(mut self, ttl: std::time::Duration) -> Row {
        self.ttl_ms = Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Sets the rule for a row whose age cannot be known: whether it counts as expired.
    #[must_use]
    pub fn expiry(mut self, expiry: Expiry) -> Row {
        self.expiry = expiry;
        self
    }

    /// Sets the number of readings that the row stands for; 0 counts as 1.
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Row {
        self.weight = weight.max(1);
        self
    }

    /// Returns the index of the row's lane in a queue of `lanes` lanes: the last one if the row names none. May exceed the number of lanes.
    #[inline]
    pub(crate) fn lane_among(&self, lanes: usize) -> usize {
        self.lane.map_or(lanes.saturating_sub(1), |lane| usize::from(lane.0))
    }

    /// Returns the row's own bytes, as `row_bytes_max` counts them.
    #[inline]
    pub(crate) fn own_bytes(&self) -> usize {
        self.key.len().saturating_add(self.meta.len()).saturating_add(self.payload.len())
    }
}

/// Identity of a stored row. No other row has it, on this gateway or another, at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// Random number made when the queue was created.
    pub gateway: u64,
    /// Lane that the row was pushed to.
    pub lane: Lane,
    /// Epoch: number of the open that accepted the row, raised by every open.
    pub epoch: u32,
    /// The row's position in its lane.
    pub seq: Seq,
}

/// A row as a [`Store`](crate::store::Store) keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRow {
    /// Lane the row was pushed to.
    pub lane: Lane,
    /// Position in the lane.
    pub seq: Seq,
    /// Epoch of the open that accepted the row.
    pub epoch: u32,
    /// Time of the push.
    pub stamp: Stamp,
    /// Time to live in milliseconds; `None` when the row has none of its own.
    pub ttl_ms: Option<u64>,
    /// Rule for an age that cannot be known: whether the row counts as expired.
    pub expiry: Expiry,
    /// Number of readings that the row stands for.
    pub weight: u32,
    /// Key of the row, as [`Row::key`].
    pub key: Bytes,
    /// Application's bytes about the row, as [`Row::meta`].
    pub meta: Bytes,
    /// Content of the row, as [`Row::payload`].
    pub payload: Bytes,
}

/// Bytes that a stored row costs besides key, meta and payload, as the limits count it: header, checksum and index.
pub const ROW_OVERHEAD_BYTES: u64 = 32;

impl StoredRow {
    /// Size as limits and statistics count it: key, meta, payload and [`ROW_OVERHEAD_BYTES`].
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let own = self.key.len().saturating_add(self.meta.len()).saturating_add(self.payload.len());
        u64::try_from(own).unwrap_or(u64::MAX).saturating_add(ROW_OVERHEAD_BYTES)
    }
}
