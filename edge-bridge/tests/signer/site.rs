//! A site whose private keys are in a signer: the example's, with a record of what it was asked, and with a gate.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::example::{Key, read_request};

/// Directory with an authority, and certificates that it signed.
pub(crate) struct Site {
    dir: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "plant CA");
        let key = KeyPair::generate().unwrap();
        std::fs::write(dir.path().join("ca.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { dir, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `NAME.crt` and `NAME.key` with this private key, in PEM.
    pub(crate) fn sign(&self, name: &str, key_pem: &str) {
        let key = KeyPair::from_pem(key_pem).unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.crt")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key_pem).unwrap();
    }

    /// Name of the key behind a socket.
    pub(crate) fn remote(&self, socket: &str) -> PathBuf {
        PathBuf::from(format!("unix:{}", self.path(socket).display()))
    }
}

/// A new private key of P-256.
pub(crate) fn p256() -> String {
    KeyPair::generate().unwrap().serialize_pem()
}

/// A new private key of RSA, which rcgen does not make.
pub(crate) fn rsa() -> String {
    let options = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
    let made = Command::new("openssl").args(options).output();
    let made = made.expect("openssl is not installed: apt-get install openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

/// Request that a signer got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) scheme: u16,
    /// Set if it is a handshake of TLS 1.3, whose signed text begins with 64 spaces (RFC 8446 §4.4.3).
    pub(crate) is_tls_1_3: bool,
}

/// A signer in a thread of this process, for as long as the process runs.
pub(crate) struct Signer {
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Opens the gate for one request; `None` if there is no gate.
    open: Option<mpsc::SyncSender<()>>,
}

impl Signer {
    /// Signs at once.
    pub(crate) fn start(key: &Path, socket: &Path) -> Self {
        Self::serve(key, socket, None)
    }

    /// Signs each request only when it is [let through](Self::let_through).
    pub(crate) fn with_gate(key: &Path, socket: &Path) -> Self {
        let (open, gate) = mpsc::sync_channel(0);
        Self { open: Some(open), ..Self::serve(key, socket, Some(gate)) }
    }

    fn serve(key: &Path, socket: &Path, gate: Option<mpsc::Receiver<()>>) -> Self {
        let (key, listener) = (Key::load(key).unwrap(), UnixListener::bind(socket).unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        std::thread::spawn(move || {
            for caller in listener.incoming() {
                let mut caller = caller.unwrap();
                let Ok((head, message)) = read_request(&mut caller) else { continue };
                let asked = Asked {
                    scheme: u16::from_be_bytes([head[2], head[3]]),
                    is_tls_1_3: message.starts_with(&[b' '; 64]),
                };
                record.lock().unwrap().push(asked);
                if gate.as_ref().is_some_and(|gate| gate.recv().is_err()) {
                    return;
                }
                // The caller may have given up.
                let _ = caller.write_all(&key.answer(head, &message));
            }
        });
        Self { asked, open: None }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Lets one request through that waits at the gate, or the next one.
    pub(crate) fn let_through(&self) {
        self.open.as_ref().unwrap().send(()).unwrap();
    }
}
