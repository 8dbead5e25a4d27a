//! Certificates of a plant.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// An authority, and what it signs.
pub struct Authority {
    certificate: rcgen::CertificateParams,
    key: rcgen::KeyPair,
}

impl Authority {
    /// Writes its own certificate to `DIR/NAME.crt`.
    pub fn new(dir: &Path, name: &str) -> Self {
        let mut certificate = rcgen::CertificateParams::default();
        certificate.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        certificate.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(dir.join(format!("{name}.crt")), certificate.self_signed(&key).unwrap().pem()).unwrap();
        Self { certificate, key }
    }

    /// Writes `DIR/FILE.crt` and `DIR/FILE.key` for somebody of this name; without one the certificate has none. It ends in the year 4096.
    pub fn sign(&self, dir: &Path, file: &str, name: Option<&str>) {
        self.sign_until(dir, file, name, None);
    }

    /// Writes `DIR/FILE.crt` for somebody of this name with a key that stands elsewhere.
    pub fn certify(&self, dir: &Path, file: &str, name: &str, key: &rcgen::KeyPair) {
        let certificate = self.certificate_of(file, Some(name), None, key);
        fs::write(dir.join(format!("{file}.crt")), certificate.pem()).unwrap();
    }

    /// As [`sign`](Self::sign), from yesterday on, for so many days from now.
    pub fn sign_for_days(&self, dir: &Path, file: &str, name: &str, days: u32) {
        let end = SystemTime::now() + Duration::from_secs(86_400) * days;
        self.sign_until(dir, file, Some(name), Some(end));
    }

    /// Writes `DIR/LIST`, the list of those certificates, by their files, that it has revoked. It ends tomorrow.
    pub fn revoke(&self, dir: &Path, list: &str, files: &[&str]) {
        self.revoke_ago(dir, list, files, Duration::ZERO);
    }

    /// As [`revoke`](Self::revoke), made so long ago.
    pub fn revoke_ago(&self, dir: &Path, list: &str, files: &[&str], ago: Duration) {
        let day = Duration::from_secs(86_400);
        let revoked = |file: &&str| rcgen::RevokedCertParams {
            serial_number: rcgen::SerialNumber::from_slice(file.as_bytes()),
            revocation_time: SystemTime::now().into(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = rcgen::CertificateRevocationListParams {
            this_update: (SystemTime::now() - ago).into(),
            next_update: (SystemTime::now() + day).into(),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: files.iter().map(revoked).collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let issuer = rcgen::Issuer::from_params(&self.certificate, &self.key);
        fs::write(dir.join(list), params.signed_by(&issuer).unwrap().pem().unwrap()).unwrap();
    }

    /// Returns a certificate of this name in DER for the public key with these bits, on P-256.
    pub fn certify_bits(&self, key: &[u8], name: &str, end: SystemTime) -> Vec<u8> {
        self.certificate_of(name, Some(name), Some(end), &PublicBits(key.to_vec())).der().to_vec()
    }

    /// Returns its private key in PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Returns its own certificate in DER.
    pub fn own(&self) -> Vec<u8> {
        self.certificate.self_signed(&self.key).unwrap().der().to_vec()
    }

    /// As [`sign`](Self::sign), with these DNS names as the subject alternative names.
    pub fn sign_dns(&self, dir: &Path, file: &str, name: &str, dns: &[&str]) {
        let key = rcgen::KeyPair::generate().unwrap();
        let dns: Vec<String> = dns.iter().map(|&name| name.to_owned()).collect();
        let mut params = rcgen::CertificateParams::new(dns).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = rcgen::Issuer::from_params(&self.certificate, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(dir.join(format!("{file}.crt")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// As [`sign`](Self::sign), from so many seconds ago for so many seconds from now.
    pub fn sign_for_seconds(&self, dir: &Path, file: &str, name: &str, (ago, left): (u64, u64)) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = (SystemTime::now() - Duration::from_secs(ago)).into();
        params.not_after = (SystemTime::now() + Duration::from_secs(left)).into();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = rcgen::Issuer::from_params(&self.certificate, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        fs::write(dir.join(format!("{file}.crt")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn sign_until(&self, dir: &Path, file: &str, name: Option<&str>, end: Option<SystemTime>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = self.certificate_of(file, name, end, &key);
        // The key last: a certificate without its key changes nothing.
        fs::write(dir.join(format!("{file}.crt")), certificate.pem()).unwrap();
        fs::write(dir.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn certificate_of(
        &self,
        file: &str,
        name: Option<&str>,
        end: Option<SystemTime>,
        key: &impl rcgen::PublicKeyData,
    ) -> rcgen::Certificate {
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        if let Some(end) = end {
            params.not_before = (SystemTime::now() - Duration::from_secs(86_400)).into();
            params.not_after = end.into();
        }
        // The name of the files, by which it can be revoked.
        params.serial_number = Some(rcgen::SerialNumber::from_slice(file.as_bytes()));
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = name {
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
        }
        let issuer = rcgen::Issuer::from_params(&self.certificate, &self.key);
        params.signed_by(key, &issuer).unwrap()
    }
}

/// Public key on P-256 of which nobody here has the private half.
struct PublicBits(Vec<u8>);

impl rcgen::PublicKeyData for PublicBits {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}
