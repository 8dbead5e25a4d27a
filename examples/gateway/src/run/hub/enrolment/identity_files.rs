//! Files of the gateway's certificate and key: read for a request, and replaced whole by what came of it. A key that is made is on disk before anybody is
//! asked to certify it, and is kept for the next attempt.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_bridge::Tls;
use edge_est::certificate::{Certificate, Validity};
use edge_est::names::Names;
use edge_est::schedule::overdue_s;
use edge_est::{key, key::SigningKey, pem};
use edge_state::file;
use sha2::{Digest as _, Sha256};

use crate::config::{Hub, operator_file};
use crate::run::hub::former_certificate;

use super::EnrolmentError;

/// Mode of a first certificate, which is no secret.
const MODE: u32 = 0o644;
/// Room that a certificate with its chain may take: an answer of 64 KiB, as PEM.
const ROOM: u64 = 96 << 10;

/// Certificate in use, with the settings that show it.
pub(super) struct Identity {
    pub(super) tls: Tls,
    pub(super) names: Names,
    pub(super) public_key: Vec<u8>,
    pub(super) behind: Vec<Vec<u8>>,
}

impl Identity {
    /// Reads certificate and key, which have to fit: of the former certificate while the hub has not taken that of the file.
    pub(super) fn read(hub: &Hub, trusting: Tls) -> Result<Self, EnrolmentError> {
        let former = former_certificate::of(hub).filter(|former| is_of_key(hub, former, &trusting));
        let (Some(cert), Some(key)) = (former.as_ref().or(hub.cert.as_ref()), &hub.key) else {
            return Err(no_certificate(hub));
        };
        let tls = trusting.with_identity(cert, key)?;
        let der = first_of(cert).ok_or_else(|| no_certificate(hub))?;
        let certificate = Certificate::read(&der).ok_or_else(|| no_certificate(hub))?;
        let public_key = certificate.public_key().to_vec();
        Ok(Self { tls, names: Names::of(&certificate), public_key, behind: behind(cert) })
    }
}

fn is_of_key(hub: &Hub, former: &Path, trusting: &Tls) -> bool {
    hub.key.as_ref().is_some_and(|key| trusting.clone().with_identity(former, key).is_ok())
}

fn no_certificate(hub: &Hub) -> EnrolmentError {
    let source = io::Error::new(io::ErrorKind::InvalidData, "no certificate");
    at(hub.cert.as_deref().unwrap_or(Path::new("")), source)
}

fn at(path: &Path, source: io::Error) -> EnrolmentError {
    EnrolmentError::File { path: path.display().to_string(), source }
}

/// Returns the first certificate in a file of PEM.
fn first_of(path: &Path) -> Option<Vec<u8>> {
    certificates_of(path).into_iter().next()
}

/// Returns the names of the certificate in the file.
pub(super) fn names_in_file(hub: &Hub) -> Result<Names, EnrolmentError> {
    let der = hub.cert.as_deref().and_then(first_of).ok_or_else(|| no_certificate(hub))?;
    Ok(Names::of(&Certificate::read(&der).ok_or_else(|| no_certificate(hub))?))
}

/// Returns the certificates behind the first one in a file of PEM.
pub(super) fn behind(path: &Path) -> Vec<Vec<u8>> {
    certificates_of(path).into_iter().skip(1).collect()
}

/// Returns the certificates in a file of PEM; none if it cannot be read.
pub(super) fn certificates_of(path: &Path) -> Vec<Vec<u8>> {
    operator_file::read(path).map(|file| pem::certificates(&file)).unwrap_or_default()
}

/// Returns the life of the first certificate in a file. `None`: there is none that can be read.
pub(super) fn validity_of(path: &Path) -> Option<Validity> {
    Certificate::read(&first_of(path)?).map(|certificate| certificate.validity)
}

/// Returns the length of the life of the first certificate in a file. `None`: there is none that can be read.
pub(in crate::run) fn life_of(path: &Path) -> Option<Duration> {
    validity_of(path).map(|validity| Duration::from_secs(validity.life_s()))
}

/// Returns the remaining validity below which a certificate with such a life should have been renewed by the gateway, if messages wait `longest_wait` at most.
pub(in crate::run) fn overdue(life: Duration, longest_wait: Duration) -> Duration {
    Duration::from_secs(overdue_s(life.as_secs(), longest_wait.as_secs()))
}

/// Returns the gateway's key; makes it if there is no file.
pub(super) fn own_key(hub: &Hub) -> Result<Arc<dyn SigningKey>, EnrolmentError> {
    let path = hub.key.as_deref().ok_or_else(|| no_certificate(hub))?;
    if !operator_file::is_there(path) {
        let made =
            key::generate().ok_or_else(|| at(path, io::Error::other("no random numbers for a new key")))?;
        let (dir, name) = file::folder_and_name(path).map_err(|source| at(path, source))?;
        file::replace(dir, name, &[made.as_bytes()]).map_err(|source| at(path, source))?;
    }
    let text = operator_file::read(path).map_err(|source| at(path, source))?;
    let no_key = || at(path, io::Error::new(io::ErrorKind::InvalidData, "no private key"));
    key::read(&text).ok_or_else(no_key)
}

/// Finds out whether a certificate could be kept, before one is issued in vain.
pub(super) fn try_room(hub: &Hub) -> Result<(), EnrolmentError> {
    let path = hub.cert.as_deref().ok_or_else(|| no_certificate(hub))?;
    let (dir, name) = file::folder_and_name(path).map_err(|source| at(path, source))?;
    // The name of a file that takes the place of another, and that of the former certificate.
    file::try_room(dir, &format!("{name}.new"), 2 * ROOM).map_err(|source| at(path, source))
}

/// Certificates of the gateway at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Set while the first one is to come, by a claim.
    pub(super) is_first: bool,
    pub(super) cert: Option<Validity>,
    /// SHA-256 of it in DER.
    pub(super) cert_hash: Option<[u8; 32]>,
    pub(super) former: Option<Validity>,
}

impl Found {
    /// Looks at the files.
    pub(super) fn of(hub: &Hub) -> Self {
        let cert = hub.cert.as_deref().and_then(first_of);
        Self {
            is_first: hub.waits_for_certificate(),
            cert: cert.as_deref().and_then(Certificate::read).map(|certificate| certificate.validity),
            cert_hash: cert.map(|cert| Sha256::digest(cert).into()),
            former: former_certificate::of(hub).as_deref().and_then(validity_of),
        }
    }
}

/// Puts a certificate of this key with its chain in the place of the one in use, with the mode of that one, which stays beside it.
///
/// # Errors
/// The disk refuses; or somebody has put a certificate of another key there since the request was made, which would not fit this one's.
pub(super) fn write_certificate(hub: &Hub, pem: &str, public_key: &[u8]) -> Result<(), EnrolmentError> {
    let path = hub.cert.as_deref().ok_or_else(|| no_certificate(hub))?;
    let there = first_of(path);
    let is_other = |own: Certificate<'_>| own.public_key() != public_key;
    if there.as_deref().and_then(Certificate::read).is_some_and(is_other) {
        return Err(at(path, io::Error::other("was replaced by one of another key meanwhile, which stays")));
    }
    let mode = path.metadata().map_or(MODE, |about| about.permissions().mode() & 0o777);
    former_certificate::keep(path, mode).map_err(|source| at(path, source))?;
    let (dir, name) = file::folder_and_name(path).map_err(|source| at(path, source))?;
    file::replace_with_mode(dir, name, mode, pem.as_bytes()).map_err(|source| at(path, source))
}
