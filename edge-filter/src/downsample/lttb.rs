//! Largest Triangle Three Buckets, a method of downsampling.

/// Returns the indices of the readings to keep. `n_out` is 3 or more and less than the number of readings.
///
/// The next bucket is represented by the mean of its values and the middle of its times, as in `tsdownsample`; the first
/// of equal triangles wins.
pub(super) fn lttb(times: &[i64], values: &[f64], n_out: usize) -> Vec<usize> {
    let last = values.len().saturating_sub(1);
    let every = values.len().saturating_sub(2) as f64 / n_out.saturating_sub(2) as f64;
    // Buckets after the first reading, all but the last of the same length or one more.
    let bucket_start = |i: usize| (every * i as f64) as usize + 1;
    let mut kept = Vec::with_capacity(n_out);
    kept.push(0);
    let mut before = 0;
    for i in 0..n_out.saturating_sub(2) {
        let (start, end) = (bucket_start(i), bucket_start(i + 1));
        let next = end..bucket_start(i + 2).min(values.len());
        let Some(corners) = Corners::new(times, values, before, next) else { break };
        let (Some(bucket_times), Some(bucket)) = (times.get(start..end), values.get(start..end)) else {
            break;
        };
        let (mut largest, mut chosen) = (-1, before);
        for (at, (&time, &value)) in (start..).zip(bucket_times.iter().zip(bucket)) {
            let area = corners.area(time as f64, value);
            if area > largest {
                (largest, chosen) = (area, at);
            }
        }
        before = chosen;
        kept.push(chosen);
    }
    kept.push(last);
    kept
}

/// Triangle whose middle corner is still to be chosen.
struct Corners {
    time_fall: f64,
    value_rise: f64,
    offset: f64,
}

impl Corners {
    fn new(times: &[i64], values: &[f64], before: usize, next: std::ops::Range<usize>) -> Option<Self> {
        let bucket = values.get(next.clone())?;
        let value_next = bucket.iter().fold(0.0, |sum, v| sum + v) / bucket.len() as f64;
        let (first, last) = (*times.get(next.start)? as f64, *times.get(next.end.checked_sub(1)?)? as f64);
        let time_next = (last + first) / 2.0;
        let (time, value) = (*times.get(before)? as f64, *values.get(before)?);
        let (time_fall, value_rise) = (time - time_next, value_next - value);
        Some(Corners { time_fall, value_rise, offset: time_fall * value + value_rise * time })
    }

    /// Returns twice the area as the bits of a double without its sign, which have the order of the magnitudes.
    fn area(&self, time: f64, value: f64) -> i64 {
        let area = self.time_fall * value + self.value_rise * time - self.offset;
        area.abs().to_bits().cast_signed()
    }
}
