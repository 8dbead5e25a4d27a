//! Users and rights beside a real Mosquitto: both brokers read the same password file and the same access list, made at random, and decide alike
//! about every user, topic and access. Promise 12.
#![cfg(all(feature = "access", feature = "net"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test code")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test at the outside of the shell: real processes and sockets"
)]

#[path = "support/random.rs"]
mod random;
mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edge_bridge::access::{AclFile, LoginMemory, Logins, PasswordFile};
use edge_bridge::listener::Access;
use edge_bridge::net::Server;
use edge_bridge::wire::{
    self, Connect, Limits, Packet, PacketId, Properties, Publish, QoS, ReasonCode, Subscribe, Subscription,
    Utf8, Version,
};
use random::Rng;
use support::mosquitto::Mosquitto;

const LISTS: u64 = 6;
/// User, client identifier.
const CLIENTS: [(Option<&str>, &str); 6] = [
    (None, "c0"),
    (Some("ann"), "c1"),
    (Some("bob"), "a/b"),
    (Some("cat"), "c#"),
    (Some("a+"), "c2"),
    (Some("new"), "ann"),
];
/// Line of the user `cat`, whose password is `secret` too, as Mosquitto 1.6 wrote it.
const OLD_LINE: &str = "cat:$6$KCkqKywtLi8wMTIz$p5lXm3hysuxZ8fZ04w9qKDJZCgOro7eP6BcSGUKAsz/MZKqM7MJ2U41y7rBKAcggC0H/Yg696oHDAGL8zk5qVw==\n";
const LEVELS: [&str; 5] = ["a", "b", "ann", "c1", ""];
const DOLLARS: [&str; 3] = ["$x/a", "$SYS/broker/connection/c1/state", "$SYS/broker/uptimes"];

fn text(text: &str) -> Utf8 {
    Utf8::try_from(text).unwrap()
}

