//! Corners of single scans, by hand. Step responses against a reference: `tests/pid_reference.rs`.

use super::*;
use crate::Quality;

fn input(pv: f64, setpoint: f64, mode: PidMode) -> PidInput {
    PidInput { pv, quality: Quality::GOOD, setpoint, mode }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn the_written_case_of_a_bumpless_transfer() -> Result<(), ParamError> {
    // The derivative of the change in between is no step either.
    for kd in [0.0, 0.5] {
        let pid = Pid::parallel(0.8, 0.03, kd)?.output_limits(0.0, 100.0)?.anti_windup(AntiWindup::Clamp)?;
        let mut state = PidState::default();
        pid.step(&mut state, &input(61.0, 40.0, PidMode::Manual(35.0)), 1.0);
        let first = pid.step(&mut state, &input(59.97, 40.0, PidMode::Auto), 1.0);
        assert!(near(first, 34.4009), "{kd}: {first}");
    }
    Ok(())
}

#[test]
fn proportional_on_the_measurement_does_not_see_a_step_of_the_setpoint() -> Result<(), ParamError> {
    let pid = Pid::parallel(2.0, 0.5, 0.0)?.proportional_on_measurement(true);
    let mut state = PidState::default();
    assert!(near(pid.step(&mut state, &input(10.0, 11.0, PidMode::Auto), 1.0), 0.5));
    assert!(near(pid.step(&mut state, &input(10.0, 20.0, PidMode::Auto), 1.0), 5.5));
    assert!(near(pid.step(&mut state, &input(11.0, 20.0, PidMode::Auto), 1.0), 8.0));
    Ok(())
}

#[test]
fn bad_input_acts_at_once_and_the_way_back_is_bumpless() -> Result<(), ParamError> {
    let pid = Pid::isa(2.0, 10.0, 1.0)?.output_limits(0.0, 100.0)?.output_rate(Ramp::per_s(1.0)?);
    for (what, during, after_ki) in [
        (PidBadInput::Hold, None, 0.2),
        (PidBadInput::SafeValue(5.0), Some(5.0), 0.2),
        (PidBadInput::SafeValue(1e9), Some(100.0), 0.2),
        (PidBadInput::Manual, None, 0.0),
    ] {
        let pid = pid.bad_input(what)?;
        for (pv, quality, sp) in [
            (f64::NAN, Quality::GOOD, 21.0),
            (20.0, Quality::BAD, 21.0),
            (20.0, Quality::GOOD, f64::INFINITY),
        ] {
            let mut state = PidState::default();
            let before = pid.step(&mut state, &input(20.0, 21.0, PidMode::Manual(50.0)), 0.1);
            let bad = PidInput { pv, quality, setpoint: sp, mode: PidMode::Auto };
            let held = during.unwrap_or(before);
            assert_eq!(pid.step(&mut state, &bad, 0.1), held, "{what:?} {pv} {quality}");
            assert_eq!(state.status(), PidStatus::BadInput);
            let after = pid.step(&mut state, &input(20.0, 21.0, PidMode::Auto), 0.1);
            let expected = (held + after_ki * 0.1).min(100.0);
            assert!(near(after, expected), "{what:?}: {after} is not {expected}");
        }
    }
    Ok(())
}

#[test]
fn manual_after_bad_input_lasts_until_somebody_has_been_there() -> Result<(), ParamError> {
    let pid = Pid::parallel(1.0, 1.0, 0.0)?.bad_input(PidBadInput::Manual)?;
    let mut state = PidState::default();
    let auto = input(1.0, 2.0, PidMode::Auto);
    let last = pid.step(&mut state, &auto, 1.0);
    pid.step(&mut state, &PidInput { pv: f64::NAN, ..auto }, 1.0);
    assert_eq!((pid.step(&mut state, &auto, 1.0), state.status()), (last, PidStatus::Manual));
    assert_eq!(pid.step(&mut state, &input(1.0, 2.0, PidMode::Track(last)), 1.0), last);
    assert_eq!(pid.step(&mut state, &auto, 1.0), last, "tracking is nobody's hand");
    pid.step(&mut state, &input(1.0, 2.0, PidMode::Hold), 1.0);
    assert_eq!(pid.step(&mut state, &auto, 1.0), last + 1.0);
    Ok(())
}

#[test]
fn times_that_are_none_change_nothing_and_long_ones_do_not_integrate() -> Result<(), ParamError> {
    let pid = Pid::parallel(1.0, 1.0, 1.0)?.dt_max_s(5.0)?;
    let mut state = PidState::default();
    let auto = |pv| input(pv, 2.0, PidMode::Auto);
    assert_eq!(pid.update(&mut state, &auto(1.0), 1_000), 1.0, "the first scan has no time behind it");
    assert_eq!(pid.update(&mut state, &auto(1.0), 2_000), 2.0);
    for time in [2_000, 1_999, i64::MIN] {
        assert_eq!(pid.update(&mut state, &auto(-50.0), time), 2.0, "{time}");
    }
    for dt in [0.0, -1.0, f64::NAN] {
        assert_eq!(pid.step(&mut state, &auto(-50.0), dt), 2.0, "{dt}");
    }
    assert_eq!(pid.update(&mut state, &auto(0.0), 7_001), 3.0, "P alone moved");
    assert_eq!(pid.update(&mut state, &auto(0.0), 8_001), 5.0);
    assert_eq!(pid.update(&mut state, &auto(0.0), 7_500), 5.0);
    assert_eq!(
        pid.update(&mut state, &auto(0.0), 9_001),
        7.0,
        "what lies behind a step back is not counted twice"
    );
    Ok(())
}

#[test]
fn parameters_that_make_no_controller_are_refused() -> Result<(), ParamError> {
    assert!(Pid::isa(1.0, 0.0, 0.0).is_err() && Pid::isa(1.0, f64::NAN, 0.0).is_err());
    assert!(Pid::isa(1.0, 1.0, -1.0).is_err() && Pid::parallel(f64::INFINITY, 0.0, 0.0).is_err());
    let pid = Pid::isa(1.0, f64::INFINITY, 0.0)?;
    assert!(pid.output_limits(1.0, 1.0).is_err() && pid.output_limits(f64::NAN, 1.0).is_err());
    assert!(pid.setpoint_weights(1.1, 0.0).is_err() && pid.setpoint_weights(0.0, f64::NAN).is_err());
    assert!(pid.anti_windup(AntiWindup::TrackingTime(0.0)).is_err() && pid.dt_max_s(0.0).is_err());
    assert!(
        pid.bad_input(PidBadInput::SafeValue(f64::NAN)).is_err() && pid.derivative_filter_s(-1.0).is_err()
    );
    Ok(())
}

#[test]
fn a_clamped_integral_starts_within_the_limits() -> Result<(), ParamError> {
    let pid = Pid::parallel(1.0, 0.0, 0.0)?.output_limits(5.0, 60.0)?;
    let cold = |pid: Pid| pid.step(&mut PidState::default(), &input(18.0, 20.0, PidMode::Auto), 1.0);
    assert_eq!(cold(pid.anti_windup(AntiWindup::Clamp)?), 7.0);
    assert_eq!(cold(pid), 5.0);
    Ok(())
}

/// A step of the measurement by 1 is differentiated to `Kd` in all, however slow the scan beside the filter.
#[test]
fn the_derivative_of_a_step_does_not_depend_on_the_rate_of_scans() -> Result<(), ParamError> {
    for (tf_s, dt_s) in [(2.0, 0.25), (2.0, 1.0), (2.0, 4.0), (0.1, 10.0), (1e-300, 1.0), (0.0, 1.0)] {
        for form in [DerivativeForm::BackwardDifference, DerivativeForm::ZeroOrderHold] {
            let pid = Pid::parallel(0.0, 0.0, 3.0)?.derivative_filter_s(tf_s)?.derivative_form(form);
            let mut state = PidState::default();
            pid.step(&mut state, &input(0.0, 0.0, PidMode::Auto), dt_s);
            let area: f64 =
                (0..400).map(|_| dt_s * pid.step(&mut state, &input(1.0, 0.0, PidMode::Auto), dt_s)).sum();
            assert!(near(area, -3.0), "{form:?}, Tf {tf_s} s, scans every {dt_s} s: {area}");
        }
    }
    Ok(())
}

/// `Kd·(1 - e^(-t/Tf))` is the derivative of a ramp of 1 per second, at every scan, however unevenly they come; backward
/// differences are only near it.
#[test]
fn the_exact_form_differentiates_a_ramp_without_error() -> Result<(), ParamError> {
    let (tf_s, kd) = (2.0, 3.0);
    let worst = |form| -> Result<f64, ParamError> {
        let pid = Pid::parallel(0.0, 0.0, kd)?.derivative_filter_s(tf_s)?.derivative_form(form);
        let (mut state, mut t, mut worst) = (PidState::default(), 0.0, 0.0_f64);
        pid.step(&mut state, &input(0.0, 0.0, PidMode::Auto), 1.0);
        for dt_s in [0.1, 0.5, 3.0, 0.01, 1.0, 0.2, 8.0] {
            t += dt_s;
            let d = pid.step(&mut state, &input(-t, 0.0, PidMode::Auto), dt_s);
            worst = worst.max((d - kd * (1.0 - f64::exp(-t / tf_s))).abs());
        }
        Ok(worst)
    };
    assert!(worst(DerivativeForm::ZeroOrderHold)? < 1e-12);
    assert!(worst(DerivativeForm::BackwardDifference)? > 0.05);
    Ok(())
}

/// The error's derivative, behind a ramp of the setpoint too: `x` of the last scan is that of the ramp.
#[test]
fn the_exact_form_sees_the_setpoint_behind_its_ramp() -> Result<(), ParamError> {
    let pid = Pid::parallel(0.0, 0.0, 3.0)?.derivative_filter_s(2.0)?.setpoint_weights(1.0, 1.0)?;
    let pid = pid.derivative_form(DerivativeForm::ZeroOrderHold).setpoint_ramp(Ramp::per_s(1.0)?);
    let mut state = PidState::default();
    pid.step(&mut state, &input(0.0, 0.0, PidMode::Auto), 0.5);
    for scan in 1..=20 {
        let d = pid.step(&mut state, &input(0.0, 1e6, PidMode::Auto), 0.5);
        let expected = 3.0 * (1.0 - f64::exp(-0.25 * f64::from(scan)));
        assert!(near(d, expected), "scan {scan}: {d} is not {expected}");
    }
    Ok(())
}

/// A setpoint that was moved by hand meanwhile is no step that the ramp still has to take.
#[test]
fn the_ramp_of_the_setpoint_begins_where_a_hand_left_it() -> Result<(), ParamError> {
    let pid = Pid::parallel(1.0, 0.0, 0.0)?.setpoint_ramp(Ramp::per_s(1.0)?);
    let mut state = PidState::default();
    pid.step(&mut state, &input(0.0, 10.0, PidMode::Auto), 1.0);
    pid.step(&mut state, &input(0.0, 60.0, PidMode::Hold), 1.0);
    assert_eq!(state.setpoint, Some(60.0));
    pid.step(&mut state, &input(0.0, f64::NAN, PidMode::Hold), 1.0);
    assert_eq!(state.setpoint, None);
    pid.step(&mut state, &input(0.0, 50.0, PidMode::Hold), 1.0);
    pid.step(&mut state, &input(0.0, 60.0, PidMode::Auto), 1.0);
    assert_eq!(state.setpoint, Some(51.0));
    Ok(())
}
