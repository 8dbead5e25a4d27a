//! One sensor's readings that wait, and the plan that fitted the last ones.

#![deny(clippy::indexing_slicing)]

use super::plan::{Kind, Plan, Pre, Scratch, Shared};
use super::same::Same;
use super::script::Script;
use super::search;
use super::token::Coder;
use crate::{Reading, Value};

#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) sensor: u32,
    /// Where it stands among the columns of a batch.
    pub(super) position: u32,
    times: Vec<i64>,
    /// Bits of the value; texts and bytes are numbers in a list.
    values: Vec<u64>,
    kinds: Same<Kind>,
    qualities: Same<u32>,
    known: Known,
}

/// What earlier batches taught about a column.
#[derive(Clone, Debug, Default)]
struct Known {
    plan: Option<Plan>,
    /// 1/256 bits per value when the plan was found.
    cost: u64,
    /// Batches since then.
    batches: u32,
    /// 1/256 bits per value that the table's plan took when it paid.
    table_cost: Option<u64>,
    /// Batches for which the table's plan is not held against one of the column's own.
    table_checks: u32,
    /// Batches for which the table's plan is not asked.
    table_rests: u32,
}

/// Batches after which a plan is looked for again, since values may have become simpler.
const RENEW: u32 = 64;
/// From so many values on, a table's plan is held against one of the column's own when it is first used: what it was
/// learned from may have been another season.
const FIRST_CHECK: usize = 32;
/// Batches for which a table's plan that did not pay rests.
const REST: u32 = 15;

/// The number that stands for a value, unless it is text or bytes.
pub(super) fn bits(value: &Value<'_>) -> (Kind, u64) {
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
    pub(super) fn new(sensor: u32, position: u32) -> Self {
        let (kinds, qualities) = (Same::new(Kind::Null), Same::new(0));
        let known = Known::default();
        Self { sensor, position, times: Vec::new(), values: Vec::new(), kinds, qualities, known }
    }

    /// Takes a reading, whose value is the number that [`bits`] gives or a text's.
    #[inline]
    pub(super) fn push(&mut self, time: i64, kind: Kind, value: u64, quality: u32) {
        let len = self.times.len();
        self.times.push(time);
        self.values.push(value);
        self.kinds.push(len, kind);
        self.qualities.push(len, quality);
    }

    pub(super) fn len(&self) -> usize {
        self.times.len()
    }

    pub(super) fn times(&self) -> &[i64] {
        &self.times
    }

    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    /// The first `n` qualities as runs, each with its length.
    pub(super) fn qualities(&self, n: usize) -> impl Iterator<Item = (u32, usize)> {
        self.qualities.runs(n)
    }

    /// The kind of the first `n` values; [`Kind::Mixed`] if they have several.
    pub(super) fn kind(&self, n: usize) -> Kind {
        self.kinds.one(n).unwrap_or(Kind::Mixed)
    }

    /// The reading at `at`.
    pub(super) fn reading(&self, at: usize, texts: &[Box<[u8]>]) -> Option<Reading<'static>> {
        let time = *self.times.get(at)?;
        let value = super::texts::value(self.kinds.get(at), *self.values.get(at)?, texts);
        Some(Reading { sensor: self.sensor, time, value, quality: self.qualities.get(at) })
    }

    /// The number of the text at `at`, if there is one.
    pub(super) fn text(&self, at: usize) -> Option<u64> {
        let is_text = matches!(self.kinds.get(at), Kind::Text | Kind::Bytes);
        self.values.get(at).copied().filter(|_| is_text)
    }

    /// The highest number of a text among the first `n` readings.
    pub(super) fn texts(&self, n: usize) -> Option<u64> {
        (0..n).filter_map(|at| self.text(at)).max()
    }

    /// Changes the numbers of texts.
    pub(super) fn renumber(&mut self, mut number: impl FnMut(u64) -> u64) {
        for (at, value) in self.values.iter_mut().enumerate() {
            if matches!(self.kinds.get(at), Kind::Text | Kind::Bytes) {
                *value = number(*value);
            }
        }
    }

    /// Forgets the first `n` readings.
    pub(super) fn drain(&mut self, n: usize) {
        self.times.drain(..n);
        self.values.drain(..n);
        self.kinds.drain(n);
        self.qualities.drain(n);
    }

    /// Writes the plan and the first `n` values. `table` is `Some` if the batch has a table, whether or not that has a
    /// plan for this sensor.
    pub(super) fn write(
        &mut self,
        n: usize,
        table: Option<Option<&Plan>>,
        before: &mut Option<Shared>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) {
        let kind = self.kind(n);
        if let Some(plan) = table {
            if self.write_by_table(n, kind, plan, script, scratch) {
                return;
            }
            script.flag(false);
        }
        match kind {
            Kind::Null | Kind::Mixed => {
                if before.is_some() {
                    script.flag(false);
                }
                script.bits(kind as u64, 3);
                if kind == Kind::Mixed {
                    self.write_mixed(n, before, script, scratch);
                }
            }
            _ => self.write_planned(n, kind, before, script, scratch),
        }
    }

    /// Writes by the table's plan if it can hold the values and pays.
    fn write_by_table(
        &mut self,
        n: usize,
        kind: Kind,
        plan: Option<&Plan>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) -> bool {
        let Some(plan) = plan.filter(|p| p.kind == kind) else { return false };
        if self.known.table_rests > 0 {
            self.known.table_rests -= 1;
            return false;
        }
        let values = self.values.get(..n).unwrap_or_default();
        if !plan.integers(values, scratch) {
            return false;
        }
        let mark = script.mark();
        script.flag(true);
        let cost = plan.write(script, scratch, Coder::cost_about);
        let per_value = cost / (n as u64).max(1);
        let first = self.known.table_cost.is_none() && n >= FIRST_CHECK;
        let usual = *self.known.table_cost.get_or_insert(per_value);
        // A plan of its own has to be written, too: about seven bytes.
        self.known.table_checks = self.known.table_checks.saturating_sub(1);
        let dear = cost > (usual * n as u64) * 5 / 4 + 56 * 256 && n >= 8;
        if (first || dear) && self.known.table_checks == 0 {
            self.known.table_checks = REST;
            let own = search::plan(kind, values, scratch);
            let own_cost = own.size(values, scratch) + 56 * 256;
            if own_cost < cost {
                script.undo(mark);
                self.known = Known { plan: Some(own), cost: u64::MAX, table_rests: REST, ..Known::default() };
                return false;
            }
            self.known.table_cost = Some(per_value);
        }
        self.known.table_cost = self.known.table_cost.map(|usual| (usual * 7 + per_value) / 8);
        true
    }

    /// Writes by a plan of the batch's own: the one that fitted last time, or a new one.
    fn write_planned(
        &mut self,
        n: usize,
        kind: Kind,
        before: &mut Option<Shared>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) {
        let values = self.values.get(..n).unwrap_or_default();
        let known = &mut self.known;
        let usable = known.plan.take().filter(|p| p.kind == kind && known.batches < RENEW);
        if let Some(mut plan) = usable
            && refit(&mut plan, values, scratch)
            && let Some(cost) = put_again(&mut plan, n, known.cost, before, script, scratch)
        {
            known.batches += 1;
            known.cost = known.cost.min(cost / n as u64);
            known.plan = Some(plan);
            return;
        }
        let plan = search::plan(kind, values, scratch);
        let held = plan.integers(values, scratch);
        debug_assert!(held, "a plan that was found holds the values");
        known.batches = 0;
        known.cost = put(&plan, before, script, scratch) / (n as u64).max(1);
        known.plan = Some(plan);
    }

    /// Kinds in runs, then the values of each kind as a column of their own.
    fn write_mixed(
        &mut self,
        n: usize,
        before: &mut Option<Shared>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) {
        for (kind, run) in self.kinds.runs(n) {
            script.eg(run as u64 - 1, 3);
            script.bits(kind as u64, 3);
        }
        for kind in Kind::ALL {
            let of_kind =
                self.values.iter().take(n).enumerate().filter(|(at, _)| self.kinds.get(*at) == kind);
            let values: Vec<u64> = of_kind.map(|(_, v)| *v).collect();
            if !values.is_empty() && kind != Kind::Null {
                let plan = search::plan(kind, &values, scratch);
                plan.integers(&values, scratch);
                put(&plan, before, script, scratch);
            }
        }
    }
}

