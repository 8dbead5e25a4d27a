//! Kinds of a column's values.

use crate::compact::stream::bits::BitReader;

/// Kind of a column's values. A column of nulls has no numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    F64,
    I64,
    U64,
    Bool,
    Text,
    Bytes,
    Null,
    /// Several kinds in one column, so that each value has its own.
    Mixed,
}

impl Kind {
    pub(crate) const ALL: [Kind; 8] =
        [Kind::F64, Kind::I64, Kind::U64, Kind::Bool, Kind::Text, Kind::Bytes, Kind::Null, Kind::Mixed];

    pub(crate) fn read(bits: &mut BitReader<'_>) -> Self {
        Self::ALL.get(bits.bits(3) as usize).copied().unwrap_or(Kind::Null)
    }
}
