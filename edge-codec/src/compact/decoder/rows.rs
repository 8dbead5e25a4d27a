//! Decoded columns, and the iterator that walks them in the readings' order.

#![deny(clippy::indexing_slicing)]

use crate::compact::row_order;
use crate::compact::session_table::{Entry, Table};
use crate::compact::shared_timestamps::Span;
use crate::compact::values::kind::Kind;
use crate::{DecodeError, Reading, SensorTable, Value};
use std::borrow::Cow;
use std::ops::Range;

/// Decoded column: a sensor's readings within the lists of all values and times.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) sensor: u32,
    pub(crate) kind: Kind,
    /// Number of the column's clock.
    pub(crate) clock: u32,
    /// Number of the clock's instants before the column's first reading; in a listed order before its next reading.
    pub(crate) skip: u32,
    pub(crate) len: u32,
    /// Index of the value at an instant of the clock, less the number of that instant. It may be below 0, so it wraps.
    pub(crate) values: u32,
    /// Index of the clock's first instant in the list of all times.
    pub(crate) times: usize,
}

impl Column {
    /// Returns sensor, kind, and the index of the value at an instant.
    #[inline(always)]
    fn at(&self, instant: u32) -> (u32, Kind, usize) {
        (self.sensor, self.kind, self.values.wrapping_add(instant) as usize)
    }
}

/// Order of the readings.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// All columns share one clock. The order is instant by instant, and within one the columns that have it.
    Polls(Poll),
    /// A list names the column of each reading.
    Listed(std::vec::IntoIter<u32>),
}

/// Position in an order of polls: the instant whose readings are returned now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Poll {
    instant: u32,
    time: i64,
    /// Index of the column that comes next.
    column: usize,
    /// Set if some column may lack this instant.
    partial: bool,
    /// Instants that all columns have.
    full: Range<u32>,
}

