//! Plan cache of a column in batches with a session table: the table's plan, or a plan of the column if that takes less. Searches for a better
//! plan are periodic, and rarer the longer they find none.

#![deny(clippy::indexing_slicing)]

use super::search_backoff::SearchBackoff;
use super::search_policy::{OWN_PLAN, SearchPolicy};
use crate::compact::stream::coder::Coder;
use crate::compact::stream::op_buffer::{Mark, OpBuffer};
use crate::compact::values::integer_dictionary;
use crate::compact::values::kind::Kind;
use crate::compact::values::number_form::NumberForm;
use crate::compact::values::plan::{Plan, Scratch, SharedParts};
use crate::compact::values::plan_search;

/// A column's plan and statistics from earlier batches with a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct TablePlanCache {
    /// Plan of the last batch. `None`: it was the table's.
    own: Option<Plan>,
    policy: SearchPolicy<NumberForm>,
    /// Cost of a value in 1/256 bits when the coders of the plan were chosen.
    fitted: u64,
    /// Sum of the numbers that the main coder got then, per 256 values. A much smaller sum means that smaller numbers need other coders.
    weight: u64,
    /// Number of searches for a better plan.
    looks: u32,
    /// Back-off of the search for a dictionary, when there are few different values.
    dictionary_backoff: SearchBackoff,
}

/// Period, in searches, of the one that tries all number forms. The searches between keep the form of the present plan.
const ALL_FORMS: u32 = 64;
/// Denominator of the fraction of the cost that another plan must save to be used: a twentieth.
const GAIN: u64 = 20;
/// Difference of a batch's cost that does not count, in 1/256 bits.
const LITTLE: u64 = 16 * 256;
/// Number of values below which a column uses the table's plan if that can hold them.
const FEW: u64 = 8;

/// Column of a batch, and the buffer into which it is written.
pub(crate) struct Target<'t> {
    pub(crate) kind: Kind,
    pub(crate) values: &'t [u64],
    /// Plan of the table for the sensor. `None`: the table has none.
    pub(crate) table: Option<&'t Plan>,
    pub(crate) before: &'t mut Option<SharedParts>,
    pub(crate) ops: &'t mut OpBuffer,
    pub(crate) scratch: &'t mut Scratch,
}

/// Plan that takes less than the last one.
enum Alternative {
    Table,
    Own(Box<Plan>),
}

