//! Judge of a history, from its records alone.

mod alarms;
mod gaps;
mod wholes;
mod windows;

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Content, Filter, Identity, Message, Reading, Records, Row, Whole};
use super::represent::{Kept, Series};
use windows::Windows;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Acknowledged readings are at the hub, or stood for by what the filter kept, or given up and counted.
    Lost,
    /// So many are missing that the gateway's count of what it gave up does not cover them.
    Uncounted,
    /// The hub is told how many the queue gave up before the last run, and of no more than were given up.
    Gap,
    /// A value is the one that was sent.
    Value,
    /// A unit is the one that was sent.
    Unit,
    /// A quality is the one that was sent.
    Quality,
    /// Nothing arrives that nobody sent.
    Invented,
    /// An identity has one value.
    Identity,
    /// A message that comes twice under two identities is marked.
    Copy,
    /// A sensor's readings that are not marked arrive in their order.
    Order,
    /// Every batch is read with what the hub has.
    Unreadable,
    /// The gateway ends with 0 when it is asked to.
    Exit,
    /// Topics that the hub takes are in time beside those that it refuses.
    Delayed,
    /// The verdict is `degraded` while the hub refuses, and comes back.
    Untold,
    /// Arrival times are those of the gateway's clocks, and never go back while it runs.
    Arrival,
    /// A reading that crosses an alarm's limit is told, and no other.
    Alarm,
    /// Messages that waited longer than `max_age` are not delivered any more.
    Expired,
    /// Nothing can be read on an encrypted line.
    Clear,
    /// A window's row is the aggregate of readings that followed each other, one row for each that nothing disturbed.
    Window,
}

pub(crate) const RULES: [Rule; 19] = [
    Rule::Lost,
    Rule::Uncounted,
    Rule::Gap,
    Rule::Value,
    Rule::Unit,
    Rule::Quality,
    Rule::Invented,
    Rule::Identity,
    Rule::Copy,
    Rule::Order,
    Rule::Unreadable,
    Rule::Exit,
    Rule::Delayed,
    Rule::Untold,
    Rule::Arrival,
    Rule::Alarm,
    Rule::Expired,
    Rule::Clear,
    Rule::Window,
];

#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) what: String,
}

/// Clocks are read once a tick.
const TICK_MS: i64 = 100;

/// A row, and the place of the reading that it tells among its sensor's.
struct Told<'a> {
    row: &'a Row,
    index: usize,
    /// It may be that of a window instead.
    is_window: bool,
}

struct Sensor<'a> {
    /// With their message, in the order in which they were sent.
    sent: Vec<(&'a Message, &'a Reading)>,
    told: Vec<Told<'a>>,
    windows: Option<Windows<'a>>,
}

/// Returns every broken rule.
pub(crate) fn judge(records: &Records) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut say = |rule, what: String| violations.push(Violation { rule, what });
    records.unreadable.iter().for_each(|why| say(Rule::Unreadable, why.clone()));
    records.exits.iter().for_each(|why| say(Rule::Exit, why.clone()));
    records.delayed.iter().for_each(|why| say(Rule::Delayed, why.clone()));
    records.untold.iter().for_each(|why| say(Rule::Untold, why.clone()));
    identities(records, &mut say);
    wholes::judge(records, &mut say);
    alarms::alarms(records, &mut say);
    gaps::judge(records, &mut say);
    if records.in_clear {
        say(Rule::Clear, "topics could be read on the line".to_owned());
    }
    let expired = records.wholes.iter().filter(|whole| records.expired.contains(&whole.payload));
    expired.for_each(|whole| say(Rule::Expired, format!("{whole:?}")));
    let mut missing = wholes::missing(records);
    for (name, sensor) in &sensors(records, &mut say) {
        copies(name, sensor, records, &mut say);
        arrivals(name, sensor, records, &mut say);
        if records.is_ordered() {
            order(name, sensor, records, &mut say);
        }
        sensor.windows.iter().for_each(|windows| windows.judge(name, records, &mut say));
        missing.extend(missing_readings(name, sensor, records));
    }
    let rule = if records.dropped == 0 { Rule::Lost } else { Rule::Uncounted };
    if missing.len() as u64 > records.dropped {
        let dropped = records.dropped;
        missing
            .into_iter()
            .for_each(|what| say(rule, format!("{what} ({dropped} were given up and counted)")));
    }
    violations
}

