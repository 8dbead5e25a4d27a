//! Numbers that stages compute and that may be beyond the largest: not every format of a snapshot has infinities.

/// A number that is written as none once it is not finite, and read as NaN then. All that is done with it must take NaN for what
/// cannot be computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Overflowing(pub(crate) f64);

/// Writes a number for `serde(with)`, infinities too.
#[cfg(feature = "config")]
pub(crate) fn serialize<S: serde::Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&Some(*number).filter(|number| number.is_finite()), serializer)
}

#[cfg(feature = "config")]
pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let number: Option<f64> = serde::Deserialize::deserialize(deserializer)?;
    Ok(number.unwrap_or(f64::NAN))
}

#[cfg(feature = "config")]
impl serde::Serialize for Overflowing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

#[cfg(feature = "config")]
impl<'de> serde::Deserialize<'de> for Overflowing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}
