//! Windows: one value for each span of time, from all readings in it.

use super::super::series::{BAD, Reading, Value};
use super::{Event, Row, is_bad, number};

const NO_DATA: u32 = 0x809B_0000;
const SUB_NORMAL: u32 = 0x4095_0000;

#[derive(Clone, Copy)]
pub(crate) enum Aggregate {
    Count,
    First,
    Last,
    Min,
    Max,
    Mean,
    Median,
    StdPop,
    Sum,
    Stepped,
    Sloped,
}

impl Aggregate {
    /// Returns whether the value is one of the readings' or their number, which is never rounded.
    pub(crate) fn is_exact(self) -> bool {
        matches!(self, Self::Count | Self::First | Self::Last | Self::Min | Self::Max)
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) aggregate: Aggregate,
    pub(crate) offset: i64,
    pub(crate) good_pct: f64,
    pub(crate) empty: bool,
    pub(crate) uncertain_is_bad: bool,
}

const WIDTH: i64 = 3_600_000;

impl Window {
    pub(crate) fn new(aggregate: Aggregate) -> Self {
        Self { aggregate, offset: 0, good_pct: 100.0, empty: false, uncertain_is_bad: true }
    }

    /// Begin of the window around a time.
    fn start(&self, time: i64) -> i64 {
        time - (time - self.offset).rem_euclid(WIDTH)
    }

    fn usable(&self, reading: &Reading) -> Option<f64> {
        let is_usable = reading.quality >> 30 == 0 || (!self.uncertain_is_bad && !is_bad(reading.quality));
        number(&reading.value).filter(|number| is_usable && number.is_finite())
    }
}

/// A stretch is what follows each other without a break; at its end all windows are given, the last one in part.
pub(crate) fn apply(window: &Window, events: Vec<Event>) -> Vec<Reading> {
    let mut out = Vec::new();
    let mut stretch: Vec<Reading> = Vec::new();
    // First instant of which a window may still speak.
    let mut floor = i64::MIN;
    for event in events {
        match event {
            Event::Release { .. } => end(window, &mut stretch, None, &mut floor, &mut out),
            Event::Row(Row { reading, is_beside: true, .. }) => {
                given(window, &stretch, &mut floor, &mut out);
                out.push(reading);
            }
            Event::Row(row) => {
                let is_text = matches!(row.reading.value, Value::Text(_));
                if row.is_fresh || is_text || row.must_pass {
                    let text = Some(row.reading.time).filter(|_| !row.is_fresh && !row.must_pass);
                    end(window, &mut stretch, text, &mut floor, &mut out);
                }
                if row.is_after_reset {
                    floor = i64::MIN;
                }
                if is_text {
                    floor = floor.max(row.reading.time + 1);
                    out.push(row.reading);
                } else {
                    if stretch.is_empty() && window.empty && floor > i64::MIN {
                        nothing(window, floor, &row.reading, &mut out);
                    }
                    stretch.push(row.reading);
                }
            }
        }
    }
    given(window, &stretch, &mut floor, &mut out);
    out
}

/// Gives the windows between two stretches, in which there is nothing.
fn nothing(window: &Window, floor: i64, next: &Reading, out: &mut Vec<Reading>) {
    let mut start = window.start(floor - 1) + WIDTH;
    while start < window.start(next.time) {
        out.push(Reading { time: start, value: Value::Float(0.0), quality: NO_DATA, unit: next.unit });
        start += WIDTH;
    }
}

/// Gives the windows that a later reading has completed.
fn given(window: &Window, stretch: &[Reading], floor: &mut i64, out: &mut Vec<Reading>) {
    let Some(newest) = stretch.last() else { return };
    let open = window.start(newest.time);
    give_before(window, (stretch, None), open, floor, out);
}

/// Ends a stretch, perhaps by a text at some time: if that is behind the end of the last window, the last value counts until there.
fn end(
    window: &Window,
    stretch: &mut Vec<Reading>,
    text: Option<i64>,
    floor: &mut i64,
    out: &mut Vec<Reading>,
) {
    let Some(newest) = stretch.last().cloned() else { return };
    let complete = window.start(newest.time) + WIDTH;
    let held_to = text.filter(|time| *time >= complete).map(|_| complete);
    give_before(window, (stretch, held_to), i64::MAX, floor, out);
    stretch.clear();
    *floor = newest.time + 1;
}

