//! Compression level: the effort that an encoder puts into a batch.

/// Compression level of a batch.
///
/// ```
/// use edge_codec::compact::{Encoder, Level};
///
/// assert!(Level::Fast.is_built());
/// // A program says so rather than write another level than it was told to.
/// let level = if Level::Small.is_built() { Level::Small } else { Level::Fast };
/// assert!(Encoder::numbered().level(level).is_empty());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// No general compressor, so that the documented recipe is all that a reader in any language needs.
    #[default]
    Fast,
    /// Zstandard over names, texts and columns where that is smaller. Needs the feature `zstd`; without it the encoder writes as for
    /// [`Level::Fast`].
    Small,
}

impl Level {
    /// Returns whether this build can write the level. [`Level::Small`] needs the feature `zstd`.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Fast => true,
            Self::Small => cfg!(feature = "zstd"),
        }
    }
}
