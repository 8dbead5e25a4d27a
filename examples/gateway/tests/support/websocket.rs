//! A relay for clients that know no WebSocket: what they send over TCP goes on in its frames, with TLS or without.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Error, Message, WebSocket, client};

/// Longest time in which one direction keeps the other waiting.
const TURN: Duration = Duration::from_millis(3);

/// Certificates of a client, `FILE.crt` and `FILE.key`.
#[derive(Clone)]
pub struct Certificates {
    pub dir: PathBuf,
    /// Authority that it trusts.
    pub trusted: &'static str,
    pub own: Option<&'static str>,
}

impl Certificates {
    /// A client that trusts the authority of this name, and shows no certificate.
    pub fn trusting(dir: &Path, trusted: &'static str) -> Self {
        Self { dir: dir.to_owned(), trusted, own: None }
    }

    fn config(&self) -> ClientConfig {
        let read = |name: &str| {
            let file = CertificateDer::pem_file_iter(self.dir.join(format!("{name}.crt"))).unwrap();
            file.map(Result::unwrap).collect::<Vec<_>>()
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(read(self.trusted));
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match self.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_file(self.dir.join(format!("{own}.key"))).unwrap();
                builder.with_client_auth_cert(read(own), key).unwrap()
            }
        }
    }
}

/// Starts a relay to a listener's WebSocket address, and returns the address for clients. It lives as long as the test.
pub fn relay(to: SocketAddr, certificates: Option<Certificates>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, certificates) = (client.unwrap(), certificates.clone());
            // A listener that closes is a client's business: it sees its own connection closed.
            thread::spawn(move || serve(&client, to, certificates.as_ref()).unwrap_or_default());
        }
    });
    address
}

fn serve(client: &TcpStream, to: SocketAddr, certificates: Option<&Certificates>) -> Result<(), Error> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    let socket = stream.try_clone()?;
    let Some(certificates) = certificates else {
        return carry(client, &socket, handshake("ws", to, stream)?);
    };
    let name = "localhost".try_into().unwrap();
    let tls = ClientConnection::new(Arc::new(certificates.config()), name).unwrap();
    carry(client, &socket, handshake("wss", to, StreamOwned::new(tls, stream))?)
}

fn handshake<S: Read + Write>(scheme: &str, to: SocketAddr, stream: S) -> Result<WebSocket<S>, Error> {
    let mut request = format!("{scheme}://localhost:{}/mqtt", to.port()).into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let (socket, _) =
        client(request, stream).map_err(|error| Error::Io(io::Error::other(error.to_string())))?;
    Ok(socket)
}

/// Carries both directions in turn until one side ends.
fn carry<S: Read + Write>(
    mut client: &TcpStream,
    socket: &TcpStream,
    mut web: WebSocket<S>,
) -> Result<(), Error> {
    client.set_read_timeout(Some(TURN))?;
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return web.close(Some(CloseFrame { code: 1001.into(), reason: "".into() })),
            Ok(read) => {
                socket.set_read_timeout(None)?;
                web.send(Message::binary(buffer[..read].to_vec()))?;
            }
            Err(error) if is_quiet(&error) => {}
            Err(error) => return Err(error.into()),
        }
        socket.set_read_timeout(Some(TURN))?;
        match web.read() {
            Ok(Message::Binary(bytes)) => client.write_all(&bytes)?,
            Ok(_) => {}
            Err(Error::Io(error)) if is_quiet(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_quiet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
