//! TLS settings of `[hub]` and of the listener: built as the link builds them, and checked as their peers will check them.

#![allow(clippy::disallowed_methods, reason = "dates are those of this machine's clock")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use edge_bridge::Tls;
use edge_bridge::net::{
    CertificateProblem, ClockFloor, ServerTls, TlsError, TlsSettingNames, authorities_have_expired,
    certificate_chain_ends, client_certificate_problem, revocation_list_ends, revocation_lists_are_of,
    signer_socket,
};

use super::section::Placed;
use super::{Findings, Hub, Severity, TlsAddresses, secret_file};

/// Remaining validity of a certificate below which it is reported, so that there is time to roll out a new one.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Keys that are to look at where the handshake with the hub fails.
const NAMES: TlsSettingNames =
    TlsSettingNames { server_name: "[hub] url, tls_server_name", authorities: "[hub] ca", peer: "" };

/// Returns the TLS of the link. `None`: the hub's address has no TLS. Without `ca` the authorities of the system are trusted. The hub's certificate
/// is judged within `floor`. With an error the gateway's own certificate cannot be used, and no connection is made before there is one.
pub(crate) fn tls(hub: &Hub, floor: ClockFloor) -> Result<Option<(Tls, Option<TlsError>)>, TlsError> {
    if !hub.url.starts_with("mqtts://") {
        return Ok(None);
    }
    let tls = hub.ca.as_ref().map_or_else(Tls::from_system, Tls::from_ca)?;
    let tls = match &hub.crl {
        Some(crl) => tls.with_crl(crl)?,
        None => tls,
    };
    let tls = tls.with_clock_floor(floor).with_setting_names(NAMES);
    if hub.waits_for_certificate() {
        return Ok(Some((tls.awaiting_certificate(), None)));
    }
    let Some((cert, key)) = hub.cert.as_ref().zip(hub.key.as_ref()) else { return Ok(Some((tls, None))) };
    Ok(Some(match tls.clone().with_identity(cert, key) {
        Ok(tls) => (tls, None),
        Err(error) => (tls.awaiting_certificate(), Some(error)),
    }))
}

/// Files that `[hub]` names and that exist.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) ca: Option<&'a Placed<PathBuf>>,
    pub(super) cert: Option<&'a Placed<PathBuf>>,
    pub(super) key: Option<&'a Placed<PathBuf>>,
    pub(super) crl: Option<&'a Placed<PathBuf>>,
    /// Longest age of a message in the queue. A client certificate that expires sooner is reported: what an outage keeps so long could not be
    /// delivered with it. `None`: only one that has expired, or does so within 30 days, is reported.
    pub(super) max_age: Option<Duration>,
    /// Set if the gateway renews its certificate by itself: then no certificate lasts long, and that is as it should be.
    pub(super) is_renewed: bool,
}

/// Reports errors that keep the link from starting, and certificates that the hub will refuse. Each file is checked, whatever is wrong with
/// another.
pub(super) fn check(files: Files<'_>, findings: &mut Findings) {
    let is_read = |file: &Placed<PathBuf>, key: &str, findings: &mut Findings| {
        let error = Tls::from_ca(&file.value).err();
        if let Some(error) = &error {
            findings.unusable(file.at, key, error.to_string());
        }
        error.is_none()
    };
    for (file, key) in [(files.ca, "hub.ca"), (files.crl, "hub.crl")] {
        file.iter()
            .for_each(|file| secret_file::warn_if_writable(file, key, "which hubs are trusted", findings));
    }
    let ca = files.ca.filter(|ca| is_read(ca, "hub.ca", findings));
    ca.iter().for_each(|ca| check_authorities(ca, "hub.ca", findings));
    if let Some(crl) = files.crl {
        // Without authorities that can be read, those of the system stand for them.
        let trusting = ca.map_or_else(Tls::from_system, |ca| Tls::from_ca(&ca.value));
        check_crl(
            (crl, "hub.crl"),
            ca.map(|ca| (ca, "ca")),
            |path| trusting.map_or(Ok(()), |tls| tls.with_crl(path).map(drop)),
            findings,
        );
    }
    let cert = files.cert.filter(|cert| is_read(cert, "hub.cert", findings));
    if let Some(key) = files.key {
        check_key(key, cert, findings);
    }
    let soon = if files.is_renewed { Duration::ZERO } else { SOON };
    cert.iter()
        .for_each(|cert| check_certificate(cert, ca, (soon, files.max_age.unwrap_or_default()), findings));
}

