//! Words for a certificate of a kind that is refused whoever signed it, at both sides: rustls has none, or shows the bytes of its tables.

use rustls::CertificateError;

/// Returns what the certificate is, for a text that begins with it; `None` for an error that is not about its kind.
pub(in crate::net) fn unfit_kind(error: &CertificateError) -> Option<&'static str> {
    match error {
        CertificateError::UnsupportedSignatureAlgorithmContext { .. } => {
            Some("is signed by an algorithm that is not taken, such as SHA-1")
        }
        CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            Some("is signed with an authority's key that is not taken, such as one on P-521")
        }
        // Of webpki, which has no type of its own here.
        CertificateError::Other(other) => match other.0.to_string().as_str() {
            "UnsupportedCertVersion" => {
                Some("is of X.509 version 1, which is not taken: make one of version 3, with extensions")
            }
            "CaUsedAsEndEntity" => Some(
                "is made for an authority (CA:TRUE), as `openssl req -x509` makes it, and not for a peer",
            ),
            "EndEntityUsedAsCa" => Some("is signed with a certificate that is no authority's (CA:TRUE)"),
            _ => None,
        },
        _ => None,
    }
}
