//! A hub that commands a plant: its requests, the answers that it gets, and local clients of MQTT 3.1.1 that share no code with us.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::gateway::Gateway;
use super::mosquitto::{Mosquitto, Subscriber, command};
use super::packet::{self, Publish};
use super::publisher::{packet, text};
use super::wait_until;

/// Settings of the hub beside the usual ones: every packet is in its log, and it keeps whatever waits for the gateway. With 0, no limit, Mosquitto
/// 2.0.11 closes the connection at each message that it denies.
pub const HUB: &str = "log_type all\nmax_queued_messages 1000000";

/// A command for `mosquitto_pub`, MQTT 5 at QoS 1.
pub struct Request(Vec<String>);

impl Request {
    pub fn new(topic: &str, payload: &str) -> Self {
        Self(Vec::new()).with(&["-t", topic, "-m", payload])
    }

    /// One whose payload is a file's.
    pub fn of_file(topic: &str, file: &Path) -> Self {
        Self(Vec::new()).with(&["-t", topic, "-f", file.to_str().unwrap()])
    }

    pub fn expiry(self, seconds: u32) -> Self {
        self.with(&["-D", "publish", "message-expiry-interval", &seconds.to_string()])
    }

    pub fn id(self, id: &str) -> Self {
        self.with(&["-D", "publish", "user-property", "cmd-id", id])
    }

    pub fn correlation(self, data: &str) -> Self {
        self.with(&["-D", "publish", "correlation-data", data])
    }

    pub fn response(self, topic: &str) -> Self {
        self.with(&["-D", "publish", "response-topic", topic])
    }

    pub fn retained(self) -> Self {
        self.with(&["-r"])
    }

    /// Returns when it has its PUBACK.
    pub fn send(self, hub: SocketAddr) {
        let port = hub.port().to_string();
        let mut command = command("mosquitto_pub");
        let output = command.args(["-p", &port, "-V", "mqttv5", "-q", "1"]).args(self.0).output();
        let output = output.expect("mosquitto_pub is not installed: apt-get install mosquitto-clients");
        assert!(output.status.success() && output.stderr.is_empty(), "mosquitto_pub: {output:?}");
    }

    fn with(mut self, arguments: &[&str]) -> Self {
        self.0.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }
}

/// Answer about a command's end that the hub got.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub topic: String,
    pub correlation: String,
    /// Topic of the command.
    pub command: String,
    pub id: Option<String>,
    /// Without a reason.
    pub is_delivered: bool,
    /// By a loop or an alarm of the gateway.
    pub is_obeyed: bool,
    /// Words of a loop or an alarm that refused; else empty.
    pub why: String,
    /// Empty if it was delivered.
    pub reason: String,
    /// Only of a delivered one.
    pub clients: Option<u64>,
    pub at_ms: u64,
}

/// A reader at the hub of all topics `+/answers/#`.
pub struct Answers(Subscriber);

impl Answers {
    pub fn start(hub: SocketAddr) -> Self {
        Self(Subscriber::with_format(hub, "+/answers/#", "%t\t%D\t%P\t%x"))
    }

    /// In the order in which they came.
    pub fn all(&self) -> Vec<Answer> {
        self.0
            .arrived()
            .into_iter()
            .map(|message| read(message.topic, message.content_type, &message.payload))
            .collect()
    }

    /// Those of this id.
    pub fn of(&self, id: &str) -> Vec<Answer> {
        self.all().into_iter().filter(|answer| answer.id.as_deref() == Some(id)).collect()
    }

    /// The first one of this id.
    #[track_caller]
    pub fn wait(&self, id: &str) -> Answer {
        wait_until(&format!("an answer to {id}"), 30, || !self.of(id).is_empty());
        self.of(id).swap_remove(0)
    }

    /// The first one to a command on this topic.
    #[track_caller]
    pub fn wait_for_topic(&self, command: &str) -> Answer {
        let first = || self.all().into_iter().find(|answer| answer.command == command);
        wait_until(&format!("an answer to {command}"), 30, || first().is_some());
        first().unwrap()
    }
}

/// Keys that an answer has beyond those of its kind are a mistake of the gateway.
fn read(topic: String, correlation: String, payload: &str) -> Answer {
    let answer: serde_json::Value = serde_json::from_str(payload).unwrap();
    let result = answer["result"].as_str().unwrap();
    assert!(["delivered", "obeyed", "refused"].contains(&result), "result {result}");
    let (is_delivered, is_obeyed) = (result == "delivered", result == "obeyed");
    for key in answer.as_object().unwrap().keys() {
        let is_known = match key.as_str() {
            "command" | "result" | "id" | "at" => true,
            "clients" => is_delivered,
            "reason" => result == "refused",
            "why" => answer["reason"] == "not-obeyed",
            _ => false,
        };
        assert!(is_known, "{key} in {payload}");
    }
    let word = |key: &str| answer[key].as_str().map(str::to_owned);
    Answer {
        topic,
        correlation,
        command: word("command").unwrap(),
        id: word("id"),
        is_delivered,
        is_obeyed,
        reason: if result == "refused" { word("reason").unwrap() } else { String::new() },
        why: word("why").unwrap_or_default(),
        clients: is_delivered.then(|| answer["clients"].as_u64().unwrap()),
        at_ms: answer["at"].as_u64().unwrap(),
    }
}

