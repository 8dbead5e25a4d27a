//! The hash of a sensor's name: keyed, since names come from the network, and a tenth of what SipHash takes, since every
//! reading is asked for by name.

use std::hash::{BuildHasher, RandomState};

/// Multiplies 16 bytes at a time to 128 bits and folds the halves (the construction of wyhash), under keys of the
/// process's own randomness. Whoever does not see hashes or times cannot choose names that collide; and whoever could
/// is bounded by `max_keys` names.
#[derive(Clone, Debug)]
pub(super) struct NameHash {
    keys: [u64; 3],
}

impl NameHash {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        NameHash { keys: [0_u8, 1, 2].map(|i| random.hash_one(i)) }
    }

    #[inline]
    pub(super) fn of(&self, name: &str) -> u64 {
        let [seed, first, second] = self.keys;
        let bytes = name.as_bytes();
        let mut sum = seed ^ bytes.len() as u64;
        let (blocks, _) = bytes.as_chunks::<16>();
        for block in blocks {
            sum = folded(sum ^ first ^ word(block.first_chunk()), second ^ word(block.last_chunk()));
        }
        // The rest, with bytes of the last block again: the length is in the sum, so no two names mean the same.
        let (head, tail) = match (bytes.last_chunk::<16>(), bytes.first_chunk::<8>()) {
            (Some(last), _) => (word(last.first_chunk()), word(last.last_chunk())),
            (None, Some(head)) => (word(Some(head)), word(bytes.last_chunk())),
            (None, None) => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        };
        folded(sum ^ second ^ head, first ^ tail)
    }
}

fn word(bytes: Option<&[u8; 8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_that_differ_anywhere_differ_in_both_halves() {
        let hash = NameHash::new();
        let mut names: Vec<String> = (0..40).map(|length| "x".repeat(length)).collect();
        for at in 0..48 {
            names.extend((b'0'..=b'9').map(|digit| {
                let mut name = vec![b'a'; 48];
                name[at] = digit;
                String::from_utf8(name).unwrap_or_default()
            }));
        }
        names.extend((0..10_000).map(|i| format!("plant/line{i}/temp")));
        let halves = |shift: u32| names.iter().map(|n| (hash.of(n) >> shift) as u32).collect::<BTreeSet<_>>();
        // Of 10 520 names one pair in 77 such sets shares half of a hash by chance.
        assert!(halves(0).len() > names.len() - 4 && halves(32).len() > names.len() - 4);
    }

    #[test]
    fn a_table_of_names_is_filled_evenly_and_keys_differ() {
        let (hash, other) = (NameHash::new(), NameHash::new());
        let mut buckets = [0_u32; 64];
        for i in 0..64_000 {
            let found = hash.of(&format!("s/{i}")) as usize % 64;
            buckets.get_mut(found).into_iter().for_each(|n| *n += 1);
        }
        // 1000 each, standard deviation 32: six of them.
        assert!(buckets.iter().all(|n| (800..1200).contains(n)), "{buckets:?}");
        assert_ne!(hash.of("a"), other.of("a"));
    }
}
