//! The embedder's view: a crate outside the workspace uses ours by path, and the README's snippets compile and run in it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]
#![allow(clippy::disallowed_methods, reason = "a test starts processes and opens files")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn embedder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/embedder")
}

/// Builds the stranger's crate once with the versions of our own lock file, and returns where its programs are.
fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    fs::copy(root.join("Cargo.lock"), embedder().join("Cargo.lock")).unwrap();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--bins", "--manifest-path"])
        .arg(embedder().join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .unwrap();
    assert!(status.success(), "the embedder's crate does not compile");
    target.join("debug")
}

fn run(program: &Path, arguments: &[&str], says: &str) {
    // `timeout` is in Debian's coreutils: a program that hangs is a failure, not a hanging test.
    let output = Command::new("timeout").arg("60").arg(program).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains(says), "{}: {out}{err}", program.display());
}

/// Ends the process when the test does, however it does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stranger_can_use_all_four_crates() {
    let programs = build();
    run(&programs.join("queue"), &[], "queue: ok");
    run(&programs.join("queue_async"), &[], "queue_async: ok");
    run(&programs.join("filter"), &[], "filter: ok");
    run(&programs.join("codec"), &[], "codec: ok");

    let dir = tempfile::tempdir().unwrap();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, plain_port) = (free(), free());
    let _hub = tls_hub(dir.path(), port, plain_port);
    let path = |name: &str| dir.path().join(name).to_string_lossy().into_owned();
    let url = format!("mqtts://localhost:{port}");
    run(
        &programs.join("bridge"),
        &[&url, &path("ca.pem"), &path("site7.pem"), &path("site7.key")],
        "bridge: ok",
    );
    let url = format!("mqtt://localhost:{plain_port}");
    run(&programs.join("plain_client"), &[&url], "HandedOver\nplain_client: ok");
    run(&programs.join("plain_client"), &[&url, &path("spool")], "plain_client: ok");
}

#[test]
fn the_guide_for_users_of_another_client_shows_the_program_that_runs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let guide = fs::read_to_string(root.join("docs/guide/from-rumqttc.md")).unwrap();
    let shown = guide.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let program = fs::read_to_string(embedder().join("src/bin/plain_client.rs")).unwrap();
    assert!(program.contains(shown), "{shown}");
}

/// A real Mosquitto that wants a client certificate, and none at its other port.
fn tls_hub(dir: &Path, port: u16, plain_port: u16) -> Running {
    certificates(dir);
    let at = |name: &str| dir.join(name).display().to_string();
    let configuration = format!(
        "listener {plain_port} 127.0.0.1\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nrequire_certificate true\n\
         cafile {}\ncertfile {}\nkeyfile {}\n",
        at("ca.pem"),
        at("hub.pem"),
        at("hub.key")
    );
    fs::write(dir.join("mosquitto.conf"), configuration).unwrap();
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let child = Command::new("mosquitto")
        .args(["-c", &at("mosquitto.conf")])
        .env("PATH", path)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("mosquitto is needed: apt-get install -y mosquitto mosquitto-clients");
    let hub = Running(child);
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "mosquitto does not listen on port {port}");
        std::thread::yield_now();
    }
    hub
}

/// A CA, a certificate for `localhost` and one for the client. World-readable: Mosquitto drops root before it reads.
fn certificates(dir: &Path) {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    let write = |name: &str, text: String| {
        fs::write(dir.join(name), text).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o644)).unwrap();
    };
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    // OpenSSL takes a leaf whose subject is its issuer's for a self-signed one.
    ca.distinguished_name.push(DnType::CommonName, "test CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    write("ca.pem", ca.self_signed(&ca_key).unwrap().pem());
    let issuer = Issuer::new(ca, ca_key);
    for (name, host, usage) in [
        ("hub", "localhost", ExtendedKeyUsagePurpose::ServerAuth),
        ("site7", "site7", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
        leaf.distinguished_name.push(DnType::CommonName, name);
        leaf.extended_key_usages = vec![usage];
        write(&format!("{name}.pem"), leaf.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
