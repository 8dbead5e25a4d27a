//! Promises 12 and 13: whatever a sensor sends, every QARTOD test gives the flag that its definition gives, evaluated
//! anew for each reading over all readings before it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]

mod support;

use edge_filter::check::Range;
use edge_filter::qartod::{
    AttenuatedSignal, AttenuatedSignalState, Attenuation, FlatLine, FlatLineState, QartodFlag, RateOfChange,
    RateOfChangeState, Spike, SpikeMethod, SpikeState,
};
use support::judge::{Judge, Violation, convicts};
use support::{Rng, budget};

type Readings = Vec<(i64, f64)>;

/// Parameters of all five tests, finite and in order.
#[derive(Clone, Copy, Debug)]
struct Case {
    suspect: f64,
    fail: f64,
    intervals: (u32, u32),
    period_ms: i64,
    min_obs: usize,
    method: SpikeMethod,
    check: Attenuation,
}

fn case(rng: &mut Rng) -> Case {
    let threshold = |rng: &mut Rng| rng.pick(&[0.0, 1e-3, 0.5, 1.0, 2.0, 7.5, 1e300]);
    Case {
        suspect: threshold(rng),
        fail: threshold(rng),
        intervals: (rng.below(6) as u32, rng.below(12) as u32),
        period_ms: rng.pick(&[1, 1000, 2500, 10_000, i64::MAX]),
        min_obs: 1 + rng.below(5) as usize,
        method: rng.pick(&[SpikeMethod::Average, SpikeMethod::Differential]),
        check: rng.pick(&[Attenuation::Std, Attenuation::Range]),
    }
}

/// Mostly small steps; stretches that rest, gaps, equal and falling times, every kind of number.
fn readings(rng: &mut Rng) -> Readings {
    const ODD: [f64; 8] =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN, -0.0, 5e-324, 1e154];
    let (mut time, mut value) = (rng.pick(&[0, 1_700_000_000_000, i64::MIN, i64::MAX - 30_000]), 0.0);
    let many = rng.below(48);
    let reading = |_| {
        time = match rng.below(24) {
            0 => rng.pick(&[i64::MIN, -1, 0, i64::MAX]),
            1 => time.saturating_sub(rng.below(5000).cast_signed()),
            2 => time,
            _ => time.saturating_add(rng.pick(&[500, 1000, 1000, 1000, 60_000])),
        };
        value += rng.pick(&[0.0, 0.0, 0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -8.0]);
        (time, if rng.below(16) == 0 { rng.pick(&ODD) } else { value })
    };
    (0..many).map(reading).collect()
}

fn worse(quantity: f64, case: &Case, beyond: impl Fn(f64, f64) -> bool) -> QartodFlag {
    match (beyond(quantity, case.fail), beyond(quantity, case.suspect)) {
        (true, _) => QartodFlag::Fail,
        (_, true) => QartodFlag::Suspect,
        _ => QartodFlag::Good,
    }
}

fn exceeds(quantity: f64, threshold: f64) -> bool {
    quantity > threshold
}

/// A test beside its definition, over one series. `None` in the definition: rounding may decide either way.
type Flags = fn(&Case, &Readings) -> (Vec<QartodFlag>, Vec<Option<QartodFlag>>);

fn spike(case: &Case, readings: &Readings) -> (Vec<QartodFlag>, Vec<Option<QartodFlag>>) {
    let (test, mut state) =
        (Spike::new(case.method, Some(case.suspect), Some(case.fail)).unwrap(), SpikeState::default());
    let mut found: Vec<_> = readings.iter().filter_map(|r| test.check(&mut state, r.1)).collect();
    found.extend(test.finish(&mut state));
    let defined = (0..readings.len()).map(|i| {
        let at = |i: usize| readings.get(i).map_or(f64::NAN, |r| r.1);
        let (before, value, after) = (at(i.wrapping_sub(1)), at(i), at(i + 1));
        let distance = match case.method {
            SpikeMethod::Average => (value - (before + after) / 2.0).abs(),
            SpikeMethod::Differential if (value - before) * (after - value) >= 0.0 => 0.0,
            SpikeMethod::Differential => (value - before).abs().min((after - value).abs()),
        };
        Some(match (value.is_finite(), before.is_finite() && after.is_finite() && distance.is_finite()) {
            (false, _) => QartodFlag::Missing,
            (_, false) => QartodFlag::Unknown,
            _ => worse(distance, case, exceeds),
        })
    });
    (found, defined.collect())
}

