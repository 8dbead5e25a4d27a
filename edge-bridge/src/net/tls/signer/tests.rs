use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc;
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::PrivateKeyDer;

use super::*;
use crate::net::tls::Tls;

/// For answers that come; a signer that does not answer costs it.
const WITHIN: Duration = Duration::from_secs(20);
/// For answers that do not come.
const SHORT: Duration = Duration::from_millis(300);

/// A certificate file, and the socket of the signer that has its key.
struct Site {
    dir: tempfile::TempDir,
    key: KeyPair,
}

impl Site {
    fn new(key: KeyPair) -> Self {
        let site = Self { dir: tempfile::tempdir().unwrap(), key };
        let params = CertificateParams::new(vec!["site7".to_owned()]).unwrap();
        std::fs::write(site.path("crt"), params.self_signed(&site.key).unwrap().pem()).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn remote(&self, within: Duration) -> RemoteKey {
        let certificate = crate::net::tls::certificates(&self.path("crt")).unwrap().remove(0);
        let name = PathBuf::from(format!("unix:{}", self.path("s").display()));
        let own = (self.path("crt"), certificate);
        RemoteKey::new((&name, signer_socket(&name).unwrap()), (&own.0, &own.1), within).unwrap()
    }

    /// Signs as the key's owner.
    fn signature(&self, scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = crypto::ring::sign::any_supported_type(&key).unwrap();
        key.choose_scheme(&[scheme]).unwrap().sign(message).unwrap()
    }

    /// Serves one caller: gives it to `serve` once its request is read.
    fn serve(&self, serve: impl FnOnce(UnixStream, Vec<u8>) + Send + 'static) -> thread::JoinHandle<()> {
        let _ = std::fs::remove_file(self.path("s"));
        let listener = UnixListener::bind(self.path("s")).unwrap();
        thread::spawn(move || {
            let (mut caller, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            caller.read_to_end(&mut request).unwrap();
            serve(caller, request);
        })
    }
}

fn site() -> Site {
    Site::new(KeyPair::generate().unwrap())
}

fn done(body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&[1, 0], &length[..], body].concat()
}

/// Result of the signing of a message; of an error the words of the link.
fn signed(key: &RemoteKey, message: &[u8]) -> Result<Vec<u8>, String> {
    let schemes: Vec<SignatureScheme> = SCHEMES.to_vec();
    let signer = key.choose_scheme(&schemes).unwrap();
    signer.sign(message).map_err(|error| match error {
        Error::Other(other) => other.0.to_string(),
        other => panic!("{other}"),
    })
}

/// Each is one rule; the text of the next one would be another.
#[test]
fn every_answer_that_is_none_is_told_with_the_key_and_the_reason() {
    let site = site();
    let key = site.remote(WITHIN);
    let scheme = SignatureScheme::ECDSA_NISTP256_SHA256;
    let good = done(&site.signature(scheme, b"message"));
    let of_other_message = done(&site.signature(scheme, b"another"));
    let of_other_key = done(&self::site().signature(scheme, b"message"));
    let cut = good.get(..good.len() - 1).unwrap().to_vec();
    for (answer, reason) in [
        (vec![], "closed the connection before its answer was whole"),
        (cut, "closed the connection before its answer was whole"),
        (vec![1, 0], "closed the connection before its answer was whole"),
        (b"HTTP/1.1 400 Bad Request".to_vec(), "by version 72 of the protocol"),
        (vec![1, 7, 0, 0], "is not one of the protocol"),
        (vec![1, 0, 0xff, 0xff], "with 65535 bytes, more than 8192"),
        (b"\x01\x01\x00\x09no PIN\x1b[2".to_vec(), "refuses: \"no PIN\\u{1b}[2\""),
        (done(&[]), "does not fit the first certificate"),
        (done(&[0xff; 8_192]), "does not fit the first certificate"),
        (of_other_message, "does not fit the first certificate"),
        (of_other_key, "does not fit the first certificate"),
    ] {
        let served = site.serve(move |mut caller, _| caller.write_all(&answer).unwrap());
        let error = signed(&key, b"message").expect_err(reason);
        served.join().unwrap();
        let name = format!("the key unix:{}: ", site.path("s").display());
        assert!(error.starts_with(&name) && error.contains(reason), "{reason}: {error}");
    }
    let served = site.serve(move |mut caller, _| caller.write_all(&good).unwrap());
    assert!(signed(&key, b"message").is_ok());
    served.join().unwrap();
}

#[test]
fn a_signer_that_is_not_there_is_told() {
    let site = site();
    let key = site.remote(WITHIN);
    assert!(signed(&key, b"m").unwrap_err().contains("no signer can be reached: No such file"));
    drop(UnixListener::bind(site.path("s")).unwrap());
    assert!(signed(&key, b"m").unwrap_err().contains("no signer can be reached: Connection refused"));
    std::fs::remove_file(site.path("s")).unwrap();
    std::fs::write(site.path("s"), "a file").unwrap();
    assert!(signed(&key, b"m").unwrap_err().contains("no signer can be reached: "));
}

/// A signer that lets a byte through now and then would else hold the handshake for ever.
#[test]
fn one_limit_of_time_holds_for_the_whole_answer() {
    let site = site();
    let key = site.remote(SHORT);
    let late = "has not answered within 300ms";
    // It takes nobody in, and then not even a connection is made.
    let listener = UnixListener::bind(site.path("s")).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(signed(&key, b"m"));
    }
    assert!(waiting.iter().all(|waited| waited.as_ref().unwrap_err().contains(late)), "{waiting:?}");
    drop(listener);
    // It reads nothing, and the request does not fit into the socket.
    let _ = std::fs::remove_file(site.path("s"));
    let listener = UnixListener::bind(site.path("s")).unwrap();
    assert!(signed(&key, &vec![0; 4 << 20]).unwrap_err().contains(late));
    drop(listener);
    for head in [vec![], vec![1, 0, 0, 200]] {
        let (stop, stopped) = mpsc::sync_channel::<()>(1);
        let served = site.serve(move |mut caller, _| {
            let _ = caller.write_all(&head);
            // A byte of a body without end, as long as somebody listens.
            while !head.is_empty() && stopped.recv_timeout(Duration::from_millis(40)).is_err() {
                if caller.write_all(&[0]).is_err() {
                    return;
                }
            }
            let _ = stopped.recv_timeout(WITHIN);
        });
        assert!(signed(&key, b"m").unwrap_err().contains(late));
        let _ = stop.send(());
        drop(stop);
        served.join().unwrap();
    }
}

