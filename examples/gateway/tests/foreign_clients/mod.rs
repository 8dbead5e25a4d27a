//! Clients of others as processes: each takes orders and writes events, as `lines.py` says, so that the steps and what is asked of them are in the
//! test alone. The libraries are below the folder `EDGE_FOREIGN_CLIENTS`.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "test support"
)]

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::wait_until;

/// Time for whatever a client is to tell.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Library {
    Paho,
    Aiomqtt,
    Gmqtt,
    MqttJs,
    MqttJsInChromium,
    Rumqttc,
}

impl Library {
    pub fn transports(self) -> &'static [&'static str] {
        use Library::{Aiomqtt, Gmqtt, MqttJs, MqttJsInChromium, Paho, Rumqttc};
        match self {
            // Has no WebSocket.
            Gmqtt => &["tcp", "tls"],
            // Has nothing else.
            MqttJsInChromium => &["ws", "wss"],
            Paho | Aiomqtt | MqttJs => &["tcp", "tls", "ws", "wss"],
            // Is built without TLS.
            Rumqttc => &["tcp", "ws"],
        }
    }

    /// Whether the program learns if the gateway had its session: in aiomqtt it does not.
    pub fn tells_session_present(self) -> bool {
        self != Self::Aiomqtt
    }

    /// Whether a client stays that gets a PUBREL of which it knows nothing, as after a kill of the gateway (decision 0025): rumqttc ends the connection
    /// at it and comes again, until the gateway sends none.
    pub fn stays_at_unknown_pubrel(self) -> bool {
        self != Self::Rumqttc
    }

    /// The program and its first arguments. Fails with the command that installs what is missing.
    pub fn program(self) -> Vec<OsString> {
        let kit = PathBuf::from(std::env::var_os("EDGE_FOREIGN_CLIENTS").expect(
            "EDGE_FOREIGN_CLIENTS is not set: it is the folder with the clients of others; docs/testing.md has the commands that fill it",
        ));
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_clients");
        let python = |package: &str| {
            let program = kit.join("bin/python");
            let version =
                format!("import importlib.metadata as m; print('{package}', m.version('{package}'))");
            installed(
                Command::new(&program).args(["-c", &version]),
                &format!("python3 -m venv {kit} && {kit}/bin/pip install {package}", kit = kit.display()),
            );
            vec![
                program.into(),
                scripts.join(format!("{}_client.py", package.trim_end_matches("-mqtt"))).into(),
            ]
        };
        let node = |script: &str| {
            installed(Command::new("node").arg("--version"), "apt-get install nodejs");
            let version = "const {version} = require(process.env.EDGE_FOREIGN_CLIENTS + '/node_modules/mqtt/package.json'); console.log('mqtt.js', version)";
            installed(
                Command::new("node").args(["-e", version]),
                &format!("npm install --prefix {} mqtt", kit.display()),
            );
            vec!["node".into(), scripts.join(script).into()]
        };
        match self {
            Self::Paho => python("paho-mqtt"),
            Self::Aiomqtt => python("aiomqtt"),
            Self::Gmqtt => python("gmqtt"),
            Self::MqttJs => node("mqtt_js_client.js"),
            Self::MqttJsInChromium => {
                installed(Command::new("chromium").arg("--version"), "apt-get install chromium");
                node("mqtt_js_browser.js")
            }
            Self::Rumqttc => vec![rumqttc(&kit, &scripts).into()],
        }
    }
}

/// Fails with the command that installs it, unless this one works; prints the version that it tells.
fn installed(probe: &mut Command, by: &str) {
    let missing = "what this test runs is missing, see docs/testing.md; install it by";
    match probe.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => print!("{}", String::from_utf8_lossy(&output.stdout)),
        Ok(output) => panic!("{missing}: {by}\n{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{missing}: {by}\n{probe:?}: {error}"),
    }
}

