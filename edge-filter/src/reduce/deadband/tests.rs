use super::*;
use crate::reduce::{SegmentHold, SegmentHoldState};
use EmitReason as E;

const GOOD: Quality = Quality::GOOD;
const BAD: Quality = Quality::BAD;

fn run(db: &Deadband, rows: &[(f64, Quality, i64, Option<EmitReason>)]) {
    let mut state = DeadbandState::default();
    for (row, &(value, quality, time, expected)) in rows.iter().enumerate() {
        assert_eq!(
            db.check(&mut state, value, quality, time),
            expected,
            "row {row}: {value} {quality} @{time}"
        );
    }
}

#[test]
fn min_interval_delays_values_but_never_a_status() -> Result<(), ParamError> {
    let rows = [
        (10.0, GOOD, 0, Some(E::First)),
        (20.0, GOOD, 999, None),
        (20.0, BAD, 999, Some(E::StatusChange)),
        (20.0, GOOD, 999, Some(E::StatusChange)),
        (30.0, GOOD, 1998, None),
        (30.0, GOOD, 1999, Some(E::Deadband)),
        (f64::NAN, GOOD, 2000, Some(E::NanEnter)),
        (50.0, GOOD, 1500, Some(E::NanExit)),
        (60.0, GOOD, 1400, Some(E::Deadband)), // a clock set back does not freeze the sensor
    ];
    run(&Deadband::absolute(1.0)?.min_interval_ms(1000)?, &rows);
    Ok(())
}

#[test]
fn max_interval_repeats_also_while_bad_without_moving_the_reference() -> Result<(), ParamError> {
    let rows = [
        (10.0, GOOD, 0, Some(E::First)),
        (10.0, GOOD, 59_999, None),
        (10.0, GOOD, 60_000, Some(E::MaxInterval)),
        (99.0, BAD, 60_001, Some(E::StatusChange)),
        (98.0, BAD, 120_000, None),
        (97.0, BAD, 120_001, Some(E::MaxInterval)),
        (10.5, GOOD, 120_002, Some(E::StatusChange)),
        (11.6, GOOD, 120_003, Some(E::Deadband)),
    ];
    run(&Deadband::absolute(1.0)?.max_interval_ms(60_000)?, &rows);
    Ok(())
}

#[test]
fn infinities_are_classes_of_their_own() -> Result<(), ParamError> {
    let rows = [
        (1.0, GOOD, 0, Some(E::First)),
        (f64::INFINITY, GOOD, 1, Some(E::NanEnter)),
        (f64::INFINITY, GOOD, 2, None),
        (f64::NEG_INFINITY, GOOD, 3, Some(E::NanEnter)),
        (f64::NAN, GOOD, 4, Some(E::NanEnter)),
        (-f64::NAN, GOOD, 5, None),
        (1.0, GOOD, 6, Some(E::NanExit)),
        (f64::NAN, BAD, 7, Some(E::NanEnter)),
        (2.0, BAD, 8, None), // bad either way: not compared
    ];
    run(&Deadband::absolute(0.5)?, &rows);
    Ok(())
}

#[test]
fn uncertain_is_compared_unless_told_otherwise() -> Result<(), ParamError> {
    let u = Quality::UNCERTAIN;
    let db = Deadband::absolute(1.0)?;
    run(&db, &[(10.0, u, 0, Some(E::First)), (12.0, u, 1, Some(E::Deadband)), (12.5, u, 2, None)]);
    let db = db.uncertain_is_bad(true);
    run(&db, &[(10.0, u, 0, Some(E::First)), (12.0, u, 1, None), (12.0, GOOD, 2, Some(E::StatusChange))]);
    Ok(())
}

#[test]
fn zero_means_any_change_and_percent_is_of_the_range() -> Result<(), ParamError> {
    let zero = Deadband::absolute(0.0)?;
    run(
        &zero,
        &[(0.0, GOOD, 0, Some(E::First)), (-0.0, GOOD, 1, None), (5e-324, GOOD, 2, Some(E::Deadband))],
    );
    let half = Deadband::percent_of_range(0.5, -40.0, 160.0)?;
    assert_eq!(half.tolerance(), 1.0);
    assert_eq!(half.error_bound(), ErrorBound::Absolute(1.0));
    Ok(())
}

#[test]
fn constructors_refuse_what_cannot_work() -> Result<(), ParamError> {
    for bad in [f64::NAN, f64::INFINITY, -0.1] {
        assert!(Deadband::absolute(bad).is_err());
        assert!(Deadband::percent_of_range(bad, 0.0, 1.0).is_err());
    }
    assert!(Deadband::percent_of_range(100.1, 0.0, 1.0).is_err());
    assert!(Deadband::percent_of_range(1.0, 5.0, 5.0).is_err());
    let db = Deadband::absolute(1.0)?;
    assert!(db.min_interval_ms(-1).is_err());
    assert!(db.max_interval_ms(0).is_err());
    assert!(db.max_interval_ms(10)?.min_interval_ms(11).is_err());
    assert!(db.min_interval_ms(11)?.max_interval_ms(10).is_err());
    Ok(())
}

/// It was: within the deadband, however far from it.
#[test]
fn what_is_not_compared_is_not_within_the_deadband() -> Result<(), ParamError> {
    let (u, db) = (Quality::UNCERTAIN, Deadband::absolute(0.5)?);
    let verdicts = |db: Deadband, rows: [(f64, Quality); 3]| {
        let (mut state, mut time) = (DeadbandState::default(), 0);
        rows.map(|(value, quality)| {
            time += 1;
            db.check_with(&mut state, value, quality, time, &mut |_| ())
        })
    };
    let (first, not_compared) = (Verdict::Emit(E::First), Verdict::Drop(DropReason::NotCompared));
    let bad = db.uncertain_is_bad(true);
    assert_eq!(verdicts(bad, [(21.0, u), (90.0, u), (21.0, u)]), [first, not_compared, not_compared]);
    assert_eq!(
        verdicts(bad, [(21.0, GOOD), (21.2, GOOD), (21.0, u)])[1],
        Verdict::Drop(DropReason::InDeadband)
    );
    assert_eq!(
        verdicts(bad, [(21.0, BAD), (90.0, BAD), (21.0, u)])[1],
        Verdict::Drop(DropReason::BadQuality)
    );
    for status in [db.trigger(Trigger::Status), Deadband::on_status()] {
        assert_eq!(
            verdicts(status, [(21.0, GOOD), (90.0, GOOD), (21.0, GOOD)]),
            [first, not_compared, not_compared]
        );
    }
    let (mut state, mut last) = (SegmentHoldState::default(), None);
    let hold = SegmentHold::new(0.5)?.uncertain_is_bad(true);
    for (value, time) in [(21.0, 0), (90.0, 1)] {
        last = Some(hold.check(&mut state, value, u, time, &mut |_| ()));
    }
    assert_eq!(last, Some(not_compared), "nor is it by a stage that holds readings");
    Ok(())
}