#[test]
fn the_whole_message_is_asked_for_by_the_scheme_of_the_certificates_key() {
    for (algorithm, scheme) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, SignatureScheme::ECDSA_NISTP384_SHA384),
        (&rcgen::PKCS_ED25519, SignatureScheme::ED25519),
    ] {
        let site = Site::new(KeyPair::generate_for(algorithm).unwrap());
        let key = site.remote(WITHIN);
        // More than the socket takes at once.
        let message = vec![b'm'; 300_000];
        let (asked, answer) = (
            Request::Sign { scheme: scheme.into(), message: &message }.encode(),
            site.signature(scheme, &message),
        );
        let served = site.serve(move |mut caller, request| {
            assert!(request == asked);
            caller.write_all(&done(&answer)).unwrap();
        });
        assert!(signed(&key, &message).is_ok(), "{scheme:?}");
        served.join().unwrap();
        assert!(key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).is_none());
    }
}

#[test]
fn the_signers_key_is_compared_with_the_certificates() {
    let site = site();
    let ca = site.path("crt");
    let key = format!("unix:{}", site.path("s").display());
    let tls = Tls::from_pem(&ca, &ca, &key).expect("nobody is asked");
    assert!(tls.check_signer().unwrap_err().to_string().contains("no signer can be reached"));
    let (own, other) = (site.remote(WITHIN), self::site().remote(WITHIN));
    for (schemes, public_key, outcome) in [
        (vec![0, 1, 4, 3], &own.public_key, None),
        (vec![0, 2, 8, 4, 4, 3], &own.public_key, None),
        (vec![0, 1, 4, 3], &other.public_key, Some("key does not belong to the first certificate")),
        (vec![0, 1, 5, 3], &own.public_key, Some("does not offer ECDSA_NISTP256_SHA256")),
        (vec![0xff, 0xff], &own.public_key, Some("is not one of the protocol")),
    ] {
        let body = [&schemes[..], public_key.as_ref()].concat();
        let served = site.serve(move |mut caller, request| {
            assert_eq!(request, Request::Describe.encode());
            caller.write_all(&done(&body)).unwrap();
        });
        let told = tls.check_signer().err().map(|error| error.to_string());
        served.join().unwrap();
        assert_eq!(told.is_some(), outcome.is_some(), "{told:?}");
        assert!(told.unwrap_or_default().contains(outcome.unwrap_or_default()));
    }
}

#[test]
fn a_key_of_another_kind_and_a_certificate_that_is_none_are_told_at_once() {
    let site = site();
    let key = format!("unix:{}", site.path("s").display());
    std::fs::write(site.path("none"), "").unwrap();
    let error = Tls::from_pem(site.path("crt"), site.path("none"), &key).unwrap_err();
    assert!(error.to_string().contains("no certificate in it"), "{error}");
    // As of an algorithm that nobody knows.
    assert!(schemes_of(b"another").is_empty());
    assert_eq!(parts(b"\x30\x03\x30\x01\x00"), None);
    let rsa = schemes_of(&webpki_rsa_algorithm());
    let rsa: Vec<_> = rsa.into_iter().map(|(scheme, _)| scheme).collect();
    assert_eq!(rsa.first(), Some(&SignatureScheme::RSA_PSS_SHA256));
    assert_eq!(rsa.len(), 6, "{rsa:?}");
}

/// Algorithm of a public key of RSA, without the SEQUENCE around it.
fn webpki_rsa_algorithm() -> Vec<u8> {
    rustls_pki_types::alg_id::RSA_ENCRYPTION.as_ref().to_vec()
}
