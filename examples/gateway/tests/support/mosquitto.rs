//! Mosquitto and its clients, found by name in PATH and /usr/sbin.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::packet::packet;
use super::{free_port, wait_until};

pub fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin")).stdin(Stdio::null());
    command
}

/// A broker.
pub struct Mosquitto {
    pub address: SocketAddr,
    conf: PathBuf,
    /// Configuration of OpenSSL, if it is not the machine's.
    openssl_conf: Option<PathBuf>,
    child: Child,
}

impl Mosquitto {
    /// On a free port, with these lines besides.
    pub fn start(dir: &Path, lines: &str) -> Self {
        Self::start_with(dir, lines, None)
    }

    /// As [`start`](Self::start), with this configuration of OpenSSL.
    pub fn start_with(dir: &Path, lines: &str, openssl_conf: Option<PathBuf>) -> Self {
        let address = free_port();
        let conf = dir.join(format!("mosquitto-{}.conf", address.port()));
        fs::write(&conf, Self::config(address, lines)).unwrap();
        let child = Self::spawn(address, &conf, openssl_conf.as_deref());
        Self { address, conf, openssl_conf, child }
    }

    /// Lines for a hub that lets everybody publish, and nobody subscribe unless `subscribe` is set, by the plugin that comes with it.
    pub fn rights(dir: &Path, subscribe: bool) -> String {
        let file = dir.join("rights.json");
        let publish = "\"publishClientSend\":true,\"publishClientReceive\":true,\"unsubscribe\":true";
        fs::write(&file, format!("{{\"defaultACLAccess\":{{{publish},\"subscribe\":{subscribe}}}}}"))
            .unwrap();
        let plugin = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
            .map(|dir| Path::new(dir).join("mosquitto_dynamic_security.so"))
            .into_iter()
            .find(|path| path.exists())
            .expect("mosquitto_dynamic_security.so is not installed: it comes with mosquitto 2");
        format!("plugin {}\nplugin_opt_config_file {}\n", plugin.display(), file.display())
    }

    fn spawn(address: SocketAddr, conf: &Path, openssl_conf: Option<&Path>) -> Child {
        let log = fs::OpenOptions::new().create(true).append(true).open(conf.with_extension("log")).unwrap();
        let mut program = command("mosquitto");
        program.arg("-c").arg(conf).envs(openssl_conf.map(|file| ("OPENSSL_CONF", file))).stderr(log);
        let mut child =
            program.spawn().expect("mosquitto is not installed: apt-get install mosquitto mosquitto-clients");
        wait_until("mosquitto accepts", 30, || {
            assert!(child.try_wait().unwrap().is_none(), "mosquitto ended");
            TcpStream::connect(address).is_ok()
        });
        child
    }

    /// Kills it with signal 9 and starts it again with what it has on its disk.
    pub fn crash(&mut self) {
        self.kill_9();
        self.run();
    }

    pub fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts a killed one again with what it has on its disk.
    pub fn run(&mut self) {
        self.child = Self::spawn(self.address, &self.conf, self.openssl_conf.as_deref());
    }

