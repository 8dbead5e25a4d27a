//! Tests that flag every row: QARTOD and Hampel. The programs these are compared with know no qualities: only values
//! count.

use super::case::Config;
use super::rows::{Row, by_sensor};
use crate::error::Error;
use edge_filter::Value;
use edge_filter::check::{Alignment, Hampel, HampelState, Range};
use edge_filter::qartod::{
    AttenuatedSignal, AttenuatedSignalState, Attenuation, FlatLine, FlatLineState, QartodFlag, RateOfChange,
    RateOfChangeState, Spike, SpikeMethod, SpikeState,
};

pub(super) fn qartod(config: &Config<'_>, rows: &[Row]) -> Result<Vec<u8>, Error> {
    let mut flags = vec![QartodFlag::Missing.number(); rows.len()];
    // Without a row, too, the case is read.
    test(config, &[])?;
    for indices in by_sensor(rows) {
        let readings: Vec<(i64, f64)> =
            indices.iter().filter_map(|&i| rows.get(i)).map(|row| (row.time, row.value)).collect();
        for (index, flag) in indices.iter().zip(test(config, &readings)?) {
            if let Some(slot) = flags.get_mut(*index) {
                *slot = flag.number();
            }
        }
    }
    Ok(flags)
}

fn test(config: &Config<'_>, readings: &[(i64, f64)]) -> Result<Vec<QartodFlag>, Error> {
    match config.text("test")? {
        "gross_range_test" => gross_range(config, readings),
        "spike_test" => spike(config, readings),
        "rate_of_change_test" => rate_of_change(config, readings),
        "flat_line_test" => flat_line(config, readings),
        "attenuated_signal_test" => attenuated_signal(config, readings),
        "qartod_compare" => {
            let of = config.objects("of")?;
            let column = |config: &Config<'_>| {
                config.choice("type", &[("qartod", ())])?;
                test(config, readings)
            };
            let columns: Result<Vec<_>, Error> = of.iter().map(column).collect();
            let columns = columns?;
            let row = |i: usize| columns.iter().filter_map(move |flags| flags.get(i).copied());
            Ok((0..readings.len()).map(|i| QartodFlag::rollup(row(i))).collect())
        }
        _ => Err(config.wrong(
            "test",
            "gross_range_test, spike_test, rate_of_change_test, flat_line_test, attenuated_signal_test or qartod_compare",
        )),
    }
}

fn gross_range(config: &Config<'_>, readings: &[(i64, f64)]) -> Result<Vec<QartodFlag>, Error> {
    let (low, high) =
        config.maybe_span("fail_span")?.ok_or_else(|| config.wrong("fail_span", "two numbers"))?;
    let mut range = Range::new(low, high).map_err(|error| config.refused(&error))?;
    if let Some((low, high)) = config.maybe_span("suspect_span")? {
        range = range.suspect(low, high).map_err(|error| config.refused(&error))?;
    }
    Ok(readings.iter().map(|&(_, value)| range.flag(&Value::F64(value))).collect())
}

fn spike(config: &Config<'_>, readings: &[(i64, f64)]) -> Result<Vec<QartodFlag>, Error> {
    let choices = [("average", SpikeMethod::Average), ("differential", SpikeMethod::Differential)];
    let method = config.choice("method", &choices)?;
    // In ioos_qc a threshold of 0 is none.
    let threshold = |key| Ok::<_, Error>(config.maybe_number(key)?.filter(|&threshold| threshold != 0.0));
    let test = Spike::new(method, threshold("suspect_threshold")?, threshold("fail_threshold")?)
        .map_err(|error| config.refused(&error))?;
    let mut state = SpikeState::default();
    let mut flags: Vec<QartodFlag> =
        readings.iter().filter_map(|&(_, value)| test.check(&mut state, value)).collect();
    flags.extend(test.finish(&mut state));
    Ok(flags)
}

fn rate_of_change(config: &Config<'_>, readings: &[(i64, f64)]) -> Result<Vec<QartodFlag>, Error> {
    let (suspect, fail) =
        (config.maybe_number("threshold_per_s")?, config.maybe_number("fail_threshold_per_s")?);
    let test = RateOfChange::new(suspect, fail).map_err(|error| config.refused(&error))?;
    let (mut state, mut elapsed_ms, mut last) = (RateOfChangeState::default(), 0_i64, None);
    let flags = readings.iter().map(|&(time, value)| {
        // To ioos_qc a clock that was set back is as far away as one that was set forward.
        let step_ms = last.replace(time).map_or(0, |last| time.abs_diff(last));
        elapsed_ms = elapsed_ms.saturating_add_unsigned(step_ms);
        test.check(&mut state, value, elapsed_ms)
    });
    Ok(flags.collect())
}

