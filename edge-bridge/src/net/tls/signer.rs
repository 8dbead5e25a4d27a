//! Private key outside of this process: another one, the signer, signs the handshakes of TLS over a Unix socket, so that the key is neither on this disk
//! nor in this memory, but in a TPM, a token, or a process with other rights. docs/reference/signer.md has the protocol.
//!
//! The key that the signer is to have is known from the certificate, so that a signer that is away costs handshakes and no start. Each signature is verified by
//! the certificate's key before a peer sees it.

mod ask;
mod error;
mod exchange;
mod handshake_thread;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::server::ParsedCertificate;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, OtherError, SignatureAlgorithm, SignatureScheme, crypto};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};

use self::ask::ask;
pub use self::error::SignerError;
use self::exchange::{KeyDescription, Request};
use self::handshake_thread::HandshakeThreads;
use super::der::{BIT_STRING, SEQUENCE, element};
use super::error::{TlsError, refused};

/// Time limit of an answer to a client, below the time limit of a dial.
pub(super) const CLIENT_ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Time limit of an answer to a server, below the time limit of a client's handshake.
pub(super) const SERVER_ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Version of the protocol: first byte of each message.
const VERSION: u8 = 1;
/// Most bytes of an answer behind its head. A signature of an RSA key with 16 384 bits has a quarter of that.
const ANSWER_BYTES_MAX: usize = 8 * 1024;
/// Prefix of the socket's path in the place of a key's file.
const PREFIX: &str = "unix:";

/// Schemes for which a signer is asked, the preferred ones first: of an RSA key TLS 1.3 takes PSS alone.
const SCHEMES: [SignatureScheme; 9] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ED25519,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA512,
];

/// Returns the path of the signer's socket if `key` is `unix:PATH`, which stands for a private key outside of this process; `None` if it is a file.
/// A file whose name begins so is `./unix:...`.
///
/// ```
/// use edge_bridge::net::signer_socket;
/// use std::path::Path;
///
/// assert_eq!(signer_socket("unix:/run/signer.sock".as_ref()), Some(Path::new("/run/signer.sock")));
/// assert_eq!(signer_socket("site7.key".as_ref()), None);
/// ```
#[must_use]
pub fn signer_socket(key: &Path) -> Option<&Path> {
    key.to_str()?.strip_prefix(PREFIX).map(Path::new)
}

/// Private key in a signer. Clones share its handshake threads.
#[derive(Clone)]
pub(super) struct RemoteKey {
    /// The key as it was named, for errors.
    name: PathBuf,
    socket: PathBuf,
    public_key: SubjectPublicKeyInfoDer<'static>,
    algorithm: SignatureAlgorithm,
    schemes: Arc<[VerifiedScheme]>,
    within: Duration,
    pub(super) threads: HandshakeThreads,
}

