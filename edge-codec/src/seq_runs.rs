//! Sequence numbers of a batch with gaps, as run lengths.
//!
//! On the wire `[n0, skip1, n1, skip2, n2, …]` means that the first `n0` readings are the rows `first_seq`, `first_seq + 1`, …, that the next
//! `skip1` numbers are not in this batch, that `n1` rows in sequence follow, and so on. Every number is at least 1, and the runs add up to the
//! readings. A batch without a hole has no such list.

#![deny(clippy::indexing_slicing)]

#[cfg(any(feature = "json", feature = "cbor", feature = "protobuf"))]
use crate::{DecodeError, Header, Limits};

/// Run lengths that are being collected. The last run is open.
#[derive(Clone, Debug)]
pub(crate) struct Runs {
    closed: Vec<u64>,
    open: u64,
    /// Encoded bytes of the closed runs and skips.
    closed_bytes: usize,
    /// Function for the encoded bytes of one number. It is fixed for the whole list, so that no two calls can measure differently.
    number_len: fn(u64) -> usize,
}

/// Position in [`Runs`], for [`undo`](Runs::undo).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RunsMark {
    closed: usize,
    open: u64,
    closed_bytes: usize,
}

impl Runs {
    /// Creates an empty list for a format in which a number takes `number_len` bytes.
    pub(crate) fn new(number_len: fn(u64) -> usize) -> Self {
        Self { closed: Vec::new(), open: 0, closed_bytes: 0, number_len }
    }

    /// Adds a row, with `skip` sequence numbers before it that are not in the batch.
    pub(crate) fn add(&mut self, skip: u64) {
        if skip > 0 && self.open > 0 {
            self.closed_bytes += (self.number_len)(self.open) + (self.number_len)(skip);
            self.closed.extend([self.open, skip]);
            self.open = 0;
        }
        self.open += 1;
    }

    /// Returns a list of these numbers, the last one open.
    #[cfg(test)]
    pub(crate) fn of(numbers: &[u64], number_len: fn(u64) -> usize) -> Self {
        let (open, closed) = numbers.split_last().unwrap();
        let closed_bytes = closed.iter().map(|n| number_len(*n)).sum();
        Self { closed: closed.to_vec(), open: *open, closed_bytes, number_len }
    }

    pub(crate) fn mark(&self) -> RunsMark {
        RunsMark { closed: self.closed.len(), open: self.open, closed_bytes: self.closed_bytes }
    }

    /// Removes what was added since the mark.
    pub(crate) fn undo(&mut self, mark: RunsMark) {
        self.closed.truncate(mark.closed);
        self.open = mark.open;
        self.closed_bytes = mark.closed_bytes;
    }

    /// Returns count and encoded bytes of the numbers; `None` if there is no hole, hence no list.
    #[cfg_attr(
        not(any(feature = "json", feature = "cbor", feature = "protobuf")),
        allow(dead_code, reason = "only formats ask")
    )]
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        let size = || (self.closed.len() + 1, self.closed_bytes + (self.number_len)(self.open));
        (!self.closed.is_empty()).then(size)
    }

    #[cfg_attr(
        not(any(feature = "json", feature = "cbor", feature = "protobuf")),
        allow(dead_code, reason = "only formats ask")
    )]
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> + Clone {
        self.closed.iter().copied().chain(std::iter::once(self.open))
    }
}

/// Error for a batch whose next row would have no number: the highest row is `u64::MAX - 1`.
#[cfg_attr(
    not(any(feature = "json", feature = "cbor", feature = "protobuf")),
    allow(dead_code, reason = "only decoders say it")
)]
const OUT_OF_RANGE: &str = "the sequence numbers are out of range";

/// Cursor over the sequence numbers of a batch's readings.
#[derive(Clone, Debug)]
pub(crate) struct Seqs {
    next: u64,
    /// Readings left in this run.
    left: u64,
    rest: std::vec::IntoIter<u64>,
}