/// A hub, the gateway `g` that it commands, and its answers.
pub struct Plant {
    pub gateway: Gateway,
    pub listen: SocketAddr,
    pub answers: Answers,
    pub hub: Mosquitto,
    pub dir: tempfile::TempDir,
}

impl Plant {
    /// With these tables, subscribed at the hub to what they match.
    pub fn start(tables: &str) -> Self {
        Self::start_after(tables, |_| {}, |hub| hub)
    }

    /// As [`start`](Self::start), after what is done at the hub before, and by the address that leads there.
    pub fn start_after(
        tables: &str,
        before: impl FnOnce(SocketAddr),
        line: impl FnOnce(SocketAddr) -> SocketAddr,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let hub = Mosquitto::start(dir.path(), HUB);
        let answers = Answers::start(hub.address);
        before(hub.address);
        let tables = &format!("{tables}[[route]]\nmatch = \"plant/#\"\nto = \"up/\"\n");
        let (gateway, listen) = Gateway::started(dir.path(), line(hub.address), tables);
        let plant = Self { gateway, listen, answers, hub, dir };
        for filter in tables.lines().filter_map(|line| line.strip_prefix("match = \"site7/")) {
            let end = format!(" site7/{}", filter.trim_end_matches('"'));
            wait_until(&format!("it is subscribed to{end}"), 20, || {
                plant.hub_log().lines().any(|line| line.contains(": g ") && line.ends_with(&end))
            });
        }
        plant
    }

    /// A command of the topics that these tables match.
    #[track_caller]
    pub fn request(&self, topic: &str, payload: &str, expiry_s: u32, id: &str) {
        Request::new(topic, payload).expiry(expiry_s).id(id).send(self.hub.address);
    }

    pub fn ended(&self, result: &str) -> f64 {
        self.gateway.metric(&format!("edge_commands_total{{result=\"{result}\"}}")).unwrap()
    }

    /// PUBACKs that the hub has of the gateway.
    pub fn acknowledged(&self) -> usize {
        self.hub_log().matches("Received PUBACK from g (").count()
    }

    /// Stops the gateway cleanly and returns how many messages the hub's session keeps for it.
    #[track_caller]
    pub fn left_at_hub(&mut self) -> usize {
        wait_until("what came on the last connection is acknowledged", 20, || {
            let log = self.hub_log();
            let last = log.rsplit(" as g (p5").next().unwrap();
            let count = |part: &str| last.matches(part).count();
            count("Sending PUBLISH to g (") == count("Received PUBACK from g (")
        });
        let (status, _) = self.gateway.terminate();
        assert!(status.success(), "{status}");
        kept_for(self.hub.address, "g")
    }

    fn hub_log(&self) -> String {
        std::fs::read_to_string(self.hub.log_path()).unwrap()
    }
}

/// Messages in the session of a client that is not there.
fn kept_for(broker: SocketAddr, client: &str) -> usize {
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(&connect(client, false)).unwrap();
    stream.write_all(&[0xc0, 0]).unwrap();
    let (first, connack) = packet::packet(&mut stream).unwrap();
    assert_eq!((first, &connack[..]), (0x20, &[1, 0][..]), "there is a session");
    let mut messages = 0;
    loop {
        match packet::packet(&mut stream).unwrap().0 {
            0xd0 => return messages,
            first => messages += usize::from(first >> 4 == 3),
        }
    }
}

fn connect(client: &str, is_clean: bool) -> Vec<u8> {
    let head = [0, 4, b'M', b'Q', b'T', b'T', 4, u8::from(is_clean) << 1, 2, 88];
    packet(0x10, &[&head[..], &text(client)].concat())
}

fn subscribe(filter: &str, qos: u8) -> Vec<u8> {
    packet(0x82, &[&[0, 1][..], &text(filter), &[qos]].concat())
}

/// A client that is subscribed at QoS 1 and away, with a session that stays.
pub fn leave_session(broker: SocketAddr, client: &str, filter: &str) {
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(&[connect(client, false), subscribe(filter, 1)].concat()).unwrap();
    assert_eq!(packet::packet(&mut stream).unwrap().0, 0x20);
    assert_eq!(packet::packet(&mut stream).unwrap(), (0x90, vec![0, 1, 1]));
    stream.write_all(&[0xe0, 0]).unwrap();
    // It is away once the other side has closed.
    assert!(packet::packet(&mut stream).is_none());
}

