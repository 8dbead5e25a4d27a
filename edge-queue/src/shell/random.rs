//! Random numbers from the system.

use std::hash::{BuildHasher, Hasher};

use crate::store::EPOCH_STEP_MAX;

/// Returns 64 random bits, for identities of queues and of boots.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    #[cfg(target_os = "linux")]
    if matches!(rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()), Ok(8)) {
        return u64::from_le_bytes(bytes);
    }
    // Early in a boot the pool may refuse; the standard library's hash keys are random too.
    let seed = std::collections::hash_map::RandomState::new();
    let mut hasher = seed.build_hasher();
    hasher.write_u32(std::process::id());
    bytes = hasher.finish().to_le_bytes();
    u64::from_le_bytes(bytes)
}

/// Returns a random step of the epoch, 1 to [`EPOCH_STEP_MAX`].
pub(crate) fn random_epoch_step() -> u32 {
    let below = random_u64() % u64::from(EPOCH_STEP_MAX);
    1 + u32::try_from(below).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Two starts from one copy of a disk take the same step in 1 of 4 096 cases.
    #[test]
    fn promise_4_steps_of_the_epoch_are_spread_over_their_whole_range() {
        let steps: BTreeSet<u32> = (0..40_000).map(|_| random_epoch_step()).collect();
        assert!(steps.first() >= Some(&1) && steps.last() <= Some(&EPOCH_STEP_MAX));
        assert!(steps.len() > 4_000, "{} of {EPOCH_STEP_MAX} steps", steps.len());
    }
}