fn identities(records: &Records, say: &mut impl FnMut(Rule, String)) {
    let mut seen: BTreeMap<Identity, &Row> = BTreeMap::new();
    for row in &records.rows {
        let first = seen.entry(row.id).or_insert(row);
        let same = first.sensor == row.sensor && first.time == row.time && first.value.is(&row.value);
        if !same {
            say(Rule::Identity, format!("{first:?} and {row:?}"));
        }
    }
    let mut seen: BTreeMap<&str, &Whole> = BTreeMap::new();
    for whole in &records.wholes {
        let first = seen.entry(&whole.id).or_insert(whole);
        if first.payload != whole.payload || first.topic != whole.topic {
            say(Rule::Identity, format!("{first:?} and {whole:?}"));
        }
    }
}

/// Every sensor with what was told of it. Rows that nobody sent are said to be so.
fn sensors<'a>(records: &'a Records, say: &mut impl FnMut(Rule, String)) -> BTreeMap<&'a str, Sensor<'a>> {
    let mut sensors: BTreeMap<&str, Sensor<'_>> = BTreeMap::new();
    for message in &records.messages {
        let Content::Readings(readings) = &message.content else { continue };
        for reading in readings {
            let empty = || Sensor { sent: Vec::new(), told: Vec::new(), windows: None };
            sensors.entry(&reading.sensor).or_insert_with(empty).sent.push((message, reading));
        }
    }
    for sensor in sensors.values_mut() {
        let window = sensor.sent.first().and_then(|(message, _)| windows::window(message, records));
        sensor.windows = window.map(|window| Windows::new(window, &sensor.sent, records));
    }
    for row in &records.rows {
        if alarms::alarmed(&row.sensor).is_some_and(|name| sensors.contains_key(name)) {
            continue;
        }
        let Some(sensor) = sensors.get_mut(row.sensor.as_str()) else {
            say(Rule::Invented, format!("{row:?}"));
            continue;
        };
        let told = told(row, sensor, records);
        let is_window = sensor.windows.as_mut().is_some_and(|windows| windows.take(row, told.is_ok()));
        match told {
            Ok(index) => sensor.told.push(Told { row, index, is_window }),
            Err(_) if is_window => {}
            Err(rule) => say(if sensor.windows.is_some() { Rule::Window } else { rule }, format!("{row:?}")),
        }
    }
    sensors
}

/// The reading that the row tells, or what is wrong with the row.
fn told(row: &Row, sensor: &Sensor<'_>, records: &Records) -> Result<usize, Rule> {
    let of_value = |reading: &Reading| reading.value.is(&row.value);
    let named = |reading: &Reading| match reading.time {
        Some(time) => time == row.time,
        None => of_value(reading),
    };
    let candidates = || sensor.sent.iter().map(|(_, reading)| *reading).filter(|reading| named(reading));
    let is_exact =
        |reading: &&Reading| of_value(reading) && reading.unit == row.unit && reading.quality == row.quality;
    if let Some(reading) = candidates().find(is_exact) {
        return Ok(reading.index);
    }
    // A segment stands under the time of its first reading, with the middle of its range.
    let deviations = segments(sensor, records);
    let is_middle = |reading: &&Reading| {
        let distance = reading.value.number().zip(row.value.number()).map(|(a, b)| (a - b).abs());
        let near = |deviation: &f64| distance.is_some_and(|distance| distance <= deviation * 1.000_001);
        reading.unit == row.unit && reading.quality == row.quality && deviations.iter().any(near)
    };
    if let Some(reading) = candidates().find(is_middle) {
        return Ok(reading.index);
    }
    let mut rule = Rule::Invented;
    for reading in candidates() {
        rule = match (of_value(reading), reading.unit == row.unit) {
            (false, _) => Rule::Value,
            (true, false) => Rule::Unit,
            (true, true) => Rule::Quality,
        };
        if rule != Rule::Value {
            break;
        }
    }
    let clockless = sensor.sent.iter().any(|(_, reading)| reading.time.is_none());
    Err(if rule == Rule::Invented && clockless { Rule::Value } else { rule })
}