impl TablePlanCache {
    /// Returns the bytes outside of the cache itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.own.as_ref().map_or(0, |plan| plan.transform.heap_bytes()) + self.policy.heap_bytes(|_| 0)
    }

    /// Writes the values by the plan of the last batch, unless that cannot hold them or a plan is found that takes less.
    pub(crate) fn write(&mut self, mut target: Target<'_>) {
        let start = target.place();
        let own = self.own.take().filter(|own| own.kind == target.kind);
        let own = own.filter(|_| target.len() >= FEW || !target.is_held_by_table());
        let written = own.and_then(|own| self.by_own(own, &mut target));
        let Some(cost) = written.or_else(|| target.by_table()) else {
            let plan = self.other(&mut target);
            return self.by_new(plan, &mut target);
        };
        if !self.is_due(cost, &target) {
            return;
        }
        match self.look(cost, &mut target) {
            Some(Alternative::Own(plan)) => {
                target.undo(start);
                self.by_new(*plan, &mut target);
            }
            Some(Alternative::Table) => {
                target.undo(start);
                self.own = None;
                self.policy.took(target.by_table().unwrap_or(0), target.len());
                self.succeeded();
            }
            None => {
                self.policy.took(cost, target.len());
                self.policy.failed();
            }
        }
    }

    /// Writes the values by the plan of the last batch. New coders are chosen if it takes more than it did then, or if the numbers have become
    /// much smaller. Returns the cost in 1/256 bits. `None`: the plan cannot hold the values.
    fn by_own(&mut self, mut plan: Plan, target: &mut Target<'_>) -> Option<u64> {
        if !plan.refit(target.values, target.scratch) {
            return None;
        }
        let (start, n) = (target.place(), target.len());
        let (mut cost, weight) = target.put(&plan);
        let (fitted, weight) = (self.fitted.saturating_mul(n), weight * 256 / n);
        let more = cost > fitted.saturating_mul(33) / 32 + LITTLE / 2;
        let less = cost + LITTLE < fitted / 8 * 7 || weight < self.weight / 2;
        if more || less {
            let tuned = plan_search::tune(&mut plan, target.scratch) + plan.listed();
            if tuned < cost {
                target.undo(start);
                cost = target.put(&plan).0;
            }
            (self.fitted, self.weight) = (cost / n, weight);
        }
        self.own = Some(plan);
        Some(cost)
    }

    fn by_new(&mut self, plan: Plan, target: &mut Target<'_>) {
        let held = plan.integers(target.values, target.scratch);
        debug_assert!(held, "a plan that was found holds the values");
        let (cost, weight) = target.put(&plan);
        self.policy.took(cost, target.len());
        (self.fitted, self.weight) = (cost / target.len(), weight * 256 / target.len());
        self.own = Some(plan);
        self.succeeded();
    }

    fn succeeded(&mut self) {
        self.policy.succeeded();
        self.dictionary_backoff.halve();
    }

    /// Returns whether a better plan has to be searched for. `cost`: cost of the batch as it was written.
    fn is_due(&mut self, cost: u64, target: &Target<'_>) -> bool {
        let n = target.len();
        let nothing_to_gain = match self.own {
            Some(_) => target.learned().is_none() && cost < LITTLE + n * 64,
            None => cost < OWN_PLAN + n * 256 || n < FEW,
        };
        if nothing_to_gain {
            return false;
        }
        let is_change = self.policy.is_change(cost, n);
        self.policy.took_less(cost, n);
        let few = self.may_be_listed(cost, target);
        self.policy.is_due() || is_change || few
    }

    /// Returns whether the values have so few different ones, and so high a cost, that a dictionary may take less.
    fn may_be_listed(&mut self, cost: u64, target: &Target<'_>) -> bool {
        let listed = self.own.as_ref().is_some_and(|own| own.listed() > 0);
        let dear = cost > (target.len() * 8 + integer_dictionary::bits(&[])) * 256;
        !listed
            && dear
            && self.dictionary_backoff.count_batch()
            && integer_dictionary::are_few(target.values)
            && self.dictionary_backoff.try_again()
    }

    /// Returns an alternative encoding of the values that takes less than `cost`. `None`: none was found.
    fn look(&mut self, cost: u64, target: &mut Target<'_>) -> Option<Alternative> {
        let all_forms = target.kind == Kind::F64 && self.looks.is_multiple_of(ALL_FORMS);
        self.looks = self.looks.wrapping_add(1);
        let form = self.own.as_ref().or(target.learned())?.form;
        // A plan of the table's takes nothing to tell.
        let cost = cost + if self.own.is_some() { OWN_PLAN } else { 0 };
        let mut best = (cost - cost / GAIN, None);
        if self.own.is_some()
            && let Some(by_table) = target.cost_by_table()
        {
            if by_table < best.0 {
                best = (by_table, Some(Alternative::Table));
            }
            if by_table < cost / 4 * 3 {
                return best.1;
            }
        }
        let mut offer = |(plan, cost): (Plan, u64)| {
            if cost + OWN_PLAN < best.0 {
                best = (cost + OWN_PLAN, Some(Alternative::Own(Box::new(plan))));
            }
        };
        // A list needs no corrections.
        let listed = form.has_ulps() && integer_dictionary::are_few(target.values);
        let form = if listed { NumberForm::Bits64 } else { form };
        offer(plan_search::with_form(target.kind, form, target.values, target.scratch));
        if all_forms {
            offer(plan_search::plan(target.kind, target.values, plan_search::QUICK, target.scratch));
        }
        if let Some(Alternative::Own(plan)) = &best.1 {
            self.remember(plan);
        }
        best.1
    }

    /// Returns a plan for values that the last plan cannot hold. Forms of the last plans are tried first, and used if they are about as good as
    /// usual.
    fn other(&mut self, target: &mut Target<'_>) -> Plan {
        let again = self.policy.found().iter().filter_map(|form| {
            let Scratch { integers, ulps, .. } = &mut *target.scratch;
            let held = target.kind == Kind::F64 && form.integers(target.values, integers, ulps);
            held.then(|| plan_search::with_form(target.kind, *form, target.values, target.scratch))
        });
        let again = again.min_by_key(|found| found.1);
        if let Some((plan, _)) = again.filter(|found| self.policy.is_as_good(found.1, target.len())) {
            return plan;
        }
        let (plan, _) = plan_search::plan(target.kind, target.values, plan_search::QUICK, target.scratch);
        self.remember(&plan);
        plan
    }

    fn remember(&mut self, plan: &Plan) {
        if plan.kind == Kind::F64 {
            self.policy.remember(plan.form);
        }
    }
}

