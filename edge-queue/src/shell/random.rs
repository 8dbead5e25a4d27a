//! Random numbers from the system.

use std::hash::{BuildHasher, Hasher};

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
