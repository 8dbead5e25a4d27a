//! The number of a route's format in the rows of the queue, and what it is called towards the hub.

use edge_bridge::Format as RowFormat;

use crate::config::Format;

/// Stored in rows: never give a number another meaning.
pub(crate) fn row_format(format: Format) -> RowFormat {
    match format {
        Format::Raw => RowFormat::RAW,
        Format::Json => RowFormat(1),
        Format::Cbor => RowFormat(2),
        Format::Protobuf => RowFormat(3),
    }
}

/// The codec of a row's format; `None` for raw and unknown ones.
pub(crate) fn codec(format: RowFormat) -> Option<edge_codec::Format> {
    match format {
        RowFormat(1) => Some(edge_codec::Format::Json),
        RowFormat(2) => Some(edge_codec::Format::Cbor),
        RowFormat(3) => Some(edge_codec::Format::Protobuf),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_format_has_a_codec_and_raw_has_none() {
        for format in [Format::Json, Format::Cbor, Format::Protobuf] {
            assert!(codec(row_format(format)).is_some());
        }
        assert!(codec(row_format(Format::Raw)).is_none() && codec(RowFormat(200)).is_none());
    }
}
