//! Bit packing of small numbers in one 64-bit word.

/// Returns the byte that begins at the bit `at`.
pub(super) fn byte(word: u64, at: u32) -> usize {
    usize::from((word >> at) as u8)
}

/// Returns the 16-bit number that begins at the bit `at`.
pub(super) fn half(word: u64, at: u32) -> u16 {
    (word >> at) as u16
}

/// Returns the place of an item in a list that sender and receiver share, and that contains every item.
pub(super) fn code<T: PartialEq>(all: &[T], item: &T) -> u64 {
    all.iter().position(|one| one == item).unwrap_or_default() as u64
}
