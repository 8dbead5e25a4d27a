//! Error of keys, certificates and lists of revoked ones that cannot be used, with the path of the faulty file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem;

use super::certificate_kind::unfit_kind;
use super::signer::SignerError;

/// Identifier of the curve P-521 in DER (RFC 5480 §2.1.1.1).
const P_521: &[u8] = &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];

/// Error of keys or certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read as PEM.
    #[error("{}: {}", path.display(), pem_words(source))]
    Pem {
        /// Path of the file.
        path: PathBuf,
        /// Error of reading the file.
        source: pem::Error,
    },
    /// The private key is encrypted with a passphrase, which is not read.
    #[error("{}: the key is encrypted: write it without a passphrase, `openssl pkey -in KEY -out NEW`, with mode 0600", .0.display())]
    EncryptedKey(PathBuf),
    /// The file holds no certificate.
    #[error("{}: no certificate in it", .0.display())]
    NoCertificate(PathBuf),
    /// The file holds no list of revoked certificates.
    #[error("{}: no list of revoked certificates in it", .0.display())]
    NoRevocationList(PathBuf),
    /// A list of revoked certificates is given where this crate checks no certificate: beside settings made by `from_config`, or for clients that
    /// show none.
    #[error("{}: no certificates are checked that it could revoke", .0.display())]
    NothingToRevoke(PathBuf),
    /// A file that was read again revokes less than the lists in force, though their authority did not take anything back.
    #[error("{}: the list of {authority} {loss}", path.display())]
    RevocationsLost {
        /// File that was read again.
        path: PathBuf,
        /// Authority whose list is in force, for a reader.
        authority: String,
        /// Reason for which its list in the file is not taken.
        loss: RevocationLoss,
    },
    /// A list has the name of a trusted authority, and none of these has the key that signed it.
    #[error("{}: the list of {authority} is signed by another key than that authority has in {}", path.display(), ca.display())]
    RevocationsOfOtherKey {
        /// File of the list.
        path: PathBuf,
        /// Issuer that the list names, for a reader.
        authority: String,
        /// File of the trusted authorities.
        ca: PathBuf,
    },
    /// A list of a trusted authority is signed by an algorithm that this crate does not verify.
    #[error("{}: the list of {authority} is signed by an algorithm that is not taken, such as SHA-1", path.display())]
    RevocationsUnsupported {
        /// File of the list.
        path: PathBuf,
        /// Issuer that the list names, for a reader.
        authority: String,
    },
    /// rustls refuses the key, certificates or lists of revoked ones in a file.
    #[error("{}: {}", path.display(), words(source))]
    Refused {
        /// File that rustls refuses.
        path: PathBuf,
        /// The error of rustls.
        source: rustls::Error,
    },
    /// A private key is not that of the certificate.
    #[error("{}: the key does not belong to the first certificate in {}", key.display(), cert.display())]
    OtherKey {
        /// File of the key.
        key: PathBuf,
        /// File of the certificate.
        cert: PathBuf,
    },
    /// The private key is on a curve that is not supported.
    #[error("{}: a key on the curve P-521, which is not supported: make one on P-256 or P-384", .0.display())]
    UnsupportedCurve(PathBuf),
    /// The signer that has the private key cannot be used.
    #[error("the key {}: {source}", key.display())]
    Signer {
        /// The key as it was named, `unix:PATH`.
        key: PathBuf,
        /// Error of the signer.
        source: SignerError,
    },
    /// The system has no bundle of authorities in the usual places.
    #[error("no authorities of the system: install ca-certificates, or name a file (looked for {})", super::SYSTEM_BUNDLES.join(", "))]
    NoSystemRoots,
    /// Hubs cannot be verified with these certificate authorities.
    #[error("the hub's certificate: {0}")]
    HubVerifier(String),
    /// Clients cannot be verified with these certificate authorities.
    #[error("client certificates: {0}")]
    Verifier(String),
}

