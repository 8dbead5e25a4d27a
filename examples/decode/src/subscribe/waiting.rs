//! Batches that wait for their session table.

use tokio::time::Instant;

/// With their payloads; beyond it nothing more is taken from the hub until one of them is done.
const WAITING_MAX: usize = 256;

/// In the order of their arrival.
#[derive(Debug)]
pub(super) struct Waiting<M> {
    list: Vec<(u32, Instant, M)>,
}

impl<M> Default for Waiting<M> {
    fn default() -> Self {
        Self { list: Vec::new() }
    }
}

impl<M> Waiting<M> {
    pub(super) fn has_room(&self) -> bool {
        self.list.len() < WAITING_MAX
    }

    pub(super) fn add(&mut self, table: u32, until: Instant, message: M) {
        self.list.push((table, until, message));
    }

    /// Those that wait for this table.
    pub(super) fn take(&mut self, table: u32) -> Vec<M> {
        self.list.extract_if(.., |(wanted, ..)| *wanted == table).map(|(.., message)| message).collect()
    }

    /// Those that have waited long enough, and for which table.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<(u32, M)> {
        self.list
            .extract_if(.., |(_, until, _)| *until <= now)
            .map(|(table, _, message)| (table, message))
            .collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.list.iter().map(|(_, until, _)| *until).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn a_table_frees_its_batches_in_order_and_time_frees_the_rest() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut waiting = Waiting::default();
        for (table, until, name) in [(1, 10, "a"), (2, 11, "b"), (1, 12, "c"), (3, 13, "d")] {
            waiting.add(table, at(until), name);
        }
        assert_eq!((waiting.next_deadline(), waiting.take(1)), (Some(at(10)), vec!["a", "c"]));
        assert_eq!((waiting.overdue(at(10)), waiting.next_deadline()), (Vec::new(), Some(at(11))));
        assert_eq!(waiting.overdue(at(20)), [(2, "b"), (3, "d")]);
        (0..WAITING_MAX).for_each(|_| waiting.add(1, at(0), "x"));
        assert!(!waiting.has_room());
    }
}
