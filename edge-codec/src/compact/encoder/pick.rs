//! Batch cut: takes the oldest readings, by the columns they were pushed to.

#![deny(clippy::indexing_slicing)]

use super::column::Column;
use crate::limits::{MAX_READINGS, MAX_SENSORS};

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

/// Columns from which on a batch of one reading does not look at all of them.
const SPARSE: usize = 16;

/// Columns with readings among the first `n`, and how many.
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
