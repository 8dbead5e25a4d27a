//! The plans that fitted a column's last batches, and when to look for others.

#![deny(clippy::indexing_slicing)]

use super::form::Form;
use super::plan::{Kind, Plan, Scratch, Shared};
use super::script::Script;
use super::search;
use super::token::Coder;

/// What earlier batches taught about a column.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    plan: Option<Plan>,
    /// 1/256 bits per value when the plan was found.
    cost: u64,
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
    pub(super) fn write_by_table(
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
    pub(super) fn write(
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
            && let Some(cost) = put_again(&mut plan, n, self.cost, before, script, scratch)
        {
            self.batches += 1;
            self.cost = self.cost.min(cost / n.max(1));
            self.plan = Some(plan);
            return;
        }
        let (plan, _) = self.find(kind, values, scratch);
        let held = plan.integers(values, scratch);
        debug_assert!(held, "a plan that was found holds the values");
        self.batches = 0;
        self.cost = put(&plan, before, script, scratch) / n.max(1);
        self.plan = Some(plan);
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

/// Writes a batch's own plan and the integers in `scratch`, and says what these and their list take, in 1/256
/// bits.
pub(super) fn put(
    plan: &Plan,
    before: &mut Option<Shared>,
    script: &mut Script,
    scratch: &mut Scratch,
) -> u64 {
    plan.describe_after(*before, script);
    *before = Some(plan.shared());
    plan.write(script, scratch, Coder::cost_all) + plan.listed()
}

/// The same for a plan that took `usual` per value, if it needs no more now, or with other coders. Else nothing is
/// written.
fn put_again(
    plan: &mut Plan,
    n: u64,
    usual: u64,
    before: &mut Option<Shared>,
    script: &mut Script,
    scratch: &mut Scratch,
) -> Option<u64> {
    let (mark, was) = (script.mark(), *before);
    let most = most(usual, n);
    let cost = put(plan, before, script, scratch);
    if cost <= most {
        return Some(cost);
    }
    script.undo(mark);
    *before = was;
    (search::tune(plan, scratch) + plan.listed() <= most).then(|| put(plan, before, script, scratch))
}
