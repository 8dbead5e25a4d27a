//! Limit of an encoder's plan caches: those of sensors without readings are evicted, the least recently used first.

#![deny(clippy::indexing_slicing)]

use super::Encoder;
use super::column::Column;
use super::sensor_index::SensorIndex;
use crate::Sensors;
use crate::limits::MAX_SENSORS;

/// Number of columns from which those without readings are evicted, and the number of those that stay.
const COLUMNS_MAX: usize = 2 * MAX_SENSORS;
const IDLE_MAX: usize = MAX_SENSORS;

impl<S: Sensors> Encoder<S> {
    /// Evicts the columns without readings that were used longest ago, if there are many. That is so rare that the scan of all columns costs
    /// little for each column that became empty.
    pub(super) fn forget_idle(&mut self) {
        if self.columns.len() <= COLUMNS_MAX || self.emptied <= self.columns.len() / 2 {
            return;
        }
        let mut idle: Vec<(u64, usize)> = self
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.len() == 0)
            .map(|(at, c)| (c.used, at))
            .collect();
        idle.sort_unstable();
        let forgotten = idle.len().saturating_sub(IDLE_MAX);
        let mut stays = vec![true; self.columns.len()];
        for (_, at) in idle.iter().take(forgotten) {
            stays.get_mut(*at).into_iter().for_each(|stays| *stays = false);
        }
        let (mut index, mut moved, mut next) = (SensorIndex::default(), Vec::with_capacity(stays.len()), 0);
        for (column, stays) in self.columns.iter().zip(&stays) {
            moved.push(next as u32);
            if *stays {
                index.insert(column.sensor, next);
                next += 1;
            }
        }
        let mut stays = stays.into_iter();
        self.columns.retain(|_| stays.next().unwrap_or(true));
        self.column_bytes = self.columns.iter().map(Column::counted).sum();
        self.columns.shrink_to_fit();
        for column in &mut self.pushed {
            *column = moved.get(*column as usize).copied().unwrap_or(*column);
        }
        (self.index, self.expected, self.emptied) = (index, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compact::Encoder;
    use crate::{Limits, Reading, Value};

    fn reading(sensor: u32, time: i64) -> Reading<'static> {
        Reading { sensor, time, value: Value::F64(f64::from(sensor % 97) / 10.0), quality: 0 }
    }

    fn batch(encoder: &mut Encoder, sensors: std::ops::Range<u32>, time: i64) {
        sensors.clone().for_each(|sensor| encoder.push(&reading(sensor, time)).unwrap());
        let bytes = encoder.finish_under(usize::MAX).unwrap();
        let read = crate::compact::decode(&bytes, &Limits::default()).unwrap();
        assert!(read.zip(sensors).all(|(got, sensor)| got.unwrap().same(&reading(sensor, time))));
    }

    #[test]
    fn sensors_that_pass_by_are_forgotten_and_those_in_use_are_not() {
        const BATCH: u32 = 4_000;
        let mut encoder = Encoder::numbered();
        let mut most = 0;
        for nth in 1..50 {
            batch(&mut encoder, 0..20, 2 * i64::from(nth));
            batch(&mut encoder, nth * BATCH..(nth + 1) * BATCH, 2 * i64::from(nth) + 1);
            most = most.max(encoder.columns.len());
        }
        assert!((IDLE_MAX..=COLUMNS_MAX + BATCH as usize).contains(&most), "{most} of 196 020 sensors");
        assert!((0..20).all(|sensor| encoder.index.get(sensor).is_some()), "in use all the time");
        assert_eq!(encoder.index.get(BATCH), None, "the first that passed by");
    }

    #[test]
    fn readings_that_wait_stay_where_they_are() {
        let mut encoder = Encoder::numbered();
        let all = 3 * COLUMNS_MAX as u32;
        (0..all).for_each(|sensor| encoder.push(&reading(sensor, i64::from(sensor))).unwrap());
        let mut next = 0;
        while !encoder.is_empty() {
            let bytes = encoder.finish_under(usize::MAX).unwrap();
            for got in crate::compact::decode(&bytes, &Limits::default()).unwrap() {
                assert!(got.unwrap().same(&reading(next, i64::from(next))), "{next}");
                next += 1;
            }
        }
        assert_eq!(next, all);
        assert!(encoder.columns.len() <= COLUMNS_MAX + MAX_SENSORS, "{}", encoder.columns.len());
    }
}
