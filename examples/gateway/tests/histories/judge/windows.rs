//! Windows of a history: each of their rows is the aggregate of readings that followed each other, and what was acknowledged
//! is in one of them, or passed beside.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::{Aggregate, Filter, Identity, Message, Reading, Records, Row, Value, Window};
use super::Rule;

const BAD: u32 = 0x8000_0000;
const UNCERTAIN_SUB_NORMAL: u32 = 0x4095_0000;
/// Readings beside the series in one window of which each may be a part of it, as the first after a kill.
const BESIDE_MAX: usize = 4;

/// A row, and the readings that it may be made of, by their place among the sensor's: first and last.
struct Made<'a> {
    row: &'a Row,
    ranges: Vec<BTreeSet<usize>>,
}

/// Windows of one sensor.
pub(super) struct Windows<'a> {
    window: Window,
    sent: Vec<(&'a Message, &'a Reading)>,
    made: BTreeMap<Identity, Made<'a>>,
    /// Identities in the order in which they arrived.
    arrived: Vec<Identity>,
    /// Rows that no reading is.
    synthetic: BTreeSet<Identity>,
    /// Readings that are there as they were sent, by their place.
    told: BTreeSet<usize>,
}

/// Window of a sensor of this message.
pub(super) fn window(message: &Message, records: &Records) -> Option<Window> {
    records.runs.iter().find_map(|run| match run.filters[message.route] {
        Filter::Window(window) => Some(window),
        _ => None,
    })
}

impl<'a> Windows<'a> {
    pub(super) fn new(window: Window, sent: &[(&'a Message, &'a Reading)], records: &Records) -> Self {
        let name = sent.first().map_or("", |(_, reading)| &reading.sensor);
        let mut rows: BTreeMap<i64, Vec<&Row>> = BTreeMap::new();
        let of_sensor = records.rows.iter().filter(|row| row.sensor == name);
        of_sensor.for_each(|row| rows.entry(row.time).or_default().push(row));
        let is_told = |reading: &Reading| {
            let same = reading.time.and_then(|time| rows.get(&time)).into_iter().flatten();
            same.into_iter().any(|row| reading.value.is(&row.value))
        };
        let told = sent.iter().enumerate().filter(|(_, (_, reading))| is_told(reading));
        let told = told.map(|(index, _)| index).collect();
        let (made, arrived, synthetic) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self { window, sent: sent.to_vec(), made, arrived, synthetic, told }
    }

    /// Takes the row for that of a window, if it can be one. Returns whether it can.
    pub(super) fn take(&mut self, row: &'a Row, is_exact: bool) -> bool {
        let ranges = self.ranges(row);
        let is_one = !ranges.is_empty();
        if is_one && self.made.insert(row.id, Made { row, ranges }).is_none() {
            self.arrived.push(row.id);
        }
        if is_one && !is_exact {
            self.synthetic.insert(row.id);
        }
        is_one
    }

    /// Readings that a window takes in, whose time is in that of the row.
    fn in_window(&self, time: i64) -> Vec<(usize, &'a Message, &'a Reading)> {
        let start = self.window.start(time);
        let numbers = self.sent.iter().enumerate().filter(|(_, (_, reading))| {
            !matches!(reading.value, Value::Text(_))
                && reading.time.is_some_and(|time| self.window.start(time) == start)
        });
        numbers.map(|(index, (message, reading))| (index, *message, *reading)).collect()
    }