impl Seqs {
    /// Takes a decoded list, `None` if the batch has none, and checks it against the number of readings.
    #[cfg_attr(
        not(any(feature = "json", feature = "cbor", feature = "protobuf")),
        allow(dead_code, reason = "only decoders build it")
    )]
    pub(crate) fn new(first: u64, runs: Option<Vec<u64>>, readings: usize) -> Result<Self, &'static str> {
        let Some(runs) = runs else {
            first.checked_add(readings as u64).ok_or(OUT_OF_RANGE)?;
            return Ok(Self { next: first, left: u64::MAX, rest: Vec::new().into_iter() });
        };
        if runs.len() % 2 == 0 {
            return Err("seqs does not end with a run");
        }
        if runs.contains(&0) {
            return Err("seqs has a 0");
        }
        let rows = runs.iter().step_by(2).try_fold(0_u64, |sum, n| sum.checked_add(*n));
        if rows != Some(readings as u64) {
            return Err("seqs does not add up to the readings");
        }
        if runs.iter().try_fold(first, |sum, n| sum.checked_add(*n)).is_none() {
            return Err(OUT_OF_RANGE);
        }
        let mut rest = runs.into_iter();
        let left = rest.next().unwrap_or(u64::MAX);
        Ok(Self { next: first, left, rest })
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn advance(&mut self) {
        self.next = self.next.saturating_add(1);
        self.left = self.left.saturating_sub(1);
        if self.left == 0
            && let (Some(skip), Some(run)) = (self.rest.next(), self.rest.next())
        {
            self.next = self.next.saturating_add(skip);
            self.left = run;
        }
    }
}

/// Returns the sequence numbers of a batch with this header. `runs` stood at the byte `offset`.
#[cfg(any(feature = "json", feature = "cbor", feature = "protobuf"))]
pub(crate) fn seqs(
    offset: usize,
    header: &Header,
    runs: Option<Vec<u64>>,
    readings: usize,
) -> Result<Option<Seqs>, DecodeError> {
    let malformed = |what: &'static str| DecodeError::Malformed { offset, what: what.into() };
    match (header.id, runs) {
        (Some(id), runs) => Seqs::new(id.first_seq, runs, readings).map(Some).map_err(malformed),
        (None, None) => Ok(None),
        (None, Some(_)) => Err(malformed("seqs without id")),
    }
}

/// Refuses a list with more numbers than twice the readings allowed, since every run has at least one reading.
#[cfg(any(feature = "json", feature = "cbor", feature = "protobuf"))]
pub(crate) fn check_runs(offset: usize, numbers: usize, limits: &Limits) -> Result<(), DecodeError> {
    let limit = limits.readings.saturating_mul(2);
    if numbers > limit {
        return Err(DecodeError::Limit { what: "sequence runs", offset, limit, found: numbers as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(first: u64, runs: &[u64], readings: usize) -> Result<Vec<u64>, &'static str> {
        let mut seqs = Seqs::new(first, Some(runs.to_vec()), readings)?;
        Ok((0..readings)
            .map(|_| {
                let seq = seqs.next();
                seqs.advance();
                seq
            })
            .collect())
    }

    #[test]
    fn what_is_added_is_read_back() {
        let mut runs = Runs::new(|_| 1);
        [7, 0, 0, 1, 0, 5].into_iter().for_each(|skip| runs.add(skip));
        let list: Vec<u64> = runs.numbers().collect();
        assert_eq!(list, [3, 1, 2, 5, 1], "what is skipped before the first row is the first row's number");
        assert_eq!(runs.size(), Some((5, 5)));
        assert_eq!(numbers(10, &list, 6), Ok(vec![10, 11, 12, 14, 15, 21]));
    }

    #[test]
    fn undo_takes_a_hole_back() {
        let mut runs = Runs::new(|_| 1);
        runs.add(0);
        let mark = runs.mark();
        runs.add(3);
        runs.undo(mark);
        assert_eq!((runs.size(), runs.numbers().collect::<Vec<_>>()), (None, vec![1]));
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        for (first, runs, readings) in [
            (0, &[][..], 0),
            (0, &[2, 1], 2),
            (0, &[1, 0, 1], 2),
            (0, &[1, 1, 1], 3),
            (0, &[u64::MAX, 1, u64::MAX], 2),
            (u64::MAX - 2, &[1, 1, 1], 2),
        ] {
            assert!(numbers(first, runs, readings).is_err(), "{runs:?}");
        }
        assert!(numbers(u64::MAX - 3, &[1, 1, 1], 2).is_ok());
    }
}
