//! Tumbling windows: one row of aggregates for every interval of event time.

mod aggregate;
mod cover;
mod result;

pub use aggregate::MEDIAN_READINGS_MAX;
pub use result::{Aggregate, WindowResult};

use crate::error::{ParamError, delay, interval};
use crate::reduce::number::READINGS_MAX;
use crate::snapshot_serde::as_array;
use crate::{Cost, DropReason, ErrorBound, LossBound, Quality, Value};
use aggregate::Numbers;
use cover::{Cover, Sample};

/// Stage that divides event time into intervals `[start, start + width)`, aligned to the epoch plus an offset, and emits one [`WindowResult`]
/// for each that has readings. The time of a result is the start.
///
/// Only good readings are aggregated (uncertain ones too, if so configured). The quality of the result: `BadNoData` if
/// none was good; good if the readings were good for at least `min_good_pct` of the window; otherwise
/// `UncertainSubNormal`. A reading counts until the next one; between a good one and a bad one the good one does. Of the time before the first
/// reading of all, and behind the last one before a [`flush`](Self::flush), nothing is known, so it is not good: a process that begins in the
/// middle of a window, after a kill too, has seen a part of it.
///
/// A window is complete when a later reading of the sensor comes, or when the caller's `now` is `allowed_lateness_ms`
/// past its end ([`Window::tick`]). Readings older than the last one still count while their window is open, but not in
/// time averages; those of a complete window are dropped as late. A text has no place in a window: in a pipeline it passes
/// as it came, after what is held.
///
/// **Error bound**: none, because aggregates represent the readings. **Loss bound**: the readings of the open window. The state takes 300 bytes
/// per sensor, and 8 per reading of a window if the median is wanted, up to [`MEDIAN_READINGS_MAX`].
///
/// ```
/// # use edge_filter::Quality;
/// # use edge_filter::window::{Window, WindowState};
/// let (mut state, mut means) = (WindowState::default(), Vec::new());
/// let window = Window::tumbling_ms(1000)?;
/// for (time, value) in [(100, 1.0), (900, 2.0), (1500, 5.0)] {
///     let _ = window.check(&mut state, value, Quality::GOOD, time, &mut |w| means.push((w.start, w.mean())));
/// }
/// assert_eq!(means, [(0, Some(1.5))]);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    width_ms: i64,
    offset_ms: i64,
    allowed_lateness_ms: i64,
    min_good_pct: f64,
    emit_empty: bool,
    uncertain_is_bad: bool,
    median: bool,
}

/// State of a [`Window`] per sensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowState {
    open: Option<OpenWindow>,
    /// Newest reading; `None` if there is none since the start or the last flush.
    newest: Option<Sample>,
    /// First instant that a later result may cover; `None` if every instant may be covered.
    floor: Option<i64>,
    /// Milliseconds by which the newest reading's time was behind the caller's `now`.
    delay_ms: i64,
}

as_array!(WindowState { open, newest, floor, delay_ms });

#[derive(Clone, Debug, Default, PartialEq)]
struct OpenWindow {
    start: i64,
    end: i64,
    readings: u64,
    numbers: Numbers,
    cover: Cover,
}

as_array!(OpenWindow { start, end, readings, numbers, cover });

/// Admission of a reading that was offered to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a window takes a reading in or not")]
pub enum Admission {
    /// The reading is part of the open window.
    In,
    /// The reading is in no window, for this reason.
    Not(DropReason),
}

/// Most results without a reading in one call; a longer time gets one result that spans it.
const EMPTY_MAX: i128 = 60;

impl Window {
    /// Creates a stage with windows of `ms` milliseconds.
    ///
    /// # Errors
    /// If the width is less than 1 ms.
    pub fn tumbling_ms(ms: i64) -> Result<Self, ParamError> {
        Ok(Window {
            width_ms: interval("width_ms", ms)?,
            offset_ms: 0,
            allowed_lateness_ms: 0,
            min_good_pct: 100.0,
            emit_empty: false,
            uncertain_is_bad: true,
            median: false,
        })
    }

