use super::*;
use DropReason as D;

const NOW: i64 = 10_000_000_000;

fn run(guard: &TimeGuard, rows: &[(i64, f64, Result<Passage, DropReason>)]) {
    let mut state = TimeGuardState::default();
    for (row, &(time, value, expected)) in rows.iter().enumerate() {
        let found = guard.check(&mut state, &Value::F64(value), Quality::GOOD, time, NOW);
        assert_eq!(found, expected, "row {row}: {value} @{time}");
    }
}

#[test]
fn duplicates_and_order() -> Result<(), ParamError> {
    let rows = [
        (1000, 1.0, Ok(Passage::First)),
        (1000, 1.0, Err(D::Duplicate)),
        (1000, 2.0, Err(D::DuplicateTimestamp)),
        (999, 2.0, Err(D::OutOfOrder)),
        (1001, 2.0, Ok(Passage::InOrder)),
        (1001 + 3_600_000, 2.0, Ok(Passage::InOrder)),
        (1001 + 7_200_001, 2.0, Ok(Passage::AfterGap)),
    ];
    run(&TimeGuard::strict(), &rows);
    Ok(())
}

#[test]
fn the_future_does_not_block_a_sensor() -> Result<(), ParamError> {
    let rows = [
        (NOW + 60_001, 1.0, Err(D::Future)),
        (NOW + 60_000, 1.0, Ok(Passage::First)),
        (i64::MAX, 1.0, Err(D::Future)),
        (NOW + 59_999, 1.0, Err(D::OutOfOrder)),
    ];
    run(&TimeGuard::strict(), &rows);
    run(&TimeGuard::strict().max_future_ms(i64::MAX)?, &[(i64::MAX, 1.0, Ok(Passage::First))]);
    Ok(())
}

#[test]
fn a_clock_set_back_is_believed_the_third_time() -> Result<(), ParamError> {
    let start = 100_000_000;
    let rows = [
        (start, 1.0, Ok(Passage::First)),
        (start - 60_000, 1.0, Err(D::OutOfOrder)), // exactly max_backward: late, not a step
        (start - 3_600_000, 1.0, Err(D::OutOfOrder)),
        (start - 3_599_000, 1.0, Err(D::OutOfOrder)),
        (start - 3_598_000, 1.0, Ok(Passage::ClockReset)),
        (start - 3_597_000, 1.0, Ok(Passage::InOrder)),
    ];
    run(&TimeGuard::strict(), &rows);
    Ok(())
}

#[test]
fn an_old_message_delivered_again_is_not_a_clock_reset() -> Result<(), ParamError> {
    let (start, old) = (100_000_000, 50_000_000);
    let late = Err(D::OutOfOrder);
    let rows = [
        (start, 1.0, Ok(Passage::First)),
        (old, 1.0, late),
        (old, 1.0, late),
        (old, 1.0, late),
        (old - 1, 1.0, late),
        (old, 1.0, late),
        (start + 1, 1.0, Ok(Passage::InOrder)), // in between a live one: the count starts again
        (old + 1, 1.0, late),
        (old + 2, 1.0, late),
    ];
    run(&TimeGuard::strict(), &rows);
    Ok(())
}

#[test]
fn a_late_or_repeated_reading_in_between_begins_the_count_of_a_clock_reset_anew() {
    let (start, old, late) = (100_000_000, 50_000_000, Err(D::OutOfOrder));
    for between in [(start - 1, late), (start, Err(D::Duplicate))] {
        let rows = [(start, Ok(Passage::First)), (old, late), (old + 1, late), between];
        let rows: Vec<_> = rows.into_iter().chain([(old + 2, late), (old + 3, late)]).collect();
        let rows: Vec<_> = rows.into_iter().chain([(old + 4, Ok(Passage::ClockReset))]).collect();
        run(&TimeGuard::strict(), &rows.iter().map(|&(time, found)| (time, 1.0, found)).collect::<Vec<_>>());
    }
}

#[test]
fn times_that_fall_begin_the_count_of_a_clock_reset_anew() {
    let (old, late) = (50_000_000, Err(D::OutOfOrder));
    let back =
        [(old, late), (old + 1, late), (old - 5, late), (old - 4, late), (old - 3, Ok(Passage::ClockReset))];
    let rows = [(100_000_000, Ok(Passage::First))].into_iter().chain(back);
    run(&TimeGuard::strict(), &rows.map(|(time, found)| (time, 1.0, found)).collect::<Vec<_>>());
}

