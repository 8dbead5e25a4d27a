#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    missing_docs,
    reason = "test code"
)]
//! Test suites of others, played to `edge-gateway run`: Mosquitto's packet scripts and Paho's test of MQTT 5 servers.

mod choices;
mod paho;
mod scripts;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use choices::worse;
use scripts::{Script, Step, packet};
use support::gateway::Gateway;
use support::hub::Hub;
use support::mosquitto::Mosquitto;

/// Checkout of `eclipse-mosquitto/mosquitto`.
const SOURCE: &str = "MOSQUITTO_SOURCE";

/// Scripts of a version, by which it is known, and those of them that were to the byte when this was last run.
const RECORDED: [(usize, usize); 2] = [(1_826, 1_069), (1_483, 979)];

/// Time in which an answer that a script wants has to begin at the gateway, also on a machine that stands still for seconds.
const ANSWER: Duration = Duration::from_secs(10);

/// The scripts' own limit. Mosquitto has no more: it is silent where it does not know an answer, and nothing fails for it. The rest of an answer comes in it, too.
const LIMIT: Duration = Duration::from_secs(2);

/// Time in which a connection that is not closed has to answer a PINGREQ. Beyond it the peer hangs.
const HANG: Duration = Duration::from_secs(10);

/// Time in which a packet that no script wants arrives before the connection's end.
const STRAY: Duration = Duration::from_millis(50);

const PINGREQ: &[u8] = b"\xc0\0";
const PINGRESP: &[u8] = b"\xd0\0";

/// Difference to what a script wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// The packet that is wanted, but for one byte of it: wanted and got.
    Reason(u8, u8),
    /// Another packet, or one where none is wanted.
    Packet(String),
    /// Closed instead of an answer.
    Closed,
    /// Open instead of closed: a PINGREQ is answered.
    Open,
    /// No answer, and a PINGREQ is answered.
    Silent,
    /// No answer at all.
    Hang,
}

type Reaction = Result<(), Difference>;

struct Client {
    stream: TcpStream,
    /// Time in which an answer has to begin.
    answer: Duration,
}

