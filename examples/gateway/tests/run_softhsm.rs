#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway` whose private keys are in a token of SoftHSM, behind the signer over PKCS #11, in handshakes with a real Mosquitto and with sensors.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::authority::Authority;
use support::gateway::{BINARY, Gateway};
use support::mosquitto::{Mosquitto, Subscriber, is_served_by_tls};
use support::publisher::Publisher;
use support::relay::Relay;
use support::{free_port, wait_until};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const SIGNER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/signer-pkcs11.py");

/// A token in a folder.
struct Token {
    dir: PathBuf,
}

impl Token {
    fn new(dir: &Path) -> Self {
        fs::create_dir(dir.join("tokens")).unwrap();
        let conf = format!("directories.tokendir = {}\nlog.level = ERROR\n", dir.join("tokens").display());
        fs::write(dir.join("softhsm2.conf"), conf).unwrap();
        let token = Self { dir: dir.to_owned() };
        let init = "--init-token --free --label plant --so-pin 0000 --pin 1234";
        token.run("softhsm2-util", &init.split(' ').collect::<Vec<_>>());
        token
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("SOFTHSM2_CONF", self.dir.join("softhsm2.conf"))
            .env("PIN", "1234")
            .current_dir(&self.dir);
        command.stdout(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output();
        let output =
            output.expect("softhsm2 and opensc are not installed: apt-get install softhsm2 opensc openssl");
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn pkcs11_tool(&self, arguments: &str) {
        let common = ["--module", MODULE, "--token-label", "plant"];
        self.run("pkcs11-tool", &common.into_iter().chain(arguments.split(' ')).collect::<Vec<_>>());
    }

    /// Makes a key in the token, and `NAME.crt` for it, as docs/guide/certificates.md does.
    fn make(&self, (name, id, kind): (&str, &str, &str)) {
        self.pkcs11_tool(&format!(
            "--login --pin 1234 --keypairgen --key-type {kind} --id {id} --label {name}"
        ));
        self.pkcs11_tool(&format!("--read-object --type pubkey --id {id} --output-file {name}.der"));
        let (der, public) = (format!("{name}.der"), format!("{name}.pub"));
        self.run("openssl", &["pkey", "-pubin", "-inform", "DER", "-in", &der, "-out", &public]);
        fs::write(
            self.dir.join("ext"),
            "subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth,serverAuth\n",
        )
        .unwrap();
        let line = format!(
            "x509 -new -force_pubkey {public} -subj /CN={name} -CA plant.crt -CAkey plant.key -days 825 -extfile ext -out {name}.crt"
        );
        self.run("openssl", &line.split(' ').collect::<Vec<_>>());
    }

    /// Starts the signer for a key of the token.
    fn sign(&self, id: &str, socket: &str) -> Signer {
        let mut signer = self.command("python3");
        let child = signer.args([SIGNER, MODULE, "plant", id]).arg(self.dir.join(socket)).spawn().unwrap();
        let signer = Signer(child);
        wait_until("the signer listens", 20, || UnixStream::connect(self.dir.join(socket)).is_ok());
        signer
    }
}

struct Signer(Child);

impl Signer {
    fn kill_9(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Exit code of `check`, and its errors.
fn check(gateway: &Gateway) -> (Option<i32>, String) {
    let mut check = Command::new(BINARY);
    let output = check.arg("check").arg(gateway.dir.join("gateway.toml")).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said.lines().filter(|line| line.starts_with("error: ")).collect())
}

/// A token with two keys, and a hub that asks the gateway for its certificate.
struct Plant {
    token: Token,
    hub: Mosquitto,
    /// Line to the hub's listener with TLS.
    line: Relay,
}

impl Plant {
    fn new(dir: &Path, kind: &str) -> Self {
        let plant = Authority::new(dir, "plant");
        fs::write(dir.join("plant.key"), plant.key_pem()).unwrap();
        plant.sign(dir, "hub", Some("hub"));
        let token = Token::new(dir);
        for key in [("site7", "01", kind), ("sensors", "02", kind)] {
            token.make(key);
        }
        let at_hub = free_port();
        let file = |name: &str| dir.join(name).display().to_string();
        let lines = format!(
            "user root\nlistener {} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\nuse_identity_as_username true",
            at_hub.port(),
            file("plant.crt"),
            file("hub.crt"),
            file("hub.key"),
        );
        Self { token, hub: Mosquitto::start(dir, &lines), line: Relay::start(at_hub) }
    }

    /// Number of connections to the hub with the gateway's certificate.
    fn connects(&self) -> usize {
        fs::read_to_string(self.hub.log_path()).unwrap().matches("u'site7'").count()
    }
}

fn over_kills_of_the_signer(kind: &str) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let plant = Plant::new(dir, kind);
    let (token, listen, secure) = (&plant.token, free_port(), free_port());
    let at_hub = Subscriber::start(plant.hub.address, "up/#");
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\ntls_listen = \"{secure}\"\ncert = \"sensors.crt\"\nkey = \"unix:sensors.sock\"\n\
         [hub]\nurl = \"mqtts://localhost:{}\"\nca = \"plant.crt\"\ncert = \"site7.crt\"\nkey = \"unix:site7.sock\"\n[[route]]\nmatch = \"#\"\nto = \"up/\"\n",
        plant.line.address.port()
    );
    let mut gateway = Gateway::new(dir, &config);
    let (mut signer, _listener) = (token.sign("01", "site7.sock"), token.sign("02", "sensors.sock"));
    assert_eq!(check(&gateway), (Some(0), String::new()));
    gateway.start();
    let mut sensor = Publisher::new(listen, "sensor", 20);
    let publish = |sensor: &mut Publisher, from: usize| {
        (from..from + 60).for_each(|n| sensor.publish("a", &n.to_string()));
        sensor.settle(0, 60);
    };
    let arrived = || {
        let all = at_hub.arrived().into_iter().filter(|one| one.topic == "up/a");
        all.map(|one| one.payload).collect::<BTreeSet<_>>()
    };
    let has_all = |sensor: &Publisher| arrived() == sensor.acked.iter().cloned().collect();
    publish(&mut sensor, 0);
    wait_until("what the token has signed for arrives", 60, || has_all(&sensor));
    assert_eq!(plant.connects(), 1);
    assert!((0..5).all(|_| is_served_by_tls(secure.port(), &dir.join("plant.crt"))), "{}", gateway.log());
    // A new process has no session of TLS to resume.
    signer.kill_9();
    gateway.kill_9();
    gateway.start();
    publish(&mut sensor, 100);
    let told = "site7.sock: no signer can be reached";
    wait_until("the reason is told", 30, || gateway.log().contains(told));
    assert_eq!((arrived().len(), plant.connects(), check(&gateway).0), (60, 1, Some(2)));
    assert!(is_served_by_tls(secure.port(), &dir.join("plant.crt")), "the other signer is there");
    {
        // A signer with another key of the token.
        let _other = token.sign("02", "site7.sock");
        wait_until("the other key is told", 60, || {
            gateway.log().contains("does not fit the first certificate")
        });
        assert!(check(&gateway).1.contains("the signer's key does not belong"), "{:?}", check(&gateway));
        assert_eq!(arrived().len(), 60);
    }
    signer = token.sign("01", "site7.sock");
    wait_until("all arrives with the signer", 60, || has_all(&sensor));
    for n in 0..5 {
        gateway.kill_9();
        gateway.start();
        publish(&mut sensor, 200 + 100 * n);
        wait_until("each process has its handshake signed", 60, || has_all(&sensor));
    }
    assert_eq!(plant.connects(), 7, "{}", gateway.log());
    assert_eq!(sensor.acked.len(), 420);
    assert_eq!(gateway.terminate().0.code(), Some(0));
    signer.kill_9();
}

/// The keys never leave the token: no file has them.
#[test]
#[ignore = "needs softhsm2, opensc and python3: cargo test -p edge-gateway --test run_softhsm -- --ignored"]
fn a_token_signs_handshakes_with_a_hub_and_with_sensors_over_kills_of_its_signer() {
    for kind in ["EC:prime256v1", "rsa:2048"] {
        over_kills_of_the_signer(kind);
        println!("{kind}: 420 messages acknowledged, all arrived");
    }
}
