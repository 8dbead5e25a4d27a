use super::*;
use crate::Value;

fn run(door: &SwingingDoor, rows: &[(i64, f64, Quality)]) -> Vec<(i64, EmitReason)> {
    let (mut state, mut kept) = (SwingingDoorState::default(), Vec::new());
    for &(time, value, quality) in rows {
        let verdict = door.check(&mut state, value, quality, time, &mut |r| kept.push((r.time, r.reason)));
        if let Verdict::Emit(why) = verdict {
            kept.push((time, why));
        }
    }
    door.flush(&mut state, &mut |r| kept.push((r.time, r.reason)));
    kept
}

fn good(values: &[f64]) -> Vec<(i64, f64, Quality)> {
    values.iter().zip(0..).map(|(&v, t)| (t, v, Quality::GOOD)).collect()
}

use EmitReason as E;

#[test]
fn a_ramp_is_its_two_ends_and_a_corner_is_kept() -> Result<(), ParamError> {
    let door = SwingingDoor::new(0.1)?;
    assert_eq!(run(&door, &good(&[0.0, 1.0, 2.0, 3.0, 4.0])), [(0, E::First), (4, E::Flush)]);
    let corner = run(&door, &good(&[0.0, 1.0, 2.0, 1.0, 0.0]));
    assert_eq!(corner, [(0, E::First), (2, E::DoorClosed), (4, E::Flush)]);
    Ok(())
}

#[test]
fn a_change_of_status_emits_the_held_one_before_itself() -> Result<(), ParamError> {
    let bad = Quality::BAD;
    let rows = [
        (0, 0.0, Quality::GOOD),
        (1, 1.0, Quality::GOOD),
        (2, 9.0, bad),
        (3, 8.0, bad),
        (4, 5.0, Quality::GOOD),
    ];
    let kept = run(&SwingingDoor::new(0.1)?, &rows);
    assert_eq!(kept, [(0, E::First), (1, E::DoorClosed), (2, E::StatusChange), (4, E::StatusChange)]);
    Ok(())
}

#[test]
fn the_longest_interval_emits_the_held_one_and_without_one_the_newest() -> Result<(), ParamError> {
    let door = SwingingDoor::new(0.1)?.max_interval_ms(3)?;
    let kept = run(&door, &good(&[0.0; 8]));
    assert_eq!(
        kept,
        [(0, E::First), (2, E::MaxInterval), (4, E::MaxInterval), (6, E::MaxInterval), (7, E::Flush)]
    );
    let sparse: Vec<_> = (0..3).map(|i| (i * 10, 0.0, Quality::GOOD)).collect();
    assert_eq!(run(&door, &sparse), [(0, E::First), (10, E::MaxInterval), (20, E::MaxInterval)]);
    Ok(())
}

#[test]
fn times_that_do_not_rise_and_values_without_a_slope_divide_nothing() -> Result<(), ParamError> {
    let (door, mut state) = (SwingingDoor::new(0.1)?, SwingingDoorState::default());
    let mut check =
        |value: Value<'static>, time| door.check(&mut state, value, Quality::GOOD, time, &mut |_| ());
    assert_eq!(check(1.0.into(), 5), Verdict::Emit(E::First));
    assert_eq!(check(2.0.into(), 5), Verdict::Drop(DropReason::OutOfOrder));
    assert_eq!(check(2.0.into(), 6), Verdict::Held);
    assert_eq!(check(2.0.into(), 6), Verdict::Drop(DropReason::OutOfOrder));
    assert_eq!(check("run".into(), 7), Verdict::Emit(E::Change));
    assert_eq!(check("run".into(), 8), Verdict::Drop(DropReason::Unchanged));
    assert_eq!(check(f64::MAX.into(), 9), Verdict::Emit(E::Change));
    assert_eq!(check((-f64::MAX).into(), 10), Verdict::Held);
    assert_eq!(check(f64::MAX.into(), 11), Verdict::Held, "an infinite slope is no slope: the held one goes");
    Ok(())
}

#[test]
fn parameters_that_cannot_work_are_refused() -> Result<(), ParamError> {
    for deviation in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(SwingingDoor::new(deviation).is_err(), "{deviation}");
    }
    let error = SwingingDoor::new(1.0)?.min_interval_ms(5).map_err(|e| e.to_string());
    assert!(error.is_err_and(|e| e.contains("break the error bound")));
    assert_eq!(SwingingDoor::new(1.0)?.best_effort_min_interval_ms(5)?.error_bound(), ErrorBound::NoneStated);
    Ok(())
}

/// A consumer draws no line from a boolean.
#[test]
fn the_first_number_after_a_boolean_or_text_passes() -> Result<(), ParamError> {
    for before in [Value::Bool(true), "idle".into()] {
        let (mut state, door) = (SwingingDoorState::default(), SwingingDoor::new(1.0)?);
        let rows = [(before, 0), (20.0.into(), 50), (20.5.into(), 51)];
        let verdicts =
            rows.map(|(value, time)| door.check(&mut state, value, Quality::GOOD, time, &mut |_| ()));
        assert_eq!(verdicts, [Verdict::Emit(E::First), Verdict::Emit(E::Change), Verdict::Held]);
    }
    Ok(())
}

#[test]
fn uncertain_readings_take_part_unless_they_count_as_bad() -> Result<(), ParamError> {
    let door = SwingingDoor::new(0.1)?;
    let rows = [(0, 0.0, Quality::GOOD), (1, 5.0, Quality::UNCERTAIN), (2, 6.0, Quality::UNCERTAIN)];
    let emitted = [(0, E::First), (1, E::StatusChange), (2, E::Flush)];
    assert_eq!(run(&door.uncertain_is_bad(false), &rows), emitted);
    assert_eq!(run(&door.uncertain_is_bad(true), &rows), emitted[..2]);
    Ok(())
}

/// The corner is held back for the whole interval and no longer.
#[test]
fn a_corner_is_emitted_once_the_least_interval_is_over() -> Result<(), ParamError> {
    let door = SwingingDoor::new(0.1)?.best_effort_min_interval_ms(3)?;
    let kept = run(&door, &good(&[0.0, 5.0, 0.0, 5.0, 0.0]));
    assert_eq!(kept, [(0, E::First), (3, E::DoorClosed), (4, E::Flush)]);
    Ok(())
}

/// The line over all of time is half as steep as it looks where the span is cut to an `i64`.
#[test]
fn the_bound_holds_from_one_end_of_time_to_the_other() -> Result<(), ParamError> {
    let (mut state, mut kept) = (SwingingDoorState::default(), Vec::new());
    let door = SwingingDoor::new(0.5)?;
    for (time, value) in [(i64::MIN, 0.0), (1, 100.0), (i64::MAX, 100.0)] {
        let _ = door.check(&mut state, value, Quality::GOOD, time, &mut |released| kept.push(released.time));
    }
    assert_eq!(kept, [1]);
    Ok(())
}
