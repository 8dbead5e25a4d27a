//! Relays for clients that know no WebSocket and no TLS: what they send over TCP goes on in frames, with TLS or without, or in TLS alone.

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

    /// Settings of a client's TLS.
    pub fn config(&self) -> ClientConfig {
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
    let certificates = certificates.map(|certificates| Arc::new(certificates.config()));
    serving(move |client| {
        let stream = dial(to)?;
        let socket = stream.try_clone()?;
        match &certificates {
            None => carry(client, &socket, handshake("ws", to, stream)?),
            Some(config) => carry(client, &socket, handshake("wss", to, with_tls(config, stream))?),
        }
    })
}

/// Starts a relay to a listener's TLS address, as [`relay`] does.
pub fn tls_relay(to: SocketAddr, certificates: &Certificates) -> SocketAddr {
    let config = Arc::new(certificates.config());
    serving(move |client| {
        let stream = dial(to)?;
        let socket = stream.try_clone()?;
        carry(client, &socket, with_tls(&config, stream))
    })
}

/// Serves each client in a thread of its own.
fn serving(serve: impl Fn(&TcpStream) -> Result<(), Error> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, serve) = (client.unwrap(), Arc::clone(&serve));
            // A listener that closes is a client's business: it sees its own connection closed.
            thread::spawn(move || serve(&client).unwrap_or_default());
        }
    });
    address
}

fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn with_tls(config: &Arc<ClientConfig>, stream: TcpStream) -> StreamOwned<ClientConnection, TcpStream> {
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), stream)
}

fn handshake<S: Read + Write>(scheme: &str, to: SocketAddr, stream: S) -> Result<WebSocket<S>, Error> {
    let mut request = format!("{scheme}://localhost:{}/mqtt", to.port()).into_client_request()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let (socket, _) =
        client(request, stream).map_err(|error| Error::Io(io::Error::other(error.to_string())))?;
    Ok(socket)
}

/// The listener's side of a relay.
trait Way {
    fn forward(&mut self, bytes: &[u8]) -> Result<(), Error>;

    /// Answer that came back, which may be empty.
    fn back(&mut self) -> Result<Vec<u8>, Error>;

    fn end(&mut self) -> Result<(), Error>;
}

impl<S: Read + Write> Way for WebSocket<S> {
    fn forward(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.send(Message::binary(bytes.to_vec()))
    }

    fn back(&mut self) -> Result<Vec<u8>, Error> {
        Ok(match self.read()? {
            Message::Binary(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
    }

    fn end(&mut self) -> Result<(), Error> {
        self.close(Some(CloseFrame { code: 1001.into(), reason: "".into() }))
    }
}

impl Way for StreamOwned<ClientConnection, TcpStream> {
    fn forward(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.write_all(bytes)?)
    }

    fn back(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; 4096];
        let count = self.read(&mut bytes)?;
        bytes.truncate(count);
        if count == 0 { Err(Error::ConnectionClosed) } else { Ok(bytes) }
    }

    fn end(&mut self) -> Result<(), Error> {
        self.conn.send_close_notify();
        Ok(self.flush()?)
    }
}

/// Carries both directions in turn until one side ends.
fn carry(mut client: &TcpStream, socket: &TcpStream, mut way: impl Way) -> Result<(), Error> {
    client.set_read_timeout(Some(TURN))?;
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return way.end(),
            Ok(read) => {
                socket.set_read_timeout(None)?;
                way.forward(&buffer[..read])?;
            }
            Err(error) if is_quiet(&error) => {}
            Err(error) => return Err(error.into()),
        }
        socket.set_read_timeout(Some(TURN))?;
        match way.back() {
            Ok(bytes) => client.write_all(&bytes)?,
            Err(Error::Io(error)) if is_quiet(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_quiet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