impl TlsError {
    /// Returns whether a file could not be read, or is not there, so that the same file may be readable the next time. What stands in a file stays
    /// wrong until it changes.
    pub fn is_unread(&self) -> bool {
        match self {
            // The error of this crate for a file that is too large.
            Self::Pem { source: pem::Error::Io(error), .. } => error.kind() != io::ErrorKind::InvalidData,
            _ => false,
        }
    }
}

/// Reason for which a list does not take the place of the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RevocationLoss {
    /// The file has no list of the authority any more.
    Missing,
    /// The list was made before the one in force.
    Older,
    /// The list is out of date, and the one in force is not.
    OutOfDate,
}

impl fmt::Display for RevocationLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is no longer in it",
            Self::Older => "is older than the one in force",
            Self::OutOfDate => "is out of date, and the one in force is not",
        })
    }
}

fn pem_words(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "no private key in PEM".to_owned(),
        pem::Error::MissingSectionEnd { .. } => {
            "a part of it has no end (`-----END`): is it the whole file?".to_owned()
        }
        other => other.to_string(),
    }
}

fn words(error: &rustls::Error) -> String {
    let said = error.to_string();
    match error {
        rustls::Error::InvalidCertificate(error) => {
            unfit_kind(error).map_or(said, |kind| format!("the certificate {kind}"))
        }
        rustls::Error::General(_) if said.contains("failed to parse private key") => {
            "a key that is not taken: make one on P-256 or P-384, of Ed25519, or of RSA with 2048 bits or more"
                .to_owned()
        }
        _ => said,
    }
}

/// Returns the error for a certificate and key that TLS refuses, with the path of the certificate if that is at fault, otherwise of the key. `der`:
/// the key.
pub(super) fn unfit(cert: &Path, (key, der): (&Path, &[u8]), source: rustls::Error) -> TlsError {
    // What the library says of it would fit any other file as well.
    if der.windows(P_521.len()).any(|bytes| bytes == P_521) {
        return TlsError::UnsupportedCurve(key.to_owned());
    }
    match source {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::OtherKey { key: key.to_owned(), cert: cert.to_owned() }
        }
        rustls::Error::InvalidCertificate(_) => refused(cert, source),
        _ => refused(key, source),
    }
}

pub(super) fn refused(path: &Path, source: rustls::Error) -> TlsError {
    TlsError::Refused { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::super::ServerTls;

    /// On that curve, and none that is in use anywhere.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIHuAgEAMBAGByqGSM49AgEGBSuBBAAjBIHWMIHTAgEBBEIAS2JOJ1Ii38xwNvR9\n\
        LW9Saymgj3bS4faRQYxtA6yAFWvunWTBMavXhVP2xcpbSC9SN/DtG2evgjt9RpKq\n\
        Gg4+EgmhgYkDgYYABAH0ig5y9QPLs38ifSpI+eKOwJeDNoJ6MPOg4ryzSnx0lzHB\n\
        R5MCvAMOf7rJxn1bu0Wa9Y4igaTTo1kC3ToBrdxdGAAwC0Rp2w+qsaEPMbAgEfi/\n\
        ZqnmJ2q3ICO6v3bLNhqHBsPdDJ8wNS6O1u66uXRG0Wxi4DjS3WyC2qhKlmnHzxTB\n\
        cA==\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn of_a_key_on_p_521_the_error_names_the_curve() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert"), dir.path().join("key"));
        std::fs::write(&key, KEY).unwrap();
        let other = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        std::fs::write(&cert, other.cert.pem()).unwrap();
        let said = ServerTls::from_pem(&cert, &key, None).unwrap_err().to_string();
        assert!(said.contains("a key on the curve P-521, which is not supported"), "{said}");
        let own = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&key, own.serialize_pem()).unwrap();
        let said = ServerTls::from_pem(&cert, &key, None).unwrap_err().to_string();
        assert!(said.contains("does not belong"), "{said}");
    }
}
