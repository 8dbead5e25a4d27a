//! Account of one sensor's readings.

use super::curve::Trace;
use super::distance::{Distance, Reading};
use super::drops::{Drops, stands_for_it};
use super::reader::Record;
use edge_filter::reduce::Number;
use edge_filter::{DropReason, Emit, EmitReason, ErrorBound, LossBound, Outcome, Rule, Value};
use std::collections::{BTreeMap, VecDeque};

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
    /// Number of readings that come before a stage of the rule judges one.
    delay: usize,
    /// Readings that wait to be judged, with their numbers.
    waiting: VecDeque<(i64, Option<f64>)>,
    /// Readings for which what is kept has to stand, and that are still to be compared.
    settled: VecDeque<(i64, f64)>,
    /// Largest number of the sensor, whatever its sign.
    largest: f64,
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
            delay: rule.map_or(0, Rule::delay),
            waiting: VecDeque::new(),
            settled: VecDeque::new(),
            largest: 0.0,
            original: Trace::default(),
            emitted: Trace::default(),
            distance: Distance::new(reading),
        }
    }

    /// Takes in what became of readings that wait, in the call of the pipeline for the offered one. `others` are the readings that it dropped beside that one.
    pub(super) fn judge_waiting(&mut self, record: &Record<'_>, outcome: &Outcome<'_>, others: &Drops) {
        let (is_held, is_queued) = (*outcome == Outcome::Held, self.is_queued(record, outcome));
        if is_queued {
            self.waiting.push_back((record.time, usable(record)));
        }
        let leaving = match outcome {
            Outcome::Held if is_queued => self.waiting.len().saturating_sub(self.delay),
            // It overtakes none.
            _ if is_held => self.waiting.len(),
            Outcome::Emit(emit) if !emit.reason.is_beside() => self.waiting.len(),
            _ => 0,
        };
        self.count(others);
        match others.not_represented() {
            0 => self.leave(leaving),
            1 if leaving == 1 => self.forget(1),
            // Several left at once, and nobody says which of them were dropped: none is compared.
            _ => self.forget(self.waiting.len().saturating_sub(usize::from(is_queued))),
        }
    }

    /// Takes in what became of readings that wait when they were let go together. `drops`: of this sensor alone, or of others, too.
    pub(super) fn let_go(&mut self, drops: &Drops, is_alone: bool) {
        if is_alone {
            self.count(drops);
        }
        if drops.not_represented() > 0 {
            self.forget(self.waiting.len());
        }
    }

    /// Takes in the offered reading, after what the pipeline emitted beside it.
    pub(super) fn took(&mut self, record: &Record<'_>, outcome: &Outcome<'_>) {
        self.readings += 1;
        self.compare_settled();
        if matches!(record.value, Value::Bool(_)) {
            // There is no line from off to on.
            self.distance.reading = Reading::Hold;
        }
        let value = number(&record.value);
        if let Some(value) = value {
            self.largest = self.largest.max(value.abs());
            self.original.push(record.time, value);
        }
        if matches!(outcome, Outcome::Emit(emit) if emit.reason == EmitReason::ClockReset) {
            self.distance.finish();
        }
        let is_represented = match outcome {
            // What passes beside the stages is no part of what is read as a series.
            Outcome::Emit(emit) => !emit.reason.is_beside(),
            Outcome::Held => !self.is_queued(record, outcome),
            Outcome::Drop(reason) => {
                *self.dropped.entry(reason.as_str()).or_default() += 1;
                stands_for_it(*reason)
            }
        };
        if let Some(value) = usable(record).filter(|_| is_represented) {
            self.distance.original(record.time, value);
        }
    }

    /// Takes in a reading that a stage emits beside the offered one: one that it held, or one that it made.
    pub(super) fn released(&mut self, emit: &Emit<'_>) {
        let is_reset = emit.reason == EmitReason::ClockReset;
        let own = self.settled.iter().position(|(time, _)| is_reset && *time == emit.time);
        let own = own.and_then(|place| self.settled.remove(place));
        while !emit.synthetic
            && !emit.reason.is_beside()
            && !is_reset
            && self.waiting.front().is_some_and(|(time, _)| *time <= emit.time)
        {
            self.leave(1);
        }
        self.compare_settled();
        if is_reset {
            self.distance.finish();
        }
        self.settled.extend(own);
    }

    /// Returns whether the reading waits in line to be judged: a stage that looks ahead takes good numbers alone.
    fn is_queued(&self, record: &Record<'_>, outcome: &Outcome<'_>) -> bool {
        let is_good_number = Number::of(&record.value).is_some() && !record.quality.is_bad();
        self.delay > 0 && is_good_number && *outcome == Outcome::Held
    }

    fn leave(&mut self, readings: usize) {
        let left = self.waiting.drain(..readings.min(self.waiting.len()));
        self.settled.extend(left.filter_map(|(time, value)| Some((time, value?))));
    }

    /// Leaves the first readings in line out of the comparison.
    fn forget(&mut self, readings: usize) {
        drop(self.waiting.drain(..readings.min(self.waiting.len())));
    }

    fn compare_settled(&mut self) {
        for (time, value) in self.settled.drain(..) {
            self.distance.original(time, value);
        }
    }

    fn count(&mut self, drops: &Drops) {
        for (reason, readings) in drops.iter() {
            *self.dropped.entry(reason.as_str()).or_default() += readings;
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

    /// Ends the comparison for now: what comes next is of another unit, or its sensor was forgotten in between.
    pub(super) fn pause(&mut self) {
        self.leave(self.waiting.len());
        self.compare_settled();
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

    /// Returns the suppressed readings by reason. Those whose end is not known are counted with those that a stage held and never sent.
    pub(super) fn suppressed(&self) -> Vec<(&'static str, u64)> {
        let compressed = DropReason::Compressed.as_str();
        let mut suppressed: Vec<_> = self.dropped.iter().map(|(reason, n)| (*reason, *n)).collect();
        suppressed.retain(|(reason, _)| *reason != compressed);
        let others: u64 = suppressed.iter().map(|(_, n)| n).sum();
        let held = self.readings.saturating_sub(self.kept + others);
        if held > 0 {
            suppressed.push(("stood for by a line, a segment or a window", held));
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
    /// are rounding's: of the error, and of the numbers that it is the difference of.
    pub(super) fn holds(&self) -> Option<bool> {
        let (max, _) = self.distance.max_and_rms()?;
        Some(max <= self.stated()? * (1.0 + 1e-9) + f64::EPSILON * 16.0 * self.largest)
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

/// Returns the number of a reading that is compared.
fn usable(record: &Record<'_>) -> Option<f64> {
    number(&record.value).filter(|_| !record.quality.is_bad())
}

fn number(value: &Value<'_>) -> Option<f64> {
    value.as_f64().filter(|value| value.is_finite())
}