/// It neither counts nor takes away what was counted.
#[test]
fn a_repeated_time_far_back_does_not_count_for_a_clock_reset() {
    let (old, late) = (50_000_000, Err(D::OutOfOrder));
    let back =
        [(old, late), (old + 1, late), (old + 1, late), (old + 1, late), (old + 2, Ok(Passage::ClockReset))];
    let rows = [(100_000_000, Ok(Passage::First))].into_iter().chain(back);
    run(&TimeGuard::strict(), &rows.map(|(time, found)| (time, 1.0, found)).collect::<Vec<_>>());
}

#[test]
fn as_many_readings_as_configured_make_a_clock_reset() -> Result<(), ParamError> {
    for confirm in [1, 2, 5] {
        let (guard, mut state) = (TimeGuard::strict().confirm(confirm)?, TimeGuardState::default());
        let mut check = |time| guard.check(&mut state, &Value::F64(1.0), Quality::GOOD, time, NOW);
        assert_eq!(check(100_000_000), Ok(Passage::First));
        let late = (0..10).take_while(|at| check(*at) == Err(D::OutOfOrder)).count();
        assert_eq!(late as u32 + 1, confirm);
        assert_eq!(guard.loss_bound(), LossBound::Open { span_ms: Some(60_000), more: confirm - 1 });
        let bound = guard.max_backward_ms(0)?.loss_bound();
        assert_eq!(bound, [LossBound::Nothing, LossBound::Readings(confirm - 1)][late.min(1)]);
    }
    Ok(())
}

#[test]
fn by_default_nothing_but_an_exact_duplicate_is_dropped() -> Result<(), ParamError> {
    let start = 100_000_000;
    let rows = [
        (start, 1.0, Ok(Passage::First)),
        (start, 1.0, Err(D::Duplicate)),
        (start, 2.0, Ok(Passage::SameTime)),
        (start, 2.0, Ok(Passage::SameTime)), // the watermark is that of 1.0
        (start - 1, 1.0, Ok(Passage::Late)),
        (NOW + 60_001, 1.0, Ok(Passage::Future)),
        (start + 1, 1.0, Ok(Passage::InOrder)),
        (start - 3_600_000, 1.0, Ok(Passage::Late)),
        (start - 3_599_999, 1.0, Ok(Passage::Late)),
        (start - 3_599_998, 1.0, Ok(Passage::ClockReset)),
    ];
    run(&TimeGuard::default(), &rows);
    assert_eq!(TimeGuard::default().loss_bound(), LossBound::Nothing);
    assert_eq!(TimeGuard::default().drops().count(), 0);
    Ok(())
}

#[test]
fn each_policy_drops_its_own_and_says_so() {
    let (default, drop) = (TimeGuard::default(), TimePolicy::Drop);
    let readings = [(1000, 2.0), (999, 1.0), (NOW + 60_001, 1.0)];
    for (guard, expected) in [
        (default.same_time(drop), [Err(D::DuplicateTimestamp), Ok(Passage::Late), Ok(Passage::Future)]),
        (default.out_of_order(drop), [Ok(Passage::SameTime), Err(D::OutOfOrder), Ok(Passage::Future)]),
        (default.future(drop), [Ok(Passage::SameTime), Ok(Passage::Late), Err(D::Future)]),
    ] {
        let rows: Vec<_> =
            readings.iter().zip(expected).map(|(&(time, value), e)| (time, value, e)).collect();
        run(&guard, &[&[(1000, 1.0, Ok(Passage::First))], rows.as_slice()].concat());
        let dropped: Vec<_> = expected.into_iter().filter_map(Result::err).collect();
        assert_eq!(guard.drops().collect::<Vec<_>>(), dropped);
    }
    assert_eq!(TimeGuard::strict().loss_bound(), LossBound::Open { span_ms: Some(60_000), more: 2 });
}

/// A reading a second. It was: 2 stated, and 50 lost at a step of 50 s.
#[test]
fn a_clock_that_is_set_back_loses_no_more_than_is_stated() {
    let guard = TimeGuard::strict();
    assert_eq!(guard.loss_bound(), LossBound::Open { span_ms: Some(60_000), more: 2 });
    let (mut most, start) = (0, 100_000_000);
    for step in 1..4_000 {
        let mut state = TimeGuardState::default();
        let mut check = |time| guard.check(&mut state, &Value::F64(1.0), Quality::GOOD, time, NOW);
        assert_eq!(check(start), Ok(Passage::First));
        let back = (1..step).map(|n| start - step * 1_000 + n * 1_000);
        let dropped = back.take_while(|time| check(*time).is_err()).count() as i64;
        assert!(dropped <= 60 + 2, "{dropped} at a step of {step} s");
        most = most.max(dropped);
    }
    assert_eq!(most, 62);
}

