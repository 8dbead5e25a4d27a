//! Authorities that the system trusts, for programs that name none.

use std::path::PathBuf;

use rustls::RootCertStore;

use super::error::TlsError;
use super::{SYSTEM_BUNDLES, certificates};

/// Returns the file of the system's authorities, and those in it that rustls accepts.
pub(super) fn system_roots() -> Result<(PathBuf, RootCertStore), TlsError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let found = || SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.exists());
    let path = named.or_else(found).ok_or(TlsError::NoSystemRoots)?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates(&path)?);
    if added == 0 { Err(TlsError::NoCertificate(path)) } else { Ok((path, roots)) }
}
