//! A scripted hub with the manners of RabbitMQ (3.13 to 4.3), for one session. Of its source, `rabbit_mqtt_processor.erl` and `mc_mqtt.erl`: QoS 1 at most, 16
//! topic aliases, ten messages on their way, packet identifiers that begin anew with each connection, DUP on whatever is delivered again, a
//! Message Expiry Interval that is counted down and sent also where nothing is left of it. As a quorum queue over a failover it delivers again what it
//! had a PUBACK for, and in another order.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::hub::Hub;
use super::ledger::{Answer, Identity, Order};
use super::support::packet::{after_properties, packet as read_packet, suback, text as read_text};
use super::support::publisher::{packet, text};
use super::wire::Published;

/// Its `mqtt.prefetch`.
const ON_THE_WAY_MAX: usize = 10;
/// Session Expiry Interval of a day, Maximum QoS 1, 16 topic aliases, 16 MiB, no shared subscriptions.
const CONNACK: [u8; 17] = [0x11, 0, 1, 0x51, 0x80, 0x24, 1, 0x22, 0, 16, 0x27, 1, 0, 0, 0, 0x2a, 0];
/// Time that a PUBACK takes: the queue behind it syncs on several nodes.
const PUBACK: Duration = Duration::from_millis(10);

/// Treatment of a message whose expiry is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expired {
    /// The queue drops it.
    Dropped,
    /// It is behind one that has not expired, where the queue does not look, and is sent with an interval of 0.
    SentWithNothingLeft,
    /// A planted bug: it is sent with its whole interval, as each message is.
    SentAsNew,
}

struct Waiting {
    order: Order,
    was_sent: bool,
    /// Identifier on this connection.
    packet: Option<u16>,
}

struct State {
    expired: Expired,
    has_session: bool,
    line: Option<TcpStream>,
    /// Number of the connection: what comes on an earlier one is lost on the line.
    connection: usize,
    last_packet: u16,
    queue: Vec<Waiting>,
    /// Commands with a PUBACK.
    acknowledged: Vec<Order>,
    dropped: BTreeSet<String>,
    answers: Vec<Answer>,
    /// PUBACKs of this connection that are kept back; `None`: none is.
    withheld: Option<Vec<u16>>,
}

pub struct Rabbit {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Rabbit {
    pub fn start(expired: Expired) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = State {
            expired,
            has_session: false,
            line: None,
            connection: 0,
            last_packet: 0,
            queue: Vec::new(),
            acknowledged: Vec::new(),
            dropped: BTreeSet::new(),
            answers: Vec::new(),
            withheld: None,
        };
        let hub = Self { address: socket.local_addr().unwrap(), state: Arc::new(Mutex::new(state)) };
        let state = hub.state.clone();
        // The thread that accepts ends with the test's process, those of connections with them.
        std::thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let state = state.clone();
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        hub
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Hub for Rabbit {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn is_subscribed(&self) -> bool {
        self.lock().has_session
    }

    fn send(&self, order: &Order) {
        let mut state = self.lock();
        state.queue.push(Waiting { order: order.clone(), was_sent: false, packet: None });
        state.fill();
    }

    fn acknowledged(&self) -> usize {
        self.lock().acknowledged.len()
    }

    fn is_empty(&self) -> bool {
        self.lock().queue.is_empty()
    }

    fn answers(&self) -> Vec<Answer> {
        self.lock().answers.clone()
    }

    fn dropped(&self) -> BTreeSet<String> {
        self.lock().dropped.clone()
    }

    fn withhold(&self) {
        self.lock().withheld.get_or_insert_default();
    }

    fn hears_while_it_withholds(&self) -> bool {
        true
    }

    fn forget_pubacks_since(&self, count: usize) {
        let mut state = self.lock();
        let forgotten = state.acknowledged.split_off(count);
        state.queue.extend(forgotten.into_iter().map(|order| Waiting {
            order,
            was_sent: true,
            packet: None,
        }));
    }

    fn release(&self) {
        let mut state = self.lock();
        let withheld = state.withheld.take().unwrap_or_default();
        withheld.into_iter().for_each(|id| state.write(&puback(id, 0)));
    }
}

impl State {
    /// A connection that breaks is noticed where it is read.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.line.as_mut().map(|line| line.write_all(bytes));
    }