#[test]
fn a_known_step_needs_no_proof() {
    let (guard, mut state) = (TimeGuard::strict(), TimeGuardState::default());
    let check =
        |state: &mut TimeGuardState, time| guard.check(state, &Value::F64(1.0), Quality::GOOD, time, NOW);
    assert_eq!(check(&mut state, 1000), Ok(Passage::First));
    state.clock_stepped();
    assert_eq!(check(&mut state, 500), Ok(Passage::ClockReset));
    assert_eq!(check(&mut state, 400), Err(D::OutOfOrder));
}

#[test]
fn what_is_ahead_of_the_series_is_known_until_the_series_overtakes_it() {
    let (guard, mut state) = (TimeGuard::default(), TimeGuardState::default());
    let mut ahead_after = |time| {
        let _ = guard.check(&mut state, &Value::F64(1.0), Quality::GOOD, time, NOW);
        let mut shifted = state.clone();
        shifted.shift(-NOW);
        assert_eq!(shifted.ahead(), state.ahead().map(|ahead| ahead - NOW));
        state.ahead()
    };
    let future = NOW + 70_000;
    assert_eq!(ahead_after(NOW), None);
    assert_eq!(ahead_after(future), Some(future));
    assert_eq!(ahead_after(future - 1), Some(future));
    assert_eq!(ahead_after(NOW + 1), Some(future));
    assert_eq!(ahead_after(NOW + 60_000), Some(future));
    let back = NOW - 3_600_000;
    assert_eq!([ahead_after(back), ahead_after(back + 1)], [Some(future); 2]);
    assert_eq!(ahead_after(back + 2), Some(future), "the clock was set back");
    assert_eq!(ahead_after(NOW), Some(future));
    assert_eq!(ahead_after(NOW + 1), Some(future));
}

#[test]
fn the_ends_of_time_do_not_overflow() -> Result<(), ParamError> {
    let guard = TimeGuard::strict().max_future_ms(i64::MAX)?.max_gap_ms(i64::MAX)?;
    let rows = [
        (i64::MIN, 1.0, Ok(Passage::First)),
        (i64::MAX, 1.0, Ok(Passage::InOrder)),
        (i64::MIN, 1.0, Err(D::OutOfOrder)),
        (i64::MIN + 1, 1.0, Err(D::OutOfOrder)),
        (i64::MIN + 2, 1.0, Ok(Passage::ClockReset)),
    ];
    run(&guard, &rows);
    assert!(guard.max_future_ms(-1).is_err() && guard.max_gap_ms(0).is_err() && guard.confirm(0).is_err());
    assert!(guard.max_backward_ms(-1).is_err());
    Ok(())
}

/// A value and its mirror image, or one that differs from it by bits that a quality has too, are no repetition of each other.
#[test]
fn another_status_is_no_duplicate_whatever_the_value() {
    let values =
        [0.0, -0.25, 0.25, 1.0, -1.0, 2.0, 1e9, f64::from_bits(0x3FF0_0000_8000_0000)].map(Value::F64);
    let counts = [0, 1 << 31, -1, 1 << 30, i64::MIN].map(Value::I64);
    let readings = values.iter().chain(&counts).flat_map(|value| {
        [0, 0x4000_0000, 0x8000_0000, 0x808C_0000].map(|quality| (value.clone(), Quality(quality)))
    });
    let readings: Vec<_> = readings.collect();
    for (n, first) in readings.iter().enumerate() {
        for (m, second) in readings.iter().enumerate() {
            let (guard, mut state) = (TimeGuard::default(), TimeGuardState::default());
            assert_eq!(guard.check(&mut state, &first.0, first.1, 1, 1), Ok(Passage::First));
            let again = guard.check(&mut state, &second.0, second.1, 1, 1);
            // The zeros of both kinds are one value here.
            let is_same = n == m
                || (first.1 == second.1
                    && [0.0, -0.0] == [first, second].map(|r| r.0.as_f64().unwrap_or(1.0)));
            let expected = if is_same { Err(DropReason::Duplicate) } else { Ok(Passage::SameTime) };
            assert_eq!(again, expected, "{first:?} {second:?}");
        }
    }
}
