//! TLS of the gateway as a client, of the hub or of a local broker: its files, and the settings made of them.

use std::path::PathBuf;
use std::time::Duration;

use edge_bridge::Tls;
use edge_bridge::net::{ClockFloor, TlsError, signer_socket, validate_alpn, validate_server_name};

use super::peer::{ClientKeys, Peer, short};
use super::section::{Placed, Section};
use super::tls::{self, Files};
use super::{Findings, operator_file, secret_file};

/// Files of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientFiles {
    /// Trusted authorities. `None`: those of the system.
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Lists of revoked certificates.
    pub(crate) crl: Option<PathBuf>,
    /// Set if the gateway gets its first certificate by a claim.
    pub(crate) is_claimed: bool,
}

impl ClientFiles {
    /// Returns whether the certificate is yet to come, by a claim.
    pub(crate) fn waits_for_certificate(&self) -> bool {
        self.is_claimed && self.cert.as_ref().is_some_and(|cert| !operator_file::is_there(cert))
    }

    /// Returns the TLS of these files. The server's certificate is judged within `floor`. With an error the gateway's own certificate cannot be used, and
    /// no connection is made before there is one.
    pub(crate) fn tls(&self, peer: Peer, floor: ClockFloor) -> Result<(Tls, Option<TlsError>), TlsError> {
        let tls = self.ca.as_ref().map_or_else(Tls::from_system, Tls::from_ca)?;
        let tls = match &self.crl {
            Some(crl) => tls.with_crl(crl)?,
            None => tls,
        };
        let tls = tls.with_clock_floor(floor).with_setting_names(peer.setting_names());
        if self.waits_for_certificate() {
            return Ok((tls.awaiting_certificate(), None));
        }
        let Some((cert, key)) = self.cert.as_ref().zip(self.key.as_ref()) else { return Ok((tls, None)) };
        Ok(match tls.clone().with_identity(cert, key) {
            Ok(tls) => (tls, None),
            Err(error) => (tls.with_unusable_certificate(&error), Some(error)),
        })
    }

    fn are_given(&self) -> bool {
        self.ca.is_some() || self.cert.is_some() || self.crl.is_some()
    }
}

/// Life of the gateway's certificate at a server, as far as it bears on what is reported.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CertificateLife {
    /// Longest age of a message in the queue, which has to be delivered with the certificate.
    pub(super) max_age: Option<Duration>,
    /// Set if the gateway renews its certificate by itself.
    pub(super) is_renewed: bool,
    /// Set if it gets its first one by a claim, so that there need be none yet.
    pub(super) is_claimed: bool,
}

/// Reads and checks the files.
pub(super) fn client_files(
    section: &Section<'_>,
    peer: Peer,
    life: CertificateLife,
    findings: &mut Findings,
) -> ClientFiles {
    let keys = peer.keys();
    let ca = section.file(short(keys.ca), findings);
    let (cert, key) = identity_files(section, keys, life.is_claimed, findings);
    let crl = section.file(short(keys.crl), findings);
    let is_there = |file: &&Placed<PathBuf>| {
        signer_socket(&file.value).is_some() || operator_file::is_there(&file.value)
    };
    let files = Files {
        peer,
        ca: ca.as_ref(),
        cert: cert.as_ref().filter(is_there),
        key: key.as_ref().filter(is_there),
        crl: crl.as_ref(),
        max_age: life.max_age,
        is_renewed: life.is_renewed,
    };
    tls::check(files, findings);
    let path = |placed: Placed<PathBuf>| placed.value;
    ClientFiles {
        ca: ca.map(path),
        cert: cert.map(path),
        key: key.map(path),
        crl: crl.map(path),
        is_claimed: life.is_claimed,
    }
}

/// Reads certificate and key. By a claim both may be yet to come, but not the key alone of a certificate that is there.
fn identity_files(
    section: &Section<'_>,
    keys: &ClientKeys,
    is_claimed: bool,
    findings: &mut Findings,
) -> (Option<Placed<PathBuf>>, Option<Placed<PathBuf>>) {
    let cert = section.file_or_absent(short(keys.cert), is_claimed, findings);
    let is_to_come = cert.as_ref().is_some_and(|cert| !operator_file::is_there(&cert.value));
    let key = section.private_key(short(keys.key), is_to_come, findings);
    key.iter().for_each(|key| secret_file::warn_if_open(key, keys.key, "key", findings));
    (cert, key)
}

/// Reports a certificate without its key, or the other way round.
pub(super) fn report_half_identity(section: &Section<'_>, peer: Peer, findings: &mut Findings) {
    let (cert, key) = (short(peer.keys().cert), short(peer.keys().key));
    if section.get(cert).is_some() != section.get(key).is_some() {
        let (at, name) = section.first_of(&[cert, key]);
        findings.error(at, &name, format!("`{cert}` and `{key}` belong together: one of them is missing"));
    }
}

/// Reads the server's name in TLS.
pub(super) fn server_name(section: &Section<'_>, peer: Peer, findings: &mut Findings) -> Option<String> {
    let name = section.parsed(short(peer.keys().server_name), findings, |text| {
        validate_server_name(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
    });
    name.map(|placed| placed.value)
}

/// Reads the protocol names for ALPN.
pub(super) fn alpn(section: &Section<'_>, findings: &mut Findings) -> Vec<String> {
    let alpn = section.strings("alpn", findings);
    if let Some(alpn) = &alpn {
        let checked = validate_alpn(&alpn.value).map_err(|error| error.to_string());
        if let Err(message) = checked {
            findings.error(alpn.at, "hub.alpn", message);
        }
    }
    alpn.map(|placed| placed.value).unwrap_or_default()
}

/// Reports settings of TLS at an address without it, and the missing authorities of one with it. `at` is the place of the address.
pub(super) fn check_address(
    section: &Section<'_>,
    (peer, is_tls, at): (Peer, bool, usize),
    files: &ClientFiles,
    findings: &mut Findings,
) {
    let keys = peer.keys();
    if is_tls {
        if section.get(short(keys.ca)).is_none() {
            tls::check_system(at, keys.address, findings);
        }
        return;
    }
    if files.are_given() {
        let message = "certificates are given but the address has no TLS: write mqtts://";
        findings.error(at, keys.address, message);
    }
    for key in ["alpn", short(keys.server_name)].into_iter().filter(|key| section.get(key).is_some()) {
        let address = short(keys.address);
        let message = format!("without effect on mqtt://, which has no TLS: write mqtts:// in `{address}`");
        findings.error(0, &section.key(key), message);
    }
}
