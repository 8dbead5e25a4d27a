//! What a reader knows of a reading that a filter did not keep: the value that was kept before it (deadband, segment,
//! change), or the line between the kept ones around it (swinging door).

use super::record::{Filter, Reading, Row};

/// A row that is at the hub.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) index: usize,
    pub(crate) epoch: u32,
    pub(crate) beside: bool,
    /// Maybe beside: stamped ahead of the gateway's clock of a moment before or after.
    pub(crate) ahead: bool,
    pub(crate) row: &'a Row,
}

/// Kept readings of a sensor, in the order in which they were sent.
pub(crate) struct Series<'a> {
    kept: Vec<Kept<'a>>,
    /// Two runs may have kept readings of the same time, each by its own start: a reader may go by the rows of any runs
    /// in a row.
    epochs: Vec<(u32, u32)>,
}

impl<'a> Series<'a> {
    pub(crate) fn new(mut kept: Vec<Kept<'a>>) -> Self {
        kept.sort_by_key(|kept| kept.index);
        let mut each: Vec<u32> = kept.iter().map(|kept| kept.epoch).collect();
        each.sort_unstable();
        each.dedup();
        let ranges = |from: &u32| {
            let from = *from;
            each.iter().filter(move |to| **to >= from).map(move |to| (from, *to)).collect::<Vec<_>>()
        };
        let epochs = each.iter().flat_map(ranges).collect();
        Self { kept, epochs }
    }

    pub(crate) fn has(&self, index: usize) -> bool {
        self.kept.binary_search_by_key(&index, |kept| kept.index).is_ok()
    }

    /// Whether a run up to this one kept the reading or a later one of the series.
    pub(crate) fn goes_on(&self, index: usize, epoch: u32, is_stamped: bool) -> bool {
        let later = self.kept.iter().rev().take_while(|kept| kept.index >= index);
        let later = later.filter(|kept| kept.epoch <= epoch && !kept.beside && !kept.ahead);
        let times: Vec<i64> = later.map(|kept| kept.row.time).collect();
        // Without a stamp those of one millisecond pass beside what is held of it.
        if is_stamped { !times.is_empty() } else { times.iter().min() < times.iter().max() }
    }

    /// For people.
    pub(crate) fn around(&self, index: usize) -> Vec<&'a Row> {
        let at = self.kept.partition_point(|kept| kept.index <= index);
        self.kept[at.saturating_sub(2)..(at + 2).min(self.kept.len())].iter().map(|kept| kept.row).collect()
    }

    pub(crate) fn stands_for(&self, filter: Filter, reading: &Reading) -> bool {
        match filter {
            // One that ran ahead goes on from another that did, beside those between them.
            Filter::Sample(n) if reading.time.is_none() || reading.beside => {
                return self.is_sampled_beside_others(n, reading);
            }
            Filter::Door(_) if reading.time.is_none() => {
                return self.is_on_line_beside_others(filter, reading);
            }
            _ => {}
        }
        filter != Filter::None
            && self.epochs.iter().any(|(from, to)| {
                [(true, true), (false, true), (false, false)].into_iter().any(|(with_beside, with_ahead)| {
                    let counts = |kept: &&Kept<'_>| {
                        (*from..=*to).contains(&kept.epoch)
                            && (with_beside || !kept.beside)
                            && (with_ahead || !kept.ahead)
                    };
                    let at = self.kept.partition_point(|kept| kept.index <= reading.index);
                    let before = self.kept[..at].iter().rev().find(counts);
                    if let (Filter::Sample(n), Some(before)) = (filter, before) {
                        let between = self.kept[..at].iter().rev().take_while(|kept| !counts(kept)).count();
                        return is_sampled(n + between, reading, before);
                    }
                    let after = self.kept[at..].iter().find(counts);
                    before.is_some_and(|before| is_told(filter, reading, before.row, after.map(|k| k.row)))
                })
            })
    }
}

