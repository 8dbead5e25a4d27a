//! The plans that fitted a column's last batches, and when to look for others.

#![deny(clippy::indexing_slicing)]

use crate::compact::stream::coder::Coder;
use crate::compact::stream::script::Script;
use crate::compact::values::form::Form;
use crate::compact::values::kind::Kind;
use crate::compact::values::plan::{Plan, Scratch, Shared};
use crate::compact::values::search;

/// What earlier batches taught about a column.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    plan: Option<Plan>,
    /// 1/256 bits per value when the plan was found.
    cost: u64,
    /// What the numbers weighed then, per 256 values.
    weight: u64,
    /// Batches since then.
    batches: u32,
    /// The forms that were found last, and 1/256 bits per value then.
    forms: Vec<(Form, u64)>,
    /// How many more times these are tried before others are looked for.
    form_rests: u32,
    /// 1/256 bits per value that the table's plan took when it paid.
    table_cost: Option<u64>,
    /// Batches for which the table's plan is not held against one of the column's own.
    table_checks: u32,
    /// Batches for which the table's plan is not asked.
    table_rests: u32,
}

/// Batches after which a plan is looked for again, since values may have become simpler.
const RENEW: u32 = 64;
/// Batches for which a table's plan that did not pay rests.
const REST: u32 = 15;
/// From so many values on, a table's plan is held against one of the column's own when it is first used: what it was
/// learned from may have been another season.
const FIRST_CHECK: usize = 32;
/// A sensor mostly goes back to what it did before, as from night to day. So many forms are remembered.
const FORMS: usize = 4;
/// So many times that a plan is looked for, they are asked first.
const FORM_REST: u32 = 16;
/// What a plan of a batch's own takes, about, in 1/256 bits.
const OWN: u64 = 56 * 256;

impl Known {
    /// Writes by the table's plan if it can hold the values and pays.
    pub(crate) fn write_by_table(
        &mut self,
        kind: Kind,
        values: &[u64],
        plan: Option<&Plan>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) -> bool {
        let Some(plan) = plan.filter(|p| p.kind == kind) else { return false };
        if self.table_rests > 0 {
            self.table_rests -= 1;
            return false;
        }
        if !plan.integers(values, scratch) {
            return false;
        }
        let n = values.len() as u64;
        let mark = script.mark();
        script.flag(true);
        let mut cost = plan.write(script, scratch, Coder::cost_about);
        let first = self.table_cost.is_none() && values.len() >= FIRST_CHECK;
        let usual = *self.table_cost.get_or_insert(cost / n.max(1));
        self.table_checks = self.table_checks.saturating_sub(1);
        let dear = cost > (usual * n) * 5 / 4 + OWN && n >= 8;
        if (first || dear) && self.table_checks == 0 {
            self.table_checks = REST;
            cost = plan.cost(scratch);
            let (own, size) = self.find(kind, values, scratch);
            if size + OWN < cost {
                script.undo(mark);
                (self.plan, self.cost, self.batches) = (Some(own), u64::MAX, 0);
                (self.table_cost, self.table_checks, self.table_rests) = (None, 0, REST);
                return false;
            }
            self.table_cost = Some(cost / n);
        }
        self.table_cost = self.table_cost.map(|usual| (usual * 7 + cost / n.max(1)) / 8);
        true
    }

    /// Writes by a plan of the batch's own: the one that fitted last time, or a new one.
    pub(crate) fn write(
        &mut self,
        kind: Kind,
        values: &[u64],
        before: &mut Option<Shared>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) {
        let n = values.len() as u64;
        let usable = self.plan.take().filter(|p| p.kind == kind && self.batches < RENEW);
        if let Some(mut plan) = usable
            && plan.refit(values, scratch)
            && let Some(cost) = self.put_again(&mut plan, n, before, script, scratch)
        {
            self.batches += 1;
            let cost = cost / n.max(1);
            // Lists are of another length in each batch.
            let lists = plan.listed() > 0 && self.cost < u64::MAX;
            self.cost = if lists { (self.cost * 7 + cost) / 8 } else { self.cost.min(cost) };
            self.plan = Some(plan);
            return;
        }
        let (plan, _) = self.find(kind, values, scratch);
        let held = plan.integers(values, scratch);
        debug_assert!(held, "a plan that was found holds the values");
        self.batches = 0;
        let (cost, weight) = put(&plan, before, script, scratch);
        (self.cost, self.weight) = (cost / n.max(1), weight * 256 / n.max(1));
        self.plan = Some(plan);
    }

    /// Writes by the plan of the last batch, with other coders if it takes more than it did or if the numbers have become
    /// much smaller than those it was made for. `None`, and nothing is written, if that does not help.
    fn put_again(
        &mut self,
        plan: &mut Plan,
        n: u64,
        before: &mut Option<Shared>,
        script: &mut Script,
        scratch: &mut Scratch,
    ) -> Option<u64> {
        let (mark, was) = (script.mark(), *before);
        let lists = if plan.listed() > 0 { self.cost.saturating_mul(n) / 4 } else { 0 };
        let most = most(self.cost, n) + lists;
        let (cost, weight) = put(plan, before, script, scratch);
        let weight = weight * 256 / n.max(1);
        if cost <= most && weight >= self.weight / 4 {
            return Some(cost);
        }
        script.undo(mark);
        *before = was;
        let fits = search::tune(plan, scratch) + plan.listed() <= most;
        self.weight = weight;
        fits.then(|| put(plan, before, script, scratch).0)
    }

