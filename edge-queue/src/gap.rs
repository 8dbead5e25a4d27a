//! Gap records: rows that a consumer will never get, as an application sees them.

use crate::row::{Lane, Seq};
use crate::state::{GapRecord, Reason};

/// Rows that a consumer will never get, in one lane. Acknowledge them with [`Consumer::ack_gaps`](crate::Consumer::ack_gaps) once
/// they were reported upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Lane of the lost rows.
    pub lane: Lane,
    /// Sequence number of the first lost row.
    pub first_seq: Seq,
    /// Sequence number of the last lost row.
    pub last_seq: Seq,
    /// Wall time of the first lost row in milliseconds since the Unix epoch; 0 when it is not known. For rows lost to damage, the
    /// time of the nearest readable row before them.
    pub first_ms: i64,
    /// Wall time of the last lost row, as `first_ms`; for rows lost to damage, the time of the nearest readable row after them.
    pub last_ms: i64,
    /// Number of lost rows, by weight.
    pub count: u64,
    /// Reason of the loss.
    pub reason: Reason,
}

impl Gap {
    /// Returns the loss in the form of the lane's durable state.
    pub(crate) fn record(&self) -> GapRecord {
        let Gap { first_seq, last_seq, first_ms, last_ms, count, reason, .. } = *self;
        GapRecord { first_seq, last_seq, first_ms, last_ms, count, reason }
    }
}

impl From<(Lane, GapRecord)> for Gap {
    fn from((lane, record): (Lane, GapRecord)) -> Gap {
        let GapRecord { first_seq, last_seq, first_ms, last_ms, count, reason } = record;
        Gap { lane, first_seq, last_seq, first_ms, last_ms, count, reason }
    }
}
