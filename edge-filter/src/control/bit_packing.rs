//! Bit packing: small numbers in one 64-bit word.

/// The byte that begins at a bit.
pub(super) fn byte(word: u64, at: u32) -> usize {
    usize::from((word >> at) as u8)
}

/// The 16-bit number that begins at a bit.
pub(super) fn half(word: u64, at: u32) -> u16 {
    (word >> at) as u16
}

/// The place of an item in the list that both sides have. Every item is in it.
pub(super) fn code<T: PartialEq>(all: &[T], item: &T) -> u64 {
    all.iter().position(|one| one == item).unwrap_or_default() as u64
}
