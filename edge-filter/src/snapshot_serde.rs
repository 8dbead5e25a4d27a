//! Form of states in a snapshot. A struct is the array of its fields in their order, so that ten thousand sensors do not repeat the names of
//! the fields; an enum is a number. A change of the fields needs a new [`SNAPSHOT_VERSION`](crate::SNAPSHOT_VERSION).

/// Implements serde's traits: `as_array!(State { field, field })`. With `..` at the end, the fields that are not named are not written, and
/// read as their defaults. The fields are named once, so none can be written and not read.
macro_rules! as_array {
    ($state:ident { $($field:ident),+ $(; ..$rest:expr)? }) => {
        #[cfg(feature = "config")]
        impl serde::Serialize for $state {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                ($(&self.$field,)+).serialize(serializer)
            }
        }

        #[cfg(feature = "config")]
        impl<'de> serde::Deserialize<'de> for $state {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let ($($field,)+) = serde::Deserialize::deserialize(deserializer)?;
                Ok($state { $($field,)+ $(..$rest)? })
            }
        }
    };
}

/// Implements serde's traits for an enum without fields, as the place of its variant: `as_number!(Kind { First, Second })`.
macro_rules! as_number {
    ($kind:ident { $($variant:ident),+ }) => {
        #[cfg(feature = "config")]
        impl serde::Serialize for $kind {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_u8(*self as u8)
            }
        }

        #[cfg(feature = "config")]
        impl<'de> serde::Deserialize<'de> for $kind {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let number: u8 = serde::Deserialize::deserialize(deserializer)?;
                let known = [$($kind::$variant),+].into_iter().find(|known| *known as u8 == number);
                known.ok_or_else(|| serde::de::Error::custom(concat!("no ", stringify!($kind))))
            }
        }
    };
}

pub(crate) use {as_array, as_number};

/// Number that is written as null if it is not finite, and then read as NaN. Code that uses it must treat NaN as a result that cannot be
/// computed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct OverflowingNumber(pub(crate) f64);

/// Writes a number for `serde(with)`, also NaN and the infinities.
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
impl serde::Serialize for OverflowingNumber {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

#[cfg(feature = "config")]
impl<'de> serde::Deserialize<'de> for OverflowingNumber {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize(deserializer).map(Self)
    }
}
