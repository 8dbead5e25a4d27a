//! Arrays of exactly two numbers. Serde's own arrays take the first two of more and say nothing.

use serde::de::{Deserialize, Deserializer, Error};

/// # Errors
/// If there are more or fewer.
pub(crate) fn two<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    of(Vec::deserialize(deserializer)?)
}

/// [`two`] for a key that may be left out.
///
/// # Errors
/// As of [`two`].
pub(crate) fn maybe_two<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[f64; 2]>, D::Error> {
    Option::deserialize(deserializer)?.map(of).transpose()
}

fn of<E: Error>(numbers: Vec<f64>) -> Result<[f64; 2], E> {
    numbers.try_into().map_err(|numbers: Vec<f64>| E::invalid_length(numbers.len(), &"an array of length 2"))
}
