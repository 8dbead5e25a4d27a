#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway` whose private keys are in a signer, which is killed, hangs, or gets another key. Promise 1.

#[path = "../../../edge-bridge/examples/signer.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program, of which tests use parts")]
mod example;
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use example::{Key, read_request};
use rcgen::KeyPair;
use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::{self, Mosquitto, Subscriber};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

/// The example's signer, as a process of its own: this program, in the test below.
struct Signer {
    child: Child,
    socket: PathBuf,
}

impl Signer {
    fn start(key: &KeyPair, socket: &Path) -> Self {
        // Beside the socket, and gone once it is read: nobody else can have it.
        let file = socket.with_extension("pem");
        fs::write(&file, key.serialize_pem()).unwrap();
        let _ = fs::remove_file(socket);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "a_signer_is_a_process_that_can_be_killed"]);
        command.env("SIGNER_KEY", &file).env("SIGNER_SOCKET", socket).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        wait_until("the signer listens", 20, || UnixStream::connect(socket).is_ok());
        fs::remove_file(file).unwrap();
        Self { child, socket: socket.to_owned() }
    }

    fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_signer_is_a_process_that_can_be_killed() {
    if let (Some(key), Some(socket)) = (std::env::var_os("SIGNER_KEY"), std::env::var_os("SIGNER_SOCKET")) {
        let served = example::serve(Key::load(key.as_ref()).unwrap(), socket.as_ref());
        panic!("{}", served.unwrap_err());
    }
    let dir = tempfile::tempdir().unwrap();
    let mut signer = Signer::start(&KeyPair::generate().unwrap(), &dir.path().join("s"));
    assert!(UnixStream::connect(&signer.socket).is_ok());
    signer.kill_9();
    assert!(UnixStream::connect(&signer.socket).is_err());
}

/// A plant with a hub that lets in who has a certificate, by way of a line that can be cut.
struct Plant {
    dir: tempfile::TempDir,
    authority: Authority,
    key: KeyPair,
    hub: Mosquitto,
    line: Relay,
    listen: SocketAddr,
}

impl Plant {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path(), "plant");
        authority.sign(dir.path(), "hub", Some("hub"));
        let key = KeyPair::generate().unwrap();
        authority.certify(dir.path(), "site7", "site7", &key);
        let secure = free_port();
        let file = |name: &str| dir.path().join(name).display().to_string();
        let lines = format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true",
            secure.port(),
            file("plant.crt"),
            file("hub.crt"),
            file("hub.key"),
        );
        let hub = Mosquitto::start(dir.path(), &lines);
        Self { dir, authority, key, hub, line: Relay::start(secure), listen: free_port() }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn socket(&self) -> PathBuf {
        self.dir().join("site7.sock")
    }

    fn config(&self) -> String {
        format!(
            "[gateway]\nid = \"g\"\n[local]\nlisten = \"{}\"\n[hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\n\
             cert = \"site7.crt\"\nkey = \"unix:site7.sock\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
            self.listen,
            self.line.address.port()
        )
    }

    /// Breaks the connection to the hub, so that there has to be another handshake.
    fn redial(&self) {
        self.line.reset();
    }

    /// Number of connections to the hub with a certificate of this name.
    fn connects(&self, name: &str) -> usize {
        fs::read_to_string(self.hub.log_path()).unwrap().matches(&format!("u'{name}'")).count()
    }
}

