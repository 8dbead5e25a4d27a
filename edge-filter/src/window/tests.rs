use super::*;

const GOOD: Quality = Quality::GOOD;
const BAD: Quality = Quality::BAD;

fn run(window: &Window, rows: &[(i64, f64, Quality)]) -> Vec<WindowResult> {
    let (mut state, mut out) = (WindowState::default(), Vec::new());
    for &(time, value, quality) in rows {
        assert_eq!(window.check(&mut state, value, quality, time, &mut |w| out.push(w)), Admission::In);
    }
    window.tick(&mut state, i64::MAX, &mut |w| out.push(w));
    out
}

fn window(ms: i64) -> Result<Window, ParamError> {
    Ok(Window::tumbling_ms(ms)?.median(true))
}

/// The sum of the values is none, their mean and their median are.
#[test]
fn a_mean_and_a_median_that_are_numbers_are_told_where_the_sum_overflows() -> Result<(), ParamError> {
    for value in [f64::MAX, f64::MIN, 1e308] {
        let rows = [(1000, value, GOOD), (1500, value, GOOD)];
        let w = &run(&window(1000)?, &rows)[0];
        let of = |aggregate| w.get(aggregate);
        let told = (of(Aggregate::Mean), of(Aggregate::Median), of(Aggregate::Sum));
        assert_eq!(told, (Some(value), Some(value), None));
    }
    Ok(())
}

#[test]
fn one_row_by_hand() -> Result<(), ParamError> {
    let rows =
        [(1000, 2.0, GOOD), (1200, 8.0, GOOD), (1400, 4.0, GOOD), (1999, 6.0, GOOD), (2000, 1.0, GOOD)];
    let out = run(&window(1000)?, &rows);
    assert_eq!(out.len(), 2);
    let w = &out[0];
    let of = |a: Aggregate| w.get(a);
    use Aggregate as A;
    assert_eq!((w.start, w.end, w.readings, w.quality), (1000, 2000, 4, GOOD));
    let expected =
        [(A::Count, 4.0), (A::First, 2.0), (A::Last, 6.0), (A::Min, 2.0), (A::Max, 8.0), (A::Mean, 5.0)];
    for (aggregate, value) in
        expected.into_iter().chain([(A::Median, 5.0), (A::Sum, 20.0), (A::StdPop, 5.0_f64.sqrt())])
    {
        assert_eq!(of(aggregate), Some(value), "{aggregate:?}");
    }
    // 2 for 200 ms, 8 for 200, 4 for 599, 6 for 1
    assert_eq!(of(A::TimeAvgStepped), Some((400.0 + 1600.0 + 2396.0 + 6.0) / 1000.0));
    assert_eq!(of(A::TimeAvgSloped), Some((1000.0 + 1200.0 + 2995.0 + 3.5) / 1000.0));
    Ok(())
}

#[test]
fn sloped_averages_interpolate_at_the_bounds_and_over_windows_without_a_reading() -> Result<(), ParamError> {
    // A line from 0 at 500 to 30 at 3500: 10 per second.
    let rows = [(500, 0.0, GOOD), (3500, 30.0, GOOD)];
    let averages = |emit_empty| -> Result<Vec<_>, ParamError> {
        let out = run(&window(1000)?.emit_empty(emit_empty), &rows);
        Ok(out.iter().map(|w| (w.start, w.get(Aggregate::TimeAvgSloped), w.quality)).collect())
    };
    // Nothing is known of its first half. At the end of time 30 is held: half a second at 25..30 and half at 30.
    let (first, last) =
        ((0, Some(2.5), Quality::UNCERTAIN_SUB_NORMAL), (3000, Some((27.5 + 30.0) / 2.0), GOOD));
    assert_eq!(averages(false)?, [first, last]);
    let all = averages(true)?;
    assert_eq!(all[..2], [first, (1000, None, Quality::BAD_NO_DATA)]);
    Ok(())
}

#[test]
fn the_quality_goes_by_time() -> Result<(), ParamError> {
    let rows = [(0, 1.0, GOOD), (600, 9.0, BAD), (1000, 1.0, BAD), (2000, 1.0, GOOD), (2900, 5.0, BAD)];
    let out = run(&window(1000)?, &rows);
    let qualities: Vec<_> = out.iter().map(|w| w.quality).collect();
    assert_eq!(
        qualities,
        [Quality::UNCERTAIN_SUB_NORMAL, Quality::BAD_NO_DATA, Quality::UNCERTAIN_SUB_NORMAL]
    );
    assert_eq!(out[0].get(Aggregate::TimeAvgSloped), Some(1.0), "a good value is held until the bad one");
    let lenient = run(&window(1000)?.min_good_pct(90.0)?, &rows);
    assert_eq!(lenient.iter().map(|w| w.quality.is_good()).collect::<Vec<_>>(), [false, false, true]);
    Ok(())
}

