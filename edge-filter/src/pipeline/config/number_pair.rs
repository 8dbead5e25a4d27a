//! Arrays of exactly two numbers. Serde's own arrays take the first two of a longer list without an error.

use serde::de::{Deserialize, Deserializer, Error};

/// Deserializes an array of exactly two numbers.
///
/// ```
/// #[derive(serde::Deserialize)]
/// struct Rule {
///     #[serde(deserialize_with = "edge_filter::config::two_numbers")]
///     range: [f64; 2],
/// }
/// assert_eq!(toml::from_str::<Rule>("range = [0, 9]")?.range, [0.0, 9.0]);
/// assert!(toml::from_str::<Rule>("range = [0, 9, 7]").is_err());
/// # Ok::<(), toml::de::Error>(())
/// ```
///
/// # Errors
/// If the array has more or fewer numbers.
pub fn two_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    of(Vec::deserialize(deserializer)?)
}

/// Deserializes as [`two_numbers`] does, for a key that may be left out.
///
/// # Errors
/// As of [`two_numbers`].
pub(crate) fn maybe_two_numbers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<[f64; 2]>, D::Error> {
    Option::deserialize(deserializer)?.map(of).transpose()
}

fn of<E: Error>(numbers: Vec<f64>) -> Result<[f64; 2], E> {
    numbers.try_into().map_err(|numbers: Vec<f64>| E::invalid_length(numbers.len(), &"an array of length 2"))
}
