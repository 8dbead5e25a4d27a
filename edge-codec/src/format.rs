//! Formats by name and by content type of MQTT 5 or HTTP.

use crate::{Batch, DecodeError, Limits};

/// Content types of the formats, as they are sent.
pub mod content_type {
    /// Media type of JSON batches.
    pub const JSON: &str = "application/json";
    /// Media type of compact batches.
    pub const COMPACT: &str = "application/vnd.edge.batch;v=1";
    /// Media type of CBOR batches.
    pub const CBOR: &str = "application/cbor";
    /// Media type of Protobuf batches of `edge.rows.v1`.
    pub const PROTOBUF_ROWS: &str = "application/vnd.edge.rows+protobuf;v=1";
    /// Media type of Protobuf batches of `edge.columns.v1`.
    pub const PROTOBUF_COLUMNS: &str = "application/vnd.edge.columns+protobuf;v=1";
    /// Media type of SenML packs in JSON (RFC 8428 §12.3).
    pub const SENML_JSON: &str = "application/senml+json";
    /// Media type of SenML packs in CBOR (RFC 8428 §12.3).
    pub const SENML_CBOR: &str = "application/senml+cbor";
    /// Media type of Sparkplug B payloads. It is not registered, because Sparkplug recognises payloads by topic; it is for tools that want a
    /// name.
    pub const SPARKPLUG: &str = "application/x-sparkplug-b";
    /// Media type of line protocol, as InfluxDB's write endpoint expects it.
    pub const INFLUX: &str = "text/plain; charset=utf-8";
}

/// Batch format of this crate. Every build knows all names; [`Format::decode`] refuses a format that is not built in. Line protocol is not
/// among them, because it carries no identity (`influx::Encoder`, `influx::import`).
///
/// ```
/// use edge_codec::Format;
///
/// assert_eq!(Format::for_content_type("application/cbor"), Some(Format::Cbor));
/// assert_eq!(Format::Compact.content_type(), "application/vnd.edge.batch;v=1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON: see the module `json`.
    Json,
    /// CBOR: see the module `cbor`.
    Cbor,
    /// Protobuf, a message per reading: see the module `protobuf`.
    Protobuf,
    /// Protobuf, an array per field: see the module `protobuf::columns`.
    Columns,
    /// SenML in JSON: see the module `senml::json`.
    SenmlJson,
    /// SenML in CBOR: see the module `senml::cbor`.
    SenmlCbor,
    /// Sparkplug B: see the module `sparkplug`.
    Sparkplug,
    /// Compact batches: see the module `compact`.
    Compact,
}

/// Other name of [`Format`], for code that calls the pair of encoder and decoder a codec.
pub type Codec = Format;

