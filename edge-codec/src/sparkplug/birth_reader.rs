//! Birth certificates: names and types for later messages. The caller keeps them, as the [module](super) says.

#![deny(clippy::indexing_slicing)]

use super::birth::Birth;
use super::payload::Payload;
use super::sensor_numbers::SensorNumbers;
use crate::{DecodeError, Limits};
use std::collections::HashMap;

impl Birth {
    /// Reads an NBIRTH or DBIRTH. Its current values are readings too, which [`decode`](super::decode) returns, with the same numbers.
    ///
    /// # Errors
    /// As [`decode`](super::decode).
    pub fn read(input: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let payload = Payload::read(input, limits)?;
        let mut numbers = SensorNumbers::new(&payload, None, limits.sensors)?;
        numbers.reserve();
        let (mut datatypes, mut by_alias) = (HashMap::new(), Vec::new());
        for metric in payload.metrics() {
            let metric = metric?;
            if metric.alias.is_none() && metric.name.is_none() {
                continue;
            }
            let id = numbers.sensor(&metric)?;
            by_alias.extend(metric.alias.map(|alias| (alias, id)));
            if let Some(datatype) = metric.datatype {
                datatypes.entry(id).or_insert(datatype);
            }
        }
        Ok(Self::new(numbers.table()?.into_owned(), datatypes, by_alias))
    }
}
