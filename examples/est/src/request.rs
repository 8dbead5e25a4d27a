//! Request for a certificate (PKCS #10, RFC 2986), signed by its key.

use rustls::SignatureScheme;
use rustls::sign::SigningKey;

use crate::der::{BIT_STRING, CONTEXT_0, INTEGER, OBJECT_IDENTIFIER, SEQUENCE, SET, written};
use crate::names::Names;

/// Object identifier of the attribute extensionRequest, 1.2.840.113549.1.9.14.
const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
/// Most characters of a common name (RFC 5280, appendix A).
pub const COMMON_NAME_MAX: usize = 64;

/// Signatures that authorities take in requests, with their AlgorithmIdentifier. Of RSA the one of PKCS #1, which is older than PSS and known to all.
const ALGORITHMS: [(SignatureScheme, &[u8]); 4] = [
    (
        SignatureScheme::ECDSA_NISTP256_SHA256,
        &[0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
    ),
    (
        SignatureScheme::ECDSA_NISTP384_SHA384,
        &[0x30, 10, 0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
    ),
    (SignatureScheme::ED25519, &[0x30, 5, 0x06, 3, 0x2b, 0x65, 0x70]),
    (
        SignatureScheme::RSA_PKCS1_SHA256,
        &[0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0],
    ),
];

/// Reason for which no request is made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The key is of a kind that signs no requests here.
    #[error("the private key is of a kind that signs no requests")]
    Key,
    /// The key, or the process that has it, did not sign.
    #[error("the private key does not sign: {0}")]
    Signature(#[from] rustls::Error),
}

/// Returns the request for a certificate of these names and the public half of `key`, in DER. Blocks where the key is in another process.
///
/// # Errors
///
/// The key does not sign.
pub fn request(names: &Names, key: &dyn SigningKey) -> Result<Vec<u8>, RequestError> {
    let public_key = key.public_key().ok_or(RequestError::Key)?;
    let chosen = ALGORITHMS.iter().find_map(|(scheme, id)| Some((key.choose_scheme(&[*scheme])?, *id)));
    let (signer, algorithm) = chosen.ok_or(RequestError::Key)?;
    let attributes = names.alternative.as_ref().map(|extension| {
        let extensions = written(SET, &[&written(SEQUENCE, &[extension])]);
        written(SEQUENCE, &[&written(OBJECT_IDENTIFIER, &[EXTENSION_REQUEST]), &extensions])
    });
    let attributes = written(CONTEXT_0, &[&attributes.unwrap_or_default()]);
    let version = written(INTEGER, &[&[0]]);
    let info = written(SEQUENCE, &[&version, &names.subject, &public_key, &attributes]);
    let signature = signer.sign(&info)?;
    Ok(written(SEQUENCE, &[&info, algorithm, &written(BIT_STRING, &[&[0], &signature])]))
}