    /// Sets the milliseconds by which windows start after the multiples of the width (for days that begin at local midnight); 0 by default.
    ///
    /// # Errors
    /// If the offset is negative, or not less than the width.
    pub fn offset_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        if delay("offset_ms", ms)? >= self.width_ms {
            return Err(ParamError::new("offset_ms", "less than `width_ms`", ms));
        }
        self.offset_ms = ms;
        Ok(self)
    }

    /// Sets the milliseconds for which a window waits after its end, by the caller's `now`, for readings that are still
    /// on their way; 0 by default. The delay of the newest reading is added, if [`WindowState::arrived`] was called
    /// with it.
    ///
    /// # Errors
    /// If the time is negative.
    pub fn allowed_lateness_ms(mut self, ms: i64) -> Result<Self, ParamError> {
        self.allowed_lateness_ms = delay("allowed_lateness_ms", ms)?;
        Ok(self)
    }

    /// Sets the percentage of a window's time for which its readings must be good, if the result is to be good; 100 by default.
    ///
    /// # Errors
    /// If the percentage is not within 0 to 100.
    pub fn min_good_pct(mut self, pct: f64) -> Result<Self, ParamError> {
        if !(0.0..=100.0).contains(&pct) {
            return Err(ParamError::new("min_good_pct", "within 0 to 100", pct));
        }
        self.min_good_pct = pct;
        Ok(self)
    }

    /// Sets whether whole windows without a reading have results too, as `BadNoData`: over silence, gaps and a stop, from the first reading on.
    /// If more than 60 of them end in one call (after a stop, or a step of the clock ahead) there is one result instead, from the start of the
    /// first to the end of the last. Readings that come for them afterwards are late.
    #[must_use]
    pub fn emit_empty(mut self, yes: bool) -> Self {
        self.emit_empty = yes;
        self
    }

    /// Sets whether uncertain readings are treated like bad ones (default, as OPC UA does), or like good ones.
    #[must_use]
    pub fn uncertain_is_bad(mut self, yes: bool) -> Self {
        self.uncertain_is_bad = yes;
        self
    }

    /// Sets whether the readings of the open window are kept for [`WindowResult::median`]. Default false.
    #[must_use]
    pub fn median(mut self, yes: bool) -> Self {
        self.median = yes;
        self
    }

    /// Offers a reading. `sink` gets the window that it completes. Booleans count as 0 and 1.
    pub fn check<'v>(
        &self,
        state: &mut WindowState,
        value: impl Into<Value<'v>>,
        quality: impl Into<Quality>,
        time: i64,
        sink: &mut impl FnMut(WindowResult),
    ) -> Admission {
        let (value, quality) = (value.into(), quality.into());
        let Some(number) = value.as_f64() else { return Admission::Not(DropReason::NotNumeric) };
        let good = (quality.is_usable(self.uncertain_is_bad) && number.is_finite()).then_some(number);
        let sample = Sample { time, good };
        if state.first_instant().is_some_and(|first| time < first) {
            return Admission::Not(DropReason::Late);
        }
        while let Some(open) = &mut state.open
            && time >= open.end
        {
            if let Some(newest) = state.newest {
                open.cover.span(open.start, open.end, newest, sample);
            }
            self.complete(state, time, sink);
        }
        let first = state.first_instant();
        let open = state.open.get_or_insert_with(|| self.open_at(time, first));
        open.start = first.map_or(open.start, |first| open.start.max(first));
        match state.newest {
            Some(newest) if time >= newest.time => open.cover.span(open.start, open.end, newest, sample),
            Some(_) => {}
            None => open.cover.unknown(open.end.saturating_sub(self.width_ms), time),
        }
        if state.newest.is_none_or(|newest| time >= newest.time) {
            state.newest = Some(sample);
        }
        open.readings = open.readings.saturating_add(1);
        open.cover.seen(good.is_some());
        if let Some(number) = good {
            open.numbers.add(time, number, self.median);
        }
        Admission::In
    }

    /// Completes windows whose end is `allowed_lateness_ms` before `now_ms`. The last value counts to the end of its window.
    pub fn tick(&self, state: &mut WindowState, now_ms: i64, sink: &mut impl FnMut(WindowResult)) {
        while self.deadline(state).is_some_and(|deadline| deadline <= now_ms) {
            let Some(open) = &mut state.open else { return };
            if let Some(newest) = state.newest {
                open.cover.span(open.start, open.end, newest, newest.held_to(open.end));
            }
            self.complete(state, now_ms.saturating_sub(self.waits(state)), sink);
        }
    }

    /// Returns the time at which [`Window::tick`] has something to do; `None` if no window is open or the open one never ends.
    #[must_use]
    pub fn deadline(&self, state: &WindowState) -> Option<i64> {
        // A window that reaches the end of time never ends.
        state.open.as_ref()?.end.checked_add(self.waits(state)).filter(|deadline| *deadline < i64::MAX)
    }

    fn waits(&self, state: &WindowState) -> i64 {
        self.allowed_lateness_ms.saturating_add(state.delay_ms)
    }

    /// Emits the open window as it is, if it has readings, for a stop or a gap. A later reading of its interval belongs to another result,
    /// under a later time.
    pub fn flush(&self, state: &mut WindowState, sink: &mut impl FnMut(WindowResult)) {
        if let Some(mut open) = state.open.take_if(|open| open.readings > 0) {
            let last = state.newest.map_or(open.end, |newest| newest.time);
            open.cover.unknown(last, open.end);
            let resume = last.saturating_add(1);
            let resume = resume.max(open.start.saturating_add(1));
            state.floor = Some(resume);
            if self.emit_empty {
                let rest = OpenWindow { start: resume, end: open.end, ..OpenWindow::default() };
                state.open = if resume < open.end { Some(rest) } else { self.next(open.end) };
            }
            sink(self.result(open));
        }
        state.newest = None;
    }

    /// Emits the windows that end before `time`. It is called for a text at `time`, which has no place in a window. The last value counts to the end
    /// of its window.
    pub(crate) fn go_by(&self, state: &mut WindowState, time: i64, sink: &mut impl FnMut(WindowResult)) {
        while let Some(open) = &mut state.open
            && time >= open.end
        {
            if let Some(newest) = state.newest {
                open.cover.span(open.start, open.end, newest, newest.held_to(open.end));
            }
            self.complete(state, time, sink);
        }
    }

    /// Emits the open window, and those without readings up to `time` if they have results; then it opens the next.
    fn complete(&self, state: &mut WindowState, time: i64, sink: &mut impl FnMut(WindowResult)) {
        let Some(open) = state.open.take() else { return };
        let mut end = open.end;
        // The rest of a window that was flushed is none of its own.
        let is_whole = end.saturating_sub(open.start) >= self.width_ms;
        if open.readings > 0 || (self.emit_empty && is_whole) {
            sink(self.result(open));
        }
        // From one end of time to the other is more than an `i64`.
        let width = i128::from(self.width_ms);
        let passed = (i128::from(time) - i128::from(end)) / width;
        if self.emit_empty && passed > EMPTY_MAX {
            let last = i64::try_from(i128::from(end) + passed * width).unwrap_or(time);
            let span = OpenWindow { start: end, end: last, ..OpenWindow::default() };
            end = span.end;
            sink(self.result(span));
        }
        while self.emit_empty
            && let Some(next) = self.next(end).filter(|next| time >= next.end)
        {
            end = next.end;
            sink(self.result(next));
        }
        state.floor = Some(end);
        if self.emit_empty && end < i64::MAX {
            let next = self.open_at(end.max(time), state.floor);
            state.open = Some(next);
        }
    }

    /// Returns the window after the one that ended; `None` at the end of time.
    fn next(&self, end: i64) -> Option<OpenWindow> {
        let next = OpenWindow { start: end, end: end.saturating_add(self.width_ms), ..OpenWindow::default() };
        (end < i64::MAX).then_some(next)
    }

    fn open_at(&self, time: i64, floor: Option<i64>) -> OpenWindow {
        let phase = time.saturating_sub(self.offset_ms).rem_euclid(self.width_ms);
        let aligned = time.saturating_sub(phase);
        let start = floor.map_or(aligned, |floor| aligned.max(floor).min(time));
        OpenWindow { start, end: aligned.saturating_add(self.width_ms), ..OpenWindow::default() }
    }

    fn result(&self, open: OpenWindow) -> WindowResult {
        let quality = match open.cover.good_pct() {
            _ if open.numbers.count == 0 => Quality::BAD_NO_DATA,
            pct if pct >= self.min_good_pct => Quality::GOOD,
            _ => Quality::UNCERTAIN_SUB_NORMAL,
        };
        WindowResult::new(open.start, open.end, open.readings, quality, open.numbers, open.cover)
    }
}

