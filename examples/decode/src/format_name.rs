//! Formats by short name or content type.

use std::str::FromStr;

use edge_codec::Format;

/// A format of batches that is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(pub(crate) Format);

/// Names that people type; content types are accepted too.
pub(crate) const NAMES: [(&str, Format); 8] = [
    ("compact", Format::Compact),
    ("json", Format::Json),
    ("cbor", Format::Cbor),
    ("protobuf", Format::Protobuf),
    ("columns", Format::Columns),
    ("senml-json", Format::SenmlJson),
    ("senml-cbor", Format::SenmlCbor),
    ("sparkplug", Format::Sparkplug),
];

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, format)| *format);
        let format = named.or_else(|| Format::for_content_type(text)).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name).join(", ");
            format!("neither a content type of ours nor one of {names}")
        });
        format.map(Self)
    }
}

/// Kind of the payloads in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    Batch(Kind),
    /// Payload of a raw route, which is printed as it is.
    Raw,
}

impl FromStr for Payload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "raw" => Ok(Self::Raw),
            text => text.parse().map(Self::Batch).map_err(|error| format!("{error}, raw")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_and_content_types_are_understood() {
        assert_eq!("application/vnd.edge.batch;v=1".parse(), Ok(Kind(Format::Compact)));
        for (name, format) in NAMES {
            assert_eq!((name.parse(), format.content_type().parse()), (Ok(Kind(format)), Ok(Kind(format))));
        }
        assert!("influx".parse::<Kind>().unwrap_err().contains("senml-cbor"));
    }
}
