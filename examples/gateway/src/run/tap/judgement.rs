//! Judgements of a filter about readings, noted while somebody taps.

use edge_codec::{Record, Value};
use edge_filter::Outcome;

use super::super::filters::reading_row::ReadingRow;
use super::registry::SAMPLES_MAX;
use super::sample::{Judged, Reading, Verdict};

/// Verdict of a filter about the reading that came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judgement {
    verdict: Verdict,
    why: &'static str,
}

impl Judgement {
    pub(crate) fn of(outcome: &Outcome<'_>) -> Self {
        let (verdict, why) = match outcome {
            Outcome::Emit(emit) => (Verdict::Passed, emit.reason.as_str()),
            Outcome::Held => (Verdict::Held, "held"),
            Outcome::Drop(reason) => (Verdict::Suppressed, reason.as_str()),
        };
        Self { verdict, why }
    }

    /// A reading that passed without a judgement.
    pub(crate) fn passed(why: &'static str) -> Self {
        Self { verdict: Verdict::Passed, why }
    }
}

/// Judgements about the readings of a message, or of a tick, in their order. Empty while nobody taps.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    /// `None`: nobody taps.
    judged: Option<Vec<Judged>>,
    /// Number of judgements that were left out, because no reader takes so many at once.
    left_out: u64,
}

impl Trail {
    pub(super) fn begin() -> Self {
        Self { judged: Some(Vec::new()), left_out: 0 }
    }

    /// Adds the judgement about a reading that came in, unless there are [`SAMPLES_MAX`]. `quality` returns the one with which the reading is
    /// sent, or would have been; it is called only while somebody taps.
    pub(crate) fn note(&mut self, judgement: Judgement, record: &Record<'_>, quality: impl FnOnce() -> u32) {
        if self.judged.is_some() {
            let reading = (&*record.sensor, &*record.unit, record.time, &record.value);
            self.push(judgement, reading, quality());
        }
    }

    /// Adds a reading that the filter emitted by itself, with the same limit.
    pub(crate) fn add(&mut self, judgement: Judgement, row: &ReadingRow<'_>) {
        self.push(judgement, (&row.sensor, &row.unit, row.time, &row.value), row.quality);
    }

    fn push(&mut self, judgement: Judgement, reading: (&str, &str, i64, &Value<'_>), quality: u32) {
        let Some(judged) = &mut self.judged else { return };
        if judged.len() >= SAMPLES_MAX {
            self.left_out += 1;
            return;
        }
        let Judgement { verdict, why } = judgement;
        let reading = Some(Reading::new(reading, quality));
        judged.push(Judged { topic: None, verdict, why: why.to_owned(), reading });
    }

    /// Returns the judgements, and the number of those left out.
    pub(super) fn into_parts(self) -> (Vec<Judged>, u64) {
        (self.judged.unwrap_or_default(), self.left_out)
    }
}
