//! Account of one sensor's readings.

use super::curve::Trace;
use super::distance::{Distance, Reading};
use super::reader::Record;
use edge_filter::{DropReason, Emit, EmitReason, ErrorBound, LossBound, Outcome, Rule, Value};
use std::collections::BTreeMap;

pub(super) struct Account {
    pub(super) name: String,
    pub(super) unit: String,
    /// The pipeline's.
    pub(super) number: u32,
    pub(super) error_bound: ErrorBound,
    /// Readings that a crash may cost.
    pub(super) crash_loss: LossBound,
    /// Readings that the time guard and the quality checks may refuse beside it.
    pub(super) refused: LossBound,
    pub(super) readings: u64,
    /// Readings that went on; synthetic emits are counted apart.
    pub(super) kept: u64,
    pub(super) synthetic: u64,
    dropped: BTreeMap<&'static str, u64>,
    held: u64,
    pub(super) original: Trace,
    pub(super) emitted: Trace,
    pub(super) distance: Distance,
}

impl Account {
    pub(super) fn new(name: &str, unit: &str, number: u32, rule: Option<&Rule>) -> Self {
        let error_bound = rule.map_or(ErrorBound::Exact, Rule::error_bound);
        let reading = match error_bound {
            ErrorBound::Linear(_) => Reading::Line,
            _ => Reading::Hold,
        };
        Account {
            name: name.to_owned(),
            unit: unit.to_owned(),
            number,
            error_bound,
            crash_loss: rule.map_or(LossBound::Nothing, Rule::reducer_loss_bound),
            refused: rule.map_or(LossBound::Nothing, Rule::refusal_loss_bound),
            readings: 0,
            kept: 0,
            synthetic: 0,
            dropped: BTreeMap::new(),
            held: 0,
            original: Trace::default(),
            emitted: Trace::default(),
            distance: Distance::new(reading),
        }
    }

    /// A reading was given to the pipeline.
    pub(super) fn took(&mut self, record: &Record<'_>, outcome: &Outcome<'_>) {
        self.readings += 1;
        if matches!(record.value, Value::Bool(_)) {
            // There is no line from off to on.
            self.distance.reading = Reading::Hold;
        }
        let value = number(&record.value);
        if let Some(value) = value {
            self.original.push(record.time, value);
        }
        if matches!(outcome, Outcome::Emit(emit) if emit.reason == EmitReason::ClockReset) {
            self.distance.finish();
        }
        let promised = match outcome {
            // What passes beside the stages is no part of what is read as a series.
            Outcome::Emit(emit) => !emit.reason.is_beside(),
            Outcome::Held => {
                self.held += 1;
                true
            }
            Outcome::Drop(reason) => {
                *self.dropped.entry(reason.as_str()).or_default() += 1;
                stands_for_it(*reason)
            }
        };
        if let Some(value) = value.filter(|_| promised && !record.quality.is_bad()) {
            self.distance.original(record.time, value);
        }
    }

    /// Counts a reading that a stage emits beside the offered one: one that it held, or one that it made.
    pub(super) fn released(&mut self, emit: &Emit<'_>) {
        if !emit.synthetic {
            self.held = self.held.saturating_sub(1);
        }
    }

    pub(super) fn kept(&mut self, emit: &Emit<'_>) {
        if emit.synthetic {
            self.synthetic += 1;
        } else {
            self.kept += 1;
        }
        let value = number(&emit.value).filter(|_| !emit.quality.is_bad());
        if !emit.reason.is_beside() {
            self.distance.kept(emit.time, value);
        }
        if let Some(value) = value {
            self.emitted.push(emit.time, value);
        }
    }

    pub(super) fn finish(&mut self) {
        self.distance.finish();
    }

    /// Emits of both kinds: what is sent.
    pub(super) fn sent(&self) -> u64 {
        self.kept + self.synthetic
    }

    /// Returns how many readings there are for each that is sent.
    pub(super) fn reduction(&self) -> f64 {
        self.readings as f64 / self.sent().max(1) as f64
    }

    /// Returns the suppressed readings by reason. Readings that a stage held and never sent count as represented by those that it sent.
    pub(super) fn suppressed(&self) -> Vec<(&'static str, u64)> {
        let mut suppressed: Vec<_> = self.dropped.iter().map(|(reason, n)| (*reason, *n)).collect();
        if self.held > 0 {
            suppressed.push(("stood for by a line, a segment or a window", self.held));
        }
        suppressed
    }

    /// The error that the stages state, as a number if they state one.
    pub(super) fn stated(&self) -> Option<f64> {
        match self.error_bound {
            ErrorBound::Exact => Some(0.0),
            ErrorBound::Absolute(bound) | ErrorBound::Linear(bound) => Some(bound),
            _ => None,
        }
    }

    /// Returns whether the largest error is within what is stated; `None` if nothing is stated or compared. The last digits
    /// are rounding's.
    pub(super) fn holds(&self) -> Option<bool> {
        let (max, _) = self.distance.max_and_rms()?;
        Some(max <= self.stated()? * (1.0 + 1e-9) + f64::EPSILON * 16.0)
    }

    /// Returns the account as one line for a terminal.
    pub(super) fn line(&self) -> String {
        let (name, readings, sent, reduction) = (&self.name, self.readings, self.sent(), self.reduction());
        let error = self.distance.max_and_rms().map_or_else(
            || "no error to state".to_owned(),
            |(max, rms)| format!("error at most {max:.6}, RMS {rms:.6}"),
        );
        format!(
            "{name}: {sent} of {readings} sent, {reduction:.2}x fewer; {error}; stated: {}",
            self.error_bound
        )
    }
}

/// Drops after which a sent value stands for the reading: these are what an error bound is about.
fn stands_for_it(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::InDeadband
            | DropReason::MinInterval
            | DropReason::Unchanged
            | DropReason::Compressed
            | DropReason::RateLimit
    )
}

fn number(value: &Value<'_>) -> Option<f64> {
    value.as_f64().filter(|value| value.is_finite())
}
