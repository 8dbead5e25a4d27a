//! Encoders behind one trait, for programs that choose the format at run time.

use crate::encoder::Wire;
use crate::{BatchId, EncodeError, Encoder, Format, Reading, Sensors};
use bytes::Bytes;

/// Interface of the encoders of all formats: readings go in, batches under a size come out.
///
/// [`Format::encoder`] returns one for a format that is known at run time. Every `Encoder` of this crate implements it; options of a single
/// format are set before.
///
/// ```
/// use edge_codec::{Format, Limits, Reading, SensorTable, Value};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// for format in [Format::Json, Format::Cbor, Format::Compact] {
///     let mut encoder = format.encoder(&sensors)?;
///     encoder.push(&Reading { sensor: 7, time: 1_580_515_200_000, value: Value::F64(53.6), quality: 0 })?;
///     let batch = encoder.finish_under(16_184)?;
///     assert_eq!(format.decode(&batch, &Limits::default())?.len(), 1);
/// }
/// # Ok(()) }
/// ```
pub trait BatchEncoder {
    /// Sets the identity; see [`Encoder::id`](crate::Encoder::id).
    fn set_id(&mut self, id: BatchId);

    /// Marks the next batches as possible duplicates (`pd`), or not.
    fn set_possible_duplicate(&mut self, pd: bool);

    /// Adds a reading; see [`Encoder::push`](crate::Encoder::push).
    ///
    /// # Errors
    /// Those of the format's encoder.
    fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError>;

    /// Adds a reading that is the row `seq`; see [`Encoder::push_at`](crate::Encoder::push_at).
    ///
    /// # Errors
    /// Those of the format's encoder.
    fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError>;

    /// Encodes as many of the oldest readings as fit; see [`Encoder::finish_under`](crate::Encoder::finish_under).
    ///
    /// # Errors
    /// Those of the format's encoder.
    fn finish_under(&mut self, max_bytes: usize) -> Result<Bytes, EncodeError>;

    /// Returns the number of readings that wait to be encoded.
    fn len(&self) -> usize;

    /// Returns whether no reading waits to be encoded.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: Sensors, W: Wire> BatchEncoder for Encoder<S, W> {
    fn set_id(&mut self, id: BatchId) {
        Self::set_id(self, id);
    }

    fn set_possible_duplicate(&mut self, pd: bool) {
        Self::set_possible_duplicate(self, pd);
    }

    fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        Self::push(self, reading)
    }

    fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        Self::push_at(self, seq, reading)
    }

    fn finish_under(&mut self, max_bytes: usize) -> Result<Bytes, EncodeError> {
        Self::finish_under(self, max_bytes)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

#[cfg(feature = "compact")]
impl<S: Sensors> BatchEncoder for crate::compact::Encoder<S> {
    fn set_id(&mut self, id: BatchId) {
        Self::set_id(self, id);
    }

    fn set_possible_duplicate(&mut self, pd: bool) {
        Self::set_possible_duplicate(self, pd);
    }

    fn push(&mut self, reading: &Reading<'_>) -> Result<(), EncodeError> {
        Self::push(self, reading)
    }

    fn push_at(&mut self, seq: u64, reading: &Reading<'_>) -> Result<(), EncodeError> {
        Self::push_at(self, seq, reading)
    }

    fn finish_under(&mut self, max_bytes: usize) -> Result<Bytes, EncodeError> {
        Self::finish_under(self, max_bytes)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }
}

impl Format {
    /// Returns an empty encoder of this format, as `new` of its module makes it; names and units come from `sensors`. Sparkplug payloads are
    /// births, because these carry names, aliases and units as the other formats do.
    ///
    /// # Errors
    /// [`EncodeError::NotBuilt`] if the crate was built without this format.
    #[allow(
        clippy::needless_pass_by_value,
        unused_variables,
        unreachable_code,
        reason = "without any format they have no encoder"
    )]
    pub fn encoder<'s, S: Sensors + Send + 's>(
        self,
        sensors: S,
    ) -> Result<Box<dyn BatchEncoder + Send + 's>, EncodeError> {
        Ok(match self {
            #[cfg(feature = "json")]
            Format::Json => Box::new(crate::json::Encoder::new(sensors)),
            #[cfg(feature = "cbor")]
            Format::Cbor => Box::new(crate::cbor::Encoder::new(sensors)),
            #[cfg(feature = "protobuf")]
            Format::Protobuf => Box::new(crate::protobuf::Encoder::new(sensors)),
            #[cfg(feature = "protobuf")]
            Format::Columns => Box::new(crate::protobuf::columns::Encoder::new(sensors)),
            #[cfg(feature = "senml")]
            Format::SenmlJson => Box::new(crate::senml::json::Encoder::new(sensors)),
            #[cfg(feature = "senml")]
            Format::SenmlCbor => Box::new(crate::senml::cbor::Encoder::new(sensors)),
            #[cfg(feature = "sparkplug")]
            Format::Sparkplug => Box::new(crate::sparkplug::Encoder::new(sensors).birth()),
            #[cfg(feature = "compact")]
            Format::Compact => Box::new(crate::compact::Encoder::new(sensors)),
            #[allow(unreachable_patterns, reason = "not if all are built")]
            other => return Err(EncodeError::NotBuilt { feature: other.feature() }),
        })
    }
}