impl Window {
    /// Returns the most bytes that the readings of an open window take.
    pub(crate) fn window_bytes(&self) -> usize {
        if self.median { MEDIAN_READINGS_MAX * size_of::<f64>() } else { 0 }
    }
}

impl Cost for Window {
    fn error_bound(&self) -> ErrorBound {
        ErrorBound::Aggregate
    }

    fn loss_bound(&self) -> LossBound {
        LossBound::Open { span_ms: Some(self.width_ms.saturating_add(self.allowed_lateness_ms)), more: 0 }
    }
}

impl WindowState {
    /// Records by how many milliseconds the newest reading was late: `now - time`. Its sensor's window ends that much
    /// later by the caller's clock, so that a sensor whose clock is an hour slow is not late for ever.
    pub fn arrived(&mut self, delay_ms: i64) {
        self.delay_ms = delay_ms.max(0);
    }

    /// Returns the number of readings in the open window.
    #[must_use]
    pub fn readings(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.readings)
    }

    /// Returns whether readings can lead to this state; that of a damaged snapshot may be another.
    pub(crate) fn is_sound(&self) -> bool {
        self.delay_ms >= 0 && self.open.as_ref().is_none_or(|open| open.is_sound(self.newest))
    }

    /// Returns the first instant whose readings still count; `None` if every one does.
    fn first_instant(&self) -> Option<i64> {
        match &self.open {
            Some(open) if open.readings > 0 => Some(open.start),
            Some(open) => self.floor.max(Some(open.start)),
            None => self.floor,
        }
    }

    /// Makes later results have times from `time` on.
    pub(crate) fn not_before(&mut self, time: i64) {
        self.floor = Some(self.floor.map_or(time, |floor| floor.max(time)));
    }
}

impl OpenWindow {
    fn is_sound(&self, newest: Option<Sample>) -> bool {
        let OpenWindow { start, end, readings, .. } = *self;
        let is_within = |sample: Sample| (start..=end).contains(&sample.time);
        let counted = readings <= READINGS_MAX && self.numbers.count <= readings;
        start <= end && counted && (readings == 0 || newest.is_some_and(is_within)) && self.numbers.is_sound()
    }
}

#[cfg(test)]
mod tests;
