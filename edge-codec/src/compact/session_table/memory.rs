//! Memory accounting of a table, for readers that keep many and bound them in bytes.

use std::collections::HashSet;
use std::mem::size_of;
use std::sync::Arc;

use super::{Entry, Table};
use crate::compact::shared_timestamps::ClockPlan;
use crate::compact::stream::ans::Dist;
use crate::compact::stream::coder::DistRef;

/// Memory of a learned distribution: 1024 states in both directions, and its weights.
const DISTRIBUTION_BYTES: usize = 12 << 10;
/// Overhead of an allocator for a small piece.
const PIECE_BYTES: usize = 16;
/// Memory of a slot in the index from sensor to position.
const SLOT_BYTES: usize = 2 * size_of::<u32>() + 1;

impl Table {
    /// Returns the bytes of memory that this table takes, within some percent: its bytes, names, units and plans with their lists of values, and
    /// 12 KiB for each learned distribution, counted once if sensors share it. Walks over all sensors.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let texts = self.entries.iter().flat_map(|e| [&e.name, &e.unit]);
        let texts: usize = texts.filter(|t| t.capacity() > 0).map(|t| t.capacity() + PIECE_BYTES).sum();
        let plans = self.entries.iter().filter_map(|e| e.plan.as_ref());
        let lists: usize = plans.map(|plan| plan.transform.heap_bytes()).sum();
        size_of::<Self>()
            + self.bytes.len()
            + self.entries.capacity() * size_of::<Entry>()
            + texts
            + lists
            + self.by_sensor.capacity() * SLOT_BYTES
            + self.clocks.capacity() * size_of::<ClockPlan>()
            + self.learned().len() * DISTRIBUTION_BYTES
    }

    /// Returns the learned distributions, each once.
    fn learned(&self) -> HashSet<*const Dist> {
        let plans = self.entries.iter().filter_map(|e| e.plan.as_ref());
        let coders = plans.flat_map(|plan| [Some(&plan.main), plan.ulps.as_ref(), plan.head.as_ref()]);
        let coders = coders.flatten().chain(self.clocks.iter().map(|clock| &clock.coder));
        let learned = coders.filter_map(|coder| match &coder.dist {
            DistRef::Learned(dist) => Some(Arc::as_ptr(dist)),
            DistRef::Fixed(_) => None,
        });
        learned.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Reading, SensorTable, Value};

    #[test]
    fn names_and_each_learned_distribution_are_counted() {
        let mut sensors = SensorTable::new();
        let plain = |sensors: &SensorTable<'_>| Table::new(1, sensors).memory_bytes();
        let none = plain(&sensors);
        for n in 0..100 {
            sensors.insert(n, format!("sensor {n:093}"), "K");
        }
        let named = plain(&sensors);
        // A name of a hundred bytes stands in the bytes and in its sensor.
        assert!((named - none) > 100 * (2 * 100 + size_of::<Entry>()), "{none} {named}");
        let rows: Vec<_> = (0..2_000_i64)
            .map(|n| Reading {
                sensor: 0,
                time: 1_000 * n,
                value: Value::F64((n * n % 17) as f64 / 10.0),
                quality: 0,
            })
            .collect();
        let learned = Table::learn(1, &sensors, &rows);
        let table = Table::decode(learned.bytes(), &Limits::default()).unwrap();
        let distributions = table.learned().len();
        assert!(distributions > 0, "this sample teaches something");
        assert!(table.memory_bytes() >= named + distributions * DISTRIBUTION_BYTES);
    }
}
