//! Mosquitto and its publisher, found by name in PATH and /usr/sbin.

use std::ffi::OsStr;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::wait_until;

fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin")).stdin(Stdio::null());
    command
}

pub struct Mosquitto {
    /// Without TLS.
    pub address: SocketAddr,
    tls: Option<SocketAddr>,
    child: Child,
}

/// Free now; the broker binds it in a moment. Below the ports that the system gives to listeners and clients that ask for any.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..1_000 {
        let next = std::process::id().wrapping_mul(7_919).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + (next % 20_000) as u16;
        if let Ok(socket) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return socket.local_addr().unwrap();
        }
    }
    panic!("no port is free");
}

impl Mosquitto {
    pub fn start(dir: &Path) -> Self {
        Self::listening(dir, None, "")
    }

    /// With further lines of configuration.
    pub fn start_with(dir: &Path, lines: &str) -> Self {
        Self::listening(dir, None, lines)
    }

    /// A hub that lets everybody publish and nobody subscribe, by the plugin that comes with it.
    pub fn start_without_subscriptions(dir: &Path) -> Self {
        let file = dir.join("dynamic-security.json");
        let access = r#"{"defaultACLAccess":{"publishClientSend":true,"publishClientReceive":true,"subscribe":false,"unsubscribe":true}}"#;
        fs::write(&file, access).unwrap();
        let plugin = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
            .map(|dir| Path::new(dir).join("mosquitto_dynamic_security.so"))
            .into_iter()
            .find(|path| path.exists())
            .expect("mosquitto_dynamic_security.so is not installed: it comes with mosquitto 2");
        let lines = format!("plugin {}\nplugin_opt_config_file {}\n", plugin.display(), file.display());
        Self::listening(dir, None, &lines)
    }

    /// With a second listener, for whoever shows a certificate of `certificates`.
    pub fn start_tls(dir: &Path) -> Self {
        certificates(dir);
        let address = free_address();
        let lines = format!(
            "listener {1} 127.0.0.1\ncafile {0}/ca.crt\ncertfile {0}/hub.crt\nkeyfile {0}/hub.key\nrequire_certificate true\n",
            dir.display(),
            address.port()
        );
        Self::listening(dir, Some(address), &lines)
    }

    fn listening(dir: &Path, tls: Option<SocketAddr>, lines: &str) -> Self {
        let address = free_address();
        let conf = dir.join("mosquitto.conf");
        let plain = format!("allow_anonymous true\nlistener {} 127.0.0.1\n", address.port());
        fs::write(&conf, plain + lines).unwrap();
        let log = fs::File::create(dir.join("mosquitto.log")).unwrap();
        let child = command("mosquitto").arg("-c").arg(&conf).stderr(log).spawn();
        let child = child.expect("mosquitto is not installed: apt-get install mosquitto mosquitto-clients");
        let broker = Self { address, tls, child };
        wait_until("mosquitto accepts", || TcpStream::connect(address).is_ok());
        broker
    }

    pub fn url(&self) -> String {
        match self.tls {
            Some(address) => format!("mqtts://localhost:{}", address.port()),
            None => format!("mqtt://{}", self.address),
        }
    }

    /// At QoS 1; returns with the PUBACK.
    pub fn publish(&self, dir: &Path, topic: &str, content_type: Option<&str>, retain: bool, payload: &[u8]) {
        let file = dir.join("payload");
        fs::write(&file, payload).unwrap();
        let mut command = self.publisher("1", topic, content_type);
        command.arg("-f").arg(&file);
        if retain {
            command.arg("-r");
        }
        run(command);
    }

    /// Returns when it is sent.
    pub fn publish_at_qos_0(&self, dir: &Path, topic: &str, content_type: Option<&str>, payload: &[u8]) {
        let file = dir.join("payload");
        fs::write(&file, payload).unwrap();
        let mut command = self.publisher("0", topic, content_type);
        command.arg("-f").arg(&file);
        run(command);
    }

    fn publisher(&self, qos: &str, topic: &str, content_type: Option<&str>) -> Command {
        let mut command = command("mosquitto_pub");
        command.args(["-p", &self.address.port().to_string(), "-V", "mqttv5", "-q", qos, "-t", topic]);
        if let Some(content_type) = content_type {
            command.args(["-D", "publish", "content-type", content_type]);
        }
        command
    }

    /// As [`publish`](Self::publish), a text with these properties: name and parts of each, which may have any byte but zero.
    pub fn publish_with(&self, topic: &str, properties: &[&[&[u8]]], payload: &str) {
        let mut command = command("mosquitto_pub");
        command.args(["-p", &self.address.port().to_string(), "-V", "mqttv5", "-q", "1", "-t", topic]);
        command.args(["-m", payload]);
        for property in properties {
            command.args(["-D", "publish"]).args(property.iter().map(|part| OsStr::from_bytes(part)));
        }
        run(command);
    }
}

fn run(mut command: Command) {
    let output = command.output().expect("mosquitto_pub is not installed: apt-get install mosquitto-clients");
    assert!(output.status.success(), "mosquitto_pub: {output:?}");
}

/// An authority, a server's and a client's certificate, as files.
fn certificates(dir: &Path) {
    let write = |name: &str, text: String| fs::write(dir.join(name), text).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "test authority");
    let ca_key = KeyPair::generate().unwrap();
    write("ca.crt", params.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::new(params, ca_key);
    for name in ["hub", "reader"] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.crt"), params.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
