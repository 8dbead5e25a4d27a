//! Certificate of the listener that cannot be used since the start, so that there is none to show: in words for the log, and in words for pages and
//! the hub, which need not know the paths of this machine.

use edge_bridge::net::TlsError;

use crate::config::TlsAddresses;
use crate::config::named_paths::NamedPaths;

/// Error of the listener's certificate, or of its key, that is none of a renewal: nothing is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnusableCertificate {
    /// Error with the paths of the files, and the setting behind it.
    pub(super) error: String,
    /// Error with the names of the settings in the place of the paths. What stands in the place of the key's path may be the key itself.
    pub(super) shareable: String,
    /// Set if it can end without a change of a file.
    pub(super) is_unread: bool,
}

impl UnusableCertificate {
    pub(super) fn new(error: &TlsError, files: &TlsAddresses, is_unread: bool) -> Self {
        let said = error.to_string();
        let is_of_cert = said.starts_with(&format!("{}: ", files.cert.display()));
        let setting = if is_of_cert { "cert" } else { "key" };
        let mut paths = NamedPaths::default();
        paths.add("local.cert", &files.cert);
        paths.add("local.key", &files.key);
        let shareable = paths.without_paths(&said);
        Self { error: format!("{said} ([local] {setting})"), shareable, is_unread }
    }

    pub(super) fn tell(&self) {
        let error = &self.error;
        tracing::warn!(%error, "the listener has no certificate to show: at tls_listen and wss_listen each handshake fails until the files fit");
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use edge_bridge::net::{CertificateUser, ServerTls};

    use super::*;

    fn said(cert: &Path, key: PathBuf) -> UnusableCertificate {
        let files = TlsAddresses {
            addresses: Vec::new(),
            cert: cert.to_owned(),
            key,
            client_ca: None,
            client_crl: None,
            client_user: CertificateUser::CommonName,
        };
        let error = ServerTls::from_pem(&files.cert, &files.key, None).unwrap_err();
        UnusableCertificate::new(&error, &files, error.is_unread())
    }

    #[test]
    fn paths_are_for_the_log_alone_and_the_setting_is_named_in_both() {
        let dir = tempfile::tempdir().unwrap();
        // One is the beginning of the other.
        let (cert, key) = (dir.path().join("own"), dir.path().join("own.key"));
        let pair = |cert: &Path, key: &Path| {
            let pair = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec!["g".to_owned()]).unwrap();
            std::fs::write(cert, params.self_signed(&pair).unwrap().pem()).unwrap();
            std::fs::write(key, pair.serialize_pem()).unwrap();
        };
        let path = |path: &Path| path.display().to_string();
        pair(&cert, &key);
        pair(&cert, &dir.path().join("other.key"));
        let other = said(&cert, key.clone());
        let expected = "[local] key: the key does not belong to the first certificate in [local] cert";
        assert_eq!((other.shareable.as_str(), other.is_unread), (expected, false));
        let (cert_s, key_s) = (path(&cert), path(&key));
        let expected =
            format!("{key_s}: the key does not belong to the first certificate in {cert_s} ([local] key)");
        assert_eq!(other.error, expected);
        std::fs::remove_file(&cert).unwrap();
        let missing = said(&cert, key);
        assert!(missing.shareable.starts_with("[local] cert: ") && missing.is_unread, "{missing:?}");
        assert!(
            missing.error.ends_with(" ([local] cert)") && missing.error.starts_with(&cert_s),
            "{missing:?}"
        );
        let secret = "-----BEGIN PRIVATE KEY-----\ns3cret\n";
        let typed = said(&cert, PathBuf::from(secret));
        assert!(
            typed.shareable.starts_with("[local] key: ") && !typed.shareable.contains("s3cret"),
            "{typed:?}"
        );
    }
}