/// A client that waits for each answer.
struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Client {
    fn connect(
        address: SocketAddr,
        user: Option<&str>,
        client_id: &str,
        password: &str,
    ) -> Result<Self, ReasonCode> {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Self { stream, buffer: BytesMut::new() };
        client.send(&Packet::Connect(Box::new(Connect {
            is_bridge: false,
            version: Version::V5,
            clean_start: true,
            keep_alive_s: 60,
            client_id: text(client_id),
            will: None,
            username: user.map(text),
            password: user.map(|_| Bytes::copy_from_slice(password.as_bytes())),
            properties: Properties::default(),
        })));
        match client.receive() {
            Packet::ConnAck(ack) if ack.reason.is_error() => Err(ack.reason),
            Packet::ConnAck(_) => Ok(client),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        wire::encode(packet, Version::V5, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    fn receive(&mut self) -> Packet {
        loop {
            if let Some(packet) = wire::decode(&mut self.buffer, Version::V5, &Limits::default()).unwrap() {
                return packet;
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk).unwrap();
            assert!(read > 0, "closed");
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }

    /// Returns whether a message at QoS 1 was taken.
    fn publish(&mut self, topic: &str) -> bool {
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: text(topic),
            packet_id: PacketId::new(1),
            properties: Properties::default(),
            payload: Bytes::from_static(b"x"),
        }));
        match self.receive() {
            Packet::PubAck(ack) => !ack.reason.is_error(),
            other => panic!("{other:?}"),
        }
    }

    fn subscribe(&mut self) {
        let filters = ["#", "$x/#", "$SYS/broker/connection/#"];
        let filters = filters.map(|filter| Subscription::new(text(filter), QoS::AtMostOnce)).to_vec();
        let packet_id = PacketId::new(1).unwrap();
        self.send(&Packet::Subscribe(Subscribe { packet_id, properties: Properties::default(), filters }));
        assert!(matches!(self.receive(), Packet::SubAck(_)));
    }

    /// Topics of what came before the answer to a ping.
    fn topics(&mut self) -> Vec<String> {
        self.send(&Packet::PingReq);
        let mut topics = Vec::new();
        loop {
            match self.receive() {
                Packet::Publish(publish) => topics.push(publish.topic.to_string()),
                Packet::PingResp => return topics,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn topics() -> Vec<String> {
    let two = LEVELS.iter().flat_map(|first| LEVELS.iter().map(move |second| format!("{first}/{second}")));
    let one = LEVELS.iter().filter(|level| !level.is_empty()).map(ToString::to_string);
    two.chain(one).chain(DOLLARS.map(str::to_owned)).collect()
}

/// An access list, with a user `root` who may do everything.
fn access_list(random: &mut Rng) -> String {
    let mut list = String::new();
    let mut lines = |random: &mut Rng, word: &str, levels: &[&str], lines: u64| {
        for _ in 0..lines {
            let access = random.pick(&["", "read ", "write ", "readwrite ", "deny "]);
            let count = 1 + random.below(2);
            let mut filter: Vec<&str> = (0..count).map(|_| random.pick(levels)).collect();
            if random.one_in(3) {
                filter.push("#");
            }
            let filter = filter.join("/");
            let filter = if filter.is_empty() { "a" } else { &filter };
            list.push_str(&format!("{word} {access}{filter}\n"));
        }
    };
    let plain = ["a", "b", "ann", "", "+", "c1"];
    lines(random, "topic", &plain, 3);
    for user in ["ann", "bob", "cat", "a+", "ann"] {
        lines(random, &format!("user {user}\ntopic"), &plain, 2);
    }
    lines(random, "user cat\ntopic", &["$x", "$SYS/broker/connection"], 2);
    lines(random, "pattern", &["%u", "%c", "a", "+", "x%ux", "%", "$SYS/broker/connection"], 4);
    list + "user root\ntopic #\ntopic $x/#\ntopic $SYS/#\n"
}

/// Decisions of the broker at an address: may the client publish to the topic, does it get its messages.
fn decisions(address: SocketAddr) -> BTreeMap<(usize, String), (bool, bool)> {
    let mut decisions = BTreeMap::new();
    for (n, (user, client_id)) in CLIENTS.iter().enumerate() {
        let mut client = Client::connect(address, *user, client_id, "secret").unwrap();
        for topic in topics() {
            let written = client.publish(&topic);
            decisions.insert((n, topic), (written, false));
        }
    }
    let mut root = Client::connect(address, Some("root"), "root", "secret").unwrap();
    let mut readers: Vec<Client> = Vec::new();
    for (user, client_id) in CLIENTS {
        let mut client = Client::connect(address, user, client_id, "secret").unwrap();
        client.subscribe();
        readers.push(client);
    }
    for topic in topics() {
        root.publish(&topic);
    }
    for (n, reader) in readers.iter_mut().enumerate() {
        for topic in reader.topics() {
            decisions.entry((n, topic)).and_modify(|(_, read)| *read = true);
        }
    }
    decisions
}

fn taken_logins(address: SocketAddr) -> Vec<bool> {
    let logins = [
        (Some("ann"), "Secret"),
        (Some("cat"), "Secret"),
        (Some("eve"), "secret"),
        (Some("bob"), ""),
        (Some(""), "guess"),
        (None, ""),
    ];
    logins.iter().map(|(user, password)| Client::connect(address, *user, "x", password).is_ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_rights_are_those_of_mosquitto() {
    let mut random = Rng::new(20_261_125);
    let mut allowed = 0;
    let mut asked = 0;
    for _ in 0..LISTS {
        let dir = tempfile::tempdir().unwrap();
        let users = CLIENTS.iter().filter_map(|(user, _)| *user).chain(["root"]);
        let line = |user| PasswordFile::line(user, b"secret", [7; 12]).unwrap() + "\n";
        let line = |user| if user == "cat" { OLD_LINE.to_owned() } else { line(user) };
        let passwords: String = users.map(line).collect();
        let list = access_list(&mut random);
        let (users, rights) = (dir.path().join("users"), dir.path().join("rights"));
        std::fs::write(&users, &passwords).unwrap();
        std::fs::write(&rights, &list).unwrap();
        let files = format!(
            "max_queued_messages 1000\npassword_file {}\nacl_file {}",
            users.display(),
            rights.display()
        );
        let mosquitto = Mosquitto::start(&files);

        let logins = Logins::new(PasswordFile::parse(&passwords).unwrap(), LoginMemory::new([1; 32]))
            .allow_anonymous(true);
        let access = Access::of(logins).with_rights(AclFile::parse(&list).unwrap());
        let server = Server::builder().access(access).start_observer("127.0.0.1:0", |_, _| {}).await.unwrap();

        let (theirs, ours) = (mosquitto.address(), server.local_addr());
        let both = tokio::task::spawn_blocking(move || {
            ((decisions(theirs), decisions(ours)), (taken_logins(theirs), taken_logins(ours)))
        });
        let ((theirs, ours), logins) = both.await.unwrap();
        for (asked, decided) in &theirs {
            assert_eq!(ours.get(asked), Some(decided), "{:?} of {:?} by\n{list}", asked.1, CLIENTS[asked.0]);
        }
        let expected = vec![false, false, false, false, true, true];
        assert_eq!(logins, (expected.clone(), expected), "an empty name is none");
        asked += 2 * theirs.len();
        allowed += theirs.values().map(|(w, r)| usize::from(*w) + usize::from(*r)).sum::<usize>();
        server.shutdown(Duration::from_secs(1)).await;
    }
    println!("{asked} decisions, {allowed} of them to allow");
    assert!(asked >= 2_000 && allowed > asked / 10 && allowed < asked * 9 / 10, "{allowed} of {asked}");
}
