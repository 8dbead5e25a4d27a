//! Errors with the place, the limit and what was found.

use crate::Reading;
use std::borrow::Cow;

/// Refusal of an input. `offset` counts bytes from the start of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input has more than [`Limits`](crate::Limits) allow.
    #[error("{what} at byte {offset}: {found} is over the limit of {limit}")]
    Limit {
        /// The limit: `"input bytes"`, `"readings"`, `"sensors"`, `"depth"`, `"text bytes"`, `"fields"`,
        /// `"sequence runs"`, `"decompressed bytes"`, `"decompression ratio"` or `"distributions"`.
        what: &'static str,
        /// Position of the excess.
        offset: usize,
        /// Limit that was passed.
        limit: usize,
        /// Number in the input, or the first number above the limit.
        found: u64,
    },
    /// The input ends within an item.
    #[error("input ends at byte {offset}, within an item that needs {needed} more")]
    Truncated {
        /// End of the input.
        offset: usize,
        /// Bytes that the item needs at least.
        needed: u64,
    },
    /// Bytes after the end of the batch.
    #[error("{found} bytes follow the end of the batch at byte {offset}")]
    Trailing {
        /// End of the batch.
        offset: usize,
        /// Number of bytes that follow.
        found: usize,
    },
    /// Input that is not well-formed.
    #[error("malformed at byte {offset}: {what}")]
    Malformed {
        /// Position of the error.
        offset: usize,
        /// The error, in words.
        what: Cow<'static, str>,
    },
    /// Well-formed, but not of the kind this place needs.
    #[error("{field} at byte {offset}: expected {expected}, found {found}")]
    Unexpected {
        /// Position of the value.
        offset: usize,
        /// Name of the field.
        field: Cow<'static, str>,
        /// The expected type or range.
        expected: &'static str,
        /// Value that was found.
        found: Cow<'static, str>,
    },
    /// A required field is not there.
    #[error("{field} is missing in the item that ends at byte {offset}")]
    Missing {
        /// End of the item.
        offset: usize,
        /// Name of the field.
        field: Cow<'static, str>,
    },
    /// A key or a sensor number stands twice.
    #[error("{field} at byte {offset} stands there twice")]
    Duplicate {
        /// Position of the second one.
        offset: usize,
        /// The key or number.
        field: Cow<'static, str>,
    },
    /// Written by a newer version.
    #[error("version {found} at byte {offset} is not supported (this is version {supported})")]
    Version {
        /// Position of the item.
        offset: usize,
        /// Version of the input.
        found: u64,
        /// The version this decoder reads.
        supported: u64,
    },
    /// A reading's sensor is not in the batch's table.
    #[error("the reading at byte {offset} is of sensor {sensor}, which is not in the batch's table")]
    UnknownSensor {
        /// Position of the reading.
        offset: usize,
        /// Number of the sensor.
        sensor: u32,
    },
    /// A compact batch was encoded against another session table than the one that was given.
    #[error("the batch needs the session table {wanted:016x}, {}", match given { Some(id) => format!("not {id:016x}"), None => "none was given".to_owned() })]
    Table {
        /// The [`id`](crate::compact::Table::id) of the table that is needed.
        wanted: u64,
        /// The table's id that was given, if any.
        given: Option<u64>,
    },
    /// The crate was built without this format.
    #[error("edge-codec was built without the feature {feature:?}")]
    NotBuilt {
        /// The feature to enable.
        feature: &'static str,
    },
}

/// Refusal of a reading or a batch by an encoder.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The sensor table has no such number. The reading was not taken.
    #[error("sensor {sensor} is not in the table")]
    UnknownSensor {
        /// Number of the sensor.
        sensor: u32,
    },
    /// The format has no place for this reading. The reading was not taken.
    #[error("sensor {sensor} at {time}: {format} has no place for {what}")]
    NotCarried {
        /// Name of the format.
        format: &'static str,
        /// The feature that it cannot carry, for example `"NaN or an infinity"`: the same words in every format.
        what: &'static str,
        /// Sensor of the reading.
        sensor: u32,
        /// Time of the reading.
        time: i64,
    },
    /// A sequence number that does not rise, or an encoder without an identity. The reading was not taken.
    #[error("sequence number {seq}: {}", match next { Some(n) => format!("must be {n} or more"), None => "the encoder has no identity".to_owned() })]
    Sequence {
        /// Number that was given.
        seq: u64,
        /// The least that would do; `None` if there is no identity.
        next: Option<u64>,
    },
    /// The rows reach the end of the sequence: a row's number is at most `u64::MAX - 1`, since the next one must be a
    /// number too. Of [`push_at`](crate::Encoder::push_at) the reading was not taken; of
    /// [`finish_under`](crate::Encoder::finish_under) nothing was changed.
    #[error("the sequence numbers end at {}", u64::MAX - 1)]
    SequenceEnd,
    /// One reading alone makes a batch larger than asked for. It is handed back and no longer in the encoder.
    #[error("a batch with one reading of sensor {} needs {needed} bytes, {max} are allowed", reading.sensor)]
    ReadingTooLarge {
        /// The allowed size in bytes.
        max: usize,
        /// Size of a batch with this reading alone, in bytes.
        needed: usize,
        /// Reading that was refused.
        reading: Box<Reading<'static>>,
    },
    /// Not even a batch without readings fits the size.
    #[error("an empty batch needs {needed} bytes, {max} are allowed")]
    NoRoom {
        /// The allowed size in bytes.
        max: usize,
        /// Size of a batch without readings, in bytes.
        needed: usize,
    },
    /// The crate was built without this format.
    #[error("edge-codec was built without the feature {feature:?}")]
    NotBuilt {
        /// The feature to enable.
        feature: &'static str,
    },
}

/// The beginning of a foreign text, between quotation marks: text of any length does not belong into a log line.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
