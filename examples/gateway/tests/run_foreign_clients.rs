#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! MQTT libraries of others at the gateway's listeners, by TCP and WebSocket, with TLS and without: each goes through the same steps, over a kill -9 of the gateway.

mod foreign_clients;
mod support;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use foreign_clients::{Client, Library, Message, line};
use support::authority::Authority;
use support::gateway::Gateway;
use support::mosquitto::{Mosquitto, Subscriber};
use support::{free_port, wait_until};

/// Lengths around those at which a length field grows, of the payload and of the whole packet.
const SIZES: [usize; 20] = [
    0, 1, 110, 111, 112, 113, 114, 126, 127, 128, 129, 16_366, 16_367, 16_368, 16_369, 16_370, 16_383,
    16_384, 16_385, 100_000,
];

/// Fewer of them, for what is saved with a session: the gateway writes 4 KiB a second, over time.
const SAVED_SIZES: [usize; 7] = [0, 1, 127, 128, 16_383, 16_384, 100_000];

/// Pages from which a browser connects, in turn: more than there are clients of a gateway.
const PAGES: usize = 24;

/// A clean start, and the seconds that a session lasts in MQTT 5.
#[derive(Clone, Copy)]
struct Session(bool, u32);

const CLEAN: Session = Session(true, 0);
const KEPT: Session = Session(false, 3_600);
/// In MQTT 5 alone.
const ENDS_WITH_ITS_CONNECTION: Session = Session(false, 0);

/// A gateway, the clients that it is tried with, and how they come.
struct Site {
    library: Library,
    /// Its program and the first arguments.
    program: Vec<OsString>,
    version: &'static str,
    transport: &'static str,
    gateway: Gateway,
    hub: Mosquitto,
    address: SocketAddr,
    /// Addresses that pages of the panel are loaded from, in turn.
    pages: [SocketAddr; PAGES],
    next_page: AtomicUsize,
    dir: tempfile::TempDir,
}

impl Site {
    /// The hub is away: what comes is on the disk alone.
    fn start(library: Library, program: &[OsString], version: &'static str, transport: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut hub = Mosquitto::start(dir.path(), "");
        hub.kill_9();
        Authority::new(dir.path(), "plant").sign(dir.path(), "gateway", Some("localhost"));
        let [listen, tls_listen, ws_listen, wss_listen] = std::array::from_fn(|_| free_port());
        let pages: [SocketAddr; PAGES] = std::array::from_fn(|_| free_port());
        let origins = pages.map(|page| format!("http://{page}"));
        let config = format!(
            "[gateway]\nid = \"site7\"\n\
             [local]\nlisten = \"{listen}\"\ntls_listen = \"{tls_listen}\"\nws_listen = \"{ws_listen}\"\nwss_listen = \"{wss_listen}\"\n\
             ws_origins = {origins:?}\ncert = \"gateway.crt\"\nkey = \"gateway.key\"\n\
             [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"plant/#\"\nto = \"site7/\"\n",
            hub.address
        );
        let mut gateway = Gateway::new(dir.path(), &config);
        gateway.start();
        let address = match transport {
            "tls" => tls_listen,
            "ws" => ws_listen,
            "wss" => wss_listen,
            _ => listen,
        };
        let next_page = AtomicUsize::new(0);
        Self {
            library,
            program: program.to_vec(),
            version,
            transport,
            gateway,
            hub,
            address,
            pages,
            next_page,
            dir,
        }
    }

    fn command(&self, page: SocketAddr) -> Command {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]);
        command.env("EDGE_PAGE_PORT", page.port().to_string()).env("TMPDIR", self.dir.path());
        command.env("EDGE_AUTHORITY", self.dir.path().join("plant.crt"));
        command
    }

    fn launch(&self, page: SocketAddr, id: &str, session: Session, will: &str) -> Client {
        let (clean, expiry) = (u8::from(session.0).to_string(), session.1.to_string());
        let port = self.address.port().to_string();
        let name = format!("{:?} {} {} {id}", self.library, self.version, self.transport);
        let arguments = [self.version, self.transport, &port, id, &clean, &expiry, will];
        Client::start(&mut self.command(page), &name, &arguments)
    }

    /// One that is connected, to a session that was there or not.
    #[track_caller]
    fn client(&self, id: &str, session: Session, is_resumed: bool) -> Client {
        self.client_with_will(id, session, is_resumed, "-")
    }

    #[track_caller]
    fn client_with_will(&self, id: &str, session: Session, is_resumed: bool, will: &str) -> Client {
        let page = self.pages[self.next_page.fetch_add(1, Ordering::Relaxed) % self.pages.len()];
        let mut client = self.launch(page, id, session, will);
        self.connected(&mut client, is_resumed);
        client
    }

    #[track_caller]
    fn connected(&self, client: &mut Client, is_resumed: bool) {
        let told = client.wait("connected");
        let present = if self.library.tells_session_present() {
            u8::from(is_resumed).to_string()
        } else {
            "?".to_owned()
        };
        assert_eq!(told, format!("connected {present}"), "{}", client.name);
    }

    /// Waits until a text, a topic or payload, is in the file that the gateway keeps clients in.
    fn wait_saved(&self, text: &str) {
        let path = self.gateway.state.join("clients");
        wait_until(&format!("{text} is saved"), 90, || {
            let saved = fs::read(&path).unwrap_or_default();
            saved.windows(text.len()).any(|part| part == text.as_bytes())
        });
    }
}

