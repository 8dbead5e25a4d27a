//! Plan cache of a column in batches without a session table. Every batch carries its own plans. Only the number form is cached, because the
//! search for it takes long.

#![deny(clippy::indexing_slicing)]

use super::search_policy::SearchPolicy;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::compact::values::integer_dictionary;
use crate::compact::values::kind::Kind;
use crate::compact::values::plan::{Plan, Scratch, SharedParts};
use crate::compact::values::plan_search::{self, PlanBasis};

/// A column's plan and statistics from earlier batches without a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct InlinePlanCache {
    policy: SearchPolicy<PlanBasis>,
}

/// Fraction of the cost, one in so many, that another form must save to be used.
const GAIN: u64 = 50;
/// Cost below which no search is done for a column, in 1/256 bits.
const LEAST: u64 = 48 * 256;

/// One column of a batch.
#[derive(Clone, Copy)]
pub(crate) struct Values<'v> {
    pub(crate) kind: Kind,
    pub(crate) bits: &'v [u64],
}

/// Plan whose integers are in the scratch memory, and the cost of both in 1/256 bits.
type PricedPlan = (Plan, u64);

impl InlinePlanCache {
    /// Writes the plan and the values.
    pub(crate) fn write(
        &mut self,
        values: Values<'_>,
        before: &mut Option<SharedParts>,
        ops: &mut OpBuffer,
        scratch: &mut Scratch,
    ) {
        let kept = self.again(values, scratch);
        let (plan, cost) = match kept {
            Some(kept) if values.kind != Kind::F64 || !self.is_due(kept.1, values) => kept,
            kept => self.look(kept, values, scratch),
        };
        self.policy.took(cost, values.len());
        plan.write_after(before, ops, scratch, |_, _| 0);
    }

    /// Returns the bytes outside of the cache itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.policy.heap_bytes(|basis| basis.grid.heap_bytes())
    }

    /// Returns a plan with the form that was found last. `None`: that form cannot hold the values.
    fn again(&self, values: Values<'_>, scratch: &mut Scratch) -> Option<PricedPlan> {
        if values.kind != Kind::F64 {
            return values.by(&PlanBasis::BITS, scratch);
        }
        let basis = self.policy.found().first()?;
        let kept = values.by(basis, scratch)?;
        if !kept.0.form.has_ulps() || !integer_dictionary::are_few(values.bits) {
            return Some(kept);
        }
        // A list needs no corrections.
        let listed = values.by(&PlanBasis::BITS, scratch);
        listed.filter(|listed| listed.1 < kept.1).or_else(|| values.by(basis, scratch))
    }

    /// Returns whether another form has to be searched for. `cost`: cost of the batch as it is.
    fn is_due(&mut self, cost: u64, values: Values<'_>) -> bool {
        if cost < LEAST {
            return false;
        }
        let is_change = self.policy.is_change(cost, values.len());
        self.policy.is_due() || is_change
    }

    /// Searches for a plan with another form. Returns it, or `kept` if it is no better.
    fn look(&mut self, kept: Option<PricedPlan>, values: Values<'_>, scratch: &mut Scratch) -> PricedPlan {
        let known = if kept.is_none() { self.known(values, scratch) } else { None };
        if let Some(known) = known {
            return known;
        }
        let (other, size) = plan_search::plan(values.kind, values.bits, plan_search::ALONE, scratch);
        let basis = PlanBasis::of(&other);
        let size = size + other.told();
        let best = match kept {
            Some(kept) if size + kept.1 / GAIN >= kept.1 => {
                self.policy.failed();
                kept
            }
            _ => {
                self.policy.succeeded();
                self.policy.remember(basis);
                (other, size)
            }
        };
        best.0.integers(values.bits, scratch);
        best
    }

    /// Returns a plan with an earlier form, if it is about as good as the last one was. `None`: there is none.
    fn known(&mut self, values: Values<'_>, scratch: &mut Scratch) -> Option<PricedPlan> {
        let known = self.policy.found().iter().skip(1);
        let known = known.filter_map(|basis| Some((values.by(basis, scratch)?.1, basis)));
        let (cost, basis) = known.min_by_key(|found| found.0)?;
        if !self.policy.is_as_good(cost, values.len()) {
            return None;
        }
        let basis = basis.clone();
        let found = values.by(&basis, scratch);
        self.policy.remember(basis);
        found
    }
}

impl Values<'_> {
    /// Returns the number of values, at least 1.
    fn len(self) -> u64 {
        self.bits.len().max(1) as u64
    }

    fn by(self, basis: &PlanBasis, scratch: &mut Scratch) -> Option<PricedPlan> {
        let (plan, size) = basis.plan(self.kind, self.bits, scratch)?;
        let told = plan.told();
        Some((plan, size + told))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_regimes;
    use super::*;

    fn by(alone: &mut InlinePlanCache, bits: &[u64]) -> usize {
        test_regimes::size(bits, |bits, before, ops, scratch| {
            alone.write(Values { kind: Kind::F64, bits }, before, ops, scratch);
        })
    }

    #[test]
    fn plans_follow_a_change_at_once() {
        let mut alone = InlinePlanCache::default();
        let found =
            test_regimes::first_loss(|v| by(&mut alone, v), |v| by(&mut InlinePlanCache::default(), v));
        assert_eq!(found, None);
    }

    /// Noise in thousandths makes a form of three decimals; what comes later has fewer, and few different values.
    #[test]
    fn a_batch_does_not_pay_for_what_others_needed() {
        let mut alone = InlinePlanCache::default();
        let noise = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
        let batch = |of: &dyn Fn(u64) -> f64| (0..60).map(|n| of(n).to_bits()).collect::<Vec<_>>();
        by(&mut alone, &batch(&|n| noise(n) as f64 / 1000.0 + 20.0));
        let later: [&dyn Fn(u64) -> f64; 4] =
            [&|_| 20.0, &|n| 20.0 + (noise(n) % 50) as f64, &|n| (noise(n) % 50) as f64 / 2.0, &|n| {
                if noise(n) % 2 == 0 { 20.0 } else { 7_000_000.5 }
            }];
        for values in later.map(batch) {
            assert!(by(&mut alone, &values) <= by(&mut InlinePlanCache::default(), &values) + 1);
        }
    }
}
