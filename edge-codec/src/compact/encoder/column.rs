//! One sensor's readings that wait, and the plan that fitted the last ones.

#![deny(clippy::indexing_slicing)]

use super::NOWHERE;
use super::alone::{Alone, Values};
use super::known::{Known, Target};
use super::same::Same;
use crate::compact::stream::script::Script;
use crate::compact::values::kind::Kind;
use crate::compact::values::plan::{Plan, Scratch, Shared};
use crate::compact::values::search;
use crate::{Reading, Value};

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) sensor: u32,
    /// Position among the columns of a batch.
    pub(crate) position: u32,
    /// Readings that had left the encoder when some of this column last did.
    pub(crate) used: u64,
    times: Vec<i64>,
    /// Bits of the value; texts and bytes are numbers in a list.
    values: Vec<u64>,
    kinds: Same<Kind>,
    qualities: Same<u32>,
    /// With a table, and without.
    known: Known,
    alone: Alone,
}

/// The number that stands for a value, unless it is text or bytes.
#[inline]
pub(crate) fn bits(value: &Value<'_>) -> (Kind, u64) {
    match value {
        Value::F64(v) => (Kind::F64, v.to_bits()),
        Value::I64(v) => (Kind::I64, *v as u64),
        Value::U64(v) => (Kind::U64, *v),
        Value::Bool(v) => (Kind::Bool, u64::from(*v)),
        Value::Text(_) => (Kind::Text, 0),
        Value::Bytes(_) => (Kind::Bytes, 0),
        Value::Null => (Kind::Null, 0),
    }
}

impl Column {
    pub(crate) fn new(sensor: u32, position: u32) -> Self {
        let (kinds, qualities) = (Same::new(Kind::Null), Same::new(0));
        let (known, alone) = (Known::default(), Alone::default());
        let (times, values) = (Vec::new(), Vec::new());
        Self { sensor, position, used: 0, times, values, kinds, qualities, known, alone }
    }

    /// Takes a reading, whose value is the number that [`bits`] gives or a text's.
    #[inline]
    pub(crate) fn push(&mut self, time: i64, kind: Kind, value: u64, quality: u32) {
        let len = self.times.len();
        self.times.push(time);
        self.values.push(value);
        self.kinds.push(len, kind);
        self.qualities.push(len, quality);
    }

    /// Takes a reading whose kind and quality are those of the ones before; `false`, and nothing is taken, if it is another
    /// one.
    #[inline]
    pub(crate) fn push_alike(&mut self, reading: &Reading<'_>) -> bool {
        let (kind, value) = bits(&reading.value);
        let is_number = !matches!(kind, Kind::Text | Kind::Bytes);
        let alike = self.kinds.are(kind) && self.qualities.are(reading.quality);
        if self.position == NOWHERE || !(alike && is_number) {
            return false;
        }
        self.times.push(reading.time);
        self.values.push(value);
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(crate) fn values(&self) -> &[u64] {
        &self.values
    }

    /// The first `n` qualities as runs, each with its length.
    pub(crate) fn qualities(&self, n: usize) -> impl Iterator<Item = (u32, usize)> {
        self.qualities.runs(n)
    }

    /// The kind of the first `n` values; [`Kind::Mixed`] if they have several.
    pub(crate) fn kind(&self, n: usize) -> Kind {
        self.kinds.one(n).unwrap_or(Kind::Mixed)
    }

    /// The reading at `at`.
    pub(crate) fn reading(&self, at: usize, texts: &[Box<[u8]>]) -> Option<Reading<'static>> {
        let time = *self.times.get(at)?;
        let value = super::texts::value(self.kinds.get(at), *self.values.get(at)?, texts);
        Some(Reading { sensor: self.sensor, time, value, quality: self.qualities.get(at) })
    }

    /// The number of the text at `at`, if there is one.
    pub(crate) fn text(&self, at: usize) -> Option<u64> {
        let is_text = matches!(self.kinds.get(at), Kind::Text | Kind::Bytes);
        self.values.get(at).copied().filter(|_| is_text)
    }

    /// The highest number of a text among the first `n` readings.
    pub(crate) fn texts(&self, n: usize) -> Option<u64> {
        (0..n).filter_map(|at| self.text(at)).max()
    }

    /// Changes the numbers of texts.
    pub(crate) fn renumber(&mut self, mut number: impl FnMut(u64) -> u64) {
        for (at, value) in self.values.iter_mut().enumerate() {
            if matches!(self.kinds.get(at), Kind::Text | Kind::Bytes) {
                *value = number(*value);
            }
        }
    }

    /// Forgets the first `n` readings; `left` have left the encoder with them.
    pub(crate) fn drain(&mut self, n: usize, left: u64) {
        self.used = left;
        self.times.drain(..n);
        self.values.drain(..n);
        self.kinds.drain(n);
        self.qualities.drain(n);
    }

    /// Writes the plan and the first `n` values. `table` is `Some` if the batch has a table, whether or not that has a
    /// plan for this sensor.
    pub(crate) fn write(
        &mut self,
        n: usize,
        table: Option<Option<&Plan>>,
        before: &mut Option<Shared>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) {
        let kind = self.kind(n);
        let values = self.values.get(..n).unwrap_or_default();
        if !matches!(kind, Kind::Null | Kind::Mixed) {
            return match table {
                Some(table) => self.known.write(Target { kind, values, table, before, script, scratch }),
                None => self.alone.write(Values { kind, bits: values }, before, script, scratch),
            };
        }
        if table.is_some() {
            script.flag(false);
        }
        if before.is_some() {
            script.flag(false);
        }
        script.bits(kind as u64, 3);
        if kind == Kind::Mixed {
            self.write_mixed(n, before, script, scratch);
        }
    }

    /// Kinds in runs, then the values of each kind as a column of their own.
    fn write_mixed(&self, n: usize, before: &mut Option<Shared>, script: &mut Script, scratch: &mut Scratch) {
        for (kind, run) in self.kinds.runs(n) {
            script.eg(run as u64 - 1, 3);
            script.bits(kind as u64, 3);
        }
        for kind in Kind::ALL {
            let of_kind =
                self.values.iter().take(n).enumerate().filter(|(at, _)| self.kinds.get(*at) == kind);
            let values: Vec<u64> = of_kind.map(|(_, v)| *v).collect();
            if !values.is_empty() && kind != Kind::Null {
                let (plan, _) = search::plan(kind, &values, search::ALONE, scratch);
                plan.integers(&values, scratch);
                plan.write_after(before, script, scratch, |_, _| 0);
            }
        }
    }
}