    /// Replaces its lines besides and has them read again (SIGHUP): those that Mosquitto reads again while it runs.
    pub fn reconfigure(&self, lines: &str) {
        fs::write(&self.conf, Self::config(self.address, lines)).unwrap();
        let reloads = || {
            let log = fs::read_to_string(self.conf.with_extension("log")).unwrap();
            log.matches("Reloading config").count()
        };
        let before = reloads();
        let mut asked: Option<Instant> = None;
        wait_until("mosquitto has read its lines", 20, || {
            // It forgets a signal that comes while it is still reading for the one before.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_millis(500)) {
                let sent = Command::new("kill").args(["-HUP", &self.pid().to_string()]).status().unwrap();
                assert!(sent.success());
                asked = Some(Instant::now());
            }
            reloads() > before
        });
    }

    fn config(address: SocketAddr, lines: &str) -> String {
        format!("listener {} 127.0.0.1\nallow_anonymous true\n{lines}\n", address.port())
    }

    pub fn log_path(&self) -> PathBuf {
        self.conf.with_extension("log")
    }

    /// Connections of a client so far.
    pub fn connects(&self, client: &str) -> usize {
        let log = fs::read_to_string(self.conf.with_extension("log")).unwrap();
        log.matches(&format!(" as {client} (p5")).count()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A message as `mosquitto_sub` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrived {
    pub topic: String,
    pub content_type: String,
    pub user_properties: String,
    /// As text.
    pub payload: String,
    pub bytes: Vec<u8>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// `mosquitto_sub` at a broker, MQTT 5, QoS 1.
pub struct Subscriber {
    child: Child,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Subscriber {
    pub fn start(broker: SocketAddr, filter: &str) -> Self {
        Self::with_format(broker, filter, "%t\t%C\t%P\t%x")
    }

    /// The same without payloads, for large ones.
    pub fn of_topics(broker: SocketAddr, filter: &str) -> Self {
        Self::with_format(broker, filter, "%t\t%C\t%P\t")
    }

    /// With four columns of your choice, the last of which is hexadecimal or nothing.
    pub fn with_format(broker: SocketAddr, filter: &str, format: &str) -> Self {
        let port = broker.port().to_string();
        let mut child = command("mosquitto_sub")
            .args(["-p", &port, "-V", "mqttv5", "-q", "1", "-t", filter, "-t", "probe"])
            .args(["-F", format])
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub is not installed: apt-get install mosquitto-clients");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let arrived = Arc::<Mutex<Vec<Arrived>>>::default();
        let list = arrived.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut parts = line.splitn(4, '\t').map(str::to_owned);
                let mut part = || parts.next().unwrap_or_default();
                let (topic, content_type, user_properties, bytes) = (part(), part(), part(), unhex(&part()));
                let payload = String::from_utf8_lossy(&bytes).into_owned();
                let message = Arrived { topic, content_type, user_properties, payload, bytes };
                list.lock().unwrap().push(message);
            }
        });
        let subscriber = Self { child, arrived };
        // Subscribed is what it is when a message comes through.
        wait_until("the subscriber hears", 30, || {
            // At QoS 0: where nothing can be stored, nothing is acknowledged.
            publish_unacknowledged(broker, "probe", "x");
            !subscriber.arrived.lock().unwrap().is_empty()
        });
        subscriber
    }

    /// Returns what came, without the probes.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().iter().filter(|message| message.topic != "probe").cloned().collect()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `mosquitto_pub`, MQTT 3.1.1, QoS 1: returns when it has its PUBACK.
pub fn publish(broker: SocketAddr, topic: &str, payload: &str) {
    let output = publish_at(broker, "mqttv311", 1, topic, payload);
    assert!(output.status.success(), "mosquitto_pub: {output:?}");
}

/// Returns whether a client with TLS that trusts this authority is served at the port.
pub fn is_served_by_tls(port: u16, authority: &Path) -> bool {
    let mut client = command("mosquitto_pub");
    client.args([
        "-h",
        "localhost",
        "-p",
        &port.to_string(),
        "-q",
        "1",
        "-t",
        "secure",
        "-m",
        "x",
        "--cafile",
    ]);
    client.arg(authority).stderr(Stdio::null()).status().unwrap().success()
}

/// As [`publish`] at QoS 0: returns when it is sent.
pub fn publish_unacknowledged(broker: SocketAddr, topic: &str, payload: &str) {
    let output = publish_at(broker, "mqttv311", 0, topic, payload);
    assert!(output.status.success(), "mosquitto_pub: {output:?}");
}

/// A retained message; an empty one clears what was there.
pub fn retain(broker: SocketAddr, topic: &str, payload: &str) {
    let port = broker.port().to_string();
    let payload = if payload.is_empty() { vec!["-n"] } else { vec!["-m", payload] };
    let status =
        command("mosquitto_pub").args(["-p", &port, "-q", "1", "-r", "-t", topic]).args(payload).status();
    assert!(status.unwrap().success());
}

/// As [`retain`] at each of these topics, over one connection of MQTT 3.1.1: returns when the broker has all of it.
pub fn retain_at_all(broker: SocketAddr, topics: impl Iterator<Item = String>, payload: &str) {
    let mut bytes = b"\x10\x11\0\x04MQTT\x04\x02\0\0\0\x05batch".to_vec();
    for topic in topics {
        let length = 4 + topic.len() + payload.len();
        bytes.extend([0x33, length as u8 & 0x7f | 0x80, (length >> 7) as u8, 0, topic.len() as u8]);
        bytes.extend([topic.as_bytes(), b"\0\x01", payload.as_bytes()].concat());
    }
    // Its answer comes behind all that was before it.
    bytes.extend(b"\xc0\0");
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&bytes).unwrap();
    assert_eq!(packet(&mut stream).unwrap(), (0x20, vec![0, 0]));
    while packet(&mut stream).unwrap() != (0xd0, vec![]) {}
}

/// As [`retain`], with the bytes of a file.
pub fn retain_file(broker: SocketAddr, topic: &str, file: &Path) {
    let port = broker.port().to_string();
    let status =
        command("mosquitto_pub").args(["-p", &port, "-q", "1", "-r", "-t", topic, "-f"]).arg(file).status();
    assert!(status.unwrap().success());
}

/// As [`publish`] in a version and at a QoS of your choice: what it said.
pub fn publish_at(broker: SocketAddr, version: &str, qos: u8, topic: &str, payload: &str) -> Output {
    let (port, qos) = (broker.port().to_string(), qos.to_string());
    command("mosquitto_pub")
        .args(["-p", &port, "-V", version, "-q", &qos, "-t", topic, "-m", payload])
        .output()
        .expect("mosquitto_pub is not installed: apt-get install mosquitto-clients")
}

/// As [`publish`], MQTT 5, with Correlation Data if there is some.
pub fn publish_request(broker: SocketAddr, topic: &str, payload: &str, correlation_data: Option<&str>) {
    let port = broker.port().to_string();
    let mut command = command("mosquitto_pub");
    command.args(["-p", &port, "-V", "mqttv5", "-q", "1", "-t", topic, "-m", payload]);
    if let Some(data) = correlation_data {
        command.args(["-D", "publish", "correlation-data", data]);
    }
    let output = command.output().expect("mosquitto_pub is not installed: apt-get install mosquitto-clients");
    assert!(output.status.success(), "mosquitto_pub: {output:?}");
}

/// `mosquitto_pub` of many messages, MQTT 3.1.1, at QoS 2: returns when each has its PUBCOMP.
pub fn publish_exactly_once(broker: SocketAddr, topic: &str, payloads: &[String]) {
    let port = broker.port().to_string();
    let mut child = command("mosquitto_pub")
        .args(["-p", &port, "-q", "2", "-t", topic, "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub is not installed: apt-get install mosquitto-clients");
    child.stdin.take().unwrap().write_all((payloads.join("\n") + "\n").as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
