//! Shape of a signal: steps between readings, range, and whether it has more than a few values.

/// Steps that are kept to find their median.
const STEPS_MAX: usize = 8192;
/// Distinct values of a signal that counts as discrete: a contact, a state, a step of a programme.
const DISCRETE_MAX: usize = 8;
/// Distinct values of such a signal if all of them are integers.
const DISCRETE_INTEGERS_MAX: usize = 16;

/// Steps between readings: a sample of bounded size for the median, the smallest for the quantum.
#[derive(Default)]
pub(super) struct Steps {
    last: Option<f64>,
    pub(super) readings: u64,
    pub(super) changes: u64,
    stride: u64,
    sample: Vec<f64>,
    pub(super) quantum: Option<f64>,
    pub(super) span: Option<(f64, f64)>,
    /// The first distinct values, one more than a discrete signal has.
    values: Vec<f64>,
}

impl Steps {
    pub(super) fn add(&mut self, value: f64) {
        self.readings += 1;
        let (low, high) = self.span.unwrap_or((value, value));
        self.span = Some((low.min(value), high.max(value)));
        if self.values.len() <= DISCRETE_INTEGERS_MAX && !self.values.contains(&value) {
            self.values.push(value);
        }
        let Some(last) = self.last.replace(value) else { return };
        let step = (value - last).abs();
        self.changes += u64::from(step > 0.0);
        if step > 0.0 && self.quantum.is_none_or(|quantum| step < quantum) {
            self.quantum = Some(step);
        }
        if self.readings.is_multiple_of(self.stride.max(1)) {
            self.sample.push(step);
        }
        if self.sample.len() > STEPS_MAX {
            // Every other one, and from now on half as often.
            let mut even = false;
            self.sample.retain(|_| {
                even = !even;
                even
            });
            self.stride = self.stride.max(1) * 2;
        }
    }

    pub(super) fn median(&self) -> f64 {
        let mut sample = self.sample.clone();
        sample.sort_unstable_by(f64::total_cmp);
        sample.get(sample.len() / 2).copied().unwrap_or(0.0)
    }

    /// Returns what tolerances are multiples of: the median step, or the quantum of a signal that mostly rests.
    pub(super) fn unit(&self) -> f64 {
        let median = self.median();
        if median > 0.0 { median } else { self.quantum.unwrap_or(0.0) }
    }

    pub(super) fn range(&self) -> f64 {
        self.span.map_or(0.0, |(low, high)| high - low)
    }

    /// Returns whether every change of the signal means something: no tolerance is right for it.
    pub(super) fn is_discrete(&self) -> bool {
        let are_integers = self.values.iter().all(|value| value.fract() == 0.0);
        self.values.len() <= if are_integers { DISCRETE_INTEGERS_MAX } else { DISCRETE_MAX }
    }
}
