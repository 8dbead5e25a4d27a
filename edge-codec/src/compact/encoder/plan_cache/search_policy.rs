//! Search policy of a plan cache: the times at which a better encoding is searched for, and the earlier encodings that are tried first.

use super::search_backoff::SearchBackoff;
use crate::compact::list_bytes::list_bytes;

/// Encodings found so far, the usual cost of a batch, and the back-offs of the searches.
#[derive(Clone, Debug)]
pub(super) struct SearchPolicy<E> {
    /// Encodings that were found, the latest first.
    found: Vec<E>,
    /// Usual cost of a value in the last batches, in 1/256 bits.
    usual: u64,
    /// Back-off of the periodic search for a better encoding.
    backoff: SearchBackoff,
    /// Back-off of the search after a batch that took much more or less than those before.
    change_backoff: SearchBackoff,
}

/// Number of encodings that are cached, because a sensor often returns to an earlier behaviour, as from night to day.
const FOUND: usize = 3;
/// Approximate cost of a batch's own plan, in 1/256 bits. A smaller change of cost does not count.
pub(super) const OWN_PLAN: u64 = 56 * 256;

impl<E> Default for SearchPolicy<E> {
    fn default() -> Self {
        let (backoff, change_backoff) = (SearchBackoff::default(), SearchBackoff::default());
        SearchPolicy { found: Vec::new(), usual: 0, backoff, change_backoff }
    }
}

impl<E: PartialEq> SearchPolicy<E> {
    /// Returns the bytes outside of the policy itself. `of`: those outside of an encoding itself.
    pub(super) fn heap_bytes(&self, of: impl Fn(&E) -> usize) -> usize {
        list_bytes(&self.found) + self.found.iter().map(of).sum::<usize>()
    }

    /// Returns the encodings that were found, the latest first.
    pub(super) fn found(&self) -> &[E] {
        &self.found
    }

    pub(super) fn remember(&mut self, encoding: E) {
        self.found.retain(|known| *known != encoding);
        self.found.truncate(FOUND - 1);
        self.found.insert(0, encoding);
    }

    /// Sets the usual cost to that of a batch of `n` values.
    pub(super) fn took(&mut self, cost: u64, n: u64) {
        self.usual = cost / n;
    }

    /// Moves the usual cost an eighth of the way to that of a batch of `n` values, if that is lower.
    pub(super) fn took_less(&mut self, cost: u64, n: u64) {
        if cost < self.usual.saturating_mul(n) {
            self.usual = (self.usual * 7 + cost / n) / 8;
        }
    }

    /// Returns whether an earlier encoding of that cost is about as good as usual, so that no search is needed.
    pub(super) fn is_as_good(&self, cost: u64, n: u64) -> bool {
        cost <= self.usual.saturating_mul(n) / 4 * 5 + OWN_PLAN
    }

    /// Counts a batch. Returns whether its cost differs so much from the usual one that a search may pay.
    pub(super) fn is_change(&mut self, cost: u64, n: u64) -> bool {
        let usual = self.usual.saturating_mul(n);
        let changed = cost > (usual / 2).saturating_mul(3) + OWN_PLAN || cost + OWN_PLAN < usual / 2;
        changed && self.change_backoff.try_again()
    }

    /// Counts a batch. Returns whether the periodic search is due.
    pub(super) fn is_due(&mut self) -> bool {
        self.backoff.count_batch()
    }

    pub(super) fn failed(&mut self) {
        self.backoff.failed();
    }

    pub(super) fn succeeded(&mut self) {
        self.backoff.succeeded();
        self.change_backoff.halve();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_that_is_found_again_takes_one_place() {
        let mut policy = SearchPolicy::default();
        [1, 2, 3, 2].into_iter().for_each(|encoding| policy.remember(encoding));
        assert_eq!(policy.found(), [2, 3, 1]);
        policy.remember(4);
        assert_eq!(policy.found(), [4, 2, 3]);
    }

    #[test]
    fn cheaper_batches_lower_the_usual_cost_and_dearer_ones_do_not_raise_it() {
        let mut policy = SearchPolicy::<u8>::default();
        policy.took(8_000, 10);
        policy.took_less(0, 10);
        assert_eq!(policy.usual, 700);
        policy.took_less(9_000, 10);
        assert_eq!(policy.usual, 700);
    }
}
