//! MinMaxLTTB: LTTB on preselected extrema.

use super::{lttb::lttb, minmax_of, picked};

/// Returns the indices of the readings to keep. `n_out` is 3 or more and less than the number of readings; `n_out * ratio` is even.
pub(super) fn minmaxlttb(times: &[i64], values: &[f64], n_out: usize, ratio: usize) -> Vec<usize> {
    let last = values.len().saturating_sub(1);
    let inner = (times.get(1..last), values.get(1..last));
    let (Some(inner_times), Some(inner_values)) = inner else { return lttb(times, values, n_out) };
    if values.len() / n_out <= ratio {
        return lttb(times, values, n_out);
    }
    let mut candidates = Vec::with_capacity(n_out.saturating_mul(ratio).saturating_add(2));
    candidates.push(0);
    candidates.extend(minmax_of(inner_times, inner_values, n_out * ratio).into_iter().map(|i| i + 1));
    candidates.push(last);
    let kept = lttb(&picked(times, &candidates), &picked(values, &candidates), n_out);
    picked(&candidates, &kept)
}