/// Reports a file without lists of revoked certificates that can be used, lists that are out of date, and a file without one of the authorities
/// that are named.
fn check_crl(
    (crl, key): (&Placed<PathBuf>, &str),
    ca: Option<(&Placed<PathBuf>, &str)>,
    used: impl FnOnce(&Path) -> Result<(), TlsError>,
    findings: &mut Findings,
) {
    let ends = revocation_list_ends(&crl.value);
    let ends = match ends.and_then(|ends| used(&crl.value).map(|()| ends)) {
        Ok(ends) => ends,
        Err(error) => return findings.error(crl.at, key, error.to_string()),
    };
    let path = crl.value.display();
    if ends.iter().any(|end| *end <= SystemTime::now()) {
        let message = format!(
            "{path}: a list in it is out of date, by this machine's clock: who was revoked since is let in until there is a new one"
        );
        findings.warning(crl.at, key, message);
    }
    if let Some((ca, of)) = ca.filter(|(ca, _)| !is_list_of(&crl.value, &ca.value)) {
        // Not an error: it may be the list of an authority below, which peers show with their certificates.
        let message = format!(
            "{path}: no list in it is of an authority in {}, so that it keeps out nobody whom that one revoked: name that one's list, or put the authority of this list into `{of}`",
            ca.value.display()
        );
        findings.warning(crl.at, key, message);
    }
}

/// Returns whether an authority in `ca` made one of the lists in `crl`, or a file cannot be read, which is told elsewhere.
pub(crate) fn is_list_of(crl: &Path, ca: &Path) -> bool {
    revocation_lists_are_of(crl, ca).unwrap_or(true)
}

/// Reports a key that cannot be read, or does not belong to the certificate.
fn check_key(key: &Placed<PathBuf>, cert: Option<&Placed<PathBuf>>, findings: &mut Findings) {
    if cert.is_none() && signer_socket(&key.value).is_some() {
        // It has nothing to be read, and no certificate that it could fit.
        return;
    }
    // Nothing else takes a certificate and its key alone, without authorities. Without a certificate only the reading of the key counts.
    let other = cert.unwrap_or(key);
    let Err(error) = ServerTls::from_pem(&other.value, &key.value, None) else { return };
    let of_cert = cert.filter(|cert| file_of(&error) == Some(cert.value.as_path()));
    let (at, name) = match (of_cert, &error) {
        (Some(cert), _) => (cert.at, "hub.cert"),
        (None, TlsError::Pem { .. }) => (key.at, "hub.key"),
        (None, _) if cert.is_some() => (key.at, "hub.key"),
        (None, _) => return,
    };
    findings.unusable(at, name, error.to_string());
}

/// Reports that the system has no bundle of authorities, which is needed without `ca`. `at` is the byte offset of the URL.
pub(super) fn check_system(at: usize, findings: &mut Findings) {
    match Tls::from_system() {
        Ok(_) => {}
        // The machine that checks need not be the one that runs.
        Err(error @ TlsError::NoSystemRoots) => findings.warning(at, "hub", error.to_string()),
        Err(error) => findings.error(at, "hub", error.to_string()),
    }
}

fn file_of(error: &TlsError) -> Option<&Path> {
    match error {
        TlsError::Pem { path, .. } | TlsError::NoCertificate(path) | TlsError::Refused { path, .. } => {
            Some(path)
        }
        TlsError::OtherKey { key, .. } => Some(key),
        _ => None,
    }
}

fn check_authorities(ca: &Placed<PathBuf>, key: &str, findings: &mut Findings) {
    let have_expired = |time| authorities_have_expired(&ca.value, SystemTime::now() + time).unwrap_or(false);
    let path = ca.value.display();
    if have_expired(Duration::ZERO) {
        let message = format!("{path}: every certificate in it has expired, by this machine's clock");
        findings.add(Severity::ErrorInCheck, ca.at, key, message, None);
    } else if have_expired(SOON) {
        let message =
            format!("{path}: the last certificate in it expires within 30 days, by this machine's clock");
        findings.warning(ca.at, key, message);
    }
}