/// QoS 0, 1 and 2, published and received, and the lower QoS of a subscription.
fn messages_arrive_as_they_were_sent(site: &Site, from: &mut Client) {
    let mut to = site.client("to", CLEAN, false);
    to.subscribe("plant/sent/+", 2);
    for qos in 0..=2 {
        to.subscribe(&format!("plant/at/{qos}"), qos);
        for size in SIZES {
            let message = Message::new(format!("plant/sent/{qos}"), qos, size);
            from.publish(&message);
            assert_eq!(to.message(), message.line(), "{} {qos} {size}", to.name);
        }
        let message = Message::new(format!("plant/at/{qos}"), 2, 100);
        from.publish(&message);
        assert_eq!(to.message(), line(&message.topic, qos, false, &message.bytes()), "{}", to.name);
    }
    to.end();
}

fn a_retained_message_is_for_late_subscribers_until_it_is_cleared(site: &Site, from: &mut Client) {
    for qos in 0..=2 {
        let topic = format!("plant/state/{qos}");
        let state = Message::new(&topic, qos, 128).retained();
        from.publish(&state);
        let mut late = site.client("late", CLEAN, false);
        late.subscribe(&topic, 2);
        assert_eq!(late.message(), state.line(), "{}", late.name);
        from.publish(&Message::new(&topic, qos, 0).retained());
        assert_eq!(late.message(), line(&topic, qos, false, b""), "{}", late.name);
        late.end();
        let mut later = site.client("later", CLEAN, false);
        later.subscribe(&topic, 2);
        let now = Message::new(&topic, 1, 5);
        from.publish(&now);
        assert_eq!(later.message(), now.line(), "{}", later.name);
        later.end();
    }
}

/// Returns the watcher, which shall hear of no other will.
fn a_will_is_of_an_abrupt_end_alone(site: &Site, from: &mut Client) -> Client {
    let mut watcher = site.client("watcher", CLEAN, false);
    watcher.subscribe("plant/will/#", 2);
    drop(site.client_with_will("killed", CLEAN, false, "plant/will/killed"));
    assert_eq!(watcher.message(), line("plant/will/killed", 1, false, b"gone"), "{}", watcher.name);
    site.client_with_will("polite", CLEAN, false, "plant/will/polite").end();
    let last = Message::new("plant/will/last", 1, 10);
    from.publish(&last);
    assert_eq!(watcher.message(), last.line(), "{}", watcher.name);
    watcher
}

/// Sessions over a kill: who left one finds its messages, who was there goes on, and who wanted none has none.
fn sessions_outlive_a_kill(site: &mut Site, from: &mut Client) {
    let mut controls = vec![("brief", CLEAN)];
    if site.version == "5" {
        controls.push(("short", ENDS_WITH_ITS_CONNECTION));
    }
    for (id, session) in [("panel", KEPT)].into_iter().chain(controls.iter().copied()) {
        let mut client = site.client(id, session, false);
        client.subscribe("plant/news/#", 2);
        client.end();
    }
    let mut staying = site.client("staying", KEPT, false);
    staying.subscribe("plant/more/#", 2);
    let mut news: Vec<Message> = Vec::new();
    for size in SAVED_SIZES {
        for qos in [1, 2] {
            news.push(Message::new(format!("plant/news/{}", news.len()), qos, size));
        }
    }
    news.iter().for_each(|message| from.publish(message));
    site.wait_saved(&format!("plant/news/{}", news.len() - 1));
    site.wait_saved("plant/more");
    site.gateway.kill_9();
    from.wait("disconnected");
    staying.wait("disconnected");
    let meanwhile = [1, 2].map(|qos| Message::new(format!("plant/more/meanwhile/{qos}"), qos, 1_000));
    meanwhile.iter().for_each(|message| from.give(message));
    site.gateway.start();
    site.connected(from, true);
    site.connected(&mut staying, true);
    meanwhile.iter().for_each(|_| drop(from.wait("published")));
    let last = Message::new("plant/more/last", 2, 10);
    from.publish(&last);
    staying.is_unsteady = !site.library.stays_at_unknown_pubrel();
    assert_eq!(missing(&meanwhile, &staying.until(&last)), [""; 0], "{}", staying.name);

    let last = Message::new("plant/news/last", 2, 10);
    let mut panel = site.client("panel", KEPT, true);
    panel.is_unsteady = !site.library.stays_at_unknown_pubrel();
    from.publish(&last);
    assert_eq!(missing(&news, &panel.until(&last)), [""; 0], "{}", panel.name);
    for (id, session) in controls {
        let mut client = site.client(id, session, false);
        client.subscribe("plant/news/#", 2);
        from.publish(&last);
        assert_eq!(missing(&news, &client.until(&last)).len(), news.len(), "control {id}");
    }
}

