//! Rate limit (token bucket) of answers to refused commands: whatever sends an answer back as a command, changed so that it is not known as one, gets no more than
//! these, and a loop of them ends, since each answer that is left out is one less in it. Pure.

/// Most answers at once: those to all commands that a hub kept in an outage, as a rule.
pub(super) const BURST: u64 = 1_024;
/// Answers a second in the long run.
pub(super) const PER_S: u64 = 20;

/// Answers that may be given now.
#[derive(Debug)]
pub(super) struct RefusalRate {
    /// In thousandths of an answer.
    left: u64,
    last_ms: u64,
}

impl RefusalRate {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { left: BURST * 1_000, last_ms: now_ms }
    }

    /// Returns whether one more may be given.
    pub(super) fn take(&mut self, now_ms: u64) -> bool {
        let more = now_ms.saturating_sub(self.last_ms).saturating_mul(PER_S);
        (self.left, self.last_ms) = (self.left.saturating_add(more).min(BURST * 1_000), now_ms);
        let left = self.left.checked_sub(1_000);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_gets_a_burst_and_so_many_a_second_behind_it() {
        let mut rate = RefusalRate::new(5);
        let mut taken = |from_ms: u64, to_ms: u64| {
            let times = (from_ms..to_ms).flat_map(|ms| [ms; 9]);
            times.filter(|ms| rate.take(*ms)).count() as u64
        };
        assert_eq!(taken(5, 1_005), BURST + PER_S - 1);
        assert_eq!(taken(1_005, 11_005), 10 * PER_S);
        assert_eq!(taken(100_000_000, 100_000_200), BURST + PER_S / 5 - 1, "no more is saved up");
    }
}
