//! Errors, each with the offset in the input, the limit that was exceeded and the value found.

use crate::Reading;
use std::borrow::Cow;

/// Refusal of an input by a decoder. `offset` counts bytes from the start of the input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Size or number in the input above a limit of [`Limits`](crate::Limits).
    #[error("{what} at byte {offset}: {found} is over the limit of {limit}")]
    Limit {
        /// Name of the limit: `"input bytes"`, `"readings"`, `"sensors"`, `"depth"`, `"text bytes"`, `"fields"`, `"sequence runs"`,
        /// `"decompressed bytes"`, `"decompression ratio"`, `"distributions"` or `"listed values"`.
        what: &'static str,
        /// Position of the excess.
        offset: usize,
        /// Value of the limit that was exceeded.
        limit: usize,
        /// Number in the input, or the first number above the limit.
        found: u64,
    },
    /// Input that ends within an item.
    #[error("input ends at byte {offset}, within an item that needs {needed} more")]
    Truncated {
        /// End of the input.
        offset: usize,
        /// Bytes that the item needs at least, from its start.
        needed: u64,
    },
    /// Input with bytes after the end of the batch.
    #[error("{found} bytes follow the end of the batch at byte {offset}")]
    Trailing {
        /// End of the batch.
        offset: usize,
        /// Number of bytes that follow.
        found: usize,
    },
    /// Input that does not follow the syntax of its format.
    #[error("malformed at byte {offset}: {what}")]
    Malformed {
        /// Position of the error.
        offset: usize,
        /// Description of the error in words.
        what: Cow<'static, str>,
    },
    /// Value that is well-formed, but of a type or range that its field does not allow.
    #[error("{field} at byte {offset}: expected {expected}, found {found}")]
    Unexpected {
        /// Position of the value.
        offset: usize,
        /// Name of the field.
        field: Cow<'static, str>,
        /// Type or range that the field allows.
        expected: &'static str,
        /// Value that was found.
        found: Cow<'static, str>,
    },
    /// Lack of a required field.
    #[error("{field} is missing in the item that ends at byte {offset}")]
    Missing {
        /// End of the item that lacks the field.
        offset: usize,
        /// Name of the field.
        field: Cow<'static, str>,
    },
    /// Key or sensor number that occurs twice.
    #[error("{field} at byte {offset} stands there twice")]
    Duplicate {
        /// Position of the second occurrence.
        offset: usize,
        /// Key or number that occurs twice.
        field: Cow<'static, str>,
    },
    /// Input that a newer version of the format wrote.
    #[error("version {found} at byte {offset} is not supported (this is version {supported})")]
    Version {
        /// Position of the item.
        offset: usize,
        /// Version of the input.
        found: u64,
        /// Version that this decoder reads.
        supported: u64,
    },
    /// Reading whose sensor is not in the batch's table.
    #[error("the reading at byte {offset} is of sensor {sensor}, which is not in the batch's table")]
    UnknownSensor {
        /// Position of the reading.
        offset: usize,
        /// Number of the sensor.
        sensor: u32,
    },
    /// Compact batch that was encoded against another session table than the given one, or against one when none was given.
    #[error("the batch needs the session table {wanted:016x}, {}", match given { Some(id) => format!("not {id:016x}"), None => "none was given".to_owned() })]
    Table {
        /// Id of the table that is needed, as `compact::Table::id` returns it.
        wanted: u64,
        /// Id of the table that was given; `None` if none was given.
        given: Option<u64>,
    },
    /// Format that this build of the crate leaves out.
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
    /// Sensor whose number is not in the sensor table. The reading was not added.
    #[error("sensor {sensor} is not in the table")]
    UnknownSensor {
        /// Number of the sensor.
        sensor: u32,
    },
    /// Reading that the format cannot carry. It was not added.
    #[error("sensor {sensor} at {time}: {format} has no place for {what}")]
    NotCarried {
        /// Name of the format.
        format: &'static str,
        /// Feature of the reading that the format cannot carry, for example `"NaN or an infinity"`. Every format uses the same words.
        what: &'static str,
        /// Sensor of the reading.
        sensor: u32,
        /// Time of the reading.
        time: i64,
    },
    /// Sequence number that does not rise, or that is given to an encoder without an identity. The reading was not added.
    #[error("sequence number {seq}: {}", match next { Some(n) => format!("must be {n} or more"), None => "the encoder has no identity".to_owned() })]
    Sequence {
        /// Number that was given.
        seq: u64,
        /// Lowest number that would be allowed; `None` if the encoder has no identity.
        next: Option<u64>,
    },
    /// End of the sequence: a row's number is at most `u64::MAX - 1`, because the next one must be a number too.
    /// [`push_at`](crate::Encoder::push_at) has not taken the reading; [`finish_under`](crate::Encoder::finish_under) has changed nothing.
    #[error("the sequence numbers end at {}", u64::MAX - 1)]
    SequenceEnd,
    /// Reading that alone makes a batch larger than allowed. It is returned here and no longer in the encoder.
    #[error("a batch with one reading of sensor {} needs {needed} bytes, {max} are allowed", reading.sensor)]
    ReadingTooLarge {
        /// Allowed size of a batch in bytes.
        max: usize,
        /// Size of a batch with this reading alone, in bytes.
        needed: usize,
        /// Reading that was refused.
        reading: Box<Reading<'static>>,
    },
    /// Size that not even a batch without readings fits into.
    #[error("an empty batch needs {needed} bytes, {max} are allowed")]
    NoRoom {
        /// Allowed size of a batch in bytes.
        max: usize,
        /// Size of a batch without readings, in bytes.
        needed: usize,
    },
    /// Format that this build of the crate leaves out.
    #[error("edge-codec was built without the feature {feature:?}")]
    NotBuilt {
        /// The feature to enable.
        feature: &'static str,
    },
}

/// Returns the first 40 characters of a foreign text in quotation marks, because a text of any length does not belong in a log line.
pub(crate) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}