fn check_certificate(
    cert: &Placed<PathBuf>,
    ca: Option<&Placed<PathBuf>>,
    (soon, max_age): (Duration, Duration),
    findings: &mut Findings,
) {
    // Dates are looked at before authorities: without another file any will do.
    let ca = ca.unwrap_or(cert);
    let now = SystemTime::now();
    let problem_in = |time| {
        let at = now.checked_add(time)?;
        client_certificate_problem(&cert.value, &ca.value, at).ok().flatten()
    };
    check_chain((cert, "hub.cert"), max_age, findings);
    let (severity, said) = match problem_in(Duration::ZERO) {
        // Hubs may trust others for their clients than those that signed their own certificates, as those of the large clouds do. A file of the
        // gateway's names none of them, so that one of a foreign authority, one behind a missing intermediate and a good one look the same.
        None | Some(CertificateProblem::OtherAuthority) => match problem_in(soon) {
            Some(CertificateProblem::Expired) => (
                Severity::Warning,
                "the certificate expires within 30 days, by this machine's clock".to_owned(),
            ),
            _ if problem_in(max_age) == Some(CertificateProblem::Expired) => (
                Severity::Warning,
                "the certificate expires before `[queue] max_age` has passed: what an outage keeps so long cannot be delivered with it".to_owned(),
            ),
            _ => return,
        },
        Some(problem @ CertificateProblem::Expired) => {
            (Severity::ErrorInCheck, format!("{problem}, by this machine's clock: the hub will refuse it"))
        }
        Some(problem @ CertificateProblem::NotYetValid) => {
            (Severity::Warning, format!("{problem}, by this machine's clock: the hub judges by its own"))
        }
        Some(problem) => (Severity::Warning, format!("{problem}: a hub may refuse it")),
    };
    findings.add(severity, cert.at, "hub.cert", format!("{}: {said}", cert.value.display()), None);
}

/// Reports the certificates of a chain behind the first one, those of the authorities between the owner and the one that peers trust, when they
/// expire. A warning even when they have: a peer may have newer ones of the same authorities.
fn check_chain((cert, name): (&Placed<PathBuf>, &str), max_age: Duration, findings: &mut Findings) {
    let ends = certificate_chain_ends(&cert.value).unwrap_or_default();
    let Some(end) = ends.get(1..).and_then(|behind| behind.iter().min()) else { return };
    let left = end.duration_since(SystemTime::now());
    let said = match left {
        Err(_) => "has expired: a peer without a newer one will refuse the chain",
        Ok(left) if left < SOON => "expires within 30 days",
        Ok(left) if left < max_age => "expires before `[queue] max_age` has passed",
        Ok(_) => return,
    };
    let message = format!(
        "{}: a certificate behind the first one {said}, by this machine's clock",
        cert.value.display()
    );
    findings.warning(cert.at, name, message);
}

/// Returns the TLS of the listener. Certificates of clients are judged within `floor`. With an error its own certificate cannot be used, and each
/// handshake fails before there is one.
///
/// # Errors
/// One of the files by which clients are judged is not valid.
pub(crate) fn listener_tls(
    files: &TlsAddresses,
    floor: ClockFloor,
) -> Result<(ServerTls, Option<TlsError>), TlsError> {
    let tls = ServerTls::awaiting_certificate(files.client_ca.as_deref())?;
    let tls = tls.with_certificate_user(files.client_user);
    let tls = match &files.client_crl {
        Some(crl) => tls.with_client_crl(crl)?,
        None => tls,
    };
    let tls = tls.with_clock_floor(floor)?;
    Ok(match tls.clone().with_identity(&files.cert, &files.key) {
        Ok(tls) => (tls, None),
        Err(error) => (tls, Some(error)),
    })
}

/// Returns whether the listener's certificate has expired, by this machine's clock.
pub(crate) fn has_expired(files: &TlsAddresses) -> bool {
    let problem = client_certificate_problem(&files.cert, &files.cert, SystemTime::now());
    matches!(problem, Ok(Some(CertificateProblem::Expired)))
}