/// A process that begins in the middle of a window, after a kill too, has seen a part of it; a flush cuts one into two parts.
#[test]
fn a_window_that_was_seen_in_part_is_uncertain() -> Result<(), ParamError> {
    let begun_late = [(1600, 1.0, GOOD), (1800, 1.0, GOOD), (2500, 1.0, GOOD)];
    let is_good =
        |window: Window| run(&window, &begun_late).iter().map(|w| w.quality.is_good()).collect::<Vec<_>>();
    assert_eq!(
        is_good(window(1000)?),
        [false, true],
        "the last reading before a window counts to its first one"
    );
    assert_eq!(is_good(window(1000)?.min_good_pct(40.0)?), [true, true]);
    assert_eq!(is_good(window(1000)?.min_good_pct(41.0)?), [false, true]);

    let (window, mut state, mut parts) = (window(1000)?, WindowState::default(), Vec::new());
    for time in [0, 300, 600, 900, 1200, 1500, 1800, 2100] {
        let _ =
            window.check(&mut state, 1.0, GOOD, time, &mut |w| parts.push((w.start, w.quality.is_good())));
        if time == 1200 {
            window.flush(&mut state, &mut |w| parts.push((w.start, w.quality.is_good())));
        }
    }
    assert_eq!(parts, [(0, true), (1000, false), (1201, false)]);
    Ok(())
}

#[test]
fn late_readings_count_while_their_window_is_open() -> Result<(), ParamError> {
    let (window, mut state, mut out) =
        (window(1000)?.allowed_lateness_ms(500)?, WindowState::default(), Vec::new());
    let mut check = |time: i64, value: f64| window.check(&mut state, value, GOOD, time, &mut |w| out.push(w));
    assert_eq!([check(1500, 1.0), check(1400, 3.0), check(1500, 5.0)], [Admission::In; 3]);
    assert_eq!(check(999, 1.0), Admission::Not(DropReason::Late));
    assert_eq!(
        window.check(&mut state, "x", GOOD, 1600, &mut |_| ()),
        Admission::Not(DropReason::NotNumeric)
    );
    assert_eq!((window.deadline(&state), state.readings()), (Some(2500), 3));
    window.tick(&mut state, 2499, &mut |w| out.push(w));
    assert!(out.is_empty());
    window.tick(&mut state, 2500, &mut |w| out.push(w));
    assert_eq!((out[0].get(Aggregate::First), out[0].get(Aggregate::Last)), (Some(3.0), Some(5.0)));
    assert_eq!(window.check(&mut state, 1.0, GOOD, 1999, &mut |_| ()), Admission::Not(DropReason::Late));
    Ok(())
}

#[test]
fn a_flushed_interval_goes_on_under_a_later_time() -> Result<(), ParamError> {
    let (window, mut state, mut starts) = (window(1000)?.offset_ms(300)?, WindowState::default(), Vec::new());
    let mut step = |time: i64, flush: bool| {
        let _ = window.check(&mut state, 1.0, GOOD, time, &mut |w| starts.push(w.start));
        if flush {
            window.flush(&mut state, &mut |w| starts.push(w.start));
        }
    };
    step(400, true);
    step(700, true);
    step(701, false);
    step(1400, true);
    assert_eq!(starts, [300, 401, 701, 1300]);
    Ok(())
}

/// The rest of a flushed window is none of its own, though windows without a reading are given.
#[test]
fn the_rest_of_a_flushed_window_is_no_window_without_a_reading() -> Result<(), ParamError> {
    let (window, mut state, mut out) = (window(1000)?.emit_empty(true), WindowState::default(), Vec::new());
    let _ = window.check(&mut state, 1.0, GOOD, 400, &mut |w| out.push((w.start, w.end, w.readings)));
    window.flush(&mut state, &mut |w| out.push((w.start, w.end, w.readings)));
    window.tick(&mut state, 2000, &mut |w| out.push((w.start, w.end, w.readings)));
    assert_eq!(out, [(0, 1000, 1), (1000, 2000, 0)]);
    // Flushed at its very last millisecond it leaves no rest.
    let mut state = WindowState::default();
    let _ = window.check(&mut state, 1.0, GOOD, 999, &mut |_| ());
    window.flush(&mut state, &mut |_| ());
    assert_eq!(window.deadline(&state), Some(2000));
    Ok(())
}

