//! A scripted hub that shares no code with us: answers each message as the test says, and keeps what it took. It speaks
//! MQTT 5, or 3.1.1 alone with the manners of those that we have met.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::packet::{Publish, after_properties, packet, suback, text};

/// The hub's treatment of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// PUBACK with this reason; below 0x80 the hub has the message.
    Ack(u8),
    /// DISCONNECT with this reason, then it closes.
    Disconnect(u8),
    /// It closes without a word.
    Close,
    /// No answer to this message.
    Silent,
}

/// Answer of a hub of 3.1.1 to a CONNECT of MQTT 5.
#[derive(Clone, Copy, Debug)]
pub enum Unknown {
    /// NATS: CONNACK 0x84 in the form of MQTT 5.
    Reason,
    /// aedes: return code 1 in the form of 3.1.1.
    ReturnCode,
    /// RabbitMQ before 3.13: nothing but the end of the connection.
    Close,
}

/// A hub of 3.1.1.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    pub unknown: Unknown,
    /// Between CONNECT and CONNACK.
    pub late: Duration,
    /// A PUBLISH at QoS 1 comes before CONNACK.
    pub early_publish: bool,
}

/// A message that the hub acknowledged.
#[derive(Clone, Debug)]
pub struct Taken {
    pub topic: String,
    pub payload: String,
    pub at: Instant,
}

type Rule = Box<dyn FnMut(&str, &[u8]) -> Answer + Send>;

struct State {
    rule: Rule,
    /// 3.1.1 alone.
    manners: Option<Manners>,
    taken: Vec<Taken>,
    sessions: BTreeSet<String>,
    /// Time and protocol level of each CONNECT.
    connects: Vec<(Instant, u8)>,
    /// Keeps no session.
    forgets: bool,
    /// Closes right after CONNACK.
    kicks: bool,
    packet_max: Option<u32>,
    refuses_subscriptions: bool,
    /// Sent after CONNACK at QoS 2; emptied by its PUBCOMP.
    leftover: Option<(u16, String)>,
}

pub struct Hub {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// Takes everything until it is told otherwise.
    pub fn start() -> Self {
        Self::of(None)
    }

    pub fn of_3_1_1(manners: Manners) -> Self {
        Self::of(Some(manners))
    }

