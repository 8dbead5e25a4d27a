//! Certificates of the cases: authorities, what peers show, and lists of what is revoked. What rcgen does not make, OpenSSL does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

/// Days from now on; negative ones before.
pub(crate) type Days = (i64, i64);

const EVER: Days = (-1_000, 1_000);
/// Serial number that every list revokes.
pub(crate) const REVOKED: u64 = 66;

/// Kind of a key, or of a signature on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Key {
    P256,
    P384,
    Ed25519,
    P521,
    /// Of so many bits.
    Rsa(u32),
    /// On P-256, signed by ECDSA with SHA-1.
    Sha1,
    /// On P-256, in a certificate of X.509 version 1.
    Version1,
}

/// Extended key usage.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Usage {
    /// None is said.
    All,
    Servers,
    Clients,
    Both,
}

/// A certificate with its chain, as it is cert.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Certificate {
    /// Alternative names: addresses and DNS names.
    pub(crate) names: &'static [&'static str],
    pub(crate) common_names: &'static [&'static str],
    pub(crate) days: Days,
    /// Authority that signs it; "itself", and "itself, an authority".
    pub(crate) by: &'static str,
    /// Certificates of authorities behind it.
    pub(crate) behind: &'static [&'static str],
    pub(crate) key: Key,
    pub(crate) usage: Usage,
    pub(crate) serial: u64,
}

/// Nothing is wrong with it.
pub(crate) const GOOD: Certificate = Certificate {
    names: &["localhost"],
    common_names: &["peer"],
    days: EVER,
    by: "plant",
    behind: &[],
    key: Key::P256,
    usage: Usage::All,
    serial: 1,
};

/// Authorities: name of the files, of the subject, who signs, days, and whether it says that it is one.
const AUTHORITIES: [(&str, &str, &str, Days, bool); 10] = [
    ("plant", "plant", "itself", EVER, true),
    ("second", "second", "itself", EVER, true),
    ("ended", "ended", "itself", (-1_000, -1), true),
    ("stranger", "stranger", "itself", EVER, true),
    // Another key under the name of one that is trusted.
    ("former", "plant", "itself", EVER, true),
    ("line", "line", "plant", EVER, true),
    ("cell", "cell", "line", EVER, true),
    ("line, ended", "line, ended", "plant", (-1_000, -1), true),
    ("line, revoked", "line, revoked", "plant", EVER, true),
    // A certificate of somebody, no authority's.
    ("clerk", "clerk", "plant", EVER, false),
];

/// Authorities with keys that rcgen does not make and the gateway does not take: name of the files and of the subject, and kind of the key.
const AUTHORITIES_BY_OPENSSL: [(&str, &str); 2] =
    [("on P-521", "ec\t-pkeyopt\tec_paramgen_curve:P-521"), ("of RSA-1024", "rsa:1024")];

pub(crate) struct Authorities {
    dir: tempfile::TempDir,
    all: BTreeMap<&'static str, (CertificateParams, KeyPair)>,
}

fn day(days: i64) -> SystemTime {
    let span = Duration::from_secs(days.unsigned_abs() * 86_400);
    if days < 0 { SystemTime::now() - span } else { SystemTime::now() + span }
}

fn params(common_name: &str, (from, until): Days) -> CertificateParams {
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = (day(from).into(), day(until).into());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Returns what OpenSSL writes.
#[track_caller]
fn openssl(dir: &Path, line: &str) -> String {
    // Names may have blanks.
    let done = Command::new("openssl").args(line.split('\t')).current_dir(dir).output();
    let done = done.expect("openssl is not installed: apt-get install openssl");
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).into_owned()
}

