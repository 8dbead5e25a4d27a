//! A publisher of MQTT 3.1.1 at QoS 1 that shares no code with us: keeps a window full, repeats with DUP what had no
//! PUBACK when its connection is gone, and knows what was acknowledged.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct Publisher {
    address: SocketAddr,
    name: String,
    window: usize,
    /// User name and password, if it has them.
    pub login: Option<(String, String)>,
    stream: Option<TcpStream>,
    received: Vec<u8>,
    /// By packet identifier.
    unacked: BTreeMap<u16, (String, Vec<u8>)>,
    next_id: u16,
    /// Payloads with their PUBACK.
    pub acked: Vec<String>,
}

impl Publisher {
    pub fn new(address: SocketAddr, name: &str, window: usize) -> Self {
        Self {
            address,
            name: name.to_owned(),
            window,
            login: None,
            stream: None,
            received: Vec::new(),
            unacked: BTreeMap::new(),
            next_id: 0,
            acked: Vec::new(),
        }
    }

    /// Sends when the window has room, reconnecting as often as it takes.
    #[track_caller]
    pub fn publish(&mut self, topic: &str, payload: &str) {
        self.settle(self.window - 1, 60);
        self.next_id = self.next_id % 60_000 + 1;
        self.unacked.insert(self.next_id, (topic.to_owned(), payload.into()));
        let packet = publish(topic, payload.as_bytes(), self.next_id, false);
        self.write(&packet);
    }

    /// Waits until at most `left` are without a PUBACK.
    #[track_caller]
    pub fn settle(&mut self, left: usize, seconds: u64) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while self.unacked.len() > left {
            assert!(Instant::now() < deadline, "{} have no PUBACK after {seconds} s", self.unacked.len());
            self.turn();
        }
    }

    /// Returns what was sent and has no PUBACK yet.
    pub fn waiting(&self) -> usize {
        self.unacked.len()
    }

    /// Returns whether the window has room for another message.
    pub fn has_room(&self) -> bool {
        self.unacked.len() < self.window
    }

    /// Takes what has come, for 20 ms at most; connects if need be.
    pub fn poll(&mut self) {
        self.turn();
    }

    fn turn(&mut self) {
        if self.stream.is_none() && self.connect().is_err() {
            self.stream = None;
            std::thread::sleep(Duration::from_millis(50));
            return;
        }
        let Some(stream) = &mut self.stream else { return };
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) => {
                println!("{}: its connection was ended", self.name);
                self.stream = None;
            }
            Ok(n) => self.received.extend_from_slice(&bytes[..n]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                println!("{} lost its connection: {error}", self.name);
                self.stream = None;
            }
        }
        while let [0x40, 2, high, low, ..] = self.received[..] {
            self.received.drain(..4);
            if let Some((_, payload)) = self.unacked.remove(&u16::from_be_bytes([high, low])) {
                self.acked.push(String::from_utf8(payload).unwrap());
            }
        }
    }

    fn connect(&mut self) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.set_nodelay(true)?;
        let flags = if self.login.is_some() { 0xc0 } else { 0 };
        let mut rest = vec![0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 60];
        rest.extend_from_slice(&text(&self.name));
        if let Some((user, password)) = &self.login {
            rest.extend([text(user), text(password)].concat());
        }
        stream.write_all(&packet(0x10, &rest))?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack)?;
        if connack[3] != 0 {
            return Err(io::Error::other("refused"));
        }
        stream.set_read_timeout(Some(Duration::from_millis(20)))?;
        self.received.clear();
        for (id, (topic, payload)) in &self.unacked {
            stream.write_all(&publish(topic, payload, *id, true))?;
        }
        self.stream = Some(stream);
        Ok(())
    }

    /// Writes a packet; what cannot be written is repeated after the next connect.
    fn write(&mut self, bytes: &[u8]) {
        if self.stream.as_mut().is_some_and(|stream| stream.write_all(bytes).is_err()) {
            self.stream = None;
        }
    }
}

fn publish(topic: &str, payload: &[u8], id: u16, dup: bool) -> Vec<u8> {
    let rest = [text(topic).as_slice(), &id.to_be_bytes(), payload].concat();
    packet(if dup { 0x3a } else { 0x32 }, &rest)
}

/// A string or binary field.
pub fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u16).to_be_bytes(), text].concat()
}

/// A whole packet.
pub fn packet(first: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = rest.len();
    loop {
        let byte = (left % 128) as u8;
        left /= 128;
        out.push(if left > 0 { byte | 0x80 } else { byte });
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(rest);
    out
}