    /// Every run of readings of which the row may be the aggregate.
    fn ranges(&self, row: &Row) -> Vec<BTreeSet<usize>> {
        let all = self.in_window(row.time);
        let beside: Vec<usize> =
            all.iter().filter(|(_, _, reading)| reading.beside).map(|(index, ..)| *index).collect();
        let masks = if beside.len() > BESIDE_MAX { 1 } else { 1_usize << beside.len() };
        let mut ranges = BTreeSet::new();
        for mask in 0..masks {
            let is_in = |index: &usize| match beside.iter().position(|other| other == index) {
                Some(place) => mask >> place & 1 == 1,
                None => true,
            };
            let readings: Vec<(usize, &Reading)> = all
                .iter()
                .filter(|(index, ..)| is_in(index))
                .map(|(index, _, reading)| (*index, *reading))
                .collect();
            for first in 0..readings.len() {
                let (mut sums, mut range) = (Sums::default(), BTreeSet::new());
                if readings[first].1.time.is_some_and(|time| time < row.time) {
                    continue;
                }
                for (index, reading) in &readings[first..] {
                    if reading.unit != row.unit {
                        break;
                    }
                    sums.add(reading);
                    range.insert(*index);
                    if sums.is(row, self.window.aggregate) {
                        ranges.insert(range.clone());
                    }
                }
            }
        }
        ranges.into_iter().collect()
    }

    /// Nothing but the readings themselves decided what the window holds: one run took all of them, in order, of one unit,
    /// and by a clock that stood right.
    fn is_plain(&self, start: i64, records: &Records) -> bool {
        let all = self.in_window(start);
        let Some((_, first, reading)) = all.first() else { return false };
        let run = &records.runs[first.sent];
        let texts = self.sent.iter().filter(|(_, reading)| matches!(reading.value, Value::Text(_)));
        let mut text_starts = texts.filter_map(|(_, reading)| Some(self.window.start(reading.time?)));
        matches!(run.filters[first.route], Filter::Window(_))
            && !run.withholds[first.route]
            && run.offsets_ms == (0, 0)
            && !self.has_jumps()
            && text_starts.all(|other| other != start)
            && all.iter().all(|(_, message, other)| {
                (message.sent, message.acked) == (first.sent, Some(first.sent))
                    && !other.beside
                    && other.unit == reading.unit
            })
    }

    fn has_jumps(&self) -> bool {
        self.sent.windows(2).any(|pair| pair[0].1.beside && pair[0].1.time > pair[1].1.time)
    }

    /// Returns whether a row of a window stands for the reading.
    pub(super) fn has(&self, index: usize, records: &Records) -> bool {
        let Some(start) = self.sent[index].1.time.map(|time| self.window.start(time)) else { return false };
        let first = self.in_window(start).first().map(|(index, ..)| *index);
        let is_plain = self.is_plain(start, records);
        let made = self.made.values().filter(|made| self.window.start(made.row.time) == start);
        let mut ranges = made.flat_map(|made| &made.ranges);
        ranges.any(|range| range.contains(&index) && (!is_plain || range.first() == first.as_ref()))
    }

    /// Whether a run up to this one sent a later window.
    pub(super) fn goes_on(&self, reading: &Reading, epoch: u32) -> bool {
        let is_later = |made: &Made<'_>| made.row.id.2 <= epoch && reading.time < Some(made.row.time);
        // What is one reading as it was sent may have passed beside the stage.
        !self.has_jumps() && self.synthetic.iter().any(|id| is_later(&self.made[id]))
    }

