//! Batch cut: takes the oldest readings, by the columns they were pushed to.

#![deny(clippy::indexing_slicing)]

use super::column::Column;
use crate::limits::{MAX_READINGS, MAX_SENSORS};

/// Returns how many of the oldest readings one batch may have.
pub(crate) fn most(pushed: &[u32], columns: &[Column]) -> usize {
    let most = pushed.len().min(MAX_READINGS);
    if columns.len() <= MAX_SENSORS {
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

/// Columns with readings among the first `n`, and how many.
pub(crate) fn columns(pushed: &[u32], columns: &[Column], n: usize) -> Vec<(usize, usize)> {
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
