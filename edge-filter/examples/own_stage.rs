//! A reducing stage of one's own in a pipeline: keeps the turning points of a load, as fatigue analysis needs them.
//!
//! ```text
//! error: none stated; loss in a crash: at most 1 reading per sensor
//! kept: [(0, 0.0), (2, 5.0), (4, 1.0), (6, 3.0)]
//! ```

use edge_filter::reduce::{Number, ReleasedReading, Settlement, Stage, Verdict};
use edge_filter::{
    Cost, DropReason, EmitReason, ErrorBound, LossBound, Outcome, Pipeline, Quality, Reading, Rule, Value,
};

/// Emits a reading at which the value turns; the newest reading is held, since the next one tells.
#[derive(Clone, Debug, Default)]
pub struct TurningPoints {
    from: f64,
    held: Option<(i64, f64, Quality)>,
}

impl Cost for TurningPoints {
    fn error_bound(&self) -> ErrorBound {
        ErrorBound::NoneStated
    }

    fn loss_bound(&self) -> LossBound {
        LossBound::Readings(1)
    }
}

impl TurningPoints {
    fn release(&mut self, reason: EmitReason, out: &mut dyn FnMut(Settlement)) {
        if let Some((time, value, quality)) = self.held.take() {
            self.from = value;
            out(Settlement::Emit(ReleasedReading::new(time, Number::F64(value), quality, reason)));
        }
    }
}

impl Stage for TurningPoints {
    fn process(
        &mut self,
        time: i64,
        value: Number,
        quality: Quality,
        out: &mut dyn FnMut(Settlement),
    ) -> Verdict {
        let value = value.as_f64();
        match self.held {
            Some((newest, ..)) if time <= newest => return Verdict::Drop(DropReason::OutOfOrder),
            Some((_, held, _)) if (held - self.from) * (value - held) < 0.0 => {
                self.release(EmitReason::Change, out);
            }
            Some(_) => out(Settlement::Drop(DropReason::Compressed, 1)),
            None => {}
        }
        self.held = Some((time, value, quality));
        Verdict::Held
    }

    fn passed(&mut self, _: i64, value: &Value<'_>, _: Quality) {
        self.from = value.as_f64().unwrap_or_default();
    }

    fn flush(&mut self, out: &mut dyn FnMut(Settlement)) {
        self.release(EmitReason::Flush, out);
    }

    fn held(&self) -> u64 {
        u64::from(self.held.is_some())
    }

    fn snapshot(&self) -> Vec<u8> {
        let (time, value, quality) = self.held.unwrap_or((i64::MIN, 0.0, Quality::GOOD));
        let words = [self.from.to_bits(), time.cast_unsigned(), value.to_bits(), u64::from(quality.0)];
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn restore(&mut self, snapshot: &[u8]) -> bool {
        let words: Vec<u64> =
            snapshot.chunks(8).filter_map(|word| word.try_into().ok()).map(u64::from_be_bytes).collect();
        let [from, time, value, quality] = words[..] else { return false };
        let Ok(quality) = u32::try_from(quality) else { return false };
        let held = (time.cast_signed(), f64::from_bits(value), Quality(quality));
        *self = TurningPoints {
            from: f64::from_bits(from),
            held: Some(held).filter(|(time, ..)| *time != i64::MIN),
        };
        self.from.is_finite() && held.1.is_finite()
    }

    fn copied(&self) -> Box<dyn Stage> {
        Box::new(self.clone())
    }
}

/// Runs a load over the stage and prints what is kept.
///
/// # Errors
/// If the pattern is malformed.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rule = Rule::new().reducer(TurningPoints::default());
    println!("error: {}; loss in a crash: {}", rule.error_bound(), rule.loss_bound());
    let mut pipeline = Pipeline::builder().rule("crane/#", rule)?.build();
    let sensor = pipeline.intern("crane/load");
    let mut kept = Vec::new();
    for (time, value) in (0..).zip([0.0, 2.0, 5.0, 4.0, 1.0, 1.5, 3.0]) {
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        let outcome = pipeline.process(reading, time, &mut |emit| kept.push((emit.time, emit.value)));
        if let Outcome::Emit(emit) = outcome {
            kept.push((emit.time, emit.value));
        }
    }
    pipeline.flush(&mut |emit| kept.push((emit.time, emit.value)));
    let turns: Vec<_> = kept.iter().filter_map(|(time, value)| Some((*time, value.as_f64()?))).collect();
    println!("kept: {turns:?}");
    assert_eq!(turns, [(0, 0.0), (2, 5.0), (4, 1.0), (6, 3.0)]);
    Ok(())
}
