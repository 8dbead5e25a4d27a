//! Limits on the input of a decoder.

/// Limits on the input of a decoder. Every decoder refuses input above them, and names the limit and the place.
///
/// Worst-case memory of a decoded batch is proportional to [`Limits::bytes`]; the factor per format is
/// tested (see the crate's README). The defaults fit a gateway with 64 MiB of RAM. Encoders keep to those of readings, sensors, ratio and
/// distributions, and to none of bytes: [`Limits::bytes`] and [`Limits::text_bytes`] are for the reader to raise, if it expects such batches.
///
/// ```
/// use edge_codec::Limits;
///
/// // A hub that expects batches of at most 64 KiB with 1 000 readings.
/// let limits = Limits::default().bytes(64 << 10).readings(1_000);
/// assert_ne!(limits, Limits::default());
/// # #[cfg(feature = "json")] {
/// use edge_codec::{DecodeError, Format};
/// let refused = Format::Json.decode(&[b' '; 65_537], &limits);
/// assert!(matches!(refused, Err(DecodeError::Limit { what: "input bytes", limit: 65_536, .. })));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub(crate) bytes: usize,
    pub(crate) readings: usize,
    pub(crate) sensors: usize,
    pub(crate) depth: usize,
    pub(crate) text_bytes: usize,
    pub(crate) fields: usize,
    pub(crate) ratio: usize,
    pub(crate) distributions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            readings: MAX_READINGS,
            sensors: MAX_SENSORS,
            depth: 16,
            text_bytes: 64 << 10,
            fields: 256,
            ratio: RATIO,
            distributions: MAX_DISTRIBUTIONS,
        }
    }
}

/// Limits that refuse nothing, for bytes that this process has just written.
#[cfg(feature = "compact")]
pub(crate) const UNLIMITED: Limits = Limits {
    bytes: usize::MAX,
    readings: usize::MAX,
    sensors: usize::MAX,
    depth: MAX_DEPTH,
    text_bytes: usize::MAX,
    fields: usize::MAX,
    ratio: usize::MAX,
    distributions: usize::MAX,
};

/// Default of [`Limits::readings`], and the most readings that an encoder puts into one batch.
pub(crate) const MAX_READINGS: usize = 65_536;
/// Default of [`Limits::sensors`], and the most sensors that an encoder puts into one batch.
pub(crate) const MAX_SENSORS: usize = 16_384;
/// Default of [`Limits::ratio`], and the highest ratio to which an encoder compresses.
pub(crate) const RATIO: usize = 32;
/// Default of [`Limits::distributions`], and the most that an encoder puts into one session table.
pub(crate) const MAX_DISTRIBUTIONS: usize = 4096;

impl Limits {
    /// Limits the size of the whole input in bytes. Default 1 MiB.
    #[must_use]
    pub fn bytes(mut self, max: usize) -> Self {
        self.bytes = max;
        self
    }

    /// Limits the readings in one input. Default 65 536.
    #[must_use]
    pub fn readings(mut self, max: usize) -> Self {
        self.readings = max;
        self
    }

    /// Limits the different sensors in one batch. Default 16 384.
    #[must_use]
    pub fn sensors(mut self, max: usize) -> Self {
        self.sensors = max;
        self
    }

    /// Limits the nesting of arrays and objects or maps in JSON and CBOR, the layout's own included; the outermost counts 1, so a flat SenML pack
    /// has 2. Default 16; a limit above 100 counts as 100.
    #[must_use]
    pub fn depth(mut self, max: usize) -> Self {
        self.depth = max.min(MAX_DEPTH);
        self
    }

    /// Limits the length of one text or byte string in bytes (names, units and keys too). Default 64 KiB. An encoder
    /// writes longer ones.
    #[must_use]
    pub fn text_bytes(mut self, max: usize) -> Self {
        self.text_bytes = max;
        self
    }

    pub(crate) fn check_text(&self, offset: usize, text: &[u8]) -> Result<(), crate::DecodeError> {
        let (limit, found) = (self.text_bytes, text.len() as u64);
        if text.len() > limit {
            return Err(crate::DecodeError::Limit { what: "text bytes", offset, limit, found });
        }
        Ok(())
    }

    /// Limits the fields of one JSON object or CBOR map, because each is compared with all before it to find duplicates. Default 256.
    #[must_use]
    pub fn fields(mut self, max: usize) -> Self {
        self.fields = max;
        self
    }

    /// Limits the bytes that one byte of the input may become when it is decompressed (the Zstandard field of a compact batch; no other format
    /// is compressed). Default 32, which no encoder of this crate passes. The decompressed bytes must also be within [`bytes`](Self::bytes).
    #[must_use]
    pub fn ratio(mut self, max: usize) -> Self {
        self.ratio = max;
        self
    }

    /// Limits the different learned distributions in one session table, each about 12 KiB of memory. Default 4096.
    #[must_use]
    pub fn distributions(mut self, max: usize) -> Self {
        self.distributions = max;
        self
    }
}

/// Highest limit of nesting. Decoders recurse once per level, and this keeps the worst case within a small thread's stack.
const MAX_DEPTH: usize = 100;

// serde_json stops at 128 by itself; ours must be the limit that is reported.
const _: () = assert!(MAX_DEPTH < 128);
