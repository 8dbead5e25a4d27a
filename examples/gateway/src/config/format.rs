//! `format` of a route.

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
    /// Batches of readings in the fewest bytes, with session tables below `TO/table/ID`.
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