fn flat_line(config: &Config<'_>, readings: &[(i64, f64)]) -> Result<Vec<QartodFlag>, Error> {
    let step_ms = median_step_ms(readings);
    // ioos_qc samples once for the whole series, and cuts what it finds to whole seconds: of less nothing would be left.
    let step_ms = if step_ms < 1000 { step_ms.max(1) } else { step_ms / 1000 * 1000 };
    let intervals = |key| {
        let whole = config.number(key)?.trunc();
        let fits = (0.0..=f64::from(u32::MAX)).contains(&whole);
        let whole_s =
            if fits { whole as i64 } else { return Err(config.wrong(key, "seconds, 0 to 4294967295")) };
        // A window of more readings than there are is never full, however long it is.
        Ok((whole_s * 1000 / step_ms).min(readings.len() as i64) as u32)
    };
    let (suspect, fail) = (intervals("suspect_threshold_s")?, intervals("fail_threshold_s")?);
    let tolerance = config.maybe_number("tolerance")?.unwrap_or(0.0);
    let test = FlatLine::over_intervals(suspect, fail, tolerance).map_err(|error| config.refused(&error))?;
    if readings.len() < 3 {
        return Ok(vec![QartodFlag::Good; readings.len()]);
    }
    let mut state = FlatLineState::default();
    Ok(readings.iter().map(|&(_, value)| test.check(&mut state, value)).collect())
}

fn median_step_ms(readings: &[(i64, f64)]) -> i64 {
    let later = readings.iter().skip(1);
    let mut steps: Vec<i64> = readings.iter().zip(later).map(|(a, b)| b.0.saturating_sub(a.0)).collect();
    steps.sort_unstable();
    match (steps.get(steps.len().saturating_sub(1) / 2), steps.get(steps.len() / 2)) {
        (Some(low), Some(high)) => low.midpoint(*high),
        _ => 0,
    }
}

fn attenuated_signal(config: &Config<'_>, readings: &[(i64, f64)]) -> Result<Vec<QartodFlag>, Error> {
    let check = config.choice("check_type", &[("std", Attenuation::Std), ("range", Attenuation::Range)])?;
    let (suspect, fail) = (config.maybe_number("suspect_threshold")?, config.maybe_number("fail_threshold")?);
    let period_s = config.maybe_number("test_period_s")?;
    let min_obs = config.maybe_count("min_obs")?.unwrap_or(1).max(1);
    // The cast saturates; a period below 1 ms is refused.
    let period_ms = period_s.map_or(i64::MAX, |period_s| (period_s * 1000.0) as i64);
    let test = AttenuatedSignal::new(check, suspect, fail, period_ms)
        .and_then(|test| test.min_obs(min_obs))
        .map_err(|error| config.refused(&error))?;
    if period_s.is_none() {
        // Without a period ioos_qc judges the series as a whole.
        let values: Vec<f64> = readings.iter().map(|reading| reading.1).collect();
        let flag = test.check_whole(&values);
        return Ok(values.iter().map(|v| if v.is_finite() { flag } else { QartodFlag::Missing }).collect());
    }
    let mut state = AttenuatedSignalState::default();
    Ok(readings.iter().map(|&(time, value)| test.check(&mut state, value, time)).collect())
}

pub(super) fn hampel(config: &Config<'_>, rows: &[Row]) -> Result<Vec<u8>, Error> {
    let choices = [("centered", Alignment::Centered), ("causal", Alignment::Causal)];
    let n_sigma = config.maybe_number("n_sigma")?.unwrap_or(3.0);
    let hampel = Hampel::new(config.count("window")?, n_sigma, config.choice("alignment", &choices)?)
        .map_err(|error| config.refused(&error))?;
    let mut flags = vec![QartodFlag::Good.number(); rows.len()];
    for indices in by_sensor(rows) {
        let mut state = HampelState::default();
        // Missing values enter no window: a verdict is that many values late, not rows.
        let mut entered = Vec::new();
        for index in indices {
            let Some(row) = rows.get(index).filter(|row| row.value.is_finite()) else { continue };
            entered.push(index);
            let outlier = hampel.check(&mut state, row.value).is_some_and(|verdict| verdict.outlier);
            let judged = entered.len().checked_sub(1 + hampel.delay()).and_then(|at| entered.get(at));
            if let Some(slot) = judged.filter(|_| outlier).and_then(|&judged| flags.get_mut(judged)) {
                *slot = QartodFlag::Fail.number();
            }
        }
    }
    Ok(flags)
}
