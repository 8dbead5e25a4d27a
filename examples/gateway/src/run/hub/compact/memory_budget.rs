//! Memory budget that all topics share: sensors of clients decide what a topic's names, sample, tables and encoder take, so the topic that holds
//! most gives way first. A topic that gave way has self-contained batches, or decodes its table again; no reading is lost.
//!
//! Memory that one batch brings comes on top until the next, and so does that of learning while a table is made.

use super::topic::Topic;

/// Bytes that the topics may hold between two batches.
pub(super) const BUDGET_BYTES: usize = 12 << 20;

/// Most memory of compact batches in bytes, whatever clients send: the budget, the most that one batch or the making of a table takes beside it,
/// and the room between blocks that come and go in all sizes. Measured under attack; see docs/guide/sizing.md.
pub(crate) const RAM_BYTES: u64 = 24 << 20;

/// Makes topics give way until all together hold at most `bytes_max`. A step frees what its topic has to collect or to decode anew, so the work
/// is at most that of the batches which made the memory.
pub(super) fn keep_within(topics: &mut [Topic], bytes_max: usize) {
    let mut held: usize = topics.iter().map(Topic::memory_bytes).sum();
    while held > bytes_max {
        let Some(largest) = topics.iter_mut().max_by_key(|topic| topic.memory_bytes()) else { return };
        let before = largest.memory_bytes();
        if !largest.give_way() {
            return;
        }
        held = held.saturating_sub(before.saturating_sub(largest.memory_bytes()));
    }
}
