//! Batch cut: takes the oldest readings, and searches for the number of them that fits into the bytes of a batch. A reading that does not fit
//! alone is handed back.

#![deny(clippy::indexing_slicing)]

use super::Encoder;
use super::column::Column;
use crate::limits::{MAX_READINGS, MAX_SENSORS};
use crate::{EncodeError, Sensors};

/// Returns how many of the oldest readings one batch may have.
pub(crate) fn most(pushed: &[u32], columns: &[Column]) -> usize {
    let most = pushed.len().min(MAX_READINGS);
    if columns.len().min(most) <= MAX_SENSORS {
        return most;
    }
    let mut seen = vec![false; columns.len()];
    let mut sensors = 0;
    let fits = pushed.iter().take(most).take_while(|column| {
        let new = seen.get_mut(**column as usize).is_some_and(|s| !std::mem::replace(s, true));
        sensors += usize::from(new);
        sensors <= MAX_SENSORS
    });
    fits.count()
}

/// Most bytes of names and units in a batch, which readers take without a higher limit: those that names share count for each.
const NAMES_MAX: usize = 1 << 20;

/// Ratio of columns to readings from which the columns with readings are found by sorting, without a look at all columns.
const SPARSE: usize = 16;

/// Returns the columns with readings among the first `n`, each with the number of these.
pub(crate) fn columns(pushed: &[u32], columns: &[Column], n: usize) -> Vec<(usize, usize)> {
    if columns.len() / SPARSE > n {
        let mut picked: Vec<u32> = pushed.iter().take(n).copied().collect();
        picked.sort_unstable();
        let runs = picked.chunk_by(|a, b| a == b);
        return runs.filter_map(|run| Some((*run.first()? as usize, run.len()))).collect();
    }
    if n == pushed.len() {
        return columns.iter().map(Column::len).enumerate().filter(|(_, n)| *n > 0).collect();
    }
    let mut counts = vec![0; columns.len()];
    for column in pushed.iter().take(n) {
        if let Some(count) = counts.get_mut(*column as usize) {
            *count += 1;
        }
    }
    counts.into_iter().enumerate().filter(|(_, n)| *n > 0).collect()
}

/// Batches that are tried in proportion.
const TRIALS: usize = 8;

impl<S: Sensors> Encoder<S> {
    /// Returns how many of the first `n` readings one batch may have by the bytes of its names, at least one. Refuses a batch if the names lack a
    /// sensor that they had when it was pushed: readers could not tell whose the names are.
    pub(super) fn check_names(&self, n: usize) -> Result<usize, EncodeError> {
        let Some(names) = &self.names else { return Ok(n) };
        let name_bytes = |column: usize| {
            let sensor = self.columns.get(column).map_or(0, |column| column.sensor);
            let named = names.sensor(sensor).ok_or(EncodeError::UnknownSensor { sensor })?;
            Ok(named.name.len() + named.unit.len())
        };
        let mut bytes = 0;
        for (column, _) in columns(&self.pushed, &self.columns, n) {
            bytes += name_bytes(column)?;
        }
        if bytes <= NAMES_MAX {
            return Ok(n);
        }
        let (mut seen, mut bytes) = (vec![false; self.columns.len()], 0);
        let fits = self.pushed.iter().take(n).take_while(|column| {
            let is_new = seen.get_mut(**column as usize).is_some_and(|seen| !std::mem::replace(seen, true));
            bytes += if is_new { name_bytes(**column as usize).unwrap_or(0) } else { 0 };
            bytes <= NAMES_MAX
        });
        Ok(fits.count().clamp(1, n))
    }

    /// Returns the most readings that were found to fit, and their batch. `taken`: bytes of a batch of `most` readings, which is too large.
    pub(super) fn cut(&mut self, most: usize, taken: usize, max_bytes: usize) -> (usize, Vec<u8>) {
        let (mut fits, mut batch) = (0, Vec::new());
        let (mut over, mut over_bytes) = (most, taken);
        let mut trials = 0;
        while over - fits > fits / 16 + 1 || (fits == 0 && over > 1) {
            // In proportion between what fits and what does not, but never the ends themselves.
            let (low, room) = (batch.len(), max_bytes.saturating_sub(batch.len()));
            // In 64 bits: readings times bytes are more than a machine of 32 bits counts.
            let share =
                (over - fits) as u64 * room as u64 * 31 / 32 / (over_bytes.saturating_sub(low)).max(1) as u64;
            let share = usize::try_from(share).unwrap_or(usize::MAX);
            let half = (over - fits) / 2;
            // What the proportion does not find soon is halved: a batch that is a little too large says little about a smaller one.
            let step = if trials < TRIALS { share.max((fits / 8 + 1).min(half)) } else { half };
            trials += 1;
            let guess = fits.saturating_add(step).clamp(fits + 1, over - 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_readings_of_many_columns_are_picked_without_a_look_at_all() {
        let many: Vec<Column> = (0..1_000).map(|n| Column::new(n, n)).collect();
        let pushed = [7, 900, 7, 0, 3];
        assert_eq!(columns(&pushed, &many, 4), [(0, 1), (7, 2), (900, 1)]);
        assert_eq!(columns(&pushed, &many[..40], 4), [(0, 1), (7, 2)]);
        assert_eq!(columns(&pushed, &many, 0), []);
    }
}
