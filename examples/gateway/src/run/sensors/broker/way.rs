//! Way to the local broker: TCP, TLS and the password. The files of both are read again before each connection, on a thread that may block; what cannot
//! be read again stays as it was.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: sockets")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use edge_bridge::Tls;
use edge_bridge::net::ClockFloor;
use edge_bridge::net::tcp_stream::{Counted, Stream};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::client_tls::ClientFiles;
use crate::config::peer::Peer;
use crate::config::{BrokerWay, password};
use crate::run::hub::link_trouble::OWN_UNUSABLE;
use crate::run::tls_watch::{Stamps, TlsWatch};

/// Time limit of DNS, TCP connect and TLS together.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Time limit of the files, after which what was read last is used.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// Way to one broker.
pub(super) struct Way {
    /// Host without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Name of the broker in TLS.
    server_name: String,
    /// Locked while a read is under way. `None`: there is nothing to be read.
    files: Option<Arc<Mutex<WayFiles>>>,
    /// Content of the last read. `None`: there was none.
    last: Option<Settings>,
}

/// New connection, on which MQTT has not sent anything.
pub(super) struct Dialed {
    pub(super) stream: Stream,
    /// Password for the CONNECT. `None`: the gateway does not log in.
    pub(super) password: Option<Bytes>,
}

/// Content of the files.
#[derive(Clone)]
struct Settings {
    tls: Option<Tls>,
    password: Option<Bytes>,
}

impl Way {
    pub(super) fn new(host: &str, port: u16, way: &BrokerWay, floor: ClockFloor) -> Self {
        let host = host.trim_matches(['[', ']']).to_owned();
        let given = way.tls.as_ref().and_then(|tls| tls.server_name.clone());
        let tls = way.tls.as_ref().map(|tls| TlsFiles { files: tls.files.clone(), floor, in_use: None });
        let password = way.credentials.as_ref().map(|credentials| PasswordFile {
            path: credentials.file.clone(),
            last: credentials.password.clone().into(),
            is_failing: false,
        });
        let server_name = given.unwrap_or_else(|| host.clone());
        let has_files = tls.is_some() || password.is_some();
        let files = has_files.then(|| Arc::new(Mutex::new(WayFiles { tls, password })));
        Self { host, port, server_name, files, last: None }
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// The reason in words.
    pub(super) async fn dial(&mut self) -> Result<Dialed, String> {
        let settings = self.settings().await;
        // As the handshake would say it.
        let of_tls = |error: String| match error.starts_with(OWN_UNUSABLE) {
            true => format!("TLS with {}: {error}", self.host),
            false => error,
        };
        let Settings { tls, password } = settings.map_err(of_tls)?;
        match timeout(CONNECT_WITHIN, self.connect(tls)).await {
            Ok(connected) => Ok(Dialed { stream: connected?, password }),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    async fn connect(&self, tls: Option<Tls>) -> Result<Stream, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        // PUBACKs are small and somebody waits for them.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let stream = Counted::new(stream, Arc::default());
        match tls {
            None => Ok(Stream::Tcp(stream)),
            Some(tls) => {
                let secured = tls.handshake(&self.server_name, stream).await;
                secured.map_err(|error| format!("TLS with {}: {error}", self.host))
            }
        }
    }

    /// Reads the files. While an earlier read hangs, no second thread waits beside it.
    async fn settings(&mut self) -> Result<Settings, String> {
        let Some(files) = self.files.clone() else { return Ok(Settings { tls: None, password: None }) };
        let read = tokio::task::spawn_blocking(move || match files.try_lock() {
            Ok(mut files) => files.read(),
            Err(_) => Err("an earlier read of the files for the broker has not returned".to_owned()),
        });
        let read = match timeout(READ_WITHIN, read).await {
            Ok(Ok(read)) => read,
            Ok(Err(ended)) => Err(ended.to_string()),
            Err(_) => Err("the files for the broker cannot be read in time".to_owned()),
        };
        match (read, &self.last) {
            (Ok(settings), _) => Ok(self.last.insert(settings).clone()),
            (Err(_), Some(last)) => Ok(last.clone()),
            (Err(error), None) => Err(error),
        }
    }
}

struct WayFiles {
    /// `None`: without TLS.
    tls: Option<TlsFiles>,
    /// `None`: the gateway does not log in.
    password: Option<PasswordFile>,
}

impl WayFiles {
    /// Reads what has changed. The first read of TLS files may fail, and is made again the next time.
    ///
    /// # Errors
    /// The reason in words.
    fn read(&mut self) -> Result<Settings, String> {
        let tls = self.tls.as_mut().map(TlsFiles::read).transpose()?;
        Ok(Settings { tls, password: self.password.as_mut().map(PasswordFile::read) })
    }
}

struct TlsFiles {
    files: ClientFiles,
    floor: ClockFloor,
    /// `None`: they were not read yet.
    in_use: Option<(TlsWatch, Tls)>,
}

impl TlsFiles {
    /// Reads what has changed. Without a certificate that can be used nothing is dialled: each connection would cost a line at the broker, for nothing.
    fn read(&mut self) -> Result<Tls, String> {
        let (watch, tls) = match &mut self.in_use {
            Some(in_use) => in_use,
            None => {
                let stamps = Stamps::of(&self.files);
                let first = self.files.tls(Peer::LocalBroker, self.floor.clone());
                let first = first.map_err(|error| format!("[local] {error}"))?;
                let tls = first.0.clone();
                let watch = TlsWatch::new(Peer::LocalBroker, self.files.clone(), stamps, first);
                self.in_use.insert((watch, tls))
            }
        };
        if let Some(changed) = watch.look() {
            *tls = changed;
        }
        if let Some(error) = watch.unusable() {
            return Err(format!("{OWN_UNUSABLE}{error}"));
        }
        Ok(tls.clone())
    }
}

struct PasswordFile {
    path: PathBuf,
    /// Password that was read last.
    last: Bytes,
    /// Set once a log line has reported that it cannot be read.
    is_failing: bool,
}

impl PasswordFile {
    fn read(&mut self) -> Bytes {
        match password::read(&self.path) {
            Ok(password) => {
                self.last = password.into();
                self.is_failing = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    let path = self.path.display();
                    tracing::warn!(%path, %error, "cannot read the local broker's password again: the last one is used");
                }
            }
        }
        self.last.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::net::TcpListener;

    use crate::config::BrokerTls;
    use crate::run::hub::link_trouble::LinkTrouble;

    use super::*;

    /// Writes a self-signed certificate, and returns its key.
    fn certificate(path: &Path) -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["g".to_owned()]).unwrap();
        std::fs::write(path, params.self_signed(&key).unwrap().pem()).unwrap();
        key.serialize_pem()
    }

