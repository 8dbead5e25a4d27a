//! `filter.dilute.ms.100k.{m4,lttb,minmaxlttb}`: a backlog of 100 000 queued readings of 100 sensors, as they come out of
//! the queue, thinned to 10 000; sorting them by sensor is part of it.

use std::hint::black_box;

use edge_filter::{ParamError, downsample};

use crate::measure::{Candidate, Figure, interleaved};

pub(crate) const FIGURES: [&str; 3] =
    ["filter.dilute.ms.100k.m4", "filter.dilute.ms.100k.lttb", "filter.dilute.ms.100k.minmaxlttb"];

const SENSORS: usize = 100;
const QUEUED: usize = 100_000;
const KEPT_OF_ONE: usize = 100;
const KEPT: usize = SENSORS * KEPT_OF_ONE;
const ROUNDS: usize = 31;

/// Times and values of one sensor to the places of what is kept.
type Method = fn(&[i64], &[f64]) -> Result<Vec<usize>, ParamError>;

const METHODS: [Method; 3] = [
    |times, values| downsample::m4(times, values, KEPT_OF_ONE),
    |times, values| downsample::lttb(times, values, KEPT_OF_ONE),
    |times, values| downsample::minmaxlttb(times, values, KEPT_OF_ONE, 4),
];

struct Row {
    sensor: usize,
    time: i64,
    value: f64,
}

#[derive(Clone, Default)]
struct Series {
    times: Vec<i64>,
    values: Vec<f64>,
}

pub(crate) fn run(values: &[f64]) -> Result<(), String> {
    let row =
        |(i, &value): (usize, &f64)| Row { sensor: i % SENSORS, time: (i / SENSORS) as i64 * 1000, value };
    let queue: Vec<Row> = values.iter().take(QUEUED).enumerate().map(row).collect();
    let [m4, ..] = METHODS;
    keeps_every_extreme(&by_sensor(&queue), m4)?;
    let candidate = |(name, method): (&'static str, Method)| {
        let queue = &queue;
        let run = move || match dilute(black_box(queue), method)? {
            1..=KEPT => Ok(()),
            kept => Err(format!("{kept} are kept")),
        };
        Candidate { name, run: Box::new(run) }
    };
    let mut candidates: Vec<Candidate<'_>> = FIGURES.into_iter().zip(METHODS).map(candidate).collect();
    for (figure, time) in FIGURES.into_iter().zip(interleaved(&mut candidates, 1, ROUNDS)?) {
        let (figure, value) = (figure.to_owned(), time.as_secs_f64() * 1e3);
        Figure { figure, value, unit: "ms", baseline: String::new(), ratio: None, runs: ROUNDS }.print();
    }
    Ok(())
}

fn by_sensor(queue: &[Row]) -> Vec<Series> {
    let mut sensors = vec![Series::default(); SENSORS];
    for row in queue {
        if let Some(series) = sensors.get_mut(row.sensor) {
            series.times.push(row.time);
            series.values.push(row.value);
        }
    }
    sensors
}

fn dilute(queue: &[Row], method: Method) -> Result<usize, String> {
    let kept = |series: &Series| method(&series.times, &series.values).map(|kept| kept.len());
    by_sensor(queue).iter().map(kept).sum::<Result<usize, _>>().map_err(|error| error.to_string())
}

/// A fast figure of something that loses a peak would be worth nothing.
fn keeps_every_extreme(sensors: &[Series], method: Method) -> Result<(), String> {
    let extremes = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    for series in sensors {
        let kept = method(&series.times, &series.values).map_err(|error| error.to_string())?;
        let values = &series.values;
        let of_kept = extremes(&mut kept.iter().filter_map(|&at| values.get(at).copied()));
        if of_kept != extremes(&mut values.iter().copied()) {
            return Err("M4 lost an extreme".to_owned());
        }
    }
    Ok(())
}
