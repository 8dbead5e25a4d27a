//! EST server of a test: rustls and HTTP/1.1 by hand, certificates by rcgen, and the CMS around them by a DER writer of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, crypto};

use super::authority::Authority;

/// Behaviour of the server towards a request.
#[derive(Clone)]
pub enum Behaviour {
    /// Gives a certificate of this name, for a year from yesterday.
    Issue(&'static str),
    /// Sends this response: head and body.
    Say(Vec<u8>),
    /// Gives a certificate of this name for another key.
    OtherKey(&'static str),
    /// Gives a certificate of this name and life in seconds, signed by somebody else.
    Foreign(&'static str, Arc<Authority>, u64),
    /// Gives a certificate after this time.
    Late(&'static str, Duration),
}

/// Request that came.
#[derive(Clone)]
pub struct Asked {
    pub path: String,
    /// PKCS #10 in DER.
    pub request: Vec<u8>,
    /// Certificate that the client showed.
    pub shown: Vec<u8>,
}

impl Asked {
    /// Bits of the P-256 key in the request.
    pub fn public_key(&self) -> Vec<u8> {
        let at = self.request.windows(4).position(|window| window == [0x03, 0x42, 0, 4]).unwrap();
        self.request[at + 3..at + 3 + 65].to_vec()
    }

    pub fn has(&self, text: &str) -> bool {
        self.request.windows(text.len()).any(|window| window == text.as_bytes())
    }

    pub fn was_shown(&self, name: &str) -> bool {
        self.shown.windows(name.len()).any(|window| window == name.as_bytes())
    }
}

pub struct EstServer {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl EstServer {
    /// With the certificate `DIR/est.crt`, for clients of the authority `DIR/plant.crt`, whose certificates it makes.
    pub fn start(dir: &Path, plant: Arc<Authority>, behaviour: Behaviour) -> Self {
        plant.sign(dir, "est", Some("est"));
        let pem = |name: &str| fs::read(dir.join(name)).unwrap();
        let certificates =
            |name: &str| CertificateDer::pem_slice_iter(&pem(name)).collect::<Result<Vec<_>, _>>().unwrap();
        let mut roots = RootCertStore::empty();
        certificates("plant.crt").into_iter().for_each(|root| roots.add(root).unwrap());
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(
                certificates("est.crt"),
                PrivateKeyDer::from_pem_slice(&pem("est.key")).unwrap(),
            );
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, behaviour) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Mutex::new(behaviour)));
        let server = Self { address, asked: asked.clone(), behaviour: behaviour.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, asked, behaviour) = (config.clone(), asked.clone(), behaviour.clone());
                let plant = plant.clone();
                std::thread::spawn(move || {
                    // A client that is killed, or refuses this server, is none of its concern.
                    let _ = serve(stream, config, &plant, &asked, &behaviour);
                });
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }
}

fn serve(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    plant: &Authority,
    asked: &Mutex<Vec<Asked>>,
    behaviour: &Mutex<Behaviour>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Ok(());
        }
        head.push_str(&line);
    }
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body)?;
    assert!(lower.contains("content-type: application/pkcs10"), "{head}");
    let shown = stream.get_ref().conn.peer_certificates().unwrap()[0].to_vec();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let one = Asked { path, request: decode(&body), shown };
    let behaviour = behaviour.lock().unwrap().clone();
    asked.lock().unwrap().push(one.clone());
    let year = Duration::from_secs(31_536_000);
    let certificate = |name: &str, key: &[u8]| plant.certify_bits(key, name, SystemTime::now() + year);
    let response = match behaviour {
        Behaviour::Issue(name) => given(&[&plant.own(), &certificate(name, &one.public_key())]),
        Behaviour::Foreign(name, other, life_s) => {
            let end = SystemTime::now() + Duration::from_secs(life_s);
            given(&[&other.certify_bits(&one.public_key(), name, end)])
        }
        Behaviour::Late(name, after) => {
            std::thread::sleep(after);
            given(&[&certificate(name, &one.public_key())])
        }
        Behaviour::OtherKey(name) => {
            let other = rcgen::KeyPair::generate().unwrap();
            given(&[&certificate(name, other.public_key_raw())])
        }
        Behaviour::Say(response) => response,
    };
    let stream = stream.get_mut();
    stream.write_all(&response)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// Response with these certificates.
fn given(certificates: &[&[u8]]) -> Vec<u8> {
    let signed_data = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07];
    let id = |last: u8| der(0x06, &[&signed_data[..], &[last]].concat());
    let parts =
        [der(2, &[1]), der(0x31, &[]), der(0x30, &id(1)), der(0xa0, &certificates.concat()), der(0x31, &[])];
    let cms = der(0x30, &[id(2), der(0xa0, &der(0x30, &parts.concat()))].concat());
    let text = encode(&cms);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    let body = lines.join("\r\n");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Transfer-Encoding: base64\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82], &length[..], content].concat()
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let value =
            group.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            text.push(if at <= group.len() { char::from(DIGITS[value >> (18 - 6 * at) & 63]) } else { '=' });
        }
    }
    text
}

fn decode(text: &[u8]) -> Vec<u8> {
    let digits: Vec<usize> =
        text.iter().filter_map(|byte| DIGITS.iter().position(|digit| digit == byte)).collect();
    let mut bytes = Vec::new();
    for group in digits.chunks(4) {
        let value = group.iter().fold(0, |value, digit| value << 6 | digit) << (6 * (4 - group.len()));
        bytes.extend_from_slice(&(value as u32).to_be_bytes()[1..group.len()]);
    }
    bytes
}
