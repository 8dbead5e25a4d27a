//! Search for the readings that fit into a batch, and what becomes of one that never does.

#![deny(clippy::indexing_slicing)]

use super::Encoder;
use crate::{EncodeError, Sensors};

impl<S: Sensors> Encoder<S> {
    /// The most readings that were found to fit, and their batch; `most` of them take `taken` bytes, which is too much.
    pub(super) fn cut(&mut self, most: usize, taken: usize, max_bytes: usize) -> (usize, Vec<u8>) {
        let (mut fits, mut batch) = (0, Vec::new());
        let (mut over, mut over_bytes) = (most, taken);
        while over - fits > fits / 16 + 1 || (fits == 0 && over > 1) {
            // In proportion between what fits and what does not, but never the ends themselves.
            let (low, room) = (batch.len(), max_bytes.saturating_sub(batch.len()));
            let share = (over - fits) * room * 31 / 32 / (over_bytes.saturating_sub(low)).max(1);
            let step = share.max(fits / 8 + 1);
            let guess = (fits + step).clamp(fits + 1, over - 1);
            let encoded = self.encode(guess, max_bytes);
            if encoded.len() <= max_bytes {
                (fits, batch) = (guess, encoded);
            } else {
                (over, over_bytes) = (guess, encoded.len());
            }
        }
        (fits, batch)
    }

    pub(super) fn hand_back(&mut self, max: usize, needed: usize) -> EncodeError {
        let first = self.pushed.first().and_then(|c| self.columns.get(*c as usize));
        let reading = first.and_then(|c| c.reading(0, &self.texts.list));
        match reading {
            Some(reading) => {
                self.leave(1);
                EncodeError::ReadingTooLarge { max, needed, reading: Box::new(reading) }
            }
            None => EncodeError::NoRoom { max, needed },
        }
    }
}
