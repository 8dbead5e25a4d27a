//! Dates of the certificates that a file names.

use std::path::PathBuf;
use std::time::SystemTime;

use edge_bridge::net::certificate_chain_ends;
use edge_state::operator_file;

use crate::findings::{Findings, Place};

/// Reports a certificate that has ended, or one behind it. No error: the clock may be wrong, and what waits is stored all the same.
pub(crate) fn find(cert: &(Place, PathBuf), now: SystemTime, findings: &mut Findings) {
    let (place, path) = cert;
    // A file that cannot be read, or is a pipe, is an error elsewhere.
    if operator_file::check(path).is_err() {
        return;
    }
    let ends = certificate_chain_ends(path).unwrap_or_default();
    if ends.into_iter().any(|end| end <= now) {
        let text = format!(
            "{}: the certificate, or one behind it, has ended by this machine's clock: the other side refuses it",
            path.display()
        );
        findings.trap(place.clone(), text);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_that_has_ended_is_told_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("own.crt");
        let mut params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
        let now = SystemTime::now();
        params.not_after = (now + Duration::from_secs(3_600)).into();
        let pem = params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        std::fs::write(&path, pem).unwrap();
        let place = Place { file: Path::new("b").into(), line: 1 };
        let told = |path: PathBuf, now| {
            let mut findings = Findings::default();
            find(&(place.clone(), path), now, &mut findings);
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(told(path.clone(), now), <[String; 0]>::default());
        assert_eq!(told(dir.path().join("none"), now), <[String; 0]>::default());
        let later = told(path, now + Duration::from_secs(7_200));
        assert!(matches!(later.as_slice(), [one] if one.contains("has ended")), "{later:?}");
    }
}
