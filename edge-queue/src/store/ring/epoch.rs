//! Epoch: the time from one open of the queue to the next, called a run in this folder. The rules that every file of this folder relies on:
//!
//! 1. The newest superblock holds the epoch of the current run. An open raises it, durably, before it takes the first row;
//!    an open that is refused does not touch it. The step is random, so that two copies of a ring go on with epochs of their own.
//! 2. Unless the superblock proves that a close did, an open makes durable all that it found before it raises the epoch. So no frame of an
//!    epoch below the superblock's can be torn: a part of its commits that is missing was lost to damage.
//! 3. Frames are ordered by (epoch, counter). A run goes on with the counters where the last whole commit ended, so what
//!    it writes replaces what a crashed run left behind.
//! 4. A commit's number belongs to its epoch: a run may use the number of a commit that left no trace.
//! 5. Frames in a slot from before its segment's epoch belong to an earlier life of the slot.
//! 6. If damage takes both superblocks, the epoch leaps beyond 256 runs that may have written nothing.
#![deny(clippy::indexing_slicing)]

use super::RingStore;
use crate::error::OpenError;
use crate::planted_flaw::{Flaw, planted};
use crate::store::Recovered;
use crate::store::plausibility::next_epoch;

/// Begins an epoch `step` after the `newest` seen anywhere, durably. First writes `copies` (offset and bytes) of frames that the last run may not have
/// synced. `durable`: the last run closed, and proved that all it wrote was synced.
pub(super) fn raise(
    store: &mut RingStore,
    recovered: &mut Recovered,
    (newest, step): (u32, u32),
    copies: &[(u64, Vec<u8>)],
    durable: bool,
) -> Result<(), OpenError> {
    let newest = store.superblock.epoch.max(newest);
    store.superblock.epoch = if planted(Flaw::EpochNotRaised) { newest } else { next_epoch(newest, step) };
    // Rule 2: what the last run wrote without living to sync it counts from now on.
    copies
        .iter()
        .try_for_each(|(offset, bytes)| store.medium.write_at(*offset, bytes))
        .and_then(|()| match durable || planted(Flaw::EpochFirst) {
            true => Ok(()),
            false => store.medium.sync(),
        })
        .and_then(|()| store.superblock.write_next(store.medium.as_mut()))
        .and_then(|()| store.medium.sync())
        // The file's name may come from an open whose own sync of the directory failed.
        .and_then(|()| store.dir.sync())
        .map_err(|source| OpenError::Io { op: "raise the epoch", source })?;
    recovered.state.epoch = store.superblock.epoch;
    store.durable.epoch = store.superblock.epoch;
    Ok(())
}
