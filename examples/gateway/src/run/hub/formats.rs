//! Numbers of the formats in the queue's rows, and the content types of the messages made of them.

use edge_bridge::Format as RowFormat;

use crate::config::Format;

/// Encoding of the batches that are made of rows with readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Batches that can be decoded without a session table.
    Batch(BatchFormat),
    /// Batches that may refer to a session table.
    Compact,
}

/// Format whose batches can be decoded without a session table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchFormat {
    Json,
    Cbor,
    Protobuf,
}

/// Returns the number of a format in rows. Rows are stored, so no number may ever get another meaning.
pub(crate) fn row_format(format: Format) -> RowFormat {
    match format {
        Format::Raw => RowFormat::RAW,
        Format::Json => RowFormat(1),
        Format::Cbor => RowFormat(2),
        Format::Protobuf => RowFormat(3),
        Format::Compact => RowFormat(4),
    }
}

/// Returns the batch encoding for a row's format. `None`: the row is raw, or its format is unknown.
pub(crate) fn shape(format: RowFormat) -> Option<Shape> {
    match format {
        RowFormat(1) => Some(Shape::Batch(BatchFormat::Json)),
        RowFormat(2) => Some(Shape::Batch(BatchFormat::Cbor)),
        RowFormat(3) => Some(Shape::Batch(BatchFormat::Protobuf)),
        RowFormat(4) => Some(Shape::Compact),
        _ => None,
    }
}

impl Shape {
    /// Returns the MQTT 5 content type of the batches.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Shape::Batch(format) => format.codec().content_type(),
            Shape::Compact => edge_codec::Format::Compact.content_type(),
        }
    }
}

impl BatchFormat {
    pub(crate) fn codec(self) -> edge_codec::Format {
        match self {
            Self::Json => edge_codec::Format::Json,
            Self::Cbor => edge_codec::Format::Cbor,
            Self::Protobuf => edge_codec::Format::Protobuf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_format_has_a_shape_and_raw_has_none() {
        let formats = [Format::Json, Format::Cbor, Format::Protobuf, Format::Compact];
        // They are in the rows of every queue.
        assert_eq!(formats.map(|format| row_format(format).0), [1, 2, 3, 4]);
        let said = formats.map(|format| shape(row_format(format)).unwrap().content_type());
        let expected = [
            "application/json",
            "application/cbor",
            "application/vnd.edge.rows+protobuf;v=1",
            "application/vnd.edge.batch;v=1",
        ];
        assert_eq!(said, expected);
        assert!(shape(row_format(Format::Raw)).is_none() && shape(RowFormat(200)).is_none());
    }
}
