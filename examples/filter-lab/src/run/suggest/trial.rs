//! Rules over the recording of one sensor, each with a stage at a tolerance of its own: what is counted is what `run` sends with the same rule.
//!
//! A stage alone would be cheaper and would flatter: readings after a silence, bad ones and those out of order pass whatever the tolerance.

use super::super::reader::Record;
use edge_filter::{EmitReason, Outcome, Pipeline, Reading};

/// A stage with an error bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Deadband,
    SwingingDoor,
    SegmentHold,
    /// Stage of a discrete signal, whatever the tolerance.
    OnChange,
}

impl Stage {
    /// Stages with a tolerance.
    pub(super) const ALL: [Self; 3] = [Self::Deadband, Self::SwingingDoor, Self::SegmentHold];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deadband => "deadband",
            Self::SwingingDoor => "swinging_door",
            Self::SegmentHold => "segment_hold",
            Self::OnChange => "on_change",
        }
    }

    /// The stage as a rules file spells it.
    pub(super) fn rule(self, tolerance: f64) -> String {
        let name = self.name();
        match self {
            Self::Deadband => format!("{name} = {{ absolute = {tolerance:?} }}"),
            Self::SwingingDoor | Self::SegmentHold => format!("{name} = {{ deviation = {tolerance:?} }}"),
            Self::OnChange => format!("{name} = {{}}"),
        }
    }
}

/// Stage at one tolerance, and the readings that it has kept.
pub(super) struct Trial {
    pub(super) stage: Stage,
    pub(super) tolerance: f64,
    pub(super) kept: u64,
    /// Number of the trial's copy of the sensor.
    sensor: u32,
}

/// Trials of one sensor over the whole recording.
pub(super) struct Trials {
    pub(super) trials: Vec<Trial>,
    /// Readings of the sensor, also those that are no usable number.
    pub(super) readings: u64,
    /// Readings that passed because a silence was before them.
    pub(super) after_gap: u64,
}

impl Trials {
    /// Returns the smallest tolerance at which a stage keeps at most a tenth.
    pub(super) fn first_tenfold(&self, stage: Stage) -> Option<f64> {
        let does =
            self.trials.iter().filter(|t| t.stage == stage && t.kept.saturating_mul(10) <= self.readings);
        does.map(|trial| trial.tolerance).min_by(f64::total_cmp)
    }
}

/// Trials under way: a pipeline that has a copy of the sensor, with a rule of its own, for each.
pub(super) struct Running {
    trials: Trials,
    pipeline: Pipeline,
    now: i64,
}

impl Running {
    /// Leaves out what a stage refuses, which is no tolerance: beyond what a double can compare.
    pub(super) fn new(wanted: Vec<(Stage, f64)>) -> Self {
        let (mut rules, mut trials) = (String::new(), Vec::new());
        for (stage, tolerance) in wanted {
            let name = trials.len();
            let rule =
                format!("[[rule]]\nmatch = \"{name}\"\nstages = [ {{ {} }} ]\n", stage.rule(tolerance));
            if Pipeline::from_toml(&rule).is_ok() {
                rules.push_str(&rule);
                trials.push(Trial { stage, tolerance, kept: 0, sensor: 0 });
            }
        }
        let mut pipeline = Pipeline::from_toml(&rules).unwrap_or_else(|_| Pipeline::builder().build());
        for (name, trial) in trials.iter_mut().enumerate() {
            trial.sensor = pipeline.intern(&name.to_string());
        }
        Running { trials: Trials { trials, readings: 0, after_gap: 0 }, pipeline, now: i64::MIN }
    }

    /// Passes a reading through all rules, at its own time as `run` does.
    pub(super) fn take(&mut self, record: &Record<'_>) {
        self.trials.readings += 1;
        self.now = self.now.max(record.time);
        let mut is_after_gap = false;
        for trial in &mut self.trials.trials {
            let reading = Reading {
                sensor: trial.sensor,
                time: record.time,
                value: record.value.clone(),
                quality: record.quality,
            };
            let outcome = self.pipeline.process(reading, self.now, &mut |_| trial.kept += 1);
            if let Outcome::Emit(emit) = outcome {
                trial.kept += 1;
                is_after_gap = emit.reason == EmitReason::FirstAfterGap;
            }
        }
        self.trials.after_gap += u64::from(is_after_gap);
    }

    /// Sends what is held at the end.
    pub(super) fn finish(mut self) -> Trials {
        for trial in &mut self.trials.trials {
            self.pipeline.flush_sensor(trial.sensor, &mut |_| trial.kept += 1);
        }
        self.trials
    }
}