impl Authorities {
    /// Writes those of the tables, `trusted.crt` with five of them, and `lists.crl` with the lists of two.
    pub(crate) fn new() -> Self {
        let mut made = Self { dir: tempfile::tempdir().unwrap(), all: BTreeMap::new() };
        for (file, subject, by, days, is_ca) in AUTHORITIES {
            let (mut params, key) = (params(subject, days), KeyPair::generate().unwrap());
            if is_ca {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            if file == "line, revoked" {
                params.serial_number = Some(REVOKED.into());
            }
            let own = match by {
                "itself" => params.self_signed(&key),
                by => params.signed_by(&key, &made.issuer(by)),
            };
            fs::write(made.file(&format!("{file}.crt")), own.unwrap().pem()).unwrap();
            fs::write(made.file(&format!("{file}.key")), key.serialize_pem()).unwrap();
            made.all.insert(file, (params, key));
        }
        fs::write(made.file("least.cnf"), "[req]\ndistinguished_name=d\n[d]\n").unwrap();
        for (file, key) in AUTHORITIES_BY_OPENSSL {
            let line = format!(
                "req\t-config\tleast.cnf\t-x509\t-newkey\t{key}\t-nodes\t-subj\t/CN={file}\t-addext\tbasicConstraints=critical,CA:TRUE\t-days\t30\t-sha256\t-keyout\t{file}.key\t-out\t{file}.crt"
            );
            openssl(made.dir.path(), &line);
        }
        let read = |file: &&str| fs::read_to_string(made.file(&format!("{file}.crt"))).unwrap();
        let trusted: String =
            ["plant", "second", "ended", "on P-521", "of RSA-1024"].iter().map(read).collect();
        fs::write(made.file("trusted.crt"), trusted).unwrap();
        let lists = made.list("plant", (-1, 1)) + &made.list("second", (-20, -1));
        fs::write(made.file("lists.crl"), lists).unwrap();
        fs::write(made.file("plant.crl"), made.list("plant", (-1, 1))).unwrap();
        made
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn issuer(&self, name: &str) -> Issuer<'_, &KeyPair> {
        let (params, key) = &self.all[name];
        Issuer::from_params(params, key)
    }

    /// A list of this authority, of the serial number that lists revoke.
    fn list(&self, by: &str, (from, until): Days) -> String {
        let revoked = rcgen::RevokedCertParams {
            serial_number: REVOKED.into(),
            revocation_time: day(from).into(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: day(from).into(),
            next_update: day(until).into(),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer(by)).unwrap().pem().unwrap()
    }

    /// Writes `FILE.crt`, with its chain, and `FILE.key`.
    pub(crate) fn write(&self, file: &str, cert: &Certificate) {
        let is_foreign = !matches!(cert.key, Key::P256 | Key::P384)
            || AUTHORITIES_BY_OPENSSL.iter().any(|(by, _)| *by == cert.by);
        if is_foreign || cert.common_names.len() > 1 {
            self.write_by_openssl(file, cert);
        } else {
            self.write_by_rcgen(file, cert);
        }
        let path = self.file(&format!("{file}.crt"));
        let mut text = fs::read_to_string(&path).unwrap();
        for name in cert.behind {
            text += &fs::read_to_string(self.file(&format!("{name}.crt"))).unwrap();
        }
        fs::write(path, text).unwrap();
    }

    fn write_by_rcgen(&self, file: &str, cert: &Certificate) {
        let key = match cert.key {
            Key::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
            _ => KeyPair::generate(),
        };
        let key = key.unwrap();
        let mut own = params("", cert.days);
        own.distinguished_name = rcgen::DistinguishedName::new();
        cert.common_names.iter().for_each(|&name| own.distinguished_name.push(DnType::CommonName, name));
        let names: Vec<String> = cert.names.iter().map(|&name| name.to_owned()).collect();
        own.subject_alt_names = CertificateParams::new(names).unwrap().subject_alt_names;
        own.extended_key_usages = match cert.usage {
            Usage::All => vec![],
            Usage::Servers => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Clients => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        own.serial_number = Some(cert.serial.into());
        if cert.by == "itself, an authority" {
            own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        let made = match cert.by {
            "itself" | "itself, an authority" => own.self_signed(&key),
            by => own.signed_by(&key, &self.issuer(by)),
        };
        fs::write(self.file(&format!("{file}.crt")), made.unwrap().pem()).unwrap();
        fs::write(self.file(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// Keys, names and signatures that rcgen does not make; valid for thirty days.
    fn write_by_openssl(&self, file: &str, cert: &Certificate) {
        let algorithm = match cert.key {
            Key::Rsa(bits) => format!("RSA\t-pkeyopt\trsa_keygen_bits:{bits}"),
            // In the form of rcgen OpenSSL does not read it.
            Key::Ed25519 => "ED25519".to_owned(),
            Key::P521 => "EC\t-pkeyopt\tec_paramgen_curve:P-521".to_owned(),
            _ => "EC\t-pkeyopt\tec_paramgen_curve:P-256".to_owned(),
        };
        let dir = self.dir.path();
        openssl(dir, &format!("genpkey\t-algorithm\t{algorithm}\t-out\t{file}.key"));
        openssl(dir, &format!("pkey\t-in\t{file}.key\t-pubout\t-out\t{file}.pub"));
        let subject: String = cert.common_names.iter().map(|name| format!("/CN={name}")).collect();
        let names: Vec<_> = cert.names.iter().map(|name| format!("DNS:{name}")).collect();
        fs::write(dir.join(format!("{file}.ext")), format!("subjectAltName={}\n", names.join(","))).unwrap();
        let digest = if cert.key == Key::Sha1 { "sha1" } else { "sha256" };
        let (by, serial) = (cert.by, cert.serial);
        let signed = format!(
            "-subj\t{subject}\t-CA\t{by}.crt\t-CAkey\t{by}.key\t-set_serial\t{serial}\t-days\t30\t-{digest}\t-out\t{file}.crt"
        );
        if cert.key != Key::Version1 {
            openssl(dir, &format!("x509\t-new\t-force_pubkey\t{file}.pub\t-extfile\t{file}.ext\t{signed}"));
            return;
        }
        // From OpenSSL 3.2 on `x509` makes version 3 alone, and `req` has an option for version 1. Before, `req` takes that for the name of a digest,
        // in whose place the later one comes, and makes version 1 where no extension is asked for.
        openssl(dir, &format!("req\t-config\tleast.cnf\t-new\t-x509v1\t-key\t{file}.key\t{signed}"));
        let text = openssl(dir, &format!("x509\t-in\t{file}.crt\t-noout\t-text"));
        assert!(text.contains("Version: 1 (0x0)"), "{text}");
    }
}
