//! Rows that were leased since the open. A row that is evicted after it was leased may have arrived nevertheless, and is counted as
//! `overflow_unconfirmed`.

use crate::row::Seq;
use crate::state::Position;

/// Most spans kept; beyond that the two nearest become one, and a row between them counts as handed out.
const SPANS_MAX: usize = 64;

/// Rows that were leased, or skipped because they were done: all below a sequence number, and spans of live rows above it.
#[derive(Clone, Debug, Default)]
pub(crate) struct HandedOut {
    below: Seq,
    /// Spans of live rows, ascending: the first number, and the one past the last.
    spans: Vec<(Seq, Seq)>,
}

impl HandedOut {
    pub(crate) fn contains(&self, seq: Seq) -> bool {
        seq < self.below || self.spans.iter().any(|(first, end)| (*first..*end).contains(&seq))
    }

    /// Records a backlog row that is leased; every row before it was leased or is done.
    pub(crate) fn backlog(&mut self, seq: Seq) {
        self.below = self.below.max(seq.saturating_add(1));
        self.spans.retain(|(_, end)| *end > self.below);
    }

    /// Records a live row that is leased, one of those that begin at `from`. Spans of which all rows are `done` are dropped first at the limit.
    pub(crate) fn live(&mut self, from: Seq, seq: Seq, done: &Position) {
        let end = seq.saturating_add(1);
        match self.spans.last_mut() {
            Some(last) if last.0 == from => last.1 = last.1.max(end),
            _ => self.spans.push((from, end)),
        }
        if self.spans.len() > SPANS_MAX {
            self.spans.retain(|(first, end)| !done.covers(*first, end.saturating_sub(1)));
        }
        if self.spans.len() > SPANS_MAX {
            self.join_nearest();
        }
    }

    fn join_nearest(&mut self) {
        let distances = self.spans.windows(2).map(|pair| match pair {
            [(_, end), (first, _)] => first.saturating_sub(*end),
            _ => Seq::MAX,
        });
        let Some((_, at)) = distances.zip(0..).min() else { return };
        let (_, end) = self.spans.remove(at + 1);
        if let Some(span) = self.spans.get_mut(at) {
            span.1 = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_end_where_the_backlog_comes_by() {
        let (mut handed, done) = (HandedOut::default(), Position::default());
        handed.backlog(5);
        handed.live(100, 102, &done);
        handed.live(200, 200, &done);
        let found: Vec<Seq> = (0..300).filter(|seq| handed.contains(*seq)).collect();
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 100, 101, 102, 200]);
        handed.backlog(150);
        assert_eq!(handed.spans, [(200, 201)]);
        assert!(handed.contains(150) && !handed.contains(151));
    }

    #[test]
    fn their_number_is_bounded_and_what_is_done_goes_first() {
        let (mut handed, mut done) = (HandedOut::default(), Position::default());
        (1..=64).for_each(|n| handed.live(n * 100, n * 100 + n, &done));
        done.mark(300, 303);
        handed.live(6_500, 6_500, &done);
        assert!(!handed.contains(300) && handed.contains(200) && handed.spans.len() == 64);
        handed.live(6_600, 6_600, &done);
        assert_eq!(handed.spans.len(), 64);
        assert!(handed.contains(6_480) && !handed.contains(6_550), "64 and 65 were nearest");
        assert!(handed.contains(6_300) && handed.contains(6_600), "no other is touched");
    }

    #[test]
    fn a_row_handed_out_again_is_in_the_span_it_was_in() {
        let (mut handed, done) = (HandedOut::default(), Position::default());
        [100, 102, 100].into_iter().for_each(|seq| handed.live(100, seq, &done));
        assert_eq!(handed.spans, [(100, 103)]);
    }
}
