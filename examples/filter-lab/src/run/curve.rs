//! A curve for a plot, of bounded size whatever the recording.

use edge_filter::downsample;

const POINTS_MAX: usize = 8192;

/// Thinned by M4 whenever it is full, so that every extreme stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    times: Vec<i64>,
    values: Vec<f64>,
    thinned: bool,
}

impl Trace {
    /// Times must not fall: what comes from before the last one is not drawn.
    pub(super) fn push(&mut self, time: i64, value: f64) {
        if !value.is_finite() || self.times.last().is_some_and(|last| time < *last) {
            return;
        }
        self.times.push(time);
        self.values.push(value);
        if self.times.len() >= POINTS_MAX {
            self.thin(POINTS_MAX / 2);
            self.thinned = true;
        }
    }

    fn thin(&mut self, points: usize) {
        let kept = downsample::m4(&self.times, &self.values, points).unwrap_or_default();
        self.times = kept.iter().filter_map(|&i| self.times.get(i).copied()).collect();
        self.values = kept.iter().filter_map(|&i| self.values.get(i).copied()).collect();
    }

    /// Returns at most so many points, a multiple of 4.
    pub(super) fn points(&self, most: usize) -> Vec<(i64, f64)> {
        let mut thin = self.clone();
        if thin.times.len() > most {
            thin.thin(most);
        }
        thin.times.into_iter().zip(thin.values).collect()
    }

    /// Returns whether some points of the recording are missing.
    pub(super) fn is_thinned(&self) -> bool {
        self.thinned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_recording_keeps_its_extremes_in_bounded_memory() {
        let mut trace = Trace::default();
        for t in 0..100_000_i64 {
            let value = match t {
                12_345 => 99.0,
                77_777 => -99.0,
                _ => (t % 10) as f64,
            };
            trace.push(t, value);
        }
        assert!(trace.times.len() < POINTS_MAX && trace.is_thinned());
        let points = trace.points(400);
        assert!(points.len() <= 400 && points.contains(&(12_345, 99.0)) && points.contains(&(77_777, -99.0)));
    }
}