/// Brings a plan of an earlier batch to the values of this one, and these to its integers; `false` if it cannot hold
/// them.
fn refit(plan: &mut Plan, values: &[u64], scratch: &mut Scratch) -> bool {
    if matches!(plan.pre, Pre::Table(_)) {
        // The list of values is this batch's own; the form stays.
        let form = plan.form;
        *plan = search::with_form(plan.kind, form, values, scratch);
        return plan.form == form && plan.integers(values, scratch);
    }
    let held = plan.integers(values, scratch);
    plan.recenter(&scratch.integers);
    held
}

/// Writes a batch's own plan and the integers in `scratch`, and says what these take, in 1/256 bits.
fn put(plan: &Plan, before: &mut Option<Shared>, script: &mut Script, scratch: &mut Scratch) -> u64 {
    plan.describe_after(*before, script);
    *before = Some(plan.shared());
    plan.write(script, scratch, Coder::cost_all)
}

/// The same for a plan that took `usual` per value, if it needs no more now, or with other coders. Else nothing is
/// written.
fn put_again(
    plan: &mut Plan,
    n: usize,
    usual: u64,
    before: &mut Option<Shared>,
    script: &mut Script,
    scratch: &mut Scratch,
) -> Option<u64> {
    let (mark, was) = (script.mark(), *before);
    let most = usual.saturating_mul(n as u64).saturating_mul(17) / 16 + 16 * 256;
    let cost = put(plan, before, script, scratch);
    // A list of values is new each time.
    if cost <= most || matches!(plan.pre, Pre::Table(_)) {
        return Some(cost);
    }
    script.undo(mark);
    *before = was;
    (search::tune(plan, scratch) <= most).then(|| put(plan, before, script, scratch))
}
