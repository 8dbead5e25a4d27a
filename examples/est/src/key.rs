//! Private key of a first enrolment: ECDSA on P-256, which every authority and hub takes and a TPM could hold later.

use std::sync::Arc;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls::crypto::ring::sign::any_supported_type;
pub use rustls::sign::SigningKey;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::pem;

/// Returns a new private key as PEM (PKCS #8). `None`: the system has no random numbers.
#[must_use]
pub fn generate() -> Option<String> {
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).ok()?;
    Some(pem::block("PRIVATE KEY", key.as_ref()))
}

/// Reads a private key in PEM. `None`: it is none, or of a kind that TLS does not use.
#[must_use]
pub fn read(text: &[u8]) -> Option<Arc<dyn SigningKey>> {
    let key = PrivateKeyDer::from_pem_slice(text).ok()?;
    any_supported_type(&key).ok()
}
