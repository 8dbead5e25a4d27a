//! A signer: keeps a private key, and signs handshakes of TLS for other programs over a Unix socket, by the protocol of docs/reference/signer.md.
//! The key is a file here. It is a template: put a token, a TPM or a key server into `Key`.
//!
//! ```text
//! cargo run -p edge-bridge --example signer -- --key site7.key --socket /run/edge-signer/site7.sock
//! ```
//!
//! Not run by the tests.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a program: a socket, files and threads")]

use std::convert::Infallible;
use std::error::Error;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;

const VERSION: u8 = 1;
const DESCRIBE: u8 = 1;
const SIGN: u8 = 2;
/// A handshake of TLS 1.2 is signed with all its certificates and names of authorities.
const MESSAGE_BYTES_MAX: u32 = 1 << 20;
/// Time that a caller has for its request.
const CALLER_WITHIN: Duration = Duration::from_secs(5);
/// ECDSA on P-256 and P-384, Ed25519, RSA with PSS and SHA-256, -384, -512, RSA with PKCS #1.
const SCHEMES: [u16; 9] = [0x0403, 0x0503, 0x0807, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601];

/// The private key. Two functions of it are all that a signer needs.
pub struct Key(Arc<dyn SigningKey>);

impl Key {
    /// Reads the key from a file in PEM.
    pub fn load(file: &Path) -> Result<Self, Box<dyn Error>> {
        Ok(Self(any_supported_type(&PrivateKeyDer::from_pem_file(file)?)?))
    }

    /// Number of schemes, the schemes, then the public key as SubjectPublicKeyInfo in DER.
    fn describe(&self) -> Result<Vec<u8>, String> {
        let can_sign = |scheme: &u16| self.0.choose_scheme(&[SignatureScheme::from(*scheme)]).is_some();
        let schemes: Vec<u16> = SCHEMES.into_iter().filter(can_sign).collect();
        let public_key = self.0.public_key().ok_or("the public key is not known")?;
        let mut answer = (schemes.len() as u16).to_be_bytes().to_vec();
        schemes.iter().for_each(|scheme| answer.extend_from_slice(&scheme.to_be_bytes()));
        answer.extend_from_slice(&public_key);
        Ok(answer)
    }

    /// Signs a message, hashed as the scheme says, in the form of TLS: ECDSA in DER.
    fn sign(&self, scheme: u16, message: &[u8]) -> Result<Vec<u8>, String> {
        let signer = self.0.choose_scheme(&[SignatureScheme::from(scheme)]);
        let signer = signer.ok_or_else(|| format!("this key does not sign by scheme 0x{scheme:04x}"))?;
        signer.sign(message).map_err(|error| error.to_string())
    }

    /// Returns the answer to a request with this head and message.
    pub fn answer(&self, [version, kind, high, low, ..]: [u8; 8], message: &[u8]) -> Vec<u8> {
        let result = match (version, kind) {
            (VERSION, DESCRIBE) => self.describe(),
            (VERSION, SIGN) => self.sign(u16::from_be_bytes([high, low]), message),
            _ => Err("this signer knows version 1, describe and sign".to_owned()),
        };
        let (outcome, body) = match result {
            Ok(body) => (0, body),
            Err(text) => (1, text.into_bytes()),
        };
        let mut answer = vec![VERSION, outcome];
        answer.extend_from_slice(&(body.len() as u16).to_be_bytes());
        answer.extend_from_slice(&body);
        answer
    }
}

/// Reads a request: its head, and the message behind it.
pub fn read_request(caller: &mut UnixStream) -> io::Result<([u8; 8], Vec<u8>)> {
    let mut head = [0; 8];
    caller.read_exact(&mut head)?;
    let [.., a, b, c, d] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    if length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message of more than 1 MiB"));
    }
    let mut message = vec![0; length as usize];
    caller.read_exact(&mut message)?;
    Ok((head, message))
}

fn serve_one(key: &Key, caller: &mut UnixStream) -> io::Result<()> {
    caller.set_read_timeout(Some(CALLER_WITHIN))?;
    caller.set_write_timeout(Some(CALLER_WITHIN))?;
    let (head, message) = read_request(caller)?;
    caller.write_all(&key.answer(head, &message))
}

/// Serves for ever. One connection is one request. Who may open the socket may have anything signed: its mode is 0660, so its group decides.
pub fn serve(key: Key, socket: &Path) -> io::Result<Infallible> {
    // That of a run before.
    let _ = std::fs::remove_file(socket);
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))?;
    let key = Arc::new(key);
    loop {
        let (mut caller, _) = listener.accept()?;
        let key = Arc::clone(&key);
        std::thread::spawn(move || {
            if let Err(error) = serve_one(&key, &mut caller) {
                eprintln!("signer: a caller: {error}");
            }
        });
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [key_word, key, socket_word, socket] = arguments.as_slice() else {
        return Err("signer --key FILE --socket PATH".into());
    };
    if (key_word.as_str(), socket_word.as_str()) != ("--key", "--socket") {
        return Err("signer --key FILE --socket PATH".into());
    }
    match serve(Key::load(Path::new(key))?, Path::new(socket))? {}
}
