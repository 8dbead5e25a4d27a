//! The program as a process, and a subscriber by hand.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "processes and sockets of the world around"
)]

use control_loop::plant::Sensor;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOOKS: u32 = 12_000;

#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

/// Lines as they come, until the last.
fn collect(lines: impl BufRead + Send + 'static) -> Arc<Mutex<String>> {
    let all = Arc::<Mutex<String>>::default();
    let to = all.clone();
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            to.lock().unwrap().push_str(&(line + "\n"));
        }
    });
    all
}

/// `control-loop run --config FILE`; killed when it is dropped.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
}

impl Program {
    pub fn start(file: &std::path::Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_control-loop"));
        command.args(["run", "--config"]).arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let stderr = collect(BufReader::new(child.stderr.take().unwrap()));
        let stdout = collect(stdout);
        let address = line.trim().rsplit(' ').next().unwrap_or_default().parse();
        let address =
            address.unwrap_or_else(|_| panic!("it did not start: {line} {}", stderr.lock().unwrap()));
        Program { child, address, stdout, stderr }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Returns what it printed since it said where it listens.
    pub fn stdout(&self) -> String {
        self.stdout.lock().unwrap().clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes a command until it has its effect: one that waited while the machine stood still is refused, and has to be given again.
#[track_caller]
pub fn command(hand: &mut Sensor, topic: &str, payload: &str, mut is_obeyed: impl FnMut() -> bool) {
    let mut looks = 0;
    until(topic, || {
        // Each five seconds.
        if looks % 1_000 == 0 {
            hand.publish(topic, payload);
        }
        looks += 1;
        is_obeyed()
    });
}

/// Everything that comes for a filter, MQTT 3.1.1 at QoS 0.
#[derive(Clone)]
pub struct Subscriber(Arc<Mutex<Vec<(String, String)>>>);

impl Subscriber {
    pub fn start(broker: SocketAddr, name: &str, filter: &str) -> Self {
        let mut stream = TcpStream::connect(broker).unwrap();
        let body = [text("MQTT"), vec![4, 2, 0, 0], text(name)].concat();
        stream.write_all(&packet(0x10, &body)).unwrap();
        stream.write_all(&packet(0x82, &[vec![0, 1], text(filter), vec![0]].concat())).unwrap();
        let all = Subscriber(Arc::default());
        let to = all.clone();
        let (subscribed, ready) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            while let Some((kind, body)) = read_packet(&mut stream) {
                if kind == 0x90 {
                    subscribed.send(()).unwrap();
                } else if kind & 0xf0 == 0x30 {
                    let len = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    to.0.lock().unwrap().push((said(&body[2..2 + len]), said(&body[2 + len..])));
                }
            }
        });
        ready.recv().unwrap();
        all
    }

    /// Payloads of a topic since the `from`th message of all.
    pub fn since(&self, from: usize, topic: &str) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.iter().skip(from).filter(|said| said.0 == topic).map(|said| said.1.clone()).collect()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub fn last(&self, topic: &str) -> Option<String> {
        self.since(0, topic).pop()
    }
}

/// Subscribes to everything and reads nothing, with two megabytes on its way to it: a panel that hangs.
pub fn deaf(broker: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&packet(0x10, &[text("MQTT"), vec![4, 2, 0, 0], text("deaf")].concat())).unwrap();
    stream.write_all(&packet(0x82, &[vec![0, 1], text("#"), vec![0]].concat())).unwrap();
    assert_eq!(read_packet(&mut stream).map(|(kind, _)| kind), Some(0x20));
    assert_eq!(read_packet(&mut stream).map(|(kind, _)| kind), Some(0x90));
    let mut talker = Sensor::new(broker, "talker");
    for _ in 0..2_000 {
        talker.publish("talk", &"x".repeat(1_000));
    }
    stream
}

/// Connects by MQTT 5 with a will that is due `delay_s` after the end of the connection, and is gone.
pub fn dies(broker: SocketAddr, name: &str, delay_s: u8, topic: &str, payload: &str) {
    let mut stream = TcpStream::connect(broker).unwrap();
    // A session that stays for a minute; the will is at QoS 0.
    let head = [text("MQTT"), vec![5, 0x06, 0, 0, 5, 0x11, 0, 0, 0, 60]].concat();
    let will = [vec![5, 0x18, 0, 0, 0, delay_s], text(topic), text(payload)].concat();
    stream.write_all(&packet(0x10, &[head, text(name), will].concat())).unwrap();
    assert_eq!(read_packet(&mut stream).map(|(kind, body)| (kind, body[1])), Some((0x20, 0)));
}

/// Publishes a retained message by MQTT 3.1.1 at QoS 0, and leaves in order.
pub fn retains(broker: SocketAddr, name: &str, topic: &str, payload: &str) {
    let mut stream = TcpStream::connect(broker).unwrap();
    stream.write_all(&packet(0x10, &[text("MQTT"), vec![4, 2, 0, 0], text(name)].concat())).unwrap();
    assert_eq!(read_packet(&mut stream).map(|(kind, body)| (kind, body[1])), Some((0x20, 0)));
    stream.write_all(&packet(0x31, &[text(topic), payload.as_bytes().to_vec()].concat())).unwrap();
    stream.write_all(&packet(0xe0, &[])).unwrap();
}

fn read_packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let kind = byte[0];
    let (mut len, mut shift) = (0usize, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).ok()?;
    Some((kind, body))
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// Bodies below 128 bytes.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, u8::try_from(body.len()).unwrap()], body].concat()
}
