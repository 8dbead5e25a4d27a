//! The gateway beside Mosquitto, with the files that a user has: passwords by `mosquitto_passwd`, one access list. They decide alike.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::support::free_port;
use crate::support::gateway::Gateway;
use crate::support::mosquitto::{Mosquitto, command};
use crate::support::packet::{packet, text};

/// User name and client identifier.
const CLIENTS: [(&str, &str); 6] =
    [("ann", "c1"), ("bob", "a"), ("cat", "b"), ("dan", "dan"), ("eve", "ann"), ("fay", "c2")];
const LEVELS: [&str; 7] = ["a", "b", "ann", "bob", "c1", "state", ""];

/// Every kind of line that an access list has: for everybody, for a user, by a pattern; each access, and denials before and after a right.
const LIST: &str = "# everybody
topic read a/b
topic write state
topic deny b/state

user ann
topic readwrite ann/#
topic deny ann/b
user bob
topic a/+
topic read #
topic deny bob/state
user cat
topic write +/state
topic read +
topic deny a
user dan
topic deny #
topic a/a
user eve
topic write #
topic read $x/#
# Later lines of a user who had some.
user ann
topic write c1/+

pattern read %u/state
pattern write %c/%u
pattern readwrite state/%c
user root
topic #
topic $x/#
";

/// A client of MQTT 5 that waits for each answer.
struct Client(TcpStream);

impl Client {
    /// Returns the client, or the reason for which it is refused.
    fn connect(at: SocketAddr, user: &str, id: &str, password: &str) -> Result<Self, u8> {
        let mut stream = TcpStream::connect(at).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let head = b"\0\x04MQTT\x05\xc2\0\x3c\0".to_vec();
        let body = [head, field(id), field(user), field(password)].concat();
        stream.write_all(&framed(0x10, &body)).unwrap();
        let (first, body) = packet(&mut stream).unwrap();
        assert_eq!(first, 0x20);
        if body[1] == 0 { Ok(Self(stream)) } else { Err(body[1]) }
    }

    /// Publishes at QoS 1; returns whether it was taken.
    fn publish(&mut self, topic: &str) -> bool {
        self.0.write_all(&framed(0x32, &[field(topic), b"\0\x01\0x".to_vec()].concat())).unwrap();
        let (first, body) = packet(&mut self.0).unwrap();
        assert_eq!(first, 0x40, "{topic}");
        body.get(2).is_none_or(|reason| *reason < 0x80)
    }

    fn subscribe(&mut self, filters: &[&str]) {
        let filters = filters.iter().flat_map(|filter| [field(filter), vec![0]].concat());
        let body: Vec<u8> = b"\0\x01\0".iter().copied().chain(filters).collect();
        self.0.write_all(&framed(0x82, &body)).unwrap();
        assert_eq!(packet(&mut self.0).unwrap().0, 0x90);
    }

    /// Returns the topics of what came before the answer to a PINGREQ.
    fn topics(&mut self) -> Vec<String> {
        self.0.write_all(b"\xc0\0").unwrap();
        let mut topics = Vec::new();
        loop {
            match packet(&mut self.0).unwrap() {
                (0xd0, _) => return topics,
                (0x30, body) => topics.push(text(&body).unwrap()),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Text with its length before it.
fn field(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

/// A packet of fewer than 128 bytes.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    [&[first, body.len() as u8], body].concat()
}

fn topics() -> Vec<String> {
    let two = LEVELS.iter().flat_map(|first| LEVELS.iter().map(move |second| format!("{first}/{second}")));
    let one = LEVELS.iter().filter(|level| !level.is_empty()).map(ToString::to_string);
    two.chain(one).chain(["$x/a".to_owned()]).collect()
}

/// Decisions by user and topic: may the user publish to it, does the user get its messages.
fn decisions(at: SocketAddr) -> BTreeMap<(&'static str, String), (bool, bool)> {
    let mut decisions = BTreeMap::new();
    for (user, id) in CLIENTS {
        let mut client = Client::connect(at, user, id, user).unwrap();
        for topic in topics() {
            let is_taken = client.publish(&topic);
            decisions.insert((user, topic), (is_taken, false));
        }
    }
    let mut readers = Vec::new();
    for (user, id) in CLIENTS {
        let mut reader = Client::connect(at, user, id, user).unwrap();
        reader.subscribe(&["#", "$x/#"]);
        readers.push((user, reader));
    }
    let mut root = Client::connect(at, "root", "root", "root").unwrap();
    for topic in topics() {
        assert!(root.publish(&topic), "{topic}");
    }
    for (user, mut reader) in readers {
        for topic in reader.topics() {
            decisions.entry((user, topic)).and_modify(|(_, is_read)| *is_read = true);
        }
    }
    decisions
}

/// Returns who is let in of those who have no right to it, and the one who has.
fn logins(at: SocketAddr) -> [bool; 5] {
    [("ann", "Ann"), ("ann", ""), ("nobody", "nobody"), ("ann ", "ann"), ("ann", "ann")]
        .map(|(user, password)| Client::connect(at, user, "x", password).is_ok())
}

fn mosquitto_passwd(dir: &Path, user: &str) {
    let file = dir.join("users");
    let mut command = command("mosquitto_passwd");
    command.args(if file.exists() { &["-b"][..] } else { &["-c", "-b"] });
    assert!(command.arg(&file).args([user, user]).output().unwrap().status.success());
}

#[test]
fn a_user_s_files_have_the_same_effect_as_at_mosquitto() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for user in CLIENTS.iter().map(|(user, _)| *user).chain(["root"]) {
        mosquitto_passwd(dir, user);
    }
    fs::write(dir.join("rights"), LIST).unwrap();
    let (users, rights) = (dir.join("users"), dir.join("rights"));
    let lines = format!("password_file {}\nacl_file {}", users.display(), rights.display());
    let mosquitto = Mosquitto::start(dir, &lines);
    let listen = free_port();
    let hub = free_port();
    let mut gateway = Gateway::new(dir, &super::config(listen, hub));
    gateway.start();
    let (theirs, ours) = (decisions(mosquitto.address), decisions(listen));
    for (asked, decided) in &theirs {
        assert_eq!(ours.get(asked), Some(decided), "{asked:?}: may write, may read");
    }
    let count = 2 * theirs.len();
    let allowed: usize = theirs.values().map(|(w, r)| usize::from(*w) + usize::from(*r)).sum();
    println!("{count} decisions, {allowed} of them to allow");
    assert!(count >= 600 && allowed > count / 10 && allowed < count * 9 / 10, "{allowed} of {count}");
    assert_eq!(
        (logins(mosquitto.address), logins(listen)),
        ([false, false, false, false, true], [false, false, false, false, true])
    );
    assert_eq!(gateway.terminate().0.code(), Some(0));
}