impl<'t> Target<'t> {
    /// Returns the number of values, at least 1.
    fn len(&self) -> u64 {
        self.values.len().max(1) as u64
    }

    /// Returns the table's plan, if it is for values of this kind.
    fn learned(&self) -> Option<&'t Plan> {
        self.table.filter(|plan| plan.kind == self.kind)
    }

    fn is_held_by_table(&mut self) -> bool {
        self.learned().is_some_and(|plan| plan.integers(self.values, self.scratch))
    }

    /// Writes the values by the table's plan. Returns the cost in 1/256 bits. `None`: there is no such plan, or it cannot hold the values.
    fn by_table(&mut self) -> Option<u64> {
        let plan = self.learned()?;
        plan.integers(self.values, self.scratch).then(|| {
            self.ops.flag(true);
            plan.write(self.ops, self.scratch, Coder::cost_about)
        })
    }

    /// Returns the cost of the column by the table's plan, in 1/256 bits.
    fn cost_by_table(&mut self) -> Option<u64> {
        let plan = self.learned()?;
        plan.integers(self.values, self.scratch).then(|| plan.cost(self.scratch))
    }

    /// Writes the values by a plan of the batch. Returns the cost in 1/256 bits, and about the sum of the numbers, as [`put`] does.
    fn put(&mut self, plan: &Plan) -> (u64, u64) {
        self.ops.flag(false);
        put(plan, self.before, self.ops, self.scratch)
    }

    fn place(&self) -> (Mark, Option<SharedParts>) {
        (self.ops.mark(), *self.before)
    }

    /// Takes back everything that was written since the mark.
    fn undo(&mut self, (mark, before): (Mark, Option<SharedParts>)) {
        self.ops.undo(mark);
        *self.before = before;
    }
}

/// Largest weight of a number, so that the sum of a batch cannot overflow.
const WEIGHT_MAX: u64 = 1 << 39;

/// Writes a batch's own plan and the integers in `scratch`. Returns the cost of the integers and their dictionary in 1/256 bits, and about the
/// sum of the numbers that went to the main coder.
fn put(
    plan: &Plan,
    before: &mut Option<SharedParts>,
    ops: &mut OpBuffer,
    scratch: &mut Scratch,
) -> (u64, u64) {
    let mut weight = None;
    let cost = plan.write_after(before, ops, scratch, |coder, numbers| {
        weight.get_or_insert_with(|| numbers.iter().map(|n| *n.min(&WEIGHT_MAX)).sum());
        coder.cost_all(numbers)
    });
    (cost + plan.listed(), weight.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::super::test_regimes;
    use super::*;

    fn by(known: &mut TablePlanCache, values: &[u64]) -> usize {
        test_regimes::size(values, |values, before, ops, scratch| {
            known.write(Target { kind: Kind::F64, values, table: None, before, ops, scratch });
        })
    }

    /// The first batch that takes more than a search for this batch alone would give.
    fn first_loss(write: impl FnMut(&[u64]) -> usize) -> Option<usize> {
        test_regimes::first_loss(write, |values| by(&mut TablePlanCache::default(), values))
    }

    #[test]
    fn plans_follow_a_change_at_once() {
        let mut known = TablePlanCache::default();
        assert_eq!(first_loss(|values| by(&mut known, values)), None);
    }

    /// Planted bug: a plan that is kept as long as it holds the values.
    #[test]
    fn a_plan_that_is_never_looked_for_again_is_noticed() {
        let mut plan = None;
        let write = |values: &[u64]| {
            test_regimes::size(values, |v, before, ops, scratch| {
                let plan = plan
                    .get_or_insert_with(|| plan_search::plan(Kind::F64, v, plan_search::QUICK, scratch).0);
                assert!(plan.refit(v, scratch), "the first form holds all that comes later");
                put(plan, before, ops, scratch);
            })
        };
        assert_eq!(first_loss(write), Some(test_regimes::BATCHES));
    }
}
