//! Formats by name and by MQTT 5 / HTTP content type.

use crate::{Batch, DecodeError, Limits};

/// The content types of the formats, as sent.
pub mod content_type {
    /// A JSON batch.
    pub const JSON: &str = "application/json";
    /// A CBOR batch.
    pub const CBOR: &str = "application/cbor";
    /// A Protobuf batch of `edge.rows.v1`.
    pub const PROTOBUF_ROWS: &str = "application/vnd.edge.rows+protobuf;v=1";
    /// A Protobuf batch of `edge.columns.v1`.
    pub const PROTOBUF_COLUMNS: &str = "application/vnd.edge.columns+protobuf;v=1";
    /// A SenML pack in JSON (RFC 8428 §12.3).
    pub const SENML_JSON: &str = "application/senml+json";
    /// A SenML pack in CBOR (RFC 8428 §12.3).
    pub const SENML_CBOR: &str = "application/senml+cbor";
    /// A Sparkplug B payload. Not registered: Sparkplug goes by topic, this is for tools that want a name.
    pub const SPARKPLUG: &str = "application/x-sparkplug-b";
    /// Line protocol, as InfluxDB's write endpoint expects it.
    pub const INFLUX: &str = "text/plain; charset=utf-8";
}

/// A batch format of this crate. All exist in every build; [`Format::decode`] says if one is not built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// See the module `json`.
    Json,
    /// See the module `cbor`.
    Cbor,
    /// See the module `protobuf`.
    Protobuf,
}

impl Format {
    /// The content type to send with a batch.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => content_type::JSON,
            Format::Cbor => content_type::CBOR,
            Format::Protobuf => content_type::PROTOBUF_ROWS,
        }
    }

    /// The format for a received content type: case, blanks and foreign parameters (`charset`) do not count, but a
    /// version parameter `v` other than ours does, and the Protobuf one must have it.
    #[must_use]
    pub fn for_content_type(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let essence = parts.next()?;
        let version = parts.find_map(|p| {
            let (name, value) = p.split_once('=')?;
            name.trim().eq_ignore_ascii_case("v").then(|| value.trim().trim_matches('"'))
        });
        let is = |known: &str| essence.eq_ignore_ascii_case(known);
        match version {
            None if is(content_type::JSON) => Some(Format::Json),
            None if is(content_type::CBOR) => Some(Format::Cbor),
            Some("1") if is("application/vnd.edge.rows+protobuf") => Some(Format::Protobuf),
            _ => None,
        }
    }

    /// Decodes a batch of this format; the same as the `decode` of its module.
    ///
    /// # Errors
    /// What that module's `decode` says, or [`DecodeError::NotBuilt`].
    #[cfg_attr(
        not(all(feature = "json", feature = "cbor", feature = "protobuf")),
        allow(unused_variables, reason = "a format that is not built reads nothing")
    )]
    pub fn decode<'a>(self, input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
        match self {
            #[cfg(feature = "json")]
            Format::Json => crate::json::decode(input, limits),
            #[cfg(not(feature = "json"))]
            Format::Json => Err(DecodeError::NotBuilt { feature: "json" }),
            #[cfg(feature = "cbor")]
            Format::Cbor => crate::cbor::decode(input, limits),
            #[cfg(not(feature = "cbor"))]
            Format::Cbor => Err(DecodeError::NotBuilt { feature: "cbor" }),
            #[cfg(feature = "protobuf")]
            Format::Protobuf => crate::protobuf::decode(input, limits),
            #[cfg(not(feature = "protobuf"))]
            Format::Protobuf => Err(DecodeError::NotBuilt { feature: "protobuf" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_send_is_what_we_recognise() {
        for f in [Format::Json, Format::Cbor, Format::Protobuf] {
            assert_eq!(Format::for_content_type(f.content_type()), Some(f));
        }
    }

    #[test]
    fn case_blanks_and_charset_do_not_count_but_the_version_does() {
        let f = Format::for_content_type;
        assert_eq!(f("Application/JSON; charset=utf-8"), Some(Format::Json));
        assert_eq!(f("application/vnd.edge.rows+protobuf ; V = \"1\""), Some(Format::Protobuf));
        assert_eq!(f("application/vnd.edge.rows+protobuf;v=2"), None);
        assert_eq!(f("application/vnd.edge.rows+protobuf"), None);
        assert_eq!(f("text/plain"), None);
        assert_eq!(f(""), None);
    }
}