fn segments(sensor: &Sensor<'_>, records: &Records) -> Vec<f64> {
    let Some((message, _)) = sensor.sent.first() else { return Vec::new() };
    let filters = records.runs.iter().map(|run| run.filters[message.route]);
    filters.filter_map(|filter| if let Filter::Segment(d) = filter { Some(d) } else { None }).collect()
}

fn copies(name: &str, sensor: &Sensor<'_>, records: &Records, say: &mut impl FnMut(Rule, String)) {
    let holds = holds(sensor, records);
    let mut by_index: BTreeMap<usize, BTreeMap<Identity, &Row>> = BTreeMap::new();
    for Told { row, index, .. } in sensor.told.iter().filter(|told| !told.is_window) {
        by_index.entry(*index).or_default().insert(row.id, row);
    }
    for (index, rows) in by_index {
        // The first was first in the queue, too. But what is held over a clean stop that cut its PUBACK off is the original
        // still: its copies are marked, pass beside the stage, and are there before it.
        let unmarked = rows.values().enumerate().filter(|(_, row)| !row.pd);
        let others = unmarked.skip(usize::from(holds)).filter(|(n, _)| holds || *n > 0);
        for (_, row) in others {
            say(Rule::Copy, format!("reading {index} of {name} came before, and not marked is {row:?}"));
        }
    }
}

/// Returns whether a stage holds the sensor's readings, in any run.
fn holds(sensor: &Sensor<'_>, records: &Records) -> bool {
    let route = sensor.sent.first().map_or(0, |(message, _)| message.route);
    records.runs.iter().any(|run| run.filters[route].holds())
}

fn order(name: &str, sensor: &Sensor<'_>, records: &Records, say: &mut impl FnMut(Rule, String)) {
    // What passes beside a stage that holds overtakes what is held; so do the readings after one from a clock that ran
    // ahead, where the gateway's own clock is not trusted.
    let holds = holds(sensor, records);
    let is_aside = |(message, reading): &(&Message, &Reading)| reading.beside || message.is_ahead(reading);
    if holds && sensor.sent.windows(2).any(|pair| is_aside(&pair[0]) && pair[0].1.time > pair[1].1.time) {
        return;
    }
    let route = sensor.sent.first().map_or(0, |(message, _)| message.route);
    let refusals = records.refusals.get(route).copied().unwrap_or(0);
    let mut seen = BTreeSet::new();
    let mut newest: Option<(usize, &Row)> = None;
    let (mut wrong, mut early) = (Vec::new(), BTreeSet::new());
    for Told { row, index, .. } in sensor.told.iter().filter(|told| !told.is_window) {
        if !seen.insert(row.id) || (holds && is_aside(&sensor.sent[*index])) {
            continue;
        }
        if let Some((newest, before)) = newest
            && *index < newest
            && !row.pd
            // What a restart finds parked is sent beside what is new.
            && (row.id.2 >= before.id.2 || refusals == 0)
            // Without a stamp two of one millisecond are of the same time, and the other passes beside what is held.
            && !(holds && row.time == before.time)
        {
            wrong.push(format!("{name}: reading {index} after {newest}: {row:?} after {before:?}"));
            early.insert(before.batch);
        }
        // A marked copy passes beside what is held.
        if !(holds && row.pd) && newest.is_none_or(|(newest, _)| *index > newest) {
            newest = Some((*index, row));
        }
    }
    // A hub that is mended in the middle of an attempt has refused the oldest and takes the next probe.
    if early.len() > refusals {
        wrong.into_iter().for_each(|what| say(Rule::Order, what));
    }
}

