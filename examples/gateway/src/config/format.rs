//! `format` of a route: raw messages, or batches as JSON, CBOR, Protobuf or compact.

/// Format of a route's messages at the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Payloads unchanged, one message each.
    Raw,
    /// Batches of readings, as JSON.
    Json,
    /// Batches of readings, as CBOR.
    Cbor,
    /// Batches of readings, as Protobuf.
    Protobuf,
    /// Batches of readings in the compact format, which takes the fewest bytes; its session tables are published below `TO/table/ID`.
    Compact,
}

impl Format {
    /// Returns the format's name in gateway.toml.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Json => "json",
            Self::Cbor => "cbor",
            Self::Protobuf => "protobuf",
            Self::Compact => "compact",
        }
    }
}