/// A message that a local client got.
#[derive(Clone, Debug)]
pub struct Given {
    pub topic: String,
    pub payload: String,
    pub is_dup: bool,
    /// It came later than this, however late it was read.
    pub not_before: Instant,
}

/// A local subscriber at QoS 1 without a session, which comes again when its connection is gone. Its thread ends with the
/// connection after it is dropped.
pub struct LocalClient {
    state: Arc<ClientState>,
}

/// Time from a message to its PUBACK, by its payload.
type Work = Box<dyn Fn(&str) -> Duration + Send + Sync>;

struct ClientState {
    /// `None`: there is no PUBACK.
    work: Option<Work>,
    given: Mutex<Vec<Given>>,
    stream: Mutex<Option<TcpStream>>,
    is_over: AtomicBool,
    subscriptions: AtomicUsize,
}

impl LocalClient {
    /// Returns once it is subscribed.
    pub fn start(address: SocketAddr, name: &str, filter: &str) -> Self {
        Self::working(address, name, filter, Box::new(|_| Duration::ZERO))
    }

    /// One that takes so long for each command, and reads none meanwhile.
    pub fn working(address: SocketAddr, name: &str, filter: &str, work: Work) -> Self {
        Self::of(address, [connect(name, true), subscribe(filter, 1)].concat(), Some(work))
    }

    /// One that reads and sends no PUBACK.
    pub fn silent(address: SocketAddr, name: &str, filter: &str) -> Self {
        Self::of(address, [connect(name, true), subscribe(filter, 1)].concat(), None)
    }

    /// The same with a session that stays.
    pub fn silent_with_session(address: SocketAddr, name: &str, filter: &str) -> Self {
        Self::of(address, [connect(name, false), subscribe(filter, 1)].concat(), None)
    }

    /// One that is subscribed at QoS 0.
    pub fn at_qos_0(address: SocketAddr, name: &str, filter: &str) -> Self {
        Self::of(address, [connect(name, true), subscribe(filter, 0)].concat(), None)
    }

    fn of(address: SocketAddr, hello: Vec<u8>, work: Option<Work>) -> Self {
        let state = Arc::new(ClientState {
            work,
            given: Mutex::default(),
            stream: Mutex::default(),
            is_over: AtomicBool::new(false),
            subscriptions: AtomicUsize::new(0),
        });
        let thread = state.clone();
        std::thread::spawn(move || {
            while !thread.is_over.load(Ordering::SeqCst) {
                let _ = thread.listen(address, &hello);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let client = Self { state };
        client.wait_for_subscription(1);
        client
    }

    /// Its `count`th connection is subscribed.
    #[track_caller]
    pub fn wait_for_subscription(&self, count: usize) {
        let subscriptions = || self.state.subscriptions.load(Ordering::SeqCst);
        wait_until("the client is subscribed", 20, || subscriptions() >= count);
    }

    pub fn given(&self) -> Vec<Given> {
        self.state.given.lock().unwrap().clone()
    }

    /// In the order in which they came.
    pub fn payloads(&self) -> Vec<String> {
        self.given().into_iter().map(|given| given.payload).collect()
    }
}

impl ClientState {
    /// Of one connection, until it ends.
    fn listen(&self, address: SocketAddr, hello: &[u8]) -> Option<()> {
        let mut stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).ok()?;
        *self.stream.lock().unwrap() = stream.try_clone().ok();
        let mut arrivals = Arrivals::new();
        stream.write_all(hello).ok()?;
        loop {
            let not_before = arrivals.wait(&stream)?;
            let (first, body) = packet::packet(&mut stream)?;
            if first == 0x90 {
                assert!(body[2] <= 1, "it is granted");
                self.subscriptions.fetch_add(1, Ordering::SeqCst);
            }
            if first >> 4 != 3 {
                continue;
            }
            let Publish { id, topic, payload } = Publish::read(first, &body, false)?;
            let payload = String::from_utf8(payload).unwrap();
            let work = self.work.as_ref().map(|work| work(&payload));
            let given = Given { topic, payload, is_dup: first & 8 != 0, not_before };
            self.given.lock().unwrap().push(given);
            if let Some(work) = work {
                arrivals.work(&stream, work)?;
                let [high, low] = id.to_be_bytes();
                stream.write_all(&[0x40, 2, high, low]).ok()?;
            }
        }
    }
}

impl Drop for LocalClient {
    fn drop(&mut self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        if let Some(stream) = self.state.stream.lock().unwrap().take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
