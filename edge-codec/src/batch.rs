//! A decoded batch: header, sensor table, and an iterator over the readings.

use crate::{DecodeError, Header, Reading, SensorTable};

/// A decoded batch. It is the iterator over its readings.
///
/// The decoders of this crate check the whole input before they return, so that a damaged batch is refused as a
/// whole and not after half of it was used; the readings are then decoded one by one. An `Err` ends the iteration.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    pub(crate) header: Header,
    pub(crate) sensors: SensorTable<'a>,
    pub(crate) left: usize,
    pub(crate) rows: Rows<'a>,
}

#[derive(Clone, Debug)]
pub(crate) enum Rows<'a> {
    /// Formats whose rows are decoded at once.
    #[cfg_attr(not(feature = "json"), allow(dead_code, reason = "only JSON decodes at once"))]
    Ready(std::vec::IntoIter<Reading<'a>>),
    #[cfg(feature = "cbor")]
    Cbor(crate::cbor::Rows<'a>),
    #[cfg(feature = "protobuf")]
    Protobuf(crate::protobuf::Rows<'a>),
}

impl<'a> Batch<'a> {
    /// Identity and marks.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Names and units of the sensors in this batch.
    #[must_use]
    pub fn sensors(&self) -> &SensorTable<'a> {
        &self.sensors
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Reading<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let item = match &mut self.rows {
            Rows::Ready(rows) => rows.next().map(Ok),
            #[cfg(feature = "cbor")]
            Rows::Cbor(rows) => rows.next(),
            #[cfg(feature = "protobuf")]
            Rows::Protobuf(rows) => rows.next(),
        };
        if !matches!(item, Some(Ok(_))) {
            self.left = 0;
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Batch<'_> {}
impl std::iter::FusedIterator for Batch<'_> {}