/// Those of the expected messages that did not come. They come in the order of their QoS: one of QoS 2 is some clients' at its PUBREL, behind
/// what came later. One of QoS 1 may come twice in a row, one of QoS 2 not.
fn missing(expected: &[Message], came: &[String]) -> Vec<String> {
    let mut left = Vec::new();
    for qos in [1, 2] {
        let lines = expected.iter().filter(|message| message.qos == qos).map(Message::line);
        let (there, missing): (Vec<_>, Vec<_>) = lines.partition(|line| came.contains(line));
        let is_of_it = |line: &&String| line.split(' ').nth(2) == Some(&qos.to_string());
        let mut came: Vec<_> = came.iter().filter(is_of_it).cloned().collect();
        came.dedup_by(|a, b| qos == 1 && a == b);
        assert_eq!(came, there, "QoS {qos}");
        left.extend(missing);
    }
    left
}

/// What the publisher was told of as published, before the kill and after it, is at the hub when that returns.
fn what_was_published_is_at_the_hub(site: &mut Site, from: &Client) {
    let Site { gateway, hub, .. } = site;
    let at_hub = gateway.paused(|| {
        hub.run();
        Subscriber::start(hub.address, "site7/#")
    });
    let topic = |message: &Message| format!("site7/{}", message.topic);
    let mut left: Vec<_> = from.given.iter().filter(|message| message.qos > 0).collect();
    wait_until("all is at the hub", 60, || {
        let arrived = at_hub.arrived();
        left.retain(|message| {
            !arrived.iter().any(|one| one.topic == topic(message) && one.bytes == message.bytes())
        });
        left.is_empty()
    });
}

/// `ws_origins` names the pages that may connect, and this one is none of them.
fn a_page_of_another_origin_is_not_let_in(site: &Site) {
    let mut stranger = site.launch(free_port(), "stranger", CLEAN, "-");
    stranger.wait("disconnected");
    stranger.wait("disconnected");
    assert!(!stranger.has_told("connected"), "{}", stranger.name);
    assert!(site.gateway.log().contains("no WebSocket with a client"));
}

fn play(library: Library) {
    let program = library.program();
    for version in ["3.1.1", "5"] {
        for transport in library.transports() {
            let start = std::time::Instant::now();
            let mut site = Site::start(library, &program, version, transport);
            if library == Library::MqttJsInChromium {
                a_page_of_another_origin_is_not_let_in(&site);
            }
            let mut from = site.client("from", KEPT, false);
            messages_arrive_as_they_were_sent(&site, &mut from);
            a_retained_message_is_for_late_subscribers_until_it_is_cleared(&site, &mut from);
            let watcher = a_will_is_of_an_abrupt_end_alone(&site, &mut from);
            sessions_outlive_a_kill(&mut site, &mut from);
            what_was_published_is_at_the_hub(&mut site, &from);
            drop(watcher);
            println!("{library:?} {version} {transport}: {:.1} s", start.elapsed().as_secs_f64());
            assert_eq!(site.gateway.terminate().0.code(), Some(0));
        }
    }
}

#[test]
#[ignore = "needs paho-mqtt: cargo test -p edge-gateway --test run_foreign_clients paho -- --ignored"]
fn paho() {
    play(Library::Paho);
}

#[test]
#[ignore = "needs aiomqtt: cargo test -p edge-gateway --test run_foreign_clients aiomqtt -- --ignored"]
fn aiomqtt() {
    play(Library::Aiomqtt);
}

#[test]
#[ignore = "needs gmqtt: cargo test -p edge-gateway --test run_foreign_clients gmqtt -- --ignored"]
fn gmqtt() {
    play(Library::Gmqtt);
}

#[test]
#[ignore = "needs mqtt.js: cargo test -p edge-gateway --test run_foreign_clients mqtt_js_in_node -- --ignored"]
fn mqtt_js_in_node() {
    play(Library::MqttJs);
}

#[test]
#[ignore = "needs mqtt.js and Chromium: cargo test -p edge-gateway --test run_foreign_clients mqtt_js_in_a_page -- --ignored"]
fn mqtt_js_in_a_page() {
    play(Library::MqttJsInChromium);
}

#[test]
#[ignore = "needs rumqttc: cargo test -p edge-gateway --test run_foreign_clients rumqttc -- --ignored"]
fn rumqttc() {
    play(Library::Rumqttc);
}
