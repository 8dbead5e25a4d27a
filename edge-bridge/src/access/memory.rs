//! Memory of collections, from above, for programs that say before a start how much they take.

/// Bytes of an allocation beside its content: the allocator's head, and its rounding.
const ALLOCATION_BYTES: usize = 32;

/// Bytes of an allocation of this content.
pub(super) fn allocation(bytes: usize) -> usize {
    bytes + ALLOCATION_BYTES
}

/// Bytes of a hash table with so many entries: a power of two of places, of which an eighth is free, with a byte each beside the entry.
pub(super) fn table<T>(entries: usize) -> usize {
    if entries == 0 {
        return 0;
    }
    let places = (entries * 8 / 7 + 1).next_power_of_two().max(4);
    allocation(places * (size_of::<T>() + 1))
}

/// Bytes of a list of so many entries that grew by doubling.
pub(super) fn list<T>(entries: usize) -> usize {
    if entries == 0 {
        return 0;
    }
    allocation(entries.next_power_of_two().max(4) * size_of::<T>())
}