impl Client {
    fn connect(server: SocketAddr, answer: Duration) -> Self {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer }
    }

    /// Sends. A server that has closed already is found at the next read.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Reads so many bytes, fewer if the connection ends or the time is over. Returns them, and whether the connection ended.
    fn read(&mut self, count: usize, within: Duration) -> (Vec<u8>, bool) {
        let deadline = Instant::now() + within;
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (bytes, false);
            }
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut part = vec![0; count - bytes.len()];
            match self.stream.read(&mut part) {
                Ok(0) => return (bytes, true),
                Ok(size) => bytes.extend(&part[..size]),
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(_) => return (bytes, true),
            }
        }
        (bytes, false)
    }

    fn expect(&mut self, wanted: &[u8]) -> Reaction {
        let (mut got, has_ended) = self.read(1, self.answer);
        if got.is_empty() {
            return Err(if has_ended {
                Difference::Closed
            } else {
                self.look(Difference::Silent, &hex(wanted))
            });
        }
        got.extend(self.read(wanted.len() - 1, LIMIT).0);
        if got == wanted {
            return Ok(());
        }
        got.extend(self.read(64, STRAY).0);
        let others: Vec<_> = wanted.iter().zip(&got).filter(|(wanted, got)| wanted != got).collect();
        Err(match others[..] {
            [(wanted_byte, byte)] if got.len() == wanted.len() => Difference::Reason(*wanted_byte, *byte),
            _ => Difference::Packet(format!("{} for {}", hex(&got), hex(wanted))),
        })
    }

    fn expect_end(&mut self) -> Reaction {
        match self.read(64, STRAY) {
            (got, true) if got.is_empty() => Ok(()),
            (got, _) if !got.is_empty() => Err(Difference::Packet(format!("{} for an end", hex(&got)))),
            _ => match self.look(Difference::Open, "an end") {
                Difference::Closed => Ok(()),
                other => Err(other),
            },
        }
    }

    /// Asks a server that says nothing. Returns `alive` if it answers. What is `wanted` may also have been late.
    fn look(&mut self, alive: Difference, wanted: &str) -> Difference {
        self.send(PINGREQ);
        match self.read(2, HANG) {
            (got, _) if got == PINGRESP => alive,
            (got, true) if got.is_empty() => Difference::Closed,
            (got, _) if got.is_empty() => Difference::Hang,
            (got, _) => {
                let got = [got, self.read(64, STRAY).0].concat();
                let got = got.strip_suffix(PINGRESP).unwrap_or(&got);
                Difference::Packet(format!("{} for {wanted}", hex(got)))
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns whether a client is served: CONNECT, PINGREQ, DISCONNECT of 3.1.1.
fn serves(server: SocketAddr, id: &str) -> bool {
    let Ok(stream) = TcpStream::connect(server) else { return false };
    let mut client = Client { stream, answer: HANG };
    let head = b"\0\x04MQTT\x04\x02\0\x3c\0";
    client.send(&packet(0x10, &[head, &[id.len() as u8][..], id.as_bytes()].concat()));
    client.send(PINGREQ);
    let answers = client.read(6, HANG).0;
    client.send(b"\xe0\0");
    answers == b"\x20\x02\0\0\xd0\0"
}

fn publish(server: SocketAddr, topic: &str, payload: &str, qos: u8, retain: bool) {
    let mut client = Client::connect(server, HANG);
    client.send(b"\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06helper");
    client.expect(b"\x20\x02\0\0").unwrap();
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.bytes());
    body.extend(if qos > 0 { &[0, 1][..] } else { &[] });
    body.extend(payload.bytes());
    client.send(&packet(0x30 | qos << 1 | u8::from(retain), &body));
    match qos {
        0 => {}
        1 => client.expect(b"\x40\x02\0\x01").unwrap(),
        _ => {
            client.expect(b"\x50\x02\0\x01").unwrap();
            client.send(b"\x62\x02\0\x01");
            client.expect(b"\x70\x02\0\x01").unwrap();
        }
    }
}

fn play(server: SocketAddr, script: &Script, answer: Duration) -> Reaction {
    let mut client = Client::connect(server, answer);
    if script.connects {
        client.send(&script.connect());
        client.stream.set_read_timeout(Some(HANG)).unwrap();
        // Beyond the reason code are the properties, which are each server's own.
        let connack = support::packet::packet(&mut client.stream).expect("a CONNACK");
        assert_eq!((connack.0, connack.1[1]), (0x20, 0), "{}", script.name);
    }
    let mut reaction = Ok(());
    for step in &script.steps {
        match step {
            Step::Send(bytes) => client.send(bytes),
            // The rest is sent all the same: it takes retained messages back.
            Step::Receive(wanted) => reaction = reaction.and_then(|()| client.expect(wanted)),
            Step::Publish { topic, payload, qos, retain } => publish(server, topic, payload, *qos, *retain),
        }
    }
    reaction?;
    if script.ends {
        return client.expect_end();
    }
    client.send(PINGREQ);
    client.expect(PINGRESP)
}

/// Plays all scripts. Returns each reaction. `after` is told the name of each.
fn play_all(
    server: SocketAddr,
    scripts: &[Script],
    answer: Duration,
    mut after: impl FnMut(&str),
) -> Vec<Reaction> {
    let played = scripts.iter().map(|script| {
        let reaction = play(server, script, answer);
        after(&script.name);
        reaction
    });
    played.collect()
}

fn summary(of: &str, reactions: &[Reaction]) -> usize {
    let mut counts = BTreeMap::<_, usize>::new();
    for difference in reactions.iter().filter_map(|reaction| reaction.as_ref().err()) {
        let kind = match difference {
            Difference::Packet(_) => "another packet".to_owned(),
            other => format!("{other:?}"),
        };
        *counts.entry(kind).or_default() += 1;
    }
    let exact = reactions.iter().filter(|reaction| reaction.is_ok()).count();
    println!("{of}: {exact} of {} to the byte; else {counts:?}", reactions.len());
    exact
}

/// A gateway that sends everything to a hub, and takes clients of every version at the address.
fn gateway(dir: &tempfile::TempDir) -> (Gateway, Hub, SocketAddr) {
    let (hub, listen) = (Hub::start(), support::free_port());
    let config = format!(
        "[gateway]\nid = \"g\"\n[local]\nlisten = \"{listen}\"\naccept_mqtt_3_1 = true\n\
         [hub]\nurl = \"mqtt://{}\"\n[[route]]\nmatch = \"#\"\n",
        hub.address
    );
    let mut gateway = Gateway::new(dir.path(), &config);
    gateway.start();
    (gateway, hub, listen)
}

#[test]
#[ignore = "needs Mosquitto's sources: MOSQUITTO_SOURCE=DIR cargo test -p edge-gateway --test run_packet_suites -- --ignored"]
fn mosquittos_packet_scripts_find_no_crash_no_hang_and_nothing_worse_than_at_mosquitto() {
    let source = std::env::var_os(SOURCE).unwrap_or_else(|| {
        panic!("{SOURCE} has to name a checkout: git clone https://github.com/eclipse-mosquitto/mosquitto")
    });
    let scripts = Script::all(Path::new(&source));
    let dir = tempfile::tempdir().unwrap();
    let (mut gateway, _hub, listen) = gateway(&dir);
    let ours = play_all(listen, &scripts, ANSWER, |name| {
        assert!(serves(listen, "good"), "not served after {name}");
    });
    assert!(gateway.terminate().0.success());
    assert!(!gateway.log().contains("panic"), "{}", gateway.log());

    let mut mosquitto = Mosquitto::start(dir.path(), "");
    let (at, mut crashes) = (mosquitto.address, 0);
    let theirs = play_all(at, &scripts, LIMIT, |_| {
        if !serves(at, "good") {
            crashes += 1;
            mosquitto.crash();
        }
    });
    println!("Mosquitto crashed {crashes} times");
    let (exact, at_mosquitto) = (summary("gateway", &ours), summary("Mosquitto", &theirs));
    let hanging: Vec<_> =
        scripts.iter().zip(&ours).filter(|(_, ours)| **ours == Err(Difference::Hang)).collect();
    let hanging: Vec<&str> = hanging.iter().map(|(script, _)| &script.name[..]).collect();
    assert!(hanging.is_empty(), "hangs: {hanging:?}");
    let worse = worse(&scripts, &ours, &theirs);
    assert!(worse.is_empty(), "worse than Mosquitto:\n{}", worse.join("\n"));
    let recorded = RECORDED.iter().find(|(count, _)| *count == scripts.len());
    let least = recorded.map_or(at_mosquitto, |(_, exact)| *exact);
    assert!(exact >= least, "{exact} to the byte, {least} were");
}