impl Format {
    /// Returns the content type to send with a batch.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => content_type::JSON,
            Format::Cbor => content_type::CBOR,
            Format::Protobuf => content_type::PROTOBUF_ROWS,
            Format::Columns => content_type::PROTOBUF_COLUMNS,
            Format::SenmlJson => content_type::SENML_JSON,
            Format::SenmlCbor => content_type::SENML_CBOR,
            Format::Sparkplug => content_type::SPARKPLUG,
            Format::Compact => content_type::COMPACT,
        }
    }

    /// Returns the format for a received content type; `None` if it is not one of this crate's. Case, blanks and foreign parameters (`charset`)
    /// are ignored. A version parameter `v` must be the one that this crate sends, and must be there if this crate sends one.
    #[must_use]
    pub fn for_content_type(content_type: &str) -> Option<Self> {
        let (essence, version) = split(content_type);
        let same = |format: &Self| {
            let (known, ours) = split(format.content_type());
            essence.eq_ignore_ascii_case(known) && version == ours
        };
        ALL.into_iter().find(same)
    }

    /// Returns the format that a topic implies: Sparkplug B under `spBv1.0/`, except for its `STATE` messages. `None` for every other topic.
    #[must_use]
    pub fn for_topic(topic: &str) -> Option<Self> {
        let rest = topic.strip_prefix("spBv1.0/")?;
        (!rest.starts_with("STATE/")).then_some(Format::Sparkplug)
    }

    /// Decodes a batch of this format; the same as the `decode` of its module.
    ///
    /// # Errors
    /// Any error of that module's `decode`, or [`DecodeError::NotBuilt`].
    pub fn decode<'a>(self, input: &'a [u8], limits: &Limits) -> Result<Batch<'a>, DecodeError> {
        self.read(input, None, limits)
    }

    /// Decodes a message that arrived at `arrival_ms` (ms since the Unix epoch), as [`decode`](Self::decode) does. SenML's times below 2^28
    /// seconds count from then, and Sparkplug's metrics without a time take it. The other formats have a time in every reading.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    pub fn decode_at<'a>(
        self,
        input: &'a [u8],
        arrival_ms: i64,
        limits: &Limits,
    ) -> Result<Batch<'a>, DecodeError> {
        self.read(input, Some(arrival_ms), limits)
    }

    fn read<'a>(
        self,
        input: &'a [u8],
        arrival_ms: Option<i64>,
        limits: &Limits,
    ) -> Result<Batch<'a>, DecodeError> {
        // Without any format these have no reader.
        let _ = (input, arrival_ms, limits);
        match self {
            #[cfg(feature = "json")]
            Format::Json => crate::json::decode(input, limits),
            #[cfg(feature = "cbor")]
            Format::Cbor => crate::cbor::decode(input, limits),
            #[cfg(feature = "protobuf")]
            Format::Protobuf => crate::protobuf::decode(input, limits),
            #[cfg(feature = "protobuf")]
            Format::Columns => crate::protobuf::columns::decode(input, limits),
            #[cfg(feature = "senml")]
            Format::SenmlJson => crate::senml::json::pack(input, arrival_ms, limits),
            #[cfg(feature = "senml")]
            Format::SenmlCbor => crate::senml::cbor::pack(input, arrival_ms, limits),
            #[cfg(feature = "sparkplug")]
            Format::Sparkplug => crate::sparkplug::payload(input, arrival_ms, limits),
            #[cfg(feature = "compact")]
            Format::Compact => crate::compact::decode(input, limits),
            #[allow(unreachable_patterns, reason = "not if all are built")]
            other => Err(DecodeError::NotBuilt { feature: other.feature() }),
        }
    }

    /// Returns the cargo feature that builds the format.
    pub(crate) fn feature(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Cbor => "cbor",
            Format::Protobuf | Format::Columns => "protobuf",
            Format::SenmlJson | Format::SenmlCbor => "senml",
            Format::Sparkplug => "sparkplug",
            Format::Compact => "compact",
        }
    }
}

const ALL: [Format; 8] = [
    Format::Json,
    Format::Cbor,
    Format::Protobuf,
    Format::Columns,
    Format::SenmlJson,
    Format::SenmlCbor,
    Format::Sparkplug,
    Format::Compact,
];

/// Returns the type without parameters, and the version parameter if there is one.
fn split(content_type: &str) -> (&str, Option<&str>) {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let version = parts.find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("v").then(|| value.trim().trim_matches('"'))
    });
    (essence, version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EncodeError;

    #[test]
    fn what_we_send_is_what_we_recognise() {
        for f in ALL {
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
        assert_eq!(f("application/vnd.edge.columns+protobuf;v=1"), Some(Format::Columns));
        assert_eq!(f("application/SenML+CBOR"), Some(Format::SenmlCbor));
        assert_eq!(f("application/sensml+json"), None, "a stream, not a pack");
        assert_eq!(f("text/plain"), None);
        assert_eq!(f(""), None);
    }

    #[test]
    fn sparkplug_goes_by_topic() {
        assert_eq!(Format::for_topic("spBv1.0/plant/DDATA/node/device"), Some(Format::Sparkplug));
        assert_eq!(Format::for_topic("spBv1.0/STATE/host"), None, "JSON");
        assert_eq!(Format::for_topic("spAv1.0/plant/NDATA/node"), None);
    }

    #[test]
    fn a_format_that_is_not_built_says_so() {
        for f in ALL {
            let built = match f.feature() {
                "json" => cfg!(feature = "json"),
                "cbor" => cfg!(feature = "cbor"),
                "protobuf" => cfg!(feature = "protobuf"),
                "senml" => cfg!(feature = "senml"),
                _ => cfg!(feature = "sparkplug"),
            };
            let not_built = matches!(f.decode(b"?", &Limits::default()), Err(DecodeError::NotBuilt { .. }));
            assert_eq!(not_built, !built, "{f:?}");
            let refused = f.encoder(crate::SensorTable::new()).err();
            assert_eq!(refused, (!built).then_some(EncodeError::NotBuilt { feature: f.feature() }));
        }
    }
}