impl Series<'_> {
    /// Only the gateway knows which came in the same millisecond and passed beside the stage: any of the nearest rows may be an
    /// end of the line.
    fn is_on_line_beside_others(&self, filter: Filter, reading: &Reading) -> bool {
        let (before, after) =
            self.kept.split_at(self.kept.partition_point(|kept| kept.index <= reading.index));
        let before: Vec<_> = nearest(before.iter().rev()).collect();
        let after: Vec<_> = nearest(after.iter()).collect();
        let told = |before: &Kept<'_>, after| is_told(filter, reading, before.row, after);
        let is_end = |before| told(before, None) || after.iter().any(|after| told(before, Some(after.row)));
        before.into_iter().any(is_end)
    }

    /// As above: any row may have begun the group.
    fn is_sampled_beside_others(&self, n: usize, reading: &Reading) -> bool {
        let at = self.kept.partition_point(|kept| kept.index <= reading.index);
        let mut before = self.kept[..at].iter().rev().enumerate();
        before.any(|(between, before)| is_sampled(n + between, reading, before))
    }
}

/// Rows of the nearest three milliseconds: in each of them one is of the series, and may have been dropped.
fn nearest<'a, 'r>(rows: impl Iterator<Item = &'a Kept<'r>>) -> impl Iterator<Item = &'a Kept<'r>>
where
    'r: 'a,
{
    let mut times = Vec::new();
    rows.take_while(move |kept| {
        if !times.contains(&kept.row.time) {
            times.push(kept.row.time);
        }
        times.len() <= 3
    })
}

/// A group of numbers is as long as it may be, and of one state; while a sensor is bad nothing passes. Booleans and texts
/// pass when they change, and count in no group: beside them only that something was kept is judged.
fn is_sampled(n: usize, reading: &Reading, before: &Kept<'_>) -> bool {
    if reading.value.number().is_none() || before.row.value.number().is_none() {
        return true;
    }
    let is_same = before.row.unit == reading.unit && before.row.quality == reading.quality;
    is_same && (reading.quality & 0x8000_0000 != 0 || reading.index < before.index + n)
}

fn is_told(filter: Filter, reading: &Reading, before: &Row, after: Option<&Row>) -> bool {
    let same_state = |row: &Row| row.unit == reading.unit && row.quality == reading.quality;
    if !same_state(before) {
        return false;
    }
    let held = |tolerance: f64| match (reading.value.number(), before.value.number()) {
        (Some(value), Some(before)) => (value - before).abs() <= tolerance * 1.000_001,
        _ => reading.value == before.value,
    };
    // While a sensor is bad its values are not compared.
    let is_bad = reading.quality & 0x8000_0000 != 0;
    match filter {
        Filter::None | Filter::Sample(_) | Filter::Window(_) => false,
        Filter::OnChange => reading.value == before.value,
        Filter::Deadband(tolerance) | Filter::Segment(tolerance) => is_bad || held(tolerance),
        Filter::Door(_) if is_bad || reading.value.number().is_none() => is_bad || held(0.0),
        Filter::Door(deviation) => after.is_some_and(|after| {
            same_state(after) && is_on_line(reading, before, after, deviation * 1.000_001)
        }),
    }
}

fn is_on_line(reading: &Reading, before: &Row, after: &Row, deviation: f64) -> bool {
    let numbers = (before.value.number(), reading.value.number(), after.value.number());
    let (Some(first), Some(value), Some(last)) = numbers else { return false };
    // Large numbers are rounded.
    let deviation = deviation + 1e-12 * first.abs().max(last.abs());
    match reading.time {
        Some(time) if after.time > before.time => {
            let share = (time - before.time) as f64 / (after.time - before.time) as f64;
            (first + share * (last - first) - value).abs() <= deviation
        }
        Some(_) => (first - value).abs() <= deviation,
        // Only the gateway knows when it came.
        None => (first.min(last) - deviation..=first.max(last) + deviation).contains(&value),
    }
}
