//! Tests of state that no caller sees: the order of the deadlines.

use super::*;
use crate::alarm::{AlarmLevel, Limit, LimitAlarm};
use crate::check::{Range, RangeAction};
use crate::qartod::{Spike, SpikeMethod};
use crate::reduce::Reducer;
use crate::reduce::{Deadband, SwingingDoor};
use crate::time::{Stale, TimeGuard};
use crate::window::Window;
use crate::{Quality, Rule, Value};
use proptest::prelude::*;

const NAMES: [&str; 5] = ["deadband", "door", "window", "ahead", "alarm/x"];

fn pipeline() -> Result<Pipeline, Box<dyn std::error::Error>> {
    let guard = TimeGuard::default().max_backward_ms(5000)?.max_gap_ms(20_000)?.max_future_ms(100_000)?;
    let rule = || Rule::new().time_guard(guard);
    let stale = || Stale::after_ms(3000);
    let window = Window::tumbling_ms(2000)?.allowed_lateness_ms(500)?;
    let mean = Reducer::Window(window, crate::window::Aggregate::Mean);
    let spike = Spike::new(SpikeMethod::Average, None, Some(5.0))?;
    let range = Range::new(0.0, 9.0)?.action(RangeAction::Drop);
    let limit = Limit::at(5.0)?.on_delay_ms(1500)?;
    let pipeline = Pipeline::builder()
        .rule("deadband", rule().range(range).reducer(Deadband::absolute(1.0)?).stale(stale()?))?
        .rule("door", rule().reducer(SwingingDoor::new(1.0)?).stale(stale()?.heartbeat_ms(700)?))?
        .rule("window", rule().reducer(mean.clone()).stale(Stale::after_ms(30_000)?))?
        .rule("ahead", rule().spike(spike, RangeAction::Mark).reducer(mean))?
        .alarm("alarm/#", LimitAlarm::new().with(AlarmLevel::High, limit)?)?
        .build();
    Ok(pipeline)
}

/// Tells that each sensor that has something due is in the order, and not later than that.
fn no_deadline_is_late(p: &Pipeline) -> bool {
    (0..NAMES.len() as u32).all(|place| {
        p.deadline(place).is_none_or(|due| p.deadlines.of(place).is_some_and(|known| known <= due))
    })
}

/// From `EDGE_SEED`, as the integration tests.
fn config() -> ProptestConfig {
    let seed = std::env::var("EDGE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x5EED);
    let rng_seed = proptest::test_runner::RngSeed::Fixed(seed);
    ProptestConfig { cases: 500, rng_seed, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// A reading leaves the order alone unless its sensor is due sooner: whatever readings and clock do, that is enough.
    #[test]
    fn a_deadline_is_never_known_later_than_it_is(
        steps in prop::collection::vec((0..5_u32, -300..4000_i64, -2500..2500_i64, 0.0..10.0, 0..12_u32), 1..120),
    ) {
        let mut p = pipeline().map_err(|error| TestCaseError::fail(error.to_string()))?;
        NAMES.iter().for_each(|name| { p.intern(name); });
        let mut now = 1_000_000;
        for (sensor, dt, lag, value, what) in steps {
            // A clock that is set back makes sensors due sooner than the order knows.
            now += if what == 0 { -20_000 } else { dt };
            let reading = Reading { sensor, time: now - lag, value: Value::F64(value), quality: Quality::GOOD };
            match what {
                1 => p.tick(now, &mut |_| ()),
                2 => p.clock_stepped(sensor),
                3 => p.unit_changed(sensor, &mut |_| ()),
                _ => drop(p.process(reading, now, &mut |_| ())),
            }
            prop_assert!(no_deadline_is_late(&p));
        }
    }
}

#[test]
fn the_check_notices_a_deadline_that_is_late_or_missing() -> Result<(), Box<dyn std::error::Error>> {
    let mut p = pipeline()?;
    let sensor = p.intern("deadband");
    let reading = Reading { sensor, time: 1000, value: Value::F64(1.0), quality: Quality::GOOD };
    drop(p.process(reading, 1000, &mut |_| ()));
    assert!(no_deadline_is_late(&p));
    p.deadlines.set(0, Some(4001));
    assert!(!no_deadline_is_late(&p));
    p.deadlines.set(0, None);
    assert!(!no_deadline_is_late(&p));
    Ok(())
}