    /// Says which windows are not what their readings make.
    pub(super) fn judge(&self, name: &str, records: &Records, say: &mut impl FnMut(Rule, String)) {
        let starts: BTreeSet<i64> =
            self.sent.iter().filter_map(|(_, reading)| Some(self.window.start(reading.time?))).collect();
        for start in starts {
            let synthetic = self.synthetic.iter().map(|id| &self.made[id]);
            let made: Vec<&Made<'_>> =
                synthetic.filter(|made| self.window.start(made.row.time) == start).collect();
            let first = self.in_window(start).first().map(|(index, ..)| *index);
            let is_whole = |made: &&Made<'_>| {
                made.row.time == start && made.ranges.iter().any(|range| range.first() == first.as_ref())
            };
            if self.is_plain(start, records) && (made.len() > 1 || !made.iter().all(is_whole)) {
                let rows: Vec<&Row> = made.iter().map(|made| made.row).collect();
                say(Rule::Window, format!("{name} from {start}: {rows:?}"));
            }
            self.counts(name, start, records, say);
        }
        self.order(name, records, say);
    }

    /// Counts add up to what was acknowledged, unless a kill may have taken the window.
    fn counts(&self, name: &str, start: i64, records: &Records, say: &mut impl FnMut(Rule, String)) {
        let all = self.in_window(start);
        let Some((_, first, _)) = all.first() else { return };
        let mut later = records.runs[first.sent..].iter();
        let is_safe = later.all(|run| !run.killed || run.withholds[first.route]);
        if self.window.aggregate != Aggregate::Count || !is_safe {
            return;
        }
        let owed = all.iter().filter(|(index, message, reading)| {
            message.acked.is_some() && number(reading).is_some() && !self.told.contains(index)
        });
        let made = self.made.values().map(|made| made.row);
        let counted =
            made.filter(|row| self.window.start(row.time) == start).filter_map(|r| r.value.number());
        let (owed, counted) = (owed.count() as f64, counted.sum::<f64>());
        if counted < owed {
            say(Rule::Lost, format!("{name} from {start}: {owed} were acknowledged, {counted} are counted"));
        }
    }

    /// Windows that are no copies arrive in their order.
    fn order(&self, name: &str, records: &Records, say: &mut impl FnMut(Rule, String)) {
        let route = self.sent.first().map_or(0, |(message, _)| message.route);
        let is_refused = records.refusals.get(route).is_some_and(|refusals| *refusals > 0);
        if !records.is_ordered() || is_refused || self.has_jumps() {
            return;
        }
        let made = self.arrived.iter().filter(|id| self.synthetic.contains(*id)).map(|id| self.made[id].row);
        let rows: Vec<&Row> = made.filter(|row| !row.pd).collect();
        for pair in rows.windows(2).filter(|pair| pair[1].time < pair[0].time) {
            say(Rule::Order, format!("{name}: {:?} after {:?}", pair[1], pair[0]));
        }
    }
}

/// Value that counts in a window.
fn number(reading: &Reading) -> Option<f64> {
    let value = match reading.value {
        Value::Bool(value) => Some(f64::from(u8::from(value))),
        ref value => value.number(),
    };
    value.filter(|value| value.is_finite() && reading.quality == 0)
}

#[derive(Default)]
struct Sums {
    bad: usize,
    count: usize,
    first: f64,
    last: f64,
    min: f64,
    max: f64,
    sum: f64,
    /// Sum of the magnitudes, by which rounding is measured.
    size: f64,
}

impl Sums {
    fn add(&mut self, reading: &Reading) {
        let Some(value) = number(reading) else {
            self.bad += 1;
            return;
        };
        if self.count == 0 {
            (self.first, self.min, self.max) = (value, value, value);
        }
        self.count += 1;
        self.last = value;
        (self.min, self.max) = (self.min.min(value), self.max.max(value));
        (self.sum, self.size) = (self.sum + value, self.size + value.abs());
    }

    fn is(&self, row: &Row, aggregate: Aggregate) -> bool {
        let Some(value) = row.value.number() else { return false };
        let count = self.count as f64;
        if self.count == 0 {
            return self.bad > 0 && value == 0.0 && row.quality & BAD != 0;
        }
        let is_quality = match self.bad {
            // Of a part of it nothing good may be known: before its first reading after a start or a bad one, or behind the last of a unit.
            0 => row.quality == 0 || row.quality == UNCERTAIN_SUB_NORMAL,
            _ => row.quality == UNCERTAIN_SUB_NORMAL,
        };
        let near = |expected: f64, size: f64| (value - expected).abs() <= 1e-9 * size;
        is_quality
            && match aggregate {
                Aggregate::Count => value == count,
                Aggregate::First => value == self.first,
                Aggregate::Last => value == self.last,
                Aggregate::Min => value == self.min,
                Aggregate::Max => value == self.max,
                Aggregate::Mean => near(self.sum / count, self.size / count),
                Aggregate::Sum => near(self.sum, self.size),
            }
    }
}
