//! Column of an encoder: the waiting readings of one sensor, and caches of the plans used for earlier ones.

#![deny(clippy::indexing_slicing)]

use super::NOWHERE;
use super::equal_run::EqualRun;
use super::plan_cache::inline::{InlinePlanCache, Values};
use super::plan_cache::table::{TablePlanCache, Target};
use crate::compact::list_bytes::list_bytes;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::compact::values::kind::Kind;
use crate::compact::values::plan::{Scratch, SharedParts, TablePlan};
use crate::compact::values::plan_search;
use crate::{Reading, Value};
use std::borrow::Cow;

#[derive(Clone, Debug)]
pub(crate) struct Column {
    pub(crate) sensor: u32,
    /// Position among the columns of a batch.
    pub(crate) position: u32,
    /// Total number of readings encoded so far when a reading of this column was encoded last.
    pub(crate) used: u64,
    /// Bytes outside of the column at their most when they were counted: buffers stay, and a plan that became smaller makes little of them.
    counted: usize,
    times: Vec<i64>,
    /// Bits of each value; for texts and bytes the number in a list.
    values: Vec<u64>,
    kinds: EqualRun<Kind>,
    qualities: EqualRun<u32>,
    table_plans: TablePlanCache,
    inline_plans: InlinePlanCache,
}

/// Returns the value of a number in a column; texts are numbered in `texts`.
fn value(kind: Kind, bits: u64, texts: &[Box<[u8]>]) -> Value<'static> {
    let text = || texts.get(bits as usize).cloned().unwrap_or_default();
    match kind {
        Kind::F64 => Value::F64(f64::from_bits(bits)),
        Kind::I64 => Value::I64(bits as i64),
        Kind::U64 => Value::U64(bits),
        Kind::Bool => Value::Bool(bits != 0),
        Kind::Text => Value::Text(Cow::Owned(String::from_utf8_lossy(&text()).into_owned())),
        Kind::Bytes => Value::Bytes(Cow::Owned(text().into_vec())),
        Kind::Null | Kind::Mixed => Value::Null,
    }
}

/// Returns the kind and the bits of a value; texts and bytes have the bits 0.
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
        let (kinds, qualities) = (EqualRun::new(Kind::Null), EqualRun::new(0));
        Self {
            sensor,
            position,
            used: 0,
            counted: 0,
            times: Vec::new(),
            values: Vec::new(),
            kinds,
            qualities,
            table_plans: TablePlanCache::default(),
            inline_plans: InlinePlanCache::default(),
        }
    }

    /// Adds a reading. `value`: the number that [`bits`] returns, or that of a text.
    #[inline]
    pub(crate) fn push(&mut self, time: i64, kind: Kind, value: u64, quality: u32) {
        let len = self.times.len();
        self.times.push(time);
        self.values.push(value);
        self.kinds.push(len, kind);
        self.qualities.push(len, quality);
    }

    /// Adds a reading if its kind and quality are those of the readings before. Returns `false`, without adding it, if they differ or the value
    /// is a text.
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

    /// Counts the bytes outside of the column. Returns by how much they grew since they were last counted.
    pub(crate) fn grown(&mut self) -> usize {
        let lists = list_bytes(&self.times) + list_bytes(&self.values);
        let runs = self.kinds.heap_bytes() + self.qualities.heap_bytes();
        let now = lists + runs + self.table_plans.heap_bytes() + self.inline_plans.heap_bytes();
        let more = now.saturating_sub(self.counted);
        self.counted += more;
        more
    }

    /// Returns the bytes outside of the column as they were counted.
    pub(crate) fn counted(&self) -> usize {
        self.counted
    }

    pub(crate) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(crate) fn values(&self) -> &[u64] {
        &self.values
    }

    /// Returns the first `n` qualities as runs, each with its length.
    pub(crate) fn qualities(&self, n: usize) -> impl Iterator<Item = (u32, usize)> {
        self.qualities.runs(n)
    }

    /// Returns the kind of the first `n` values; [`Kind::Mixed`] if there are several.
    pub(crate) fn kind(&self, n: usize) -> Kind {
        self.kinds.one(n).unwrap_or(Kind::Mixed)
    }

    /// The reading at `at`.
    pub(crate) fn reading(&self, at: usize, texts: &[Box<[u8]>]) -> Option<Reading<'static>> {
        let time = *self.times.get(at)?;
        let value = value(self.kinds.get(at), *self.values.get(at)?, texts);
        Some(Reading { sensor: self.sensor, time, value, quality: self.qualities.get(at) })
    }

    /// Returns the number of the text at `at`. `None`: the value is no text.
    pub(crate) fn text(&self, at: usize) -> Option<u64> {
        let is_text = matches!(self.kinds.get(at), Kind::Text | Kind::Bytes);
        self.values.get(at).copied().filter(|_| is_text)
    }

    /// Returns the highest number of a text among the first `n` readings. `None`: there is no text.
    pub(crate) fn texts(&self, n: usize) -> Option<u64> {
        (0..n).filter_map(|at| self.text(at)).max()
    }

    /// Replaces the numbers of texts.
    pub(crate) fn renumber(&mut self, mut number: impl FnMut(u64) -> u64) {
        for (at, value) in self.values.iter_mut().enumerate() {
            if matches!(self.kinds.get(at), Kind::Text | Kind::Bytes) {
                *value = number(*value);
            }
        }
    }

    /// Removes the first `n` readings. `left`: total number of readings encoded by then.
    pub(crate) fn drain(&mut self, n: usize, left: u64) {
        self.used = left;
        self.times.drain(..n);
        self.values.drain(..n);
        self.kinds.drain(n);
        self.qualities.drain(n);
    }

    /// Writes the plan and the first `n` values.
    pub(crate) fn write(
        &mut self,
        n: usize,
        learned: TablePlan<'_>,
        before: &mut Option<SharedParts>,
        ops: &mut OpBuffer,
        scratch: &mut Scratch,
    ) {
        let kind = self.kind(n);
        let values = self.values.get(..n).unwrap_or_default();
        if !matches!(kind, Kind::Null | Kind::Mixed) {
            let table = match learned {
                TablePlan::NoTable => {
                    return self.inline_plans.write(Values { kind, bits: values }, before, ops, scratch);
                }
                TablePlan::Missing => None,
                TablePlan::Learned(plan) => Some(plan),
            };
            return self.table_plans.write(Target { kind, values, table, before, ops, scratch });
        }
        if !matches!(learned, TablePlan::NoTable) {
            ops.flag(false);
        }
        if before.is_some() {
            ops.flag(false);
        }
        ops.bits(kind as u64, 3);
        if kind == Kind::Mixed {
            self.write_mixed(n, before, ops, scratch);
        }
    }

    /// Writes kinds in runs, then the values of each kind as a column of their own.
    fn write_mixed(
        &self,
        n: usize,
        before: &mut Option<SharedParts>,
        ops: &mut OpBuffer,
        scratch: &mut Scratch,
    ) {
        for (kind, run) in self.kinds.runs(n) {
            ops.eg(run as u64 - 1, 3);
            ops.bits(kind as u64, 3);
        }
        for kind in Kind::ALL {
            let of_kind =
                self.values.iter().take(n).enumerate().filter(|(at, _)| self.kinds.get(*at) == kind);
            let values: Vec<u64> = of_kind.map(|(_, v)| *v).collect();
            if !values.is_empty() && kind != Kind::Null {
                let (plan, _) = plan_search::plan(kind, &values, plan_search::ALONE, scratch);
                plan.integers(&values, scratch);
                plan.write_after(before, ops, scratch, |_, _| 0);
            }
        }
    }
}
