//! A swinging door keeps the corners of a trend: straight lines between them miss no reading by more than the deviation.
//!
//! ```text
//! 0 s: 10.1
//! 40 s: 30.0
//! 72 s: 29.6
//! 100 s: 22.5
//! 4 of 101 readings; off by 0.46 at most
//! ```

use edge_filter::reduce::{Number, SwingingDoor, SwingingDoorState, Verdict};
use edge_filter::{Cost, ErrorBound, LossBound, Quality};

/// Level of a basin that fills, rests and drains, under a ripple of 0.1.
fn level(second: i64) -> f64 {
    let trend = match second {
        0..40 => 10.0 + second as f64 / 2.0,
        40..70 => 30.0,
        _ => 30.0 - (second - 70) as f64 / 4.0,
    };
    if second % 3 == 0 { trend + 0.1 } else { trend }
}

/// Line between two corners at a time.
fn line(from: (i64, f64), to: (i64, f64), time: i64) -> f64 {
    let share = (time - from.0) as f64 / (to.0 - from.0) as f64;
    from.1 + share * (to.1 - from.1)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let door = SwingingDoor::new(0.5)?;
    assert_eq!(door.error_bound(), ErrorBound::Linear(0.5));
    assert_eq!(door.loss_bound(), LossBound::Readings(1));

    // One stage alone: its state belongs to the program, one per sensor.
    let mut state = SwingingDoorState::default();
    let mut corners: Vec<(i64, f64)> = Vec::new();
    for time in 0..=100 {
        let value = level(time);
        // A corner is known by the reading after it, so it comes before the verdict on that reading.
        let verdict = door.check(&mut state, value, Quality::GOOD, time, &mut |corner| {
            corners.push((corner.time, corner.value.as_f64()));
        });
        if let Verdict::Emit(_) = verdict {
            corners.push((time, value));
        }
    }
    // A stop gives what is held: nothing is lost but in a crash.
    door.flush(&mut state, &mut |last| corners.push((last.time, Number::as_f64(last.value))));

    let mut worst: f64 = 0.0;
    for pair in corners.windows(2) {
        for time in pair[0].0..=pair[1].0 {
            worst = worst.max((line(pair[0], pair[1], time) - level(time)).abs());
        }
    }
    for (time, value) in &corners {
        println!("{time} s: {value:.1}");
    }
    println!("{} of 101 readings; off by {worst:.2} at most", corners.len());
    assert!(worst <= 0.5 && corners.first().is_some_and(|c| c.0 == 0));
    assert!(corners.last().is_some_and(|c| c.0 == 100), "the end is there");
    Ok(())
}
