//! Level of compression: the work that an encoder puts into a batch.

/// Work that a batch is worth.
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
    /// No general compressor: any language reads it with the recipe alone.
    #[default]
    Fast,
    /// Zstandard over names, texts and columns where that is smaller. Needs the feature `zstd`; without it the
    /// encoder does what [`Level::Fast`] does.
    Small,
}

impl Level {
    /// Returns whether this build writes the level. [`Level::Small`] needs the feature `zstd`.
    #[must_use]
    pub const fn is_built(self) -> bool {
        match self {
            Self::Fast => true,
            Self::Small => cfg!(feature = "zstd"),
        }
    }
}
