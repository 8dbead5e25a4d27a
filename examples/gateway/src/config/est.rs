//! `[hub.est]`: renewal of the gateway's certificate by EST (RFC 7030), and its first one by a claim certificate. Only in a build with the feature `est`.

use std::path::{Path, PathBuf};

use edge_bridge::net::{ServerTls, signer_socket};
use edge_state::file::folder_of;
use rustix::fs::{Access, access};
use toml::de::DeValue;

use super::section::{Placed, Section, kind};
use super::{Findings, Hub, operator_file, secret_file};

/// Server that renews the certificate of `[hub]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Est {
    pub(crate) url: String,
    /// Authorities of the server. `None`: those of `[hub]`.
    pub(crate) ca: Option<PathBuf>,
    /// Credentials of the first enrolment. `None`: there is a certificate already.
    pub(crate) claim: Option<Claim>,
}

/// Certificate that many gateways share, for which the server gives each its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) common_name: String,
}

/// Most characters of a common name (RFC 5280, appendix A).
const COMMON_NAME_MAX: usize = 64;

/// Reads the table. `None`: there is none, or it has mistakes. `id` is the gateway's.
pub(super) fn est(hub: &Section<'_>, id: &str, findings: &mut Findings) -> Option<Est> {
    let value = hub.get("est")?;
    let at = value.span().start;
    let DeValue::Table(table) = value.get_ref() else {
        findings.error(at, "hub.est", format!("expected a table, found {}", kind(value.get_ref())));
        return None;
    };
    let section = hub.inner("est", at, table);
    if !cfg!(feature = "est") {
        let message =
            "is not in this build: it needs the feature `est` (cargo build -p edge-gateway --features est)";
        findings.error(at, "hub.est", message);
    }
    if section.get("url").is_none() {
        findings.error(at, "hub.est.url", "missing: https://HOST:PORT");
    }
    let url = section.parsed("url", findings, |url| server(url).map(|()| url.to_owned()));
    let ca = section.file("ca", findings).map(|ca| ca.value);
    let claim = claim(&section, id, findings);
    section.finish(findings);
    if hub.get("cert").is_none() || hub.get("key").is_none() {
        findings.error(
            at,
            "hub.est",
            "needs `cert` and `key` of [hub], the files of the certificate that it renews",
        );
    }
    Some(Est { url: url?.value, ca, claim })
}

#[cfg(feature = "est")]
fn server(url: &str) -> Result<(), String> {
    url.parse::<edge_est::server::Server>().map(drop)
}

#[cfg(not(feature = "est"))]
fn server(_: &str) -> Result<(), String> {
    Ok(())
}

