//! A deadband thins the readings of a tank, and a consumer that holds each value is never further off than it says.
//!
//! ```text
//! 0 s: 20.00 (first)
//! 16 s: 21.60 (deadband)
//! 32 s: 23.20 (deadband)
//! 48 s: 24.80 (deadband)
//! 93 s: 25.90 (max_interval)
//! 5 of 120 readings; off by 1.4 at most
//! ```

use edge_filter::reduce::Deadband;
use edge_filter::{ErrorBound, Outcome, Pipeline, Quality, Reading, Rule, Value};

/// Tank that is filled from 20 to 26 degrees in a minute and keeps them, under a ripple of a tenth.
fn temperature(second: i64) -> f64 {
    let level = 20.0 + second.min(60) as f64 / 10.0;
    if second % 2 == 0 { level } else { level - 0.1 }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // A value at least every 45 s, so that a flat line shows that the sensor is alive.
    let rule = Rule::new().reducer(Deadband::absolute(1.5)?.max_interval_ms(45_000)?);
    let ErrorBound::Absolute(max_error) = rule.error_bound() else {
        return Err("a deadband states its error bound".into());
    };
    let mut pipeline = Pipeline::builder().rule("tank/#", rule)?.build();
    let sensor = pipeline.intern("tank/temp");

    let mut shown = f64::NAN;
    let mut worst: f64 = 0.0;
    for second in 0..120 {
        let (time, value) = (1_000 * second, temperature(second));
        let reading = Reading { sensor, time, value: Value::F64(value), quality: Quality::GOOD };
        // A pump that stops shows in the quality, which always passes.
        if let Outcome::Emit(emit) = pipeline.process(reading, time, &mut |_| ()) {
            shown = emit.value.as_f64().ok_or("a number went in")?;
            println!("{second} s: {shown:.2} ({})", emit.reason);
        }
        worst = worst.max((shown - value).abs());
    }
    assert!(worst <= max_error, "{worst} is over {max_error}");
    let stats = pipeline.stats();
    assert!(stats.is_balanced() && stats.input == 120);
    println!("{} of {} readings; off by {worst:.1} at most", stats.emitted(), stats.input);
    Ok(())
}
