//! Tolerances to choose from, each with its price: the stages themselves run over the recording.
//!
//! What a tolerance saves depends on its ratio to the noise, of which the median step between readings is the measure;
//! ten times fewer readings take about three median steps with a deadband.

use super::reader::Reader;
use crate::error::Error;
use edge_csv::Visible;
use edge_filter::{
    Deadband, DeadbandState, ParamError, Quality, SegmentHold, SegmentHoldState, SwingingDoor,
    SwingingDoorState, Value, Verdict,
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Tolerances in median steps.
const TOLERANCES: [f64; 6] = [0.5, 1.0, 2.0, 3.0, 5.0, 10.0];
/// Steps that are kept to find their median.
const STEPS_MAX: usize = 8192;

/// Reads the recording twice: for the steps, then through the stages.
pub(super) fn table(input: &Path, skip_bad: bool) -> Result<String, Error> {
    let mut steps = BTreeMap::<String, Steps>::new();
    let mut reader = Reader::open(input, skip_bad)?;
    while let Some(record) = reader.next_record()? {
        if let Some(value) = record.value.as_f64().filter(|v| v.is_finite() && !record.quality.is_bad()) {
            let sensor = match steps.get_mut(record.sensor) {
                Some(sensor) => sensor,
                None => steps.entry(record.sensor.to_owned()).or_default(),
            };
            sensor.add(value);
            sensor.boolean = matches!(record.value, Value::Bool(_));
        }
    }
    let refused = |error: ParamError| Error::Data(format!("{}: {error}", input.display()));
    let mut trials = BTreeMap::new();
    for (name, steps) in steps.iter().filter(|(_, steps)| steps.has_tolerances()) {
        let sensor: Result<Vec<Trial>, ParamError> =
            TOLERANCES.iter().map(|factor| Trial::new(factor * steps.unit())).collect();
        trials.insert(name.clone(), sensor.map_err(refused)?);
    }
    let mut reader = Reader::open(input, skip_bad)?;
    while let Some(record) = reader.next_record()? {
        let value = record.value.as_f64().filter(|v| v.is_finite() && !record.quality.is_bad());
        if let (Some(value), Some(sensor)) = (value, trials.get_mut(record.sensor)) {
            for trial in sensor {
                trial.take(value, record.time);
            }
        }
    }
    trials.values_mut().flatten().for_each(Trial::finish);
    let mut table = String::new();
    for (name, steps) in &steps {
        let _ = steps.write(name, trials.get(name).map_or(&[], Vec::as_slice), &mut table);
    }
    Ok(table)
}

/// Steps between readings: a sample of bounded size for the median, the smallest for the quantum.
#[derive(Default)]
struct Steps {
    last: Option<f64>,
    readings: u64,
    changes: u64,
    boolean: bool,
    stride: u64,
    sample: Vec<f64>,
    quantum: Option<f64>,
    span: Option<(f64, f64)>,
}

impl Steps {
    fn add(&mut self, value: f64) {
        self.readings += 1;
        let (low, high) = self.span.unwrap_or((value, value));
        self.span = Some((low.min(value), high.max(value)));
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

    fn median(&self) -> f64 {
        let mut sample = self.sample.clone();
        sample.sort_unstable_by(f64::total_cmp);
        sample.get(sample.len() / 2).copied().unwrap_or(0.0)
    }

    /// Returns what tolerances are multiples of: the median step, or the quantum of a signal that mostly rests.
    fn unit(&self) -> f64 {
        let median = self.median();
        if median > 0.0 { median } else { self.quantum.unwrap_or(0.0) }
    }

    /// Returns whether there are tolerances to try: a value that never moves has none, and a boolean passes whenever it changes.
    fn has_tolerances(&self) -> bool {
        !self.boolean && self.unit() > 0.0
    }

    fn write(&self, name: &str, trials: &[Trial], table: &mut String) -> std::fmt::Result {
        let (low, high) = self.span.unwrap_or((0.0, 0.0));
        let (readings, median) = (self.readings, self.median());
        writeln!(
            table,
            "{}: {readings} readings from {low} to {high}, median step {median:.6}, smallest {:.6}",
            Visible(name),
            { self.quantum.unwrap_or(0.0) }
        )?;
        if !self.has_tolerances() {
            let what = if self.changes == 0 { "never moves" } else { "on or off" };
            return writeln!(table, "  {what}: on_change keeps {} of {readings}\n", self.changes + 1);
        }
        writeln!(
            table,
            "  {:>12} {:>12} {:>14} {:>13}",
            "tolerance", "deadband", "swinging door", "segment hold"
        )?;
        for trial in trials {
            let times = |kept: u64| format!("{:.1}x", self.readings as f64 / kept.max(1) as f64);
            let [deadband, door, segment] = trial.kept.map(times);
            writeln!(table, "  {:>12.6} {deadband:>12} {door:>14} {segment:>13}", trial.tolerance)?;
        }
        let tenfold = trials.iter().find(|trial| trial.kept[0].saturating_mul(10) <= self.readings);
        match tenfold {
            Some(trial) => writeln!(
                table,
                "  ten times fewer: deadband = {{ absolute = {:.6} }}, which is {:.2} % of the range seen\n",
                trial.tolerance,
                trial.tolerance / (high - low) * 100.0
            ),
            None => writeln!(table, "  no tolerance up to {} steps makes ten times fewer\n", TOLERANCES[5]),
        }
    }
}

/// The stages with an error bound, side by side at one tolerance.
struct Trial {
    tolerance: f64,
    deadband: (Deadband, DeadbandState),
    door: (SwingingDoor, SwingingDoorState),
    segment: (SegmentHold, SegmentHoldState),
    kept: [u64; 3],
}

impl Trial {
    fn new(tolerance: f64) -> Result<Self, ParamError> {
        Ok(Trial {
            tolerance,
            deadband: (Deadband::absolute(tolerance)?, DeadbandState::default()),
            door: (SwingingDoor::new(tolerance)?, SwingingDoorState::default()),
            segment: (SegmentHold::new(tolerance)?, SegmentHoldState::default()),
            kept: [0; 3],
        })
    }

    fn take(&mut self, value: f64, time: i64) {
        let Trial { deadband, door, segment, kept: [by_deadband, by_door, by_segment], .. } = self;
        let emitted = |verdict: Verdict| u64::from(matches!(verdict, Verdict::Emit(_)));
        let passed = deadband.0.check(&mut deadband.1, value, Quality::GOOD, time).is_some();
        *by_deadband += u64::from(passed);
        let verdict = door.0.check(&mut door.1, value, Quality::GOOD, time, &mut |_| *by_door += 1);
        *by_door += emitted(verdict);
        let verdict = segment.0.check(&mut segment.1, value, Quality::GOOD, time, &mut |_| *by_segment += 1);
        *by_segment += emitted(verdict);
    }

    /// Sends what is held at the end.
    fn finish(&mut self) {
        let Trial { door, segment, kept: [_, by_door, by_segment], .. } = self;
        door.0.flush(&mut door.1, &mut |_| *by_door += 1);
        segment.0.flush(&mut segment.1, &mut |_| *by_segment += 1);
    }
}
