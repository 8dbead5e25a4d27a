//! A decoded batch: header, sensor table, and an iterator over the readings.

use crate::seq_runs::Seqs;
use crate::{DecodeError, Header, Reading, SensorTable};
use std::sync::OnceLock;

/// A decoded batch. It is the iterator over its readings.
///
/// The decoders of this crate check the whole input before they return, so that a damaged batch is refused as a
/// whole and not after half of it was used; the readings are then decoded one by one. An `Err` ends the iteration.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    pub(crate) header: Header,
    /// Sensors of the batch. Empty for a compact batch against a table, until [`sensors`](Self::sensors) is called.
    pub(crate) sensors: OnceLock<SensorTable<'a>>,
    pub(crate) left: usize,
    pub(crate) seqs: Option<Seqs>,
    pub(crate) skipped: usize,
    pub(crate) rows: Rows<'a>,
}

#[derive(Clone, Debug)]
pub(crate) enum Rows<'a> {
    /// Formats whose readings are all decoded at once.
    #[cfg_attr(
        not(any(feature = "json", feature = "sparkplug")),
        allow(dead_code, reason = "the others decode one by one")
    )]
    Ready(std::vec::IntoIter<Reading<'a>>),
    #[cfg(feature = "cbor")]
    Cbor(crate::cbor::Rows<'a>),
    #[cfg(feature = "protobuf")]
    Protobuf(crate::protobuf::Rows<'a>),
    // Boxed: a reader per array makes it large.
    #[cfg(feature = "protobuf")]
    Columns(Box<crate::protobuf::columns::Rows<'a>>),
    #[cfg(feature = "compact")]
    Compact(Box<crate::compact::Rows<'a>>),
}

impl<'a> Batch<'a> {
    /// Returns identity and marks of the batch.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the sequence number of the reading that `next` will return. With the [`header`](Self::header)'s gateway, lane and epoch it
    /// identifies the row, so a reading that arrives twice has the same number in both batches, however they were cut. `None`: the batch has no
    /// identity, or is at its end.
    #[must_use]
    pub fn next_seq(&self) -> Option<u64> {
        self.seqs.as_ref().filter(|_| self.left > 0).map(Seqs::next)
    }

    /// Returns how many items of the input the [`Reading`] model cannot represent, so that they are not among the readings: Sparkplug's DataSets,
    /// Templates, bodies and doubtful integers and times, SenML's records without a value. 0 in this crate's own formats.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Returns names and units of the sensors in this batch. For a compact batch against a session table the list is made by the first call.
    #[must_use]
    pub fn sensors(&self) -> &SensorTable<'a> {
        self.sensors.get_or_init(|| match &self.rows {
            #[cfg(feature = "compact")]
            Rows::Compact(rows) => rows.sensors(),
            _ => SensorTable::new(),
        })
    }

    /// Returns the next reading of a format other than compact.
    #[inline(never)]
    fn next_row(&mut self) -> Option<Result<Reading<'a>, DecodeError>> {
        let item = match &mut self.rows {
            Rows::Ready(rows) => rows.next().map(Ok),
            #[cfg(feature = "cbor")]
            Rows::Cbor(rows) => rows.next(),
            #[cfg(feature = "protobuf")]
            Rows::Protobuf(rows) => rows.next(),
            #[cfg(feature = "protobuf")]
            Rows::Columns(rows) => rows.next(),
            #[cfg(feature = "compact")]
            Rows::Compact(rows) => rows.next(),
        };
        if !matches!(item, Some(Ok(_))) {
            self.left = 0;
        }
        item
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Reading<'a>, DecodeError>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if let Some(seqs) = &mut self.seqs {
            seqs.advance();
        }
        // In the caller's loop, since at some nanoseconds per reading it counts how they come together.
        #[cfg(feature = "compact")]
        if let Rows::Compact(rows) = &mut self.rows {
            return rows.next();
        }
        // Taken apart and put together, so that the compact ones above stay in registers: this one comes in memory.
        match self.next_row()? {
            Ok(Reading { sensor, time, value, quality }) => {
                Some(Ok(Reading { sensor, time, value, quality }))
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }

    /// Folds over the readings, as `for_each` and `sum` do through it. It is faster than a `for` loop over a compact batch, because its
    /// position stays in registers. A closure that is too long to be inlined loses that, so an error is better counted or kept in it than
    /// formatted.
    #[inline]
    fn fold<B, F>(self, init: B, mut f: F) -> B
    where
        F: FnMut(B, Self::Item) -> B,
    {
        #[cfg(feature = "compact")]
        if let Rows::Compact(rows) = self.rows {
            return rows.fold(self.left, init, f);
        }
        let mut sum = init;
        for item in self {
            sum = f(sum, item);
        }
        sum
    }
}

impl ExactSizeIterator for Batch<'_> {}
impl std::iter::FusedIterator for Batch<'_> {}
