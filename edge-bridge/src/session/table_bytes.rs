//! Memory of a hash table: its places, of which at least one in eight is free, in a number that is a power of two.

use std::collections::HashMap;

/// Smallest number of places.
const PLACES_MIN: usize = 4;
/// Bytes beside the places: one of control for each, and a group of these at the end.
const GROUP: usize = 16;

/// Returns the bytes of memory of a table, whether its places are used or not. Up to twice as many are free as are used, so that a number of bytes for
/// each entry would be wrong by that.
pub(super) fn table_bytes<K, V>(table: &HashMap<K, V>) -> usize {
    match table.capacity() {
        0 => 0,
        capacity => {
            let places = (capacity * 8 / 7).next_power_of_two().max(PLACES_MIN);
            places * (size_of::<(K, V)>() + 1) + GROUP
        }
    }
}
