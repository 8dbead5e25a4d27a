//! Error of a signer, for whoever looks after it.

use std::io;
use std::time::Duration;

use super::{ANSWER_BYTES_MAX, VERSION};
use crate::escape::Escaped;

/// Reason for which a private key in a signer cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignerError {
    /// There is no socket, nobody listens at it, or this process may not connect to it.
    #[error("no signer can be reached: {0}")]
    Unreachable(io::Error),
    /// The connection to the signer failed.
    #[error("the connection to the signer failed: {0}")]
    Connection(io::Error),
    /// The signer has not answered in time.
    #[error("the signer has not answered within {0:?}")]
    Late(Duration),
    /// The signer closed the connection before its answer was whole.
    #[error("the signer closed the connection before its answer was whole")]
    Closed,
    /// The answer is of another version of the protocol.
    #[error("the signer answers by version {0} of the protocol, and not by version {VERSION}")]
    Version(u8),
    /// The answer is longer than any may be.
    #[error("the signer answers with {0} bytes, more than {ANSWER_BYTES_MAX}")]
    TooLong(usize),
    /// The answer is not one of the protocol.
    #[error("the signer's answer is not one of the protocol")]
    Malformed,
    /// The signer refuses, in its words.
    #[error("the signer refuses: \"{}\"", Escaped(.0))]
    Refused(String),
    /// The signer has another key than the certificate.
    #[error("the signer's key does not belong to the first certificate in the certificate's file")]
    OtherKey,
    /// The certificate's key does not verify the signature.
    #[error(
        "the signature does not fit the first certificate in the certificate's file: it is of another key, or not encoded as TLS has it"
    )]
    WrongSignature,
    /// The signer does not offer the scheme that is needed of the certificate's key.
    #[error("the signer does not offer {0}, which TLS needs of this key")]
    SchemeMissing(String),
    /// The certificate's key is of a kind for which no signer is asked.
    #[error(
        "the certificate's key is of a kind for which no signer is asked: ECDSA on P-256 or P-384, Ed25519 and RSA are"
    )]
    KeyOfCertificate,
}

impl SignerError {
    /// Returns whether the signer answered with another key than the certificate's, so that it would do so again.
    #[must_use]
    pub fn is_of_other_key(&self) -> bool {
        matches!(self, Self::OtherKey | Self::WrongSignature)
    }
}
