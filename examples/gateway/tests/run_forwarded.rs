#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! `edge-gateway run` behind a load balancer that tells from whom connections come.

mod support;

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::{free_port, wait_until};

/// From 192.0.2.7:4660, and a CONNECT of user `u` without a password.
const FORWARDED: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\x0a\0\0\x01\x12\x34\x07\x5b";
const CONNECT: &[u8] = b"\x10\x10\x00\x04MQTT\x04\x82\x00\x00\x00\x01a\x00\x01u";

fn config(listen: SocketAddr, hub: SocketAddr, more: &str) -> String {
    format!(
        "[gateway]\nid = \"gw7\"\nstate = \"state\"\n[local]\nlisten = \"{listen}\"\n{more}\n[hub]\nurl = \"mqtt://{hub}\"\n\
         [[route]]\nmatch = \"#\"\nto = \"up/\"\n"
    )
}

/// A password file that has no user.
fn users(dir: &tempfile::TempDir) -> &'static str {
    fs::write(dir.path().join("users"), "").unwrap();
    "password_file = \"users\"\n"
}

#[test]
fn who_is_refused_is_named_by_the_address_that_a_trusted_proxy_tells() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let listen = free_port();
    let more = format!("{}trusted_proxies = [\"127.0.0.0/8\"]", users(&dir));
    let mut gateway = Gateway::new(dir.path(), &config(listen, hub.address, &more));
    gateway.start();
    let mut proxy = TcpStream::connect(listen).unwrap();
    proxy.write_all(&[FORWARDED, CONNECT].concat()).unwrap();
    wait_until("the client is refused", 30, || gateway.log().contains("of user \"u\" was refused"));
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("of user \"u\" was refused")).unwrap();
    assert!(line.contains("192.0.2.7:4660"), "{line}");
    let mut silent = TcpStream::connect(listen).unwrap();
    silent.write_all(CONNECT).unwrap();
    wait_until("one without a header is told", 30, || {
        gateway.log().contains("does not begin with a PROXY header of version 2 ([local] trusted_proxies)")
    });
    assert_eq!(gateway.terminate().0.code(), Some(0));
}

struct HaProxy(Child);

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts HAProxy before a server, to which it connects from 127.0.0.5.
fn haproxy(dir: &tempfile::TempDir, to: SocketAddr) -> (HaProxy, SocketAddr) {
    let at = free_port();
    let file = dir.path().join("haproxy.cfg");
    let text = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n\
         listen mqtt\n bind {at}\n server edge {to} source 127.0.0.5 send-proxy-v2 check inter 500ms\n"
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new("haproxy");
    command.arg("-f").arg(&file).args(["-db", "-q"]).stdout(Stdio::null()).stderr(Stdio::null());
    (HaProxy(command.spawn().expect("apt-get install haproxy")), at)
}

/// Health checks are the proxy's own, clients have their own address.
#[test]
#[ignore = "needs HAProxy: cargo test -p edge-gateway --test run_forwarded -- --ignored"]
fn clients_behind_haproxy_have_their_own_addresses() {
    let dir = tempfile::tempdir().unwrap();
    let hub = Mosquitto::start(dir.path(), "");
    let at_hub = Subscriber::start(hub.address, "up/#");
    let listen = free_port();
    let more = format!("{}allow_anonymous = true\ntrusted_proxies = [\"127.0.0.5\"]", users(&dir));
    let mut gateway = Gateway::new(dir.path(), &config(listen, hub.address, &more));
    gateway.start();
    let (_haproxy, proxy) = haproxy(&dir, listen);
    let publish = |at: SocketAddr, from: &str, topic: &str, more: &[&str]| {
        let port = at.port().to_string();
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &port, "-A", from, "-q", "1", "-t", topic, "-m", "1"]);
        command.args(more).stderr(Stdio::null()).status().unwrap().success()
    };
    wait_until("HAProxy forwards", 30, || publish(proxy, "127.0.0.9", "a/ready", &[]));
    assert!(publish(listen, "127.0.0.9", "a/direct", &[]), "others need no header");
    wait_until("both are at the hub", 30, || at_hub.arrived().len() >= 2);
    assert!(!publish(proxy, "127.0.0.9", "a/wrong", &["-u", "eve", "-P", "x"]));
    wait_until("who is refused is told", 30, || gateway.log().contains("of user \"eve\" was refused"));
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("of user \"eve\"")).unwrap();
    assert!(line.contains("127.0.0.9:"), "{line}");
    assert!(!log.contains("PROXY header"), "health checks have one: {log}");
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