    fn of(manners: Option<Manners>) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = State {
            rule: Box::new(|_, _| Answer::Ack(0)),
            manners,
            taken: Vec::new(),
            sessions: BTreeSet::new(),
            connects: Vec::new(),
            forgets: false,
            kicks: false,
            packet_max: None,
            refuses_subscriptions: false,
            leftover: None,
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

    pub fn answer(&self, rule: impl FnMut(&str, &[u8]) -> Answer + Send + 'static) {
        self.lock().rule = Box::new(rule);
    }

    pub fn kick(&self, kicks: bool) {
        self.lock().kicks = kicks;
    }

    /// From now on it keeps no session.
    pub fn forget_sessions(&self) {
        self.lock().forgets = true;
    }

    /// From the next connection on.
    pub fn limit_packets(&self, bytes: Option<u32>) {
        self.lock().packet_max = bytes;
    }

    /// Not authorised, each of them.
    pub fn refuse_subscriptions(&self) {
        self.lock().refuses_subscriptions = true;
    }

    /// Leaves a message of an earlier client's subscription in the session, at QoS 2.
    pub fn leave_over(&self, topic: &str) {
        self.lock().leftover = Some((7, topic.to_owned()));
    }

    pub fn is_worked_off(&self) -> bool {
        self.lock().leftover.is_none()
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.lock().taken.clone()
    }

    /// Different payloads of a topic that it has.
    pub fn count(&self, topic: &str) -> usize {
        let state = self.lock();
        let own: BTreeSet<&str> =
            state.taken.iter().filter(|t| t.topic == topic).map(|t| t.payload.as_str()).collect();
        own.len()
    }

    /// Different payloads of all topics.
    pub fn payloads(&self) -> BTreeSet<String> {
        self.lock().taken.iter().map(|taken| taken.payload.clone()).collect()
    }

    pub fn connects(&self) -> Vec<Instant> {
        self.lock().connects.iter().map(|(at, _)| *at).collect()
    }

    /// Protocol levels of the CONNECTs.
    pub fn levels(&self) -> Vec<u8> {
        self.lock().connects.iter().map(|(_, level)| *level).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// One connection, until either side ends it.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(120))).ok()?;
    let (_, body) = packet(&mut stream)?;
    let is_5 = greet(&mut stream, state, &body)?;
    while let Some((first, body)) = packet(&mut stream) {
        match first >> 4 {
            3 => {
                let Publish { id, topic, payload } = Publish::read(first, &body, is_5)?;
                let answer = {
                    let mut state = state.lock().unwrap();
                    let answer = (state.rule)(&topic, &payload);
                    if matches!(answer, Answer::Ack(..0x80)) {
                        let payload = String::from_utf8_lossy(&payload).into_owned();
                        state.taken.push(Taken { topic, payload, at: Instant::now() });
                    }
                    answer
                };
                let [high, low] = id.to_be_bytes();
                match answer {
                    Answer::Ack(0) => stream.write_all(&[0x40, 2, high, low]).ok()?,
                    Answer::Ack(reason) => stream.write_all(&[0x40, 3, high, low, reason]).ok()?,
                    Answer::Disconnect(reason) => {
                        stream.write_all(&[0xe0, 1, reason]).ok()?;
                        return None;
                    }
                    Answer::Close => return None,
                    Answer::Silent => {}
                }
            }
            // PUBREC of what was left over, then its PUBCOMP.
            5 => stream.write_all(&[0x62, 2, body[0], body[1]]).ok()?,
            7 => state.lock().unwrap().leftover = None,
            8 => {
                let reason = if state.lock().unwrap().refuses_subscriptions { 0x87 } else { 1 };
                stream.write_all(&suback(&body, is_5, reason)?).ok()?;
            }
            12 => stream.write_all(&[0xd0, 0]).ok()?,
            14 => return None,
            _ => {}
        }
    }
    None
}

/// Answers the CONNECT. `None`: the connection ends. Returns whether it speaks MQTT 5.
fn greet(stream: &mut TcpStream, state: &Mutex<State>, body: &[u8]) -> Option<bool> {
    let level = *body.get(6)?;
    let manners = {
        let mut state = state.lock().unwrap();
        state.connects.push((Instant::now(), level));
        state.manners
    };
    match manners {
        None => {
            let (answer, kicks) = connack(&mut state.lock().unwrap(), body)?;
            stream.write_all(&answer).ok()?;
            (!kicks).then_some(true)
        }
        Some(Manners { unknown, .. }) if level != 4 => {
            let answer: &[u8] = match unknown {
                Unknown::Reason => &[0x20, 3, 0, 0x84, 0],
                Unknown::ReturnCode => &[0x20, 2, 0, 1],
                Unknown::Close => &[],
            };
            stream.write_all(answer).ok()?;
            None
        }
        Some(Manners { late, early_publish, .. }) => {
            if early_publish {
                stream.write_all(&[0x32, 7, 0, 1, b'x', 0, 9, b'h', b'i']).ok()?;
            }
            std::thread::sleep(late);
            stream.write_all(&[0x20, 2, 0, 0]).ok()?;
            Some(false)
        }
    }
}

/// CONNACK of MQTT 5 and whatever follows it at once; whether it closes then.
fn connack(state: &mut State, body: &[u8]) -> Option<(Vec<u8>, bool)> {
    let client = text(after_properties(body.get(10..)?, true)?)?;
    let is_known = !state.sessions.insert(client) && !state.forgets;
    let present = is_known && body.get(7)? & 2 == 0;
    let properties = state.packet_max.map_or(Vec::new(), |max| [&[0x27][..], &max.to_be_bytes()].concat());
    let mut out = vec![0x20, 3 + properties.len() as u8, u8::from(present), 0, properties.len() as u8];
    out.extend(properties);
    if let Some((id, topic)) = state.leftover.as_ref().filter(|_| !state.kicks) {
        let rest =
            [&(topic.len() as u16).to_be_bytes(), topic.as_bytes(), &id.to_be_bytes(), &[0], b"left over"]
                .concat();
        out.extend([0x34, rest.len() as u8]);
        out.extend(rest);
    }
    Some((out, state.kicks))
}
