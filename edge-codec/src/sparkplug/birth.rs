//! What a birth tells about later messages.

#![deny(clippy::indexing_slicing)]

use super::decode::read;
use super::payload::Payload;
use crate::{Batch, DecodeError, Limits, SensorTable};
use std::collections::HashMap;

/// Names, units and datatypes of a birth's metrics, by alias. Which birth belongs to which message, and whether one is
/// still valid, is the session's to know.
#[derive(Clone, Debug, Default)]
pub struct Birth {
    sensors: SensorTable<'static>,
    datatypes: HashMap<u32, u32>,
}

impl Birth {
    /// Reads an NBIRTH or DBIRTH. Its current values are readings too: [`decode`](super::decode) gives them.
    ///
    /// # Errors
    /// As [`decode`](super::decode); a metric needs an alias to be looked up, others are passed over.
    pub fn read(input: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut birth = Self::default();
        for metric in Payload::read(input, limits)?.metrics() {
            let metric = metric?;
            let Some(alias) = metric.alias.map(|alias| number(metric.offset, alias)).transpose()? else {
                continue;
            };
            let limit = limits.sensors;
            if birth.datatypes.len() >= limit && !birth.datatypes.contains_key(&alias) {
                let (offset, found) = (metric.offset, limit as u64 + 1);
                return Err(DecodeError::Limit { what: "sensors", offset, limit, found });
            }
            birth.datatypes.insert(alias, metric.datatype.unwrap_or(0));
            let unit = metric.unit.unwrap_or("").to_owned();
            birth.sensors.insert(alias, metric.name.unwrap_or("").to_owned(), unit);
        }
        Ok(birth)
    }

    /// Names and units; the numbers are the aliases.
    #[must_use]
    pub fn sensors(&self) -> &SensorTable<'static> {
        &self.sensors
    }

    /// Reads a message of the same session: [`decode`](super::decode) with names and datatypes filled in.
    ///
    /// # Errors
    /// As [`decode`](super::decode), and [`DecodeError::UnknownSensor`] for an alias that the birth does not have: the
    /// message belongs to another one.
    pub fn decode<'a>(&'a self, input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
        read(input, None, Some(self), limits)
    }

    pub(super) fn datatype(&self, alias: u32) -> Option<u32> {
        self.datatypes.get(&alias).copied().filter(|datatype| *datatype != 0)
    }
}

/// An alias as a sensor's number.
pub(super) fn number(offset: usize, alias: u64) -> Result<u32, DecodeError> {
    alias.try_into().map_err(|_| DecodeError::Unexpected {
        offset,
        field: "alias".into(),
        expected: "at most 4294967295",
        found: alias.to_string().into(),
    })
}