#[test]
fn what_is_acknowledged_arrives_over_kills_of_the_signer_and_of_the_gateway() {
    let plant = Plant::new();
    let mut signer = Signer::start(&plant.key, &plant.socket());
    let at_hub = Subscriber::start(plant.hub.address, "up/#");
    let mut gateway = Gateway::new(plant.dir(), &plant.config());
    gateway.start();
    let mut sensor = Publisher::new(plant.listen, "sensor", 20);
    let publish = |sensor: &mut Publisher, from: usize| {
        (from..from + 60).for_each(|n| sensor.publish("a", &n.to_string()));
        sensor.settle(0, 60);
    };
    let arrived = || at_hub.arrived().into_iter().map(|message| message.payload).collect::<BTreeSet<_>>();
    let has_all = |sensor: &Publisher| arrived() == sensor.acked.iter().cloned().collect();
    publish(&mut sensor, 0);
    wait_until("what came with a signer arrives", 60, || has_all(&sensor));
    // Without its signer the link is made again for as long as the hub resumes the session of TLS that it gave.
    signer.kill_9();
    plant.redial();
    publish(&mut sensor, 100);
    wait_until("what came without a signer arrives", 60, || has_all(&sensor));
    // A new process has none. It starts without a signer, and the sensors get their PUBACKs.
    gateway.kill_9();
    gateway.start();
    publish(&mut sensor, 200);
    let told = "the key unix:";
    wait_until("the reason is told", 30, || gateway.log().contains(told));
    wait_until("and is the link's", 30, || {
        gateway.get("/metrics").is_some_and(|(_, page)| page.contains(told))
    });
    assert_eq!(arrived().len(), 120);
    let mut signer = Signer::start(&plant.key, &plant.socket());
    wait_until("all arrives with the signer", 60, || has_all(&sensor));
    // Beside the state's own line, which comes when the signer is away for longer.
    let told_by_link =
        |log: &str| log.lines().filter(|l| l.contains("disconnected") && l.contains(told)).count();
    assert_eq!(told_by_link(&gateway.log()), 1, "it is told once: {}", gateway.log());
    // The signer stays, and the gateway is killed with messages under way.
    plant.line.cut();
    publish(&mut sensor, 300);
    plant.line.mend();
    gateway.kill_9();
    gateway.start();
    publish(&mut sensor, 400);
    wait_until("all arrives", 60, || has_all(&sensor));
    assert_eq!(sensor.acked.len(), 300);
    assert_eq!(gateway.terminate().0.code(), Some(0));
    signer.kill_9();
}

