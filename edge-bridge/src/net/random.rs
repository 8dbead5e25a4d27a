//! Random numbers of the operating system, as TLS takes them.

use rustls::crypto::ring::default_provider;

/// Returns 128 random bits; `None` if the system gives none.
pub(super) fn random_u128() -> Option<u128> {
    let mut bytes = [0; 16];
    default_provider().secure_random.fill(&mut bytes).ok()?;
    Some(u128::from_ne_bytes(bytes))
}