/// Of readings without a stamp.
fn arrivals(name: &str, sensor: &Sensor<'_>, records: &Records, say: &mut impl FnMut(Rule, String)) {
    let mut by_id: BTreeMap<Identity, (&Row, &Message)> = BTreeMap::new();
    for Told { row, index, .. } in &sensor.told {
        let (message, reading) = sensor.sent[*index];
        if reading.time.is_none() {
            by_id.insert(row.id, (row, message));
        }
    }
    let mut before: Option<&Row> = None;
    for (id, (row, message)) in by_id {
        let Some(run) = (id.2 as usize).checked_sub(1).filter(|run| *run < records.runs.len()) else {
            continue;
        };
        // What a clean stop left over has the time of an earlier run. It waits for the next message, over a kill too.
        let is_left_over = records.runs[..run].iter().any(|run| !run.killed);
        let first = if is_left_over { 0 } else { run };
        let offsets = || records.runs[first..=run].iter().map(|run| run.offsets_ms);
        let least = offsets().map(|(least, _)| least).min().unwrap_or(0);
        let most = offsets().map(|(_, most)| most).max().unwrap_or(0);
        if !(message.sent_ms + least - TICK_MS..=records.ended_ms + most + TICK_MS).contains(&row.time) {
            say(
                Rule::Arrival,
                format!("{name}: {row:?} was sent at {}, clock {least} to {most}", message.sent_ms),
            );
        }
        let holds = records.runs[first..=run].iter().any(|run| run.filters[message.route].holds());
        let same = |before: &&Row| (before.id.1, before.id.2) == (id.1, id.2);
        if let Some(before) = before.filter(same)
            && first == run
            && !holds
            && before.time > row.time
        {
            say(Rule::Arrival, format!("{name}: {row:?} after {before:?}"));
        }
        before = Some(row);
    }
}

fn missing_readings(name: &str, sensor: &Sensor<'_>, records: &Records) -> Vec<String> {
    let kept = sensor.told.iter().map(|Told { row, index, .. }| {
        let (message, reading) = sensor.sent[*index];
        Kept { index: *index, epoch: row.id.2, beside: reading.beside, ahead: message.is_ahead(reading), row }
    });
    let series = Series::new(kept.collect());
    let mut missing = Vec::new();
    let in_window = |reading: &Reading| {
        sensor.windows.as_ref().is_some_and(|windows| windows.has(reading.index, records))
    };
    for (message, reading) in &sensor.sent {
        let Some(acked) = message.acked else { continue };
        let mut runs = message.sent..=acked;
        let filter = |run: usize| records.runs[run].filters[message.route];
        let is_told = series.has(reading.index)
            || in_window(reading)
            || runs.any(|run| series.stands_for(filter(run), reading))
            || (message.sent..=acked).any(|run| was_held(run, (message, reading), &series, sensor, records));
        if !is_told {
            let filters: Vec<_> = (message.sent..=acked).map(filter).collect();
            let near = series.around(reading.index);
            missing.push(format!("{name}: {reading:?} of {filters:?}, around it {near:?}"));
        }
    }
    missing
}

/// A stage held it when that run was killed, or a later one that took it over, and it was acknowledged at once, as `check`
/// says.
fn was_held(
    run: usize,
    (message, reading): (&Message, &Reading),
    series: &Series<'_>,
    sensor: &Sensor<'_>,
    records: &Records,
) -> bool {
    let filter = records.runs[run].filters[message.route];
    let mut runs = records.runs.iter().enumerate().skip(run);
    let goes_on = |epoch: u32| match &sensor.windows {
        // What is there as it was sent passed beside the window.
        Some(windows) => windows.goes_on(reading, epoch),
        None => series.goes_on(reading.index, epoch, reading.time.is_some()),
    };
    filter.holds()
        && runs.find(|(_, run)| run.killed).is_some_and(|(number, killed)| {
            killed.filters[message.route] == filter
                && !killed.withholds[message.route]
                && !goes_on(number as u32 + 1)
        })
}