/// The gateway has one thread for the hub and the sensors. If the handshake blocked it, the PUBACK would come when the signer's time is over, and what
/// is let through then would be too late for the handshake.
#[test]
fn sensors_get_their_pubacks_while_the_signer_hangs() {
    let plant = Plant::new();
    let listener = UnixListener::bind(plant.socket()).unwrap();
    let file = plant.dir().join("token.key");
    fs::write(&file, plant.key.serialize_pem()).unwrap();
    let key = Key::load(&file).unwrap();
    let ((asked, is_asked), (open, gate)) = (mpsc::sync_channel(100), mpsc::sync_channel::<()>(0));
    let signer = std::thread::spawn(move || {
        for caller in listener.incoming() {
            let mut caller = caller.unwrap();
            let (head, message) = read_request(&mut caller).unwrap();
            asked.send(()).unwrap();
            if gate.recv().is_err() {
                return;
            }
            // The gateway may have given up.
            let _ = caller.write_all(&key.answer(head, &message));
        }
    });
    let mut gateway = Gateway::new(plant.dir(), &plant.config());
    gateway.start();
    let mut sensor = Publisher::new(plant.listen, "sensor", 1);
    let mut is_connected = false;
    for n in 0..10 {
        is_asked.recv().unwrap();
        sensor.publish("a", &n.to_string());
        sensor.settle(0, 60);
        open.send(()).unwrap();
        // A busy machine may be late now and then.
        let waited = std::time::Instant::now();
        while !is_connected && waited.elapsed().as_secs() < 2 {
            is_connected = plant.connects("site7") == 1;
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if is_connected {
            break;
        }
    }
    assert!(is_connected, "never in time: {}", gateway.log());
    // Nor is a stop held up. A new process has no session of TLS to resume.
    gateway.kill_9();
    gateway.start();
    is_asked.recv().unwrap();
    assert_eq!(gateway.terminate().0.code(), Some(0));
    drop(open);
    signer.join().unwrap();
}

#[test]
fn a_renewed_certificate_counts_once_the_signer_has_its_key() {
    let plant = Plant::new();
    let mut signer = Signer::start(&plant.key, &plant.socket());
    let mut gateway = Gateway::new(plant.dir(), &plant.config());
    gateway.start();
    let at_hub = Subscriber::start(plant.hub.address, "up/#");
    let mut sensor = Publisher::new(plant.listen, "sensor", 1);
    // A certificate counts as taken with the CONNACK, which comes behind the hub's line.
    let mut carries = |payload: &str| {
        sensor.publish("a", payload);
        sensor.settle(0, 60);
        wait_until("the connection is used", 30, || {
            at_hub.arrived().iter().any(|message| message.payload == payload)
        });
    };
    wait_until("the first", 30, || plant.connects("site7") == 1);
    carries("1");
    plant.authority.certify(plant.dir(), "site7", "same-key", &plant.key);
    plant.redial();
    wait_until("a new certificate of the same key", 30, || plant.connects("same-key") == 1);
    carries("2");
    let key = KeyPair::generate().unwrap();
    plant.authority.certify(plant.dir(), "site7", "other-key", &key);
    plant.redial();
    wait_until("the former one goes on", 30, || plant.connects("same-key") == 2);
    carries("3");
    let told = "TLS files of the link cannot be read again: what was read last of them is used";
    let reason = "the signer's key does not belong to the first certificate";
    assert!(gateway.log().lines().any(|line| line.contains(told) && line.contains(reason)));
    signer.kill_9();
    let _signer = Signer::start(&key, &plant.socket());
    plant.redial();
    wait_until("the signer has its key", 30, || plant.connects("other-key") == 1);
    assert!(!gateway.log().contains("the hub does not take the link's renewed certificate"));
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

#[test]
fn a_listeners_key_can_be_in_a_signer() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Authority::new(dir, "plant");
    let [first, second] = [(); 2].map(|()| KeyPair::generate().unwrap());
    plant.certify(dir, "gateway", "gateway", &first);
    let at = free_port();
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\ntls_listen = \"{at}\"\ncert = \"gateway.crt\"\nkey = \"unix:gateway.sock\"\n\
         [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
        free_port()
    );
    let publishes = || {
        let mut command = mosquitto::command("mosquitto_pub");
        command.args(["-h", "localhost", "-p", &at.port().to_string(), "-q", "1", "-t", "a", "-m", "1"]);
        command.arg("--cafile").arg(dir.join("plant.crt")).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    let mut gateway = Gateway::new(dir, &config);
    gateway.start();
    assert!(!publishes(), "there is no signer");
    wait_until("it is told", 30, || gateway.log().contains("no signer can be reached"));
    let mut signer = Signer::start(&first, &dir.join("gateway.sock"));
    assert!(publishes());
    // The certificate comes before its key.
    plant.certify(dir, "gateway", "gateway", &second);
    wait_until("it is told", 30, || gateway.log().contains("TLS files of the listener stay as they were"));
    assert!(publishes());
    signer.kill_9();
    let _signer = Signer::start(&second, &dir.join("gateway.sock"));
    wait_until("it is in force", 30, || gateway.log().contains("the listener's certificate has changed"));
    assert!(publishes());
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

#[test]
fn check_asks_the_signer_for_the_certificates_key() {
    let plant = Plant::new();
    let file = plant.dir().join("gateway.toml");
    let check = |config: &str| {
        fs::write(&file, config).unwrap();
        let output = Command::new(support::gateway::BINARY).arg("check").arg(&file).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let name = format!("error: hub.key: the key unix:{}: ", plant.socket().display());
    let (code, said) = check(&plant.config());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains(&format!("{name}no signer can be reached: No such file")), "{said}");
    let signer = Signer::start(&plant.key, &plant.socket());
    assert_eq!(check(&plant.config()), (Some(0), String::new()));
    fs::set_permissions(plant.socket(), fs::Permissions::from_mode(0o666)).unwrap();
    let (code, said) = check(&plant.config());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("mode 0666, others may have everything signed: chmod 660"), "{said}");
    drop(signer);
    let _signer = Signer::start(&KeyPair::generate().unwrap(), &plant.socket());
    let (code, said) = check(&plant.config());
    assert!(code == Some(2) && said.contains(&format!("{name}the signer's key does not belong")), "{said}");
    let (code, said) = check(&plant.config().replace("unix:site7.sock", "unix:"));
    assert!(code == Some(2) && said.contains("`unix:` without the path of the signer's socket"), "{said}");
}