fn rate_of_change(case: &Case, readings: &Readings) -> (Vec<QartodFlag>, Vec<Option<QartodFlag>>) {
    let test = RateOfChange::new(Some(case.suspect), Some(case.fail)).unwrap();
    let mut state = RateOfChangeState::default();
    let found = readings.iter().map(|&(time, value)| test.check(&mut state, value, time)).collect();
    let defined = readings.iter().enumerate().map(|(i, &(time, value))| {
        let before = i.checked_sub(1).map(|i| readings[i]);
        Some(match before {
            _ if !value.is_finite() => QartodFlag::Missing,
            None => QartodFlag::Good,
            Some((before, _)) if time <= before => QartodFlag::Unknown,
            Some((before, last)) => {
                worse((value - last).abs() / (time.saturating_sub(before) as f64 / 1000.0), case, exceeds)
            }
        })
    });
    (found, defined.collect())
}

fn flat_line(case: &Case, readings: &Readings) -> (Vec<QartodFlag>, Vec<Option<QartodFlag>>) {
    let test = FlatLine::over_intervals(case.intervals.0, case.intervals.1, case.suspect).unwrap();
    let mut state = FlatLineState::default();
    // Started again, a test knows nothing of what came before.
    for reading in readings {
        let _before = test.check(&mut state, reading.1);
    }
    state.restart();
    let found = readings.iter().map(|r| test.check(&mut state, r.1)).collect();
    let defined = readings.iter().enumerate().map(|(i, &(_, value))| {
        let flat = |intervals: u32| {
            let first = i.checked_sub(intervals as usize);
            first.is_some_and(|first| range(&finite(&readings[first..=i])) < case.suspect)
        };
        Some(match value.is_finite() {
            false => QartodFlag::Missing,
            true if flat(case.intervals.1) => QartodFlag::Fail,
            true if flat(case.intervals.0) => QartodFlag::Suspect,
            true => QartodFlag::Good,
        })
    });
    (found, defined.collect())
}

fn attenuated_signal(case: &Case, readings: &Readings) -> (Vec<QartodFlag>, Vec<Option<QartodFlag>>) {
    let test = AttenuatedSignal::new(case.check, Some(case.suspect), Some(case.fail), case.period_ms);
    let test = test.unwrap().min_obs(case.min_obs).unwrap();
    let mut state = AttenuatedSignalState::default();
    for &(time, value) in readings {
        let _before = test.check(&mut state, value, time);
    }
    state.restart();
    let found = readings.iter().map(|&(time, value)| test.check(&mut state, value, time)).collect();
    let mut window = Readings::new();
    let defined = readings.iter().map(|&(time, value)| {
        let late = window.last().is_some_and(|last| time < last.0);
        if !late {
            window.push((time, value));
            window.retain(|r| r.0 > time.saturating_sub(case.period_ms));
        }
        let present = finite(&window);
        if !value.is_finite() {
            return Some(QartodFlag::Missing);
        }
        let gaps = case.check == Attenuation::Range && present.len() < window.len();
        if late || present.len() < case.min_obs || gaps {
            return Some(QartodFlag::Unknown);
        }
        let spread = match case.check {
            Attenuation::Range => range(&present),
            Attenuation::Std => deviation(&present),
        };
        let largest = present.iter().fold(0.0, |largest: f64, v| largest.max(v.abs()));
        let near = |threshold: f64| (spread - threshold).abs() <= 1e-6 * largest.max(threshold);
        let unsure =
            case.check == Attenuation::Std && (largest > 1e150 || near(case.suspect) || near(case.fail));
        (!unsure).then(|| worse(spread, case, |spread, threshold| spread < threshold))
    });
    let defined = defined.collect();
    (found, defined)
}

fn gross_range(case: &Case, readings: &Readings) -> (Vec<QartodFlag>, Vec<Option<QartodFlag>>) {
    let (inner, outer) = (case.suspect.min(case.fail), case.suspect.max(case.fail) + 1.0);
    let test = Range::new(-outer, outer).unwrap().suspect(-inner - 0.5, inner + 0.5).unwrap();
    let found = readings.iter().map(|r| test.flag(&r.1.into())).collect();
    let defined = readings.iter().map(|&(_, value)| {
        Some(match value.abs() {
            far if far.is_nan() => QartodFlag::Missing,
            far if far > outer => QartodFlag::Fail,
            far if far > inner + 0.5 => QartodFlag::Suspect,
            _ => QartodFlag::Good,
        })
    });
    (found, defined.collect())
}

