//! Memory accounting of an encoder, for programs that keep many and bound them in bytes.

#![deny(clippy::indexing_slicing)]

use std::mem::size_of;

use super::Encoder;
use super::column::Column;

impl<S> Encoder<S> {
    /// Returns the bytes of memory that this encoder keeps from batch to batch, within some percent: columns with their plans, buffers, and
    /// waiting texts. Counted when a batch is encoded, so waiting readings count with the next. The table and the names are not in it, because
    /// others share them.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.columns.capacity() * size_of::<Column>()
            + self.column_bytes
            + self.index.heap_bytes()
            + self.pushed.capacity() * size_of::<u32>()
            + self.skips.capacity() * size_of::<(u64, u64)>()
            + self.texts.heap_bytes()
            + self.memory.heap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Reading, Value};

    fn batch(encoder: &mut Encoder, sensors: std::ops::Range<u32>, readings: i64) -> usize {
        for time in 0..readings {
            for sensor in sensors.clone() {
                let value = Value::F64((f64::from(sensor) + time as f64).sin());
                encoder.push(&Reading { sensor, time, value, quality: 0 }).unwrap();
            }
        }
        while !encoder.is_empty() {
            let _batch = encoder.finish_under(usize::MAX).unwrap();
        }
        encoder.memory_bytes()
    }

    /// Memory that a batch needed stays for the next one, also if each sensor had it in another batch.
    #[test]
    fn buffers_that_stay_from_batch_to_batch_are_counted() {
        let mut encoder = Encoder::numbered();
        let few = batch(&mut encoder, 0..100, 1);
        assert!(few > 100 * size_of::<Column>(), "{few}");
        let mut last = few;
        for sensor in 0..100 {
            let all = batch(&mut encoder, sensor..sensor + 1, 1_000);
            // Instants and values, eight bytes each.
            assert!(all >= last + 16_000 || sensor == 0, "{sensor}: {last} and then {all}");
            last = all;
        }
        assert!(last < few + 100 * 3 * 16_384 + 200_000, "{last}");
    }

    #[test]
    fn waiting_texts_are_counted() {
        let mut encoder = Encoder::numbered();
        let empty = encoder.memory_bytes();
        let text = Value::Text("x".repeat(5_000).into());
        encoder.push(&Reading { sensor: 0, time: 0, value: text, quality: 0 }).unwrap();
        assert!(encoder.memory_bytes() > empty + 2 * 5_000, "in a list, and in a map to find it");
    }
}