    /// Begins a connection: what has no PUBACK comes again, the last first.
    fn connected(&mut self, line: TcpStream) -> usize {
        (self.line, self.last_packet) = (Some(line), 0);
        self.connection += 1;
        self.withheld.as_mut().map(Vec::clear);
        self.queue.iter_mut().for_each(|waiting| waiting.packet = None);
        let sent = self.queue.iter().filter(|waiting| waiting.was_sent).count();
        self.queue.sort_by_key(|waiting| !waiting.was_sent);
        self.queue[..sent].reverse();
        let connack = [&[u8::from(self.has_session), 0, CONNACK.len() as u8][..], &CONNACK].concat();
        self.write(&packet(0x20, &connack));
        self.fill();
        self.connection
    }

    /// Sends what waits, as far as the window goes.
    fn fill(&mut self) {
        if self.line.is_none() || !self.has_session {
            return;
        }
        let now = Instant::now();
        let is_over = |order: &Order| order.sent + order.expiry <= now;
        if self.expired == Expired::Dropped {
            let gone =
                self.queue.extract_if(.., |waiting| waiting.packet.is_none() && is_over(&waiting.order));
            self.dropped.extend(gone.map(|waiting| waiting.order.id));
        }
        let on_the_way = self.queue.iter().filter(|waiting| waiting.packet.is_some()).count();
        let mut out = Vec::new();
        for waiting in self.queue.iter_mut().filter(|waiting| waiting.packet.is_none()) {
            if on_the_way + out.len() >= ON_THE_WAY_MAX {
                break;
            }
            self.last_packet += 1;
            waiting.packet = Some(self.last_packet);
            let Waiting { order, was_sent, .. } = waiting;
            let waited = if self.expired == Expired::SentAsNew { Duration::ZERO } else { now - order.sent };
            let left = order.expiry.saturating_sub(waited).as_secs() as u32;
            out.push(publish(order, self.last_packet, std::mem::replace(was_sent, true), left));
        }
        self.write(&out.concat());
    }

    fn acknowledge(&mut self, id: u16) {
        if let Some(at) = self.queue.iter().position(|waiting| waiting.packet == Some(id)) {
            let waiting = self.queue.remove(at);
            self.acknowledged.push(waiting.order);
            self.fill();
        }
    }
}

fn publish(order: &Order, id: u16, is_dup: bool, expiry_s: u32) -> Vec<u8> {
    let mut properties = [&[2][..], &expiry_s.to_be_bytes(), &[8], &text(order.response_topic())].concat();
    if let Some(data) = order.correlation() {
        properties.extend([&[9][..], &text(data)].concat());
    }
    if order.identity == Identity::CmdId {
        properties.extend([&[0x26][..], &text("cmd-id"), &text(&order.id)].concat());
    }
    assert!(properties.len() < 128, "their length is one byte");
    let head = [&text(&order.topic)[..], &id.to_be_bytes(), &[properties.len() as u8]].concat();
    packet(if is_dup { 0x3a } else { 0x32 }, &[&head, &properties, order.id.as_bytes()].concat())
}

fn puback(id: u16, reason: u8) -> [u8; 6] {
    let [high, low] = id.to_be_bytes();
    [0x40, 4, high, low, reason, 0]
}

/// One connection, until either side ends it.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (_, connect) = read_packet(&mut stream)?;
    assert_eq!((connect[6], connect[7] & 2), (5, 0), "MQTT 5, the session goes on");
    let (mut aliases, line) = (HashMap::new(), stream.try_clone().ok()?);
    let connection = state.lock().unwrap().connected(line);
    while let Some((first, body)) = read_packet(&mut stream) {
        if first >> 4 == 3 {
            std::thread::sleep(PUBACK);
        }
        let mut state = state.lock().unwrap();
        if state.connection != connection {
            break;
        }
        match first >> 4 {
            3 => {
                let message = Published::read(first, &body, &mut aliases)?;
                let is_answer = message.topic.starts_with("hmi/answers/");
                if let (true, Some(withheld)) = (is_answer, &mut state.withheld) {
                    withheld.push(message.id);
                } else if message.id != 0 {
                    // Nobody is subscribed to anything else: 0x10.
                    state.write(&puback(message.id, if is_answer { 0 } else { 0x10 }));
                }
                let Published { topic, correlation, payload, .. } = message;
                state.answers.extend(is_answer.then_some(Answer { topic, correlation, payload }));
            }
            4 => state.acknowledge(u16::from_be_bytes([body[0], body[1]])),
            8 => {
                let filter = read_text(after_properties(body.get(2..)?, true)?)?;
                state.write(&suback(&body, true, 1)?);
                state.has_session |= filter == "site7/cmd/#";
                state.fill();
            }
            12 => state.write(&[0xd0, 0]),
            14 => break,
            _ => {}
        }
    }
    None
}