fn finite(readings: &[(i64, f64)]) -> Vec<f64> {
    readings.iter().map(|r| r.1).filter(|v| v.is_finite()).collect()
}

fn range(values: &[f64]) -> f64 {
    let fold = |with: fn(f64, f64) -> f64| values.iter().copied().reduce(with).unwrap_or(0.0);
    fold(f64::max) - fold(f64::min)
}

/// Of the population; scaled, so that the squares of large values stay finite.
fn deviation(values: &[f64]) -> f64 {
    let scale = values.iter().fold(1.0, |scale: f64, v| scale.max(v.abs()));
    let scaled = || values.iter().map(|v| v / scale);
    let mean = scaled().sum::<f64>() / values.len() as f64;
    (scaled().map(|v| (v - mean) * (v - mean)).sum::<f64>() / values.len() as f64).sqrt() * scale
}

/// Rules of the comparison: of every test a flag for every reading, and the definition's.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Count,
    Spike,
    RateOfChange,
    FlatLine,
    AttenuatedSignal,
    GrossRange,
}

/// The first reading whose flag is another than the definition's.
fn check(
    (rule, flags): (Rule, Flags),
    case: &Case,
    readings: &Readings,
    judge: Judge<Rule>,
) -> Result<(), Violation<Rule>> {
    let (found, defined) = flags(case, readings);
    judge.require(Rule::Count, found.len() == defined.len(), || {
        format!("{} flags for {} readings", found.len(), defined.len())
    })?;
    let at = found.iter().zip(&defined).position(|(found, defined)| defined.is_some_and(|d| d != *found));
    let differ = |at: usize| format!("reading {at}: {:?} is not {:?}", found[at], defined[at]);
    judge.require(rule, at.is_none(), || format!("{:?}: {case:?} {readings:?}", at.map(differ)))
}

const TESTS: [(Rule, Flags); 5] = [
    (Rule::Spike, spike),
    (Rule::RateOfChange, rate_of_change),
    (Rule::FlatLine, flat_line),
    (Rule::AttenuatedSignal, attenuated_signal),
    (Rule::GrossRange, gross_range),
];

#[test]
fn promise_12_every_flag_is_that_of_the_definition_whatever_the_sensor_sends() {
    let (mut rng, cases) = (Rng::from_env(), budget(200_000));
    for _ in 0..cases {
        let (case, readings) = (case(&mut rng), readings(&mut rng));
        for test in TESTS {
            check(test, &case, &readings, Judge::All).unwrap();
        }
    }
    println!("executed filter qartod fuzz: {cases} cases");
}

/// Each definition beside a test that is a little different: the rule tells them apart.
#[test]
fn every_rule_finds_its_planted_bug() {
    let bugs: [(Rule, &str, Flags); 6] = [
        (Rule::Count, "the last reading has no flag", |case, readings| {
            let (mut found, defined) = gross_range(case, readings);
            found.pop();
            (found, defined)
        }),
        (Rule::Spike, "the other method", |case, readings| {
            let other = match case.method {
                SpikeMethod::Average => SpikeMethod::Differential,
                SpikeMethod::Differential => SpikeMethod::Average,
            };
            (spike(&Case { method: other, ..*case }, readings).0, spike(case, readings).1)
        }),
        (Rule::RateOfChange, "times in seconds", |case, readings| {
            let seconds = readings.iter().map(|&(time, value)| (time / 1000, value)).collect();
            (rate_of_change(case, &seconds).0, rate_of_change(case, readings).1)
        }),
        (Rule::FlatLine, "a window of one reading more", |case, readings| {
            let intervals = (case.intervals.0 + 1, case.intervals.1 + 1);
            (flat_line(&Case { intervals, ..*case }, readings).0, flat_line(case, readings).1)
        }),
        (Rule::AttenuatedSignal, "a period that includes its start", |case, readings| {
            let period_ms = case.period_ms.saturating_add(1);
            (attenuated_signal(&Case { period_ms, ..*case }, readings).0, attenuated_signal(case, readings).1)
        }),
        (Rule::GrossRange, "infinities are missing", |case, readings| {
            let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
            let readings_of_it = readings.iter().map(|&(time, value)| (time, finite(value))).collect();
            (gross_range(case, &readings_of_it).0, gross_range(case, readings).1)
        }),
    ];
    for (rule, bug, flags) in bugs {
        convicts(rule, bug, |judge| {
            let mut rng = Rng(7);
            (0..2000).find_map(|_| check((rule, flags), &case(&mut rng), &readings(&mut rng), judge).err())
        });
    }
}
