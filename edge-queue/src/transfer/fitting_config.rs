//! Configuration of a new queue that holds what a stream brings, for an import without the application's own.

use std::io::Read;

use super::{Item, LaneTotals, Stream, StreamError};
use crate::config::{Config, LaneConfig, SEGMENT_EXTRA_BYTES, StoreKind};
use crate::row::{LANES_MAX, Lane, ROW_OVERHEAD_BYTES};

/// Returns limits that hold what the stream brings: at least the usual ones. The application's own limits apply when it opens the queue.
///
/// # Errors
/// The stream cannot be read, or is no export.
pub fn config_for(stream: impl Read, kind: StoreKind) -> Result<Config, StreamError> {
    let mut lanes = [LaneTotals::default(); LANES_MAX];
    let (mut row_bytes_max, mut highest) = (256 * 1024u64, 0);
    let mut stream = Stream::new(stream);
    while let Some(item) = stream.next_item()? {
        let Item::Row(row) = item else { continue };
        if let Some(totals) = lanes.get_mut(usize::from(row.lane.0)) {
            totals.add(&row);
        }
        highest = highest.max(row.lane.0 + 1);
        row_bytes_max = row_bytes_max.max(row.bytes().saturating_sub(ROW_OVERHEAD_BYTES));
    }
    let count = stream.end().lanes.unwrap_or(2).clamp(1, LANES_MAX as u8).max(highest);
    let usual = Config::default();
    let mut config = usual
        .clone()
        .store(kind)
        .lanes(count)
        .row_bytes_max(usize::try_from(row_bytes_max).unwrap_or(usize::MAX))
        .segment_bytes((1024 * 1024).max(row_bytes_max + SEGMENT_EXTRA_BYTES));
    for (lane, totals) in (0..count).map(Lane).zip(lanes) {
        let limits = config.lane_limits(lane);
        let (messages, bytes) = (limits.messages.max(totals.weight), limits.bytes.max(totals.bytes));
        config = config.lane(lane, LaneConfig::default().max_messages(messages).max_bytes(bytes));
    }
    Ok(config)
}