/// Scheme of the key, with the verification of its signatures.
type VerifiedScheme = (SignatureScheme, &'static dyn SignatureVerificationAlgorithm);

impl RemoteKey {
    /// Makes the key of the first certificate in the file `cert`. `name` is the key as it was named, `within` the time limit of an answer.
    ///
    /// # Errors
    ///
    /// The certificate cannot be read, or its key is of a kind for which no signer is asked.
    pub(super) fn new(
        (name, socket): (&Path, &Path),
        (cert, own): (&Path, &CertificateDer<'_>),
        within: Duration,
    ) -> Result<Self, TlsError> {
        let own = ParsedCertificate::try_from(own).map_err(|source| refused(cert, source))?;
        let public_key = own.subject_public_key_info();
        let schemes = parts(&public_key).map(|(algorithm, _)| schemes_of(algorithm)).unwrap_or_default();
        let algorithm = schemes.first().and_then(|(scheme, _)| algorithm(*scheme));
        let Some(algorithm) = algorithm else {
            return Err(TlsError::Signer { key: name.to_owned(), source: SignerError::KeyOfCertificate });
        };
        Ok(Self {
            name: name.to_owned(),
            socket: socket.to_owned(),
            public_key,
            algorithm,
            schemes: schemes.into(),
            within,
            threads: HandshakeThreads::new(),
        })
    }

    /// Asks the signer for its key, and compares it with the certificate's. Blocks, at most as long as an answer may take.
    ///
    /// # Errors
    ///
    /// [`TlsError::Signer`].
    pub(super) fn check(&self) -> Result<(), TlsError> {
        self.describe().map_err(|source| self.error(source))
    }

    fn describe(&self) -> Result<(), SignerError> {
        let answer = ask(&self.socket, &Request::Describe.encode(), self.within)?;
        let described = KeyDescription::decode(&answer)?;
        if described.public_key != &*self.public_key {
            return Err(SignerError::OtherKey);
        }
        match self.schemes.first() {
            Some((scheme, _)) if !described.schemes.contains(&u16::from(*scheme)) => {
                Err(SignerError::SchemeMissing(format!("{scheme:?}")))
            }
            _ => Ok(()),
        }
    }

    fn error(&self, source: SignerError) -> TlsError {
        TlsError::Signer { key: self.name.clone(), source }
    }
}

impl SigningKey for RemoteKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let (scheme, verification) = *self.schemes.iter().find(|(scheme, _)| offered.contains(scheme))?;
        Some(Box::new(RemoteSigner { key: self.clone(), scheme, verification }))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.public_key.clone())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKey").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Signer of one handshake. It blocks, so that a handshake with it has to run on [a thread of its own](handshake_thread).
struct RemoteSigner {
    key: RemoteKey,
    scheme: SignatureScheme,
    verification: &'static dyn SignatureVerificationAlgorithm,
}

impl RemoteSigner {
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        let request = Request::Sign { scheme: self.scheme.into(), message };
        let signature = ask(&self.key.socket, &request.encode(), self.key.within)?;
        let (_, public_key) = parts(&self.key.public_key).ok_or(SignerError::KeyOfCertificate)?;
        let verified = self.verification.verify_signature(public_key, message, &signature);
        verified.map_err(|_| SignerError::WrongSignature)?;
        Ok(signature)
    }
}

impl Signer for RemoteSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.signature(message).map_err(|source| self.key.error(source));
        signature.map_err(|error| Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl fmt::Debug for RemoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSigner").field("key", &self.key).field("scheme", &self.scheme).finish()
    }
}

/// Returns the schemes of a key with this algorithm, as TLS 1.3 has them: one for each curve.
fn schemes_of(algorithm: &[u8]) -> Vec<VerifiedScheme> {
    let known = crypto::ring::default_provider().signature_verification_algorithms.mapping;
    let of_scheme = |scheme: SignatureScheme| {
        let (_, verifications) = known.iter().find(|(known, _)| *known == scheme)?;
        let verification = *verifications.first()?;
        (verification.public_key_alg_id().as_ref() == algorithm).then_some((scheme, verification))
    };
    SCHEMES.into_iter().filter_map(of_scheme).collect()
}

/// Splits a SubjectPublicKeyInfo into the content of its algorithm and the bits of its key.
fn parts(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (SEQUENCE, content, _) = element(public_key)? else { return None };
    let (SEQUENCE, algorithm, rest) = element(content)? else { return None };
    let (BIT_STRING, bits, _) = element(rest)? else { return None };
    // The number of unused bits in the last byte, which is 0 of all keys, stands before them.
    let (0, key) = bits.split_first()? else { return None };
    Some((algorithm, key))
}

fn algorithm(scheme: SignatureScheme) -> Option<SignatureAlgorithm> {
    Some(match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 | SignatureScheme::ECDSA_NISTP384_SHA384 => {
            SignatureAlgorithm::ECDSA
        }
        SignatureScheme::ED25519 => SignatureAlgorithm::ED25519,
        SignatureScheme::RSA_PSS_SHA256 => SignatureAlgorithm::RSA,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