fn claim(section: &Section<'_>, id: &str, findings: &mut Findings) -> Option<Claim> {
    let common_name = section.parsed("common_name", findings, |name| {
        let is_name =
            (1..=COMMON_NAME_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if is_name { Ok(name.to_owned()) } else { Err("expected 1 to 64 characters".to_owned()) }
    });
    let (cert, key) = (section.path("claim_cert", findings), section.path("claim_key", findings));
    if cert.is_some() != key.is_some() {
        let (at, name) = section.first_of(&["claim_cert", "claim_key"]);
        findings.error(at, &name, "`claim_cert` and `claim_key` belong together: one of them is missing");
    }
    if let Some(name) = common_name.as_ref().filter(|_| cert.is_none()) {
        findings.error(
            name.at,
            "hub.est.common_name",
            "belongs to `claim_cert`, which is missing: a renewal keeps the names of the certificate",
        );
    }
    let common_name = common_name.map_or_else(|| id.to_owned(), |name| name.value);
    Some(Claim { cert: cert?.value, key: key?.value, common_name })
}

/// Checks what the table needs of the files of `[hub]`, and the claim's own files while there is no certificate.
pub(super) fn check(est: &Est, section: &Section<'_>, hub: &Hub, findings: &mut Findings) {
    let (Some(cert), Some(key)) = (&hub.cert, &hub.key) else { return };
    let at = section.at_key("est");
    // A certificate is renamed over its file, and would take the key with it.
    if cert == key || operator_file::is_same_file(cert, key) {
        let message = "`cert` and `key` are one file: a renewal replaces that of the certificate, so that the key needs its own";
        return findings.error(at, "hub.est", message);
    }
    if [&hub.ca, &hub.crl, &est.ca]
        .into_iter()
        .flatten()
        .any(|other| operator_file::is_same_file(cert, other))
    {
        let message =
            "`cert` is also the file of `ca` or `crl`, which a renewal would replace: each needs its own";
        return findings.error(at, "hub.est", message);
    }
    warn_if_unwritable(cert, at, ("hub.cert", "a new certificate"), findings);
    if signer_socket(key).is_none() && !operator_file::is_there(key) {
        warn_if_unwritable(key, at, ("hub.key", "a key"), findings);
    }
    let Some(claim) = est.claim.as_ref().filter(|_| hub.waits_for_certificate()) else { return };
    if signer_socket(key).is_some() {
        let message = "no first certificate for a key in a signer: certify its public key once by other means; it is renewed then";
        return findings.error(at, "hub.est.claim_cert", message);
    }
    let placed = Placed { value: claim.key.clone(), at };
    secret_file::warn_if_open(&placed, "hub.est.claim_key", "key", findings);
    if let Err(error) = ServerTls::from_pem(&claim.cert, &claim.key, None) {
        findings.error(at, "hub.est.claim_cert", error.to_string());
    }
}

fn warn_if_unwritable(file: &Path, at: usize, (key, what): (&str, &str), findings: &mut Findings) {
    let folder = folder_of(file);
    if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_err() {
        let folder = folder.display();
        let message = format!("{folder}: not writable for this user: {what} could not be kept there");
        findings.warning(at, key, message);
    }
}

impl Hub {
    /// Returns whether the certificate is yet to come, by a claim.
    pub(crate) fn waits_for_certificate(&self) -> bool {
        self.tls_files().waits_for_certificate()
    }
}

#[cfg(test)]
#[cfg(not(feature = "est"))]
mod tests {
    use std::path::Path;

    use super::super::Config;

    #[test]
    fn a_build_without_est_names_its_feature() {
        let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtt://hub:1\"\n[hub.est]\nurl = \"https://ca\"\n\
                    [[route]]\nmatch = \"a\"\n";
        let said = Config::parse(Path::new("gateway.toml"), text, &|_| None).unwrap_err().to_string();
        assert!(said.contains("error: hub.est:") && said.contains("--features est"), "{said}");
    }
}

#[cfg(test)]
#[cfg(feature = "est")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::super::Config;

    struct Site(tempfile::TempDir);

    impl Site {
        /// With an authority `ca.crt`, and the claim's files.
        fn new() -> Self {
            let site = Self(tempfile::tempdir().unwrap());
            site.make("ca", 400);
            site.make("claim", 400);
            site
        }

        /// Writes a certificate that ends so many days from now, with its key.
        #[allow(clippy::disallowed_methods, reason = "certificates of today")]
        fn make(&self, name: &str, days: u64) {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            let end = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400 * days);
            params.not_after = end.into();
            if name == "ca" {
                params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            }
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            let write = |ending: &str, text: String| {
                let path = self.0.path().join(format!("{name}.{ending}"));
                fs::write(&path, text).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
            };
            write("crt", params.self_signed(&key).unwrap().pem());
            write("key", key.serialize_pem());
        }

        fn read(&self, hub: &str, est: &str) -> (Option<Config>, String) {
            let text = format!(
                "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtts://hub\"\nca = \"ca.crt\"\n{hub}\n\
                 [hub.est]\n{est}\n[[route]]\nmatch = \"a\"\n"
            );
            match Config::parse(&self.0.path().join("gateway.toml"), &text, &|_| None) {
                Ok((config, findings)) => (Some(config), findings.to_string()),
                Err(findings) => (None, findings.to_string()),
            }
        }
    }

    const FILES: &str = "cert = \"own.crt\"\nkey = \"own.key\"";
    const URL: &str = "url = \"https://ca\"";
    const CLAIM: &str = "url = \"https://ca\"\nclaim_cert = \"claim.crt\"\nclaim_key = \"claim.key\"";

    #[test]
    fn each_mistake_is_told_at_its_key() {
        let site = Site::new();
        site.make("own", 400);
        for (hub, est, said) in [
            (FILES, "", "error: hub.est.url: missing"),
            (FILES, "url = \"http://ca\"", "error: hub.est.url: expected https://"),
            ("", URL, "error: hub.est: needs `cert` and `key`"),
            (FILES, "url = \"https://ca\"\nca = \"nowhere\"", "error: hub.est.ca:"),
            (
                FILES,
                "url = \"https://ca\"\nclaim_cert = \"claim.crt\"",
                "error: hub.est.claim_cert: `claim_cert` and `claim_key` belong",
            ),
            (
                FILES,
                "url = \"https://ca\"\ncommon_name = \"x\"",
                "error: hub.est.common_name: belongs to `claim_cert`",
            ),
            (FILES, "url = \"https://ca\"\ncommon_nam = \"x\"", "did you mean `common_name`?"),
        ] {
            let (_, found) = site.read(hub, est);
            assert!(found.contains(said), "{said}\n{found}");
        }
        assert_eq!(site.read(FILES, URL).1, "");
    }

    #[test]
    fn a_first_certificate_is_yet_to_come_and_neither_a_key_alone_nor_a_claim_in_vain_is_taken() {
        let site = Site::new();
        let waits = |read: &(Option<Config>, String)| {
            read.0.as_ref().map(|config| config.hub.waits_for_certificate())
        };
        let read = site.read(FILES, CLAIM);
        assert_eq!((waits(&read), read.1.as_str()), (Some(true), ""));
        assert_eq!(read.0.unwrap().hub.est.unwrap().claim.unwrap().common_name, "g");
        assert!(site.read(FILES, URL).1.contains("error: hub.cert:"), "without a claim it has to be there");
        let said = site.read("cert = \"own.crt\"\nkey = \"unix:socket\"", CLAIM).1;
        assert!(said.contains("no first certificate for a key in a signer"), "{said}");
        let said = site.read(FILES, &CLAIM.replace("claim.key", "ca.key")).1;
        assert!(said.contains("error: hub.est.claim_cert:"), "{said}");
        site.make("own", 400);
        fs::remove_file(site.0.path().join("claim.key")).unwrap();
        let read = site.read(FILES, CLAIM);
        assert_eq!((waits(&read), read.1.as_str()), (Some(false), ""), "the claim is not needed any more");
        fs::remove_file(site.0.path().join("own.key")).unwrap();
        assert!(site.read(FILES, CLAIM).1.contains("error: hub.key:"));
        fs::remove_file(site.0.path().join("own.crt")).unwrap();
        let said = site.read("cert = \"own.crt\"\nkey = \"nowhere/own.key\"", CLAIM).1;
        assert!(said.contains("warning: hub.key:") && said.contains("a key could not be kept"), "{said}");
    }

    /// The renamed certificate would take the only copy of the key with it.
    #[test]
    fn a_key_in_the_file_of_the_certificate_is_refused() {
        let site = Site::new();
        site.make("own", 400);
        let path = |name: &str| site.0.path().join(name);
        let both =
            fs::read_to_string(path("own.crt")).unwrap() + &fs::read_to_string(path("own.key")).unwrap();
        fs::write(path("own.key"), both).unwrap();
        fs::remove_file(path("own.crt")).unwrap();
        std::os::unix::fs::symlink("own.key", path("own.crt")).unwrap();
        for (hub, est) in [
            (FILES, URL),
            ("cert = \"own.key\"\nkey = \"own.key\"", URL),
            ("cert = \"new\"\nkey = \"new\"", CLAIM),
        ] {
            let said = site.read(hub, est).1;
            assert!(said.contains("error: hub.est: `cert` and `key` are one file"), "{said}");
        }
    }

    /// The renewed certificate alone would be the authority that hub and server are judged by.
    #[test]
    fn an_authority_in_the_file_of_the_certificate_is_refused() {
        let site = Site::new();
        site.make("own", 400);
        let said = site.read(FILES, "url = \"https://ca\"\nca = \"own.crt\"").1;
        assert!(said.contains("error: hub.est: `cert` is also the file of `ca` or `crl`"), "{said}");
    }

    #[test]
    fn a_certificate_that_renews_itself_may_be_short_lived() {
        let site = Site::new();
        site.make("own", 5);
        assert_eq!(site.read(FILES, URL).1, "");
        let (_, found) = site.read(&format!("{FILES}\n[queue]\nmax_age = \"7d\""), URL);
        assert!(found.contains("before `[queue] max_age` has passed"), "{found}");
    }
}