/// Reports errors that keep the listener from using TLS, and certificates that its clients will refuse.
pub(super) fn check_listener(
    cert: &Placed<PathBuf>,
    key: &Placed<PathBuf>,
    [client_ca, client_crl]: [Option<&Placed<PathBuf>>; 2],
    findings: &mut Findings,
) {
    secret_file::warn_if_open(key, "local.key", "key", findings);
    for (file, key) in [(client_ca, "local.client_ca"), (client_crl, "local.client_crl")] {
        file.iter().for_each(|file| secret_file::warn_if_writable(file, key, "who is let in", findings));
    }
    if let Err(error) = ServerTls::from_pem(&cert.value, &key.value, None) {
        let is_about_cert = file_of(&error) == Some(cert.value.as_path());
        let (at, name) = if is_about_cert { (cert.at, "local.cert") } else { (key.at, "local.key") };
        findings.unusable(at, name, error.to_string());
        return;
    }
    if let Some(ca) = client_ca {
        check_authorities(ca, "local.client_ca", findings);
        match ServerTls::from_pem(&cert.value, &key.value, Some(&ca.value)) {
            Err(error) => findings.error(ca.at, "local.client_ca", error.to_string()),
            Ok(tls) => client_crl.into_iter().for_each(|crl| {
                let used = |path: &Path| tls.clone().with_client_crl(path).map(drop);
                check_crl((crl, "local.client_crl"), Some((ca, "client_ca")), used, findings);
            }),
        }
    }
    check_chain((cert, "local.cert"), Duration::ZERO, findings);
    let now = SystemTime::now();
    let problem_in = |time| client_certificate_problem(&cert.value, &cert.value, now + time).ok().flatten();
    let said = match (problem_in(Duration::ZERO), problem_in(SOON)) {
        (Some(problem @ CertificateProblem::NotYetValid), _) => {
            format!("{problem}, by this machine's clock: clients judge by theirs")
        }
        (Some(problem @ CertificateProblem::Expired), _) => {
            format!("{problem}, by this machine's clock: clients will refuse it")
        }
        (_, Some(CertificateProblem::Expired)) => {
            "the certificate expires within 30 days, by this machine's clock".to_owned()
        }
        _ => return,
    };
    findings.warning(cert.at, "local.cert", format!("{}: {said}", cert.value.display()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::Config;

    /// A warning that every site with an authority of its own for gateways gets is read by nobody.
    #[test]
    fn a_certificate_of_another_authority_than_the_hubs_is_no_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        let authority = |name: &str| {
            let mut params = rcgen::CertificateParams::default();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            (params, rcgen::KeyPair::generate().unwrap())
        };
        let (hubs, gateways) = (authority("hubs"), authority("gateways"));
        write("ca", hubs.0.self_signed(&hubs.1).unwrap().pem());
        let own = rcgen::KeyPair::generate().unwrap();
        let mut site = rcgen::CertificateParams::new(vec!["site7".to_owned()]).unwrap();
        site.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let gateways = rcgen::Issuer::from_params(&gateways.0, &gateways.1);
        write("cert", site.signed_by(&own, &gateways).unwrap().pem());
        write("key", own.serialize_pem());
        let text = "[gateway]\nid = \"g\"\n[local]\nlisten = \"127.0.0.1:1\"\n[hub]\nurl = \"mqtts://hub\"\nca = \"ca\"\ncert = \"cert\"\nkey = \"key\"\n\
                    [[route]]\nmatch = \"plant/#\"\n";
        let (_, findings) = Config::parse(&dir.path().join("gateway.toml"), text, &|_| None).unwrap();
        assert_eq!(findings.to_string(), "");
    }

    /// Peers judge the authorities between, too, where they have none of their own.
    #[test]
    fn a_certificate_behind_the_first_one_is_judged() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        };
        let own = rcgen::KeyPair::generate().unwrap();
        let authority = |name: &str| {
            let mut params = rcgen::CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            (params, rcgen::KeyPair::generate().unwrap())
        };
        let (line, plant) = (authority("line"), authority("plant"));
        let site = rcgen::CertificateParams::new(vec!["site7".to_owned()]).unwrap();
        let first = site.signed_by(&own, &rcgen::Issuer::from_params(&line.0, &line.1)).unwrap();
        write("key", own.serialize_pem());
        let hub = "[hub]\nurl = \"mqtts://hub\"\ncert = \"cert\"\nkey = \"key\"\n";
        let local = "[local]\ntls_listen = \"127.0.0.1:1\"\ncert = \"cert\"\nkey = \"key\"\n";
        let said = |behind_until: i32, section: &str| {
            let mut params = line.0.clone();
            params.not_after = rcgen::date_time_ymd(behind_until, 1, 1);
            let behind = params.signed_by(&line.1, &rcgen::Issuer::from_params(&plant.0, &plant.1)).unwrap();
            // Whoever trusts the plant's authority has it.
            let mut root = plant.0.clone();
            root.not_after = rcgen::date_time_ymd(2021, 1, 1);
            write("cert", first.pem() + &behind.pem() + &root.self_signed(&plant.1).unwrap().pem());
            let rest = if section == hub {
                "[local]\nlisten = \"127.0.0.1:1\"\n"
            } else {
                "[hub]\nurl = \"mqtt://hub\"\n"
            };
            let text = format!("[gateway]\nid = \"g\"\n{section}{rest}[[route]]\nmatch = \"plant/#\"\n");
            Config::parse(&dir.path().join("gateway.toml"), &text, &|_| None).unwrap().1.to_string()
        };
        let ended = "cert: a certificate behind the first one has expired: a peer without a newer one will refuse the chain";
        for (section, key) in [(hub, "hub.cert"), (local, "local.cert")] {
            assert!(!said(2099, section).contains("behind the first one"));
            let told = said(2021, section);
            assert!(told.contains(ended) && told.contains(key), "{told}");
        }
    }
}
