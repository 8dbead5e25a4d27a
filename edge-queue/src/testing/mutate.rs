//! Mutation of bytes for fuzz loops.
#![deny(clippy::indexing_slicing)]

use super::rng::Rng;

/// Numbers at which arithmetic breaks, if it does.
const EDGES: [u64; 13] = [
    0,
    1,
    0x7f,
    0x80,
    0xffff,
    1 << 31,
    u32::MAX as u64 - 1,
    u32::MAX as u64,
    1 << 59,
    1 << 61,
    u64::MAX / 2,
    u64::MAX - 1,
    u64::MAX,
];

/// A number that some field should not have; half of the time it is near `near`.
pub fn hostile_number(rng: &mut Rng, near: u64) -> u64 {
    match rng.below(4) {
        0 => near.wrapping_add(rng.between(1, 3)),
        1 => near.wrapping_sub(rng.between(1, 3)),
        2 => rng.next_u64() >> rng.below(64),
        _ => usize::try_from(rng.below(EDGES.len() as u64))
            .ok()
            .and_then(|n| EDGES.get(n))
            .copied()
            .unwrap_or(0),
    }
}

/// Changes `bytes` in one to four places: flipped bits, hostile numbers of one to eight bytes, runs filled, runs copied
/// from elsewhere. The length stays.
pub fn mutate(rng: &mut Rng, bytes: &mut [u8]) {
    for _ in 0..rng.between(1, 4) {
        let at = index(rng, bytes.len());
        let Some(rest) = bytes.get_mut(at..) else { return };
        match rng.below(4) {
            0 => {
                if let Some(byte) = rest.first_mut() {
                    *byte ^= 1 << rng.below(8);
                }
            }
            1 => {
                let number = hostile_number(rng, 0).to_le_bytes();
                let width = 1 << rng.below(4);
                rest.iter_mut().zip(number).take(width).for_each(|(byte, new)| *byte = new);
            }
            2 => {
                let (fill, len) = (rng.next_u64() as u8, index(rng, 64) + 1);
                rest.iter_mut().take(len).for_each(|byte| *byte = fill);
            }
            _ => {
                let (from, len) = (index(rng, bytes.len()), index(rng, 64) + 1);
                let end = from.saturating_add(len).min(bytes.len());
                let to = at.min(bytes.len() - (end - from));
                bytes.copy_within(from..end, to);
            }
        }
    }
}

fn index(rng: &mut Rng, len: usize) -> usize {
    usize::try_from(rng.below(len as u64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_changed_and_none_is_added() {
        let mut rng = Rng::new(1);
        let mut changed = 0;
        for len in 0..300 {
            let was = rng.bytes(len);
            let mut bytes = was.clone();
            mutate(&mut rng, &mut bytes);
            assert_eq!(bytes.len(), len);
            changed += u32::from(bytes != was);
        }
        assert!(changed > 250, "{changed}");
    }
}
