//! `mosquitto_pub` and `mosquitto_sub` against [`Server`] on loopback: promises 1 and 12 with somebody else's MQTT, 3.1.1 and 5.
//!
//! The programs come with the package `mosquitto-clients`; without them these tests fail and say so.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]

mod delivery;
mod receipts;
mod shared;
mod sys;
mod tls;

use std::process::{Output, Stdio};
use std::time::Duration;

use edge_bridge::ingest::Inbound;
use edge_bridge::listener::Event;
use edge_bridge::net::Server;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// For anything: a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(20);
const VERSIONS: [&str; 2] = ["mqttv311", "mqttv5"];

/// A client program, with `PATH` and `/usr/sbin`.
fn program(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    dirs.push("/usr/sbin".into());
    let found = dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file());
    let Some(file) = found else {
        panic!(
            "{name} is not installed (looked in PATH and /usr/sbin): install the package mosquitto-clients"
        );
    };
    let mut command = Command::new(file);
    command.kill_on_drop(true).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

struct Site {
    server: Server,
    seen: mpsc::UnboundedReceiver<Inbound>,
    events: mpsc::UnboundedReceiver<Event>,
}

/// A server that shows every message and acknowledges it at once.
async fn site() -> Site {
    let (tell, seen) = unbounded();
    let (happened, events) = unbounded();
    let server = Server::builder()
        .on_event(move |event, _| happened.send(event.clone()).unwrap_or_default())
        .start_observer("127.0.0.1:0", move |_, message| tell.send(message.clone()).unwrap_or_default())
        .await
        .unwrap();
    Site { server, seen, events }
}

/// Tests see few messages.
fn unbounded<T>() -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
    mpsc::unbounded_channel()
}

fn client(server: &Server, name: &str, version: &str, args: &[&str]) -> Command {
    let mut command = program(name);
    let port = server.local_addr().port().to_string();
    command.args(["-h", "127.0.0.1", "-p", &port, "-V", version]).args(args);
    command
}

async fn publish(server: &Server, version: &str, args: &[&str]) -> Output {
    let out = client(server, "mosquitto_pub", version, args).output();
    timeout(PATIENCE, out).await.expect("mosquitto_pub did not end").unwrap()
}

impl Site {
    async fn pub_ok(&self, version: &str, args: &[&str]) {
        let out = publish(&self.server, version, args).await;
        assert!(out.status.success(), "{version} {args:?}: {out:?}");
    }

    /// Starts a subscriber and waits until it is subscribed.
    async fn sub(&mut self, version: &str, args: &[&str]) -> Child {
        let child = client(&self.server, "mosquitto_sub", version, args).spawn().unwrap();
        self.until(|event| matches!(event, Event::Subscribed { .. })).await;
        child
    }

    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the server ended");
                if wanted(&event) {
                    return event;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("the event did not come")
    }

    async fn gone(&mut self, name: &str) {
        let gone = |event: &Event| matches!(event, Event::Disconnected { client: Some(id), .. } if id.as_str() == name);
        self.until(gone).await;
    }

    async fn seen(&mut self) -> Inbound {
        timeout(PATIENCE, self.seen.recv()).await.expect("no message came").unwrap()
    }
}

async fn lines(child: Child) -> Vec<String> {
    let out = timeout(PATIENCE, child.wait_with_output()).await.expect("mosquitto_sub did not end").unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}
