//! An authority, and files of what it signs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use edge_bridge::net::{ServerTls, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SerialNumber};

/// Days from now on; negative ones before.
pub(crate) type Days = (i64, i64);

/// Long before and after any clock of these tests.
pub(crate) const EVER: Days = (-10_000, 10_000);

pub(crate) struct Authority {
    dir: tempfile::TempDir,
    params: CertificateParams,
    key: KeyPair,
    /// Certificates between those that it signs and the trusted one.
    behind: String,
    /// Of each certificate that it signed, by name; the last one counts.
    serials: RefCell<BTreeMap<String, SerialNumber>>,
}

pub(crate) fn day(days: i64) -> SystemTime {
    let span = Duration::from_secs(days.unsigned_abs() * 86_400);
    if days < 0 { SystemTime::now() - span } else { SystemTime::now() + span }
}

fn params(name: &str, (from, until): Days) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (day(from).into(), day(until).into());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (mut params, key) = (params("plant CA", EVER), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = Self {
            dir: tempfile::tempdir().unwrap(),
            params,
            key,
            behind: String::new(),
            serials: RefCell::default(),
        };
        let own = authority.params.self_signed(&authority.key).unwrap();
        std::fs::write(authority.path("ca.crt"), own.pem()).unwrap();
        authority
    }

    /// An authority below this one. Its files have the trusted certificate, and its own behind each that it signs.
    pub(crate) fn below(&self, days: Days) -> Self {
        let (mut params, key) = (params("line CA", days), KeyPair::generate().unwrap());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let own = params.signed_by(&key, &self.issuer()).unwrap();
        let below = Self {
            dir: tempfile::tempdir().unwrap(),
            params,
            key,
            behind: own.pem(),
            serials: RefCell::default(),
        };
        std::fs::copy(self.path("ca.crt"), below.path("ca.crt")).unwrap();
        below
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    /// Serial number of the certificate that was signed last for this name.
    pub(crate) fn serial(&self, name: &str) -> SerialNumber {
        self.serials.borrow()[name].clone()
    }

    /// Writes `NAME.crt` and `NAME.key`.
    pub(crate) fn sign(&self, name: &str, days: Days) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = params(name, days);
        let serial = SerialNumber::from(self.serials.borrow().len() as u64 + 1);
        params.serial_number = Some(serial.clone());
        self.serials.borrow_mut().insert(name.to_owned(), serial);
        let cert = params.signed_by(&key, &self.issuer()).unwrap();
        let [cert_file, key_file] = ["crt", "key"].map(|kind| self.path(&format!("{name}.{kind}")));
        std::fs::write(&cert_file, cert.pem() + &self.behind).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        (cert_file, key_file)
    }

    /// A hub whose certificate is good on these days, which asks for none of its clients.
    pub(crate) fn hub(&self, days: Days) -> ServerTls {
        let (cert, key) = self.sign("hub", days);
        ServerTls::from_pem(cert, key, None).unwrap()
    }

    /// Writes its own certificate, as one that may be trusted itself.
    pub(crate) fn own_certificate(&self) -> PathBuf {
        let path = self.path("own.crt");
        std::fs::write(&path, self.params.self_signed(&self.key).unwrap().pem()).unwrap();
        path
    }

    /// A server that asks for certificates of its clients.
    pub(crate) fn strict_server(&self) -> ServerTls {
        let (cert, key) = self.sign("hub", EVER);
        ServerTls::from_pem(cert, key, Some(Path::new(&self.path("ca.crt")))).unwrap()
    }

    /// A client that trusts this authority.
    pub(crate) fn client(&self) -> Tls {
        Tls::from_ca(self.path("ca.crt")).unwrap()
    }

    /// A client with a certificate that is good on these days.
    pub(crate) fn certified(&self, name: &str, days: Days) -> Tls {
        let (cert, key) = self.sign(name, days);
        Tls::from_pem(self.path("ca.crt"), cert, key).unwrap()
    }
}