/// Bytes of all texts.
#[derive(Clone, Debug)]
pub(crate) enum Heap<'a> {
    Borrowed(&'a [u8]),
    Owned(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) columns: Vec<Column>,
    order: Order,
    pub(crate) values: Vec<u64>,
    pub(crate) times: Vec<i64>,
    /// Quality of each value; empty if all are 0.
    pub(crate) qualities: Vec<u32>,
    /// Kind of each value, for mixed columns only.
    pub(crate) kinds: Vec<Kind>,
    pub(crate) texts: Vec<(u32, u32)>,
    /// Flag for each text whether it is UTF-8; empty until that was asked.
    utf8: Vec<bool>,
    heap: Heap<'a>,
    /// Session table with names and units of the sensors, if the batch itself has none.
    table: Option<&'a Table>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(heap: Heap<'a>, table: Option<&'a Table>) -> Self {
        Self {
            columns: Vec::new(),
            order: Order::Polls(Poll::default()),
            values: Vec::new(),
            times: Vec::new(),
            qualities: Vec::new(),
            kinds: Vec::new(),
            texts: Vec::new(),
            utf8: Vec::new(),
            heap,
            table,
        }
    }

    /// Returns the rows without anything that they borrow from the message.
    pub(crate) fn into_owned<'b>(self, table: Option<&'b Table>) -> Rows<'b> {
        let heap = match self.heap {
            Heap::Borrowed(heap) => Heap::Owned(heap.to_vec()),
            Heap::Owned(heap) => Heap::Owned(heap),
        };
        Rows {
            columns: self.columns,
            order: self.order,
            values: self.values,
            times: self.times,
            qualities: self.qualities,
            kinds: self.kinds,
            texts: self.texts,
            utf8: self.utf8,
            heap,
            table,
        }
    }

    /// Returns the sensors of these rows, named by the table.
    pub(crate) fn sensors(&self) -> SensorTable<'a> {
        let entry = |column: &Column| self.table?.entry(column.sensor).map(Entry::sensor);
        SensorTable::from_unsorted(self.columns.iter().filter_map(entry).collect()).unwrap_or_default()
    }

    /// Sets the order by time: polls if possible, else a list. `clocks`: range of each clock's instants in `times`.
    pub(crate) fn by_time(&mut self, clocks: &[(usize, usize)]) {
        if let [clock] = clocks
            && self.are_polls(*clock)
        {
            let from = self.columns.iter().map(|c| c.skip).max().unwrap_or(0);
            let to = self.columns.iter().map(|c| c.skip + c.len).min().unwrap_or(0);
            let time = self.times.first().copied().unwrap_or(0);
            self.order = Order::Polls(Poll { time, partial: from > 0, full: from..to, ..Poll::default() });
            return;
        }
        let times: Vec<&[i64]> = clocks.iter().filter_map(|(from, to)| self.times.get(*from..*to)).collect();
        let span = |column: &Column| {
            let (clock, skip) = (column.clock as usize, column.skip as usize);
            let cut = times.get(clock).map_or(0, |t| t.len()) - skip - column.len as usize;
            Span { clock, skip, cut }
        };
        let spans: Vec<Span> = self.columns.iter().map(span).collect();
        let order = row_order::by_time(&times, &spans, self.values.len());
        self.list(order);
    }

    /// Returns whether the readings can be returned as polls: the clock rises with each instant, and the columns have so many of its instants
    /// that skipping missing ones costs less than a list.
    fn are_polls(&self, (from, to): (usize, usize)) -> bool {
        let times = self.times.get(from..to).unwrap_or_default();
        times.len().saturating_mul(self.columns.len()) <= self.values.len().saturating_mul(2) + 64
            && row_order::rises(times)
    }

    /// Sets an order that names the column of each reading.
    pub(crate) fn list(&mut self, order: Vec<u32>) {
        self.order = Order::Listed(order.into_iter());
    }

    /// Returns whether all texts among these values are UTF-8. The first call checks all texts at once.
    pub(crate) fn are_utf8(&mut self, numbers: Range<usize>, kind: Option<Kind>) -> bool {
        if self.utf8.is_empty() {
            let heap = match &self.heap {
                Heap::Borrowed(heap) => heap,
                Heap::Owned(heap) => heap.as_slice(),
            };
            let texts = self.texts.iter().map(|(from, to)| heap.get(*from as usize..*to as usize));
            self.utf8 = texts.map(|t| t.is_some_and(|t| std::str::from_utf8(t).is_ok())).collect();
        }
        let kinds = self.kinds.get(numbers.clone()).unwrap_or_default();
        let mut values = self.values.get(numbers).unwrap_or_default().iter().enumerate();
        values.all(|(at, number)| {
            let kind = kind.or_else(|| kinds.get(at).copied());
            kind != Some(Kind::Text) || self.utf8.get(*number as usize) == Some(&true)
        })
    }

    /// Returns the column of the next reading, its instant and its time.
    #[inline(always)]
    fn step(&mut self) -> Option<(&Column, u32, i64)> {
        match &mut self.order {
            Order::Polls(poll) => loop {
                let Some(column) = self.columns.get(poll.column) else {
                    poll.instant += 1;
                    poll.time = *self.times.get(poll.instant as usize)?;
                    poll.partial = !poll.full.contains(&poll.instant);
                    poll.column = 0;
                    continue;
                };
                poll.column += 1;
                if !poll.partial || poll.instant.wrapping_sub(column.skip) < column.len {
                    return Some((column, poll.instant, poll.time));
                }
            },
            Order::Listed(list) => {
                let at = list.next()?;
                self.listed(at)
            }
        }
    }

    /// Returns the next reading of a column in a listed order, as [`step`](Self::step) does.
    #[inline(always)]
    fn listed(&mut self, column: u32) -> Option<(&Column, u32, i64)> {
        let column = self.columns.get_mut(column as usize)?;
        let instant = column.skip;
        column.skip += 1;
        let time = *self.times.get(column.times + instant as usize)?;
        Some((column, instant, time))
    }

    /// Returns the next reading. It is never an error, since everything is checked by now. The caller must not ask for more readings than there
    /// are.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        let (column, instant, time) = self.step()?;
        let (sensor, kind, value) = column.at(instant);
        self.reading(sensor, kind, value, time)
    }

    /// Folds over the next `left` readings. Whole polls and listed orders have loops of their own, whose position stays in registers.
    #[inline]
    pub(crate) fn fold<B>(
        mut self,
        mut left: usize,
        mut sum: B,
        mut f: impl FnMut(B, Result<Reading<'a>, DecodeError>) -> B,
    ) -> B {
        if let Order::Listed(list) = &mut self.order {
            for column in std::mem::take(list).take(left) {
                let Some((column, instant, time)) = self.listed(column) else { break };
                let (sensor, kind, value) = column.at(instant);
                let Some(reading) = self.reading(sensor, kind, value, time) else { break };
                sum = f(sum, reading);
            }
            return sum;
        }
        while left > 0 {
            if let Some((instant, time)) = self.whole_poll(left) {
                for column in &self.columns {
                    let (sensor, kind, value) = column.at(instant);
                    let Some(reading) = self.reading(sensor, kind, value, time) else { return sum };
                    sum = f(sum, reading);
                }
                left -= self.columns.len();
                continue;
            }
            let Some(reading) = self.next() else { break };
            sum = f(sum, reading);
            left -= 1;
        }
        sum
    }

    /// Returns instant and time of the next poll and moves behind it, if all columns have that instant. `None`: the readings have to be
    /// returned one by one.
    fn whole_poll(&mut self, left: usize) -> Option<(u32, i64)> {
        let Order::Polls(poll) = &mut self.order else { return None };
        if poll.column < self.columns.len() || left < self.columns.len() {
            return None;
        }
        let instant = poll.instant + 1;
        let time = *self.times.get(instant as usize)?;
        if !poll.full.contains(&instant) {
            return None;
        }
        (poll.instant, poll.time, poll.partial) = (instant, time, false);
        Some((instant, time))
    }

    /// Returns the reading whose value is at index `value`.
    #[inline(always)]
    fn reading(
        &self,
        sensor: u32,
        kind: Kind,
        value: usize,
        time: i64,
    ) -> Option<Result<Reading<'a>, DecodeError>> {
        let bits = *self.values.get(value)?;
        let quality = self.qualities.get(value).copied().unwrap_or(0);
        // Each on its way: merged, they would be copied through memory, which costs more than all the rest.
        let value = match kind {
            Kind::F64 => {
                return Some(Ok(Reading { sensor, time, value: Value::F64(f64::from_bits(bits)), quality }));
            }
            Kind::I64 => return Some(Ok(Reading { sensor, time, value: Value::I64(bits as i64), quality })),
            Kind::Bool => return Some(Ok(Reading { sensor, time, value: Value::Bool(bits != 0), quality })),
            Kind::Mixed => self.value(*self.kinds.get(value)?, bits),
            kind => self.value(kind, bits),
        };
        Some(Ok(Reading { sensor, time, value, quality }))
    }

    #[inline(never)]
    pub(crate) fn value(&self, kind: Kind, bits: u64) -> Value<'a> {
        match kind {
            Kind::F64 => Value::F64(f64::from_bits(bits)),
            Kind::I64 => Value::I64(bits as i64),
            Kind::U64 => Value::U64(bits),
            Kind::Bool => Value::Bool(bits != 0),
            Kind::Bytes => Value::Bytes(self.bytes(bits)),
            Kind::Text => Value::Text(match self.bytes(bits) {
                // Checked when the batch was decoded.
                Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).unwrap_or_default()),
                Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).unwrap_or_default()),
            }),
            Kind::Null | Kind::Mixed => Value::Null,
        }
    }

    fn bytes(&self, number: u64) -> Cow<'a, [u8]> {
        let (from, to) = self.texts.get(number as usize).copied().unwrap_or_default();
        let range = from as usize..to as usize;
        match &self.heap {
            Heap::Borrowed(heap) => Cow::Borrowed(heap.get(range).unwrap_or_default()),
            Heap::Owned(heap) => Cow::Owned(heap.get(range).unwrap_or_default().to_vec()),
        }
    }
}