    /// A plan for values that the last one is not for: with a form of the last plans, if one is as good as it was and
    /// others were looked for not long ago.
    fn find(&mut self, kind: Kind, values: &[u64], scratch: &mut Scratch) -> (Plan, u64) {
        let n = values.len() as u64;
        self.form_rests = self.form_rests.saturating_sub(1);
        if let Some(found) = self.again(kind, values, scratch) {
            return found;
        }
        self.form_rests = FORM_REST;
        let (plan, size) = search::plan(kind, values, scratch);
        self.forms.retain(|known| known.0 != plan.form);
        self.forms.truncate(FORMS - 1);
        self.forms.insert(0, (plan.form, size / n.max(1)));
        (plan, size)
    }

    fn again(&self, kind: Kind, values: &[u64], scratch: &mut Scratch) -> Option<(Plan, u64)> {
        if kind != Kind::F64 || self.form_rests == 0 {
            return None;
        }
        let plans = self.forms.iter().filter_map(|(form, usual)| {
            let found = search::with_form(kind, *form, values, scratch);
            let as_good = found.0.form == *form && found.1 <= most(*usual, values.len() as u64);
            as_good.then_some(found)
        });
        plans.min_by_key(|found| found.1)
    }
}

/// What a plan may take that took `usual` per value.
fn most(usual: u64, n: u64) -> u64 {
    usual.saturating_mul(n).saturating_mul(17) / 16 + 16 * 256
}

/// Larger numbers weigh no more than this, so that a batch of them can be summed up.
const WEIGHT_MAX: u64 = 1 << 47;

/// Writes a batch's own plan and the integers in `scratch`. What these and their list take, in 1/256 bits, and about the
/// sum of the numbers that the main coder got.
pub(crate) fn put(
    plan: &Plan,
    before: &mut Option<Shared>,
    script: &mut Script,
    scratch: &mut Scratch,
) -> (u64, u64) {
    plan.describe_after(*before, script);
    *before = Some(plan.shared());
    let mut weight = None;
    let cost = plan.write(script, scratch, |coder, numbers| {
        weight.get_or_insert_with(|| numbers.iter().map(|n| *n.min(&WEIGHT_MAX)).sum());
        coder.cost_all(numbers)
    });
    (cost + plan.listed(), weight.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: usize = 200;
    const BATCHES: usize = 8;

    /// Batches of a sensor that changes what it does: noise in thousandths, standing still, steps of a half, a ramp, and
    /// noise again. Each form holds what comes later.
    fn regimes() -> Vec<Vec<u64>> {
        let noise = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54) as f64;
        let value = |regime: usize, n: u64| match regime {
            0 | 4 => noise(n) / 1000.0 + 20.0,
            1 => 20.0,
            2 => (noise(n) / 256.0).floor() / 2.0,
            _ => 20.0 + n as f64 / 8.0,
        };
        let batch = |at: usize| (0..N).map(|n| value(at / BATCHES, (at * N + n) as u64).to_bits()).collect();
        (0..5 * BATCHES).map(batch).collect()
    }

    fn size(
        values: &[u64],
        write: impl FnOnce(&[u64], &mut Option<Shared>, &mut Script, &mut Scratch),
    ) -> usize {
        let (mut script, mut scratch, mut before) = (Script::default(), Scratch::default(), None);
        write(values, &mut before, &mut script, &mut scratch);
        script.write(<[u8]>::len)
    }

    fn fresh(values: &[u64]) -> usize {
        size(values, |v, before, script, scratch| {
            Known::default().write(Kind::F64, v, before, script, scratch);
        })
    }

    /// The first batch that takes over 3 % more than a search for this batch alone would give, and some bytes.
    fn first_loss(mut write: impl FnMut(&[u64]) -> usize) -> Option<usize> {
        regimes().iter().position(|values| {
            let (kept, found) = (write(values), fresh(values));
            kept > found + found * 3 / 100 + 4
        })
    }

    #[test]
    fn plans_follow_a_change_at_once() {
        let mut known = Known::default();
        let write = |values: &[u64]| {
            size(values, |v, before, script, scratch| known.write(Kind::F64, v, before, script, scratch))
        };
        assert_eq!(first_loss(write), None);
    }

    /// Planted bug: a plan that is kept as long as it holds the values.
    #[test]
    fn a_plan_that_is_never_looked_for_again_is_noticed() {
        let mut plan = None;
        let write = |values: &[u64]| {
            size(values, |v, before, script, scratch| {
                let plan = plan.get_or_insert_with(|| search::plan(Kind::F64, v, scratch).0);
                assert!(plan.refit(v, scratch), "the first form holds all that comes later");
                put(plan, before, script, scratch);
            })
        };
        assert_eq!(first_loss(write), Some(BATCHES));
    }
}