    #[tokio::test]
    async fn nothing_is_dialled_while_the_certificate_does_not_fit_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let [cert, key, ca] = ["cert", "key", "ca"].map(|name| dir.path().join(name));
        let (fitting, other) = (certificate(&cert), certificate(&ca));
        std::fs::write(&key, other).unwrap();
        let files =
            ClientFiles { ca: Some(ca), cert: Some(cert), key: Some(key.clone()), ..Default::default() };
        let way = BrokerWay { tls: Some(BrokerTls { files, server_name: None }), credentials: None };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut way = Way::new("127.0.0.1", port, &way, ClockFloor::new(|| None));
        for _ in 0..2 {
            let why = way.dial().await.err().unwrap();
            assert!(
                why.starts_with("TLS with 127.0.0.1: the certificate of this client cannot be used: "),
                "{why}"
            );
            assert!(LinkTrouble::of(&why).is_some_and(LinkTrouble::needs_somebody));
        }
        let accepted = timeout(Duration::from_millis(100), listener.accept()).await;
        assert!(accepted.is_err(), "{accepted:?}");
        std::fs::write(&key, fitting).unwrap();
        let accept = async { drop(listener.accept().await.unwrap()) };
        let both = async { tokio::join!(way.dial(), accept) };
        let (dialed, ()) = timeout(Duration::from_secs(30), both).await.unwrap();
        let why = dialed.err().unwrap();
        assert!(why.starts_with("TLS with 127.0.0.1: "), "{why}");
    }
}