/// Builds the client in a folder of its own, since it is no part of this workspace.
fn rumqttc(kit: &Path, scripts: &Path) -> PathBuf {
    let dir = kit.join("rumqttc");
    fs::create_dir_all(dir.join("src")).unwrap();
    let manifest = "[package]\nname = \"agent\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
        rumqttc = { version = \"0.25\", default-features = false, features = [\"websocket\"] }\n\
        tokio = { version = \"1\", features = [\"rt\", \"time\", \"sync\"] }\n";
    fs::write(dir.join("Cargo.toml"), manifest).unwrap();
    fs::copy(scripts.join("rumqttc_client.rs"), dir.join("src/main.rs")).unwrap();
    let target = dir.join("target");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("build").arg("--manifest-path").arg(dir.join("Cargo.toml")).arg("--target-dir").arg(&target);
    installed(&mut cargo, "cargo, which has to be able to fetch rumqttc 0.25");
    let tree = ["tree", "--depth", "1", "--prefix", "none", "-i", "rumqttc", "--manifest-path"];
    installed(Command::new(env!("CARGO")).args(tree).arg(dir.join("Cargo.toml")), "cargo");
    target.join("debug/agent")
}

/// A process with one client.
pub struct Client {
    pub name: String,
    child: Child,
    orders: ChildStdin,
    events: Receiver<String>,
    /// Whether it is told to bear with lost connections.
    pub is_unsteady: bool,
    /// Messages that it was ordered to publish.
    pub given: Vec<Message>,
    /// Events that were not looked at yet.
    unread: VecDeque<String>,
}

impl Client {
    /// Starts the process, which connects at once. `arguments`: those of `lines.py`.
    pub fn start(command: &mut Command, name: &str, arguments: &[&str]) -> Self {
        command.args(arguments).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, events) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let orders = child.stdin.take().unwrap();
        Self {
            name: name.to_owned(),
            child,
            orders,
            events,
            unread: VecDeque::new(),
            is_unsteady: false,
            given: Vec::new(),
        }
    }

    pub fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// First event that begins so, and was not looked at before. A lost connection is none that somebody waits for something over.
    #[track_caller]
    pub fn wait(&mut self, begin: &str) -> String {
        let is_trouble = |event: &String| event.starts_with("disconnected") || event.starts_with("error");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.unread.iter().position(|event| event.starts_with(begin)) {
                let event = self.unread.remove(at).unwrap();
                if begin == "connected" {
                    self.unread.retain(|event| !is_trouble(event));
                }
                return event;
            }
            let is_prepared = self.is_unsteady || begin.ends_with("connected");
            let is_over = !is_prepared && self.unread.iter().any(is_trouble);
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(event) = self.events.recv_timeout(left).ok().filter(|_| !is_over) else {
                panic!("{}: no {begin}; but {:?}", self.name, self.unread);
            };
            self.unread.push_back(event);
        }
    }

    /// Whether an event that begins so came, and was not looked at.
    pub fn has_told(&self, begin: &str) -> bool {
        self.unread.iter().any(|event| event.starts_with(begin))
    }

    #[track_caller]
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        self.order(&format!("subscribe {filter} {qos}"));
        assert_eq!(self.wait("subscribed"), format!("subscribed {qos}"), "{}", self.name);
    }

    /// Orders a message; the client tells when it is published.
    pub fn give(&mut self, message: &Message) {
        let Message { topic, qos, is_retained, size, seed } = message;
        self.order(&format!("publish {topic} {qos} {} {size} {seed}", u8::from(*is_retained)));
        self.given.push(message.clone());
    }

    #[track_caller]
    pub fn publish(&mut self, message: &Message) {
        self.give(message);
        self.wait("published");
    }

    #[track_caller]
    pub fn message(&mut self) -> String {
        self.wait("message ")
    }

    /// Messages that came before this one.
    #[track_caller]
    pub fn until(&mut self, last: &Message) -> Vec<String> {
        let last = last.line();
        std::iter::from_fn(|| Some(self.message()).filter(|line| *line != last)).collect()
    }

    /// DISCONNECT.
    #[track_caller]
    pub fn end(mut self) {
        self.order("disconnect");
        wait_until("the client ends", 30, || self.child.try_wait().unwrap().is_some());
        assert!(self.child.wait().unwrap().success(), "{}", self.name);
    }
}

/// Without a DISCONNECT: kill -9 of the client and, where it is a page, its browser.
impl Drop for Client {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{}", self.child.id())])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
pub struct Message {
    pub topic: String,
    pub qos: u8,
    is_retained: bool,
    pub size: usize,
    seed: usize,
}

impl Message {
    pub fn new(topic: impl Into<String>, qos: u8, size: usize) -> Self {
        static SEED: AtomicUsize = AtomicUsize::new(0);
        let seed = SEED.fetch_add(1, Ordering::Relaxed);
        Self { topic: topic.into(), qos, is_retained: false, size, seed }
    }

    pub fn retained(self) -> Self {
        Self { is_retained: true, ..self }
    }

    pub fn bytes(&self) -> Vec<u8> {
        (0..self.size).map(|at| (self.seed + at * 31 + (at >> 8)).to_le_bytes()[0]).collect()
    }

    /// What a client tells that gets it.
    pub fn line(&self) -> String {
        line(&self.topic, self.qos, self.is_retained, &self.bytes())
    }
}

pub fn line(topic: &str, qos: u8, is_retained: bool, bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    format!("message {topic} {qos} {} {} {hash}", u8::from(is_retained), bytes.len())
}