#[test]
fn a_delay_without_end_ends_no_window() -> Result<(), ParamError> {
    let (window, mut state) = (window(5000)?.emit_empty(true), WindowState::default());
    let _ = window.check(&mut state, 1.0, GOOD, 0, &mut |_| ());
    state.arrived(i64::MAX);
    window.tick(&mut state, i64::MAX, &mut |_| ());
    assert_eq!(window.deadline(&state), None);
    Ok(())
}

#[test]
fn the_ends_of_time_and_a_long_silence_are_bounded() -> Result<(), ParamError> {
    for width in [1, 1000, i64::MAX] {
        let rows = [(i64::MIN, 1.0, GOOD), (0, f64::MAX, GOOD), (1, f64::MAX, GOOD), (i64::MAX, 1.0, GOOD)];
        let out = run(&window(width)?.emit_empty(true), &rows);
        assert!(out.len() < 10_000, "{}", out.len());
        assert!(out.windows(2).all(|w| w[0].start < w[1].start));
    }
    assert!(
        Window::tumbling_ms(0).is_err()
            && window(10)?.offset_ms(10).is_err()
            && window(10)?.min_good_pct(f64::NAN).is_err()
    );
    Ok(())
}

/// A stop of a week, or a clock that was at 1970 until it was set.
#[test]
fn a_long_time_without_readings_is_one_result_and_a_short_one_has_its_windows() -> Result<(), ParamError> {
    let window = window(1000)?.emit_empty(true);
    let spans = |silence: i64| {
        let mut ticked = WindowState::default();
        let _ = window.check(&mut ticked, 1.0, GOOD, 100, &mut |_| ());
        let (mut state, mut spans) = (ticked.clone(), Vec::new());
        window.tick(&mut ticked, 1000 + silence, &mut |w| spans.push((w.start, w.end, w.quality)));
        let mut read = Vec::new();
        let _ = window
            .check(&mut state, 1.0, GOOD, 1000 + silence, &mut |w| read.push((w.start, w.end, w.quality)));
        assert_eq!(spans, read, "by a reading as by time");
        let next = window
            .check(&mut ticked, 1.0, GOOD, 1000 + silence, &mut |w| read.push((w.start, w.end, w.quality)));
        assert_eq!((next, read.len()), (Admission::In, spans.len()));
        spans.split_off(1)
    };
    for count in [0, 1, 60] {
        let each: Vec<_> = (1..=count).map(|n| (n * 1000, n * 1000 + 1000, Quality::BAD_NO_DATA)).collect();
        assert_eq!(spans(count * 1000 + 999), each);
    }
    for count in [61, 604_800, 1_700_000_000] {
        assert_eq!(spans(count * 1000 + 999), [(1000, 1000 + count * 1000, Quality::BAD_NO_DATA)]);
    }
    let (short, mut state, mut count) = (self::window(1)?.emit_empty(true), WindowState::default(), 0);
    let _ = short.check(&mut state, 1.0, GOOD, i64::MIN + 10, &mut |_| ());
    short.tick(&mut state, i64::MAX, &mut |_| count += 1);
    assert!(count <= 3, "{count} results from one end of time to the other");
    Ok(())
}

#[test]
fn a_state_that_no_reading_leads_to_is_told() -> Result<(), ParamError> {
    let (window, mut state) = (Window::tumbling_ms(1000)?, WindowState::default());
    window.check(&mut state, 1.0, Quality::GOOD, 100, &mut |_| ());
    assert!(state.is_sound());
    let spoil: [fn(&mut WindowState); 6] = [
        |state| state.delay_ms = -1,
        |state| state.newest = None,
        |state| state.newest.iter_mut().for_each(|newest| newest.time = 1001),
        |state| state.open.iter_mut().for_each(|open| open.start = open.end + 1),
        |state| state.open.iter_mut().for_each(|open| open.readings = READINGS_MAX + 1),
        |state| state.open.iter_mut().for_each(|open| open.readings = 0),
    ];
    for (nth, spoil) in spoil.into_iter().enumerate() {
        let mut state = state.clone();
        spoil(&mut state);
        assert!(!state.is_sound(), "{nth}");
    }
    Ok(())
}
