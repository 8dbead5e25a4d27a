//! A scripted MQTT 5 hub that shares no code with us: answers each message as the test says, and keeps what it took.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What the hub does with a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// PUBACK with this reason; below 0x80 the hub has the message.
    Ack(u8),
    /// DISCONNECT with this reason, then it closes.
    Disconnect(u8),
    /// It closes without a word.
    Close,
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
    taken: Vec<Taken>,
    sessions: BTreeSet<String>,
    connects: Vec<Instant>,
    /// Closes right after CONNACK.
    kicks: bool,
    packet_max: Option<u32>,
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
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let state = State {
            rule: Box::new(|_, _| Answer::Ack(0)),
            taken: Vec::new(),
            sessions: BTreeSet::new(),
            connects: Vec::new(),
            kicks: false,
            packet_max: None,
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

    /// From the next connection on.
    pub fn limit_packets(&self, bytes: Option<u32>) {
        self.lock().packet_max = bytes;
    }

    /// What an earlier client's subscription left in the session, at QoS 2.
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

    pub fn connects(&self) -> Vec<Instant> {
        self.lock().connects.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// One connection, until either side ends it.
fn serve(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(120))).ok()?;
    while let Some((first, body)) = packet(&mut stream) {
        match first >> 4 {
            1 => {
                let (answer, kicks) = connect(&mut state.lock().unwrap(), &body)?;
                stream.write_all(&answer).ok()?;
                if kicks {
                    return None;
                }
            }
            3 => {
                let (id, topic, payload) = publish(first, &body)?;
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
                }
            }
            // PUBREC of what was left over, then its PUBCOMP.
            5 => stream.write_all(&[0x62, 2, body[0], body[1]]).ok()?,
            7 => state.lock().unwrap().leftover = None,
            8 => stream.write_all(&suback(&body)?).ok()?,
            12 => stream.write_all(&[0xd0, 0]).ok()?,
            14 => return None,
            _ => {}
        }
    }
    None
}

/// CONNACK and whatever follows it at once; whether it closes then.
fn connect(state: &mut State, body: &[u8]) -> Option<(Vec<u8>, bool)> {
    state.connects.push(Instant::now());
    let properties = 10 + 1 + usize::from(*body.get(10)?);
    let client = text(body.get(properties..)?)?;
    let present = !state.sessions.insert(client) && body.get(7)? & 2 == 0;
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

fn publish(first: u8, body: &[u8]) -> Option<(u16, String, Vec<u8>)> {
    let topic = text(body)?;
    let mut rest = body.get(2 + topic.len()..)?;
    let mut id = 0;
    if first & 6 != 0 {
        id = u16::from_be_bytes([rest[0], rest[1]]);
        rest = &rest[2..];
    }
    let (length, bytes) = varint(rest)?;
    Some((id, topic, rest.get(bytes + length..)?.to_vec()))
}

/// Grants QoS 1 to every filter.
fn suback(body: &[u8]) -> Option<Vec<u8>> {
    let (length, bytes) = varint(body.get(2..)?)?;
    let mut rest = body.get(2 + bytes + length..)?;
    let mut out = vec![body[0], body[1], 0];
    while let Some(filter) = text(rest) {
        rest = rest.get(2 + filter.len() + 1..)?;
        out.push(1);
    }
    Some([vec![0x90, out.len() as u8], out].concat())
}

fn text(bytes: &[u8]) -> Option<String> {
    let length = usize::from(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
    Some(String::from_utf8_lossy(bytes.get(2..2 + length)?).into_owned())
}

/// Value and how many bytes it took.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for at in 0..4 {
        let byte = *bytes.get(at)?;
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((value, at + 1));
        }
    }
    None
}

fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut first = [0];
    stream.read_exact(&mut first).ok()?;
    let mut head = Vec::new();
    let length = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
        if let Some((length, _)) = varint(&head) {
            break length;
        }
    };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first[0], body))
}