/// Gives the windows that begin before `before` and were not given yet.
fn give_before(
    window: &Window,
    (stretch, held_to): (&[Reading], Option<i64>),
    before: i64,
    floor: &mut i64,
    out: &mut Vec<Reading>,
) {
    let (Some(first), Some(newest)) = (stretch.first(), stretch.last()) else { return };
    let mut start = window.start(first.time);
    while start < before && start <= newest.time {
        let inside: Vec<&Reading> =
            stretch.iter().filter(|reading| (start..start + WIDTH).contains(&reading.time)).collect();
        let (time, is_new) =
            (start.max(*floor).min(inside.first().map_or(start, |first| first.time)), start + WIDTH > *floor);
        if is_new && (!inside.is_empty() || window.empty) {
            let cover = Cover::of(window, (stretch, held_to), start, start + WIDTH);
            out.push(result(window, stretch[0].unit, &cover, time, &inside));
            *floor = start + WIDTH;
        }
        start += WIDTH;
    }
}

fn result(window: &Window, unit: &'static str, cover: &Cover, time: i64, inside: &[&Reading]) -> Reading {
    let good: Vec<f64> = inside.iter().filter_map(|reading| window.usable(reading)).collect();
    let has_bad = good.len() < inside.len() || cover.good_ms < WIDTH as f64;
    let quality = match good.len() {
        0 => NO_DATA,
        _ if !has_bad
            || (window.good_pct < 100.0 && cover.good_ms / WIDTH as f64 * 100.0 >= window.good_pct) =>
        {
            0
        }
        _ => SUB_NORMAL,
    };
    let value = value(window.aggregate, &good, cover);
    let (value, quality) = match value.filter(|value| value.is_finite()) {
        Some(value) => (value, quality),
        None if is_bad(quality) => (0.0, quality),
        None => (0.0, BAD),
    };
    Reading { time, value: Value::Float(value), quality, unit }
}

fn value(aggregate: Aggregate, good: &[f64], cover: &Cover) -> Option<f64> {
    let count = good.len() as f64;
    if let Aggregate::Count = aggregate {
        return Some(count);
    }
    let (first, last) = (*good.first()?, *good.last()?);
    let mean = good.iter().sum::<f64>() / count;
    let average = |area: f64| if cover.good_ms > 0.0 { area / cover.good_ms } else { last };
    Some(match aggregate {
        Aggregate::Count => count,
        Aggregate::First => first,
        Aggregate::Last => last,
        Aggregate::Min => good.iter().copied().fold(f64::INFINITY, f64::min),
        Aggregate::Max => good.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Aggregate::Mean => mean,
        Aggregate::Median => super::checks::median(good),
        Aggregate::StdPop => super::checks::deviation(good),
        Aggregate::Sum => good.iter().sum(),
        Aggregate::Stepped => average(cover.stepped),
        Aggregate::Sloped => average(cover.sloped),
    })
}

/// Time of a window for which its readings are good, and the areas under them in this time.
#[derive(Default)]
struct Cover {
    good_ms: f64,
    stepped: f64,
    sloped: f64,
}

impl Cover {
    /// Between each reading and the next. Before the first one and behind the last, or behind that to which the last is held, nothing is known.
    fn of(window: &Window, (stretch, held_to): (&[Reading], Option<i64>), start: i64, end: i64) -> Self {
        let mut cover = Self::default();
        let held = held_to.zip(stretch.last()).map(|(time, last)| Reading { time, ..last.clone() });
        let stretch: Vec<Reading> = stretch.iter().cloned().chain(held).collect();
        for pair in stretch.windows(2) {
            let (from, to) = (pair[0].time.max(start), pair[1].time.min(end));
            let Some(before) = window.usable(&pair[0]).filter(|_| from < to) else { continue };
            let ms = (to - from) as f64;
            let after = window.usable(&pair[1]).unwrap_or(before);
            let slope = (after - before) / (pair[1].time - pair[0].time) as f64;
            let middle = before + slope * ((from - pair[0].time) as f64 + ms / 2.0);
            cover.good_ms += ms;
            cover.stepped += before * ms;
            cover.sloped += middle * ms;
        }
        cover
    }
}
