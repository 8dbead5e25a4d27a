//! A hub of MQTT 3.1.1 alone that shares no code with us, with the manners of those that we have met.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The answer to a CONNECT of MQTT 5.
#[derive(Clone, Copy, Debug)]
pub enum Unknown {
    /// NATS: CONNACK 0x84 in the form of MQTT 5.
    Reason,
    /// aedes: return code 1 in the form of 3.1.1.
    ReturnCode,
    /// RabbitMQ before 3.13: nothing but the end of the connection.
    Close,
}

#[derive(Clone, Copy, Debug)]
pub struct Manners {
    pub unknown: Unknown,
    /// Between CONNECT and CONNACK.
    pub late: Duration,
    /// A PUBLISH at QoS 1 comes before CONNACK.
    pub early_publish: bool,
}

/// Until the process ends.
pub struct ScriptedHub {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    payloads: BTreeSet<Vec<u8>>,
    /// Protocol levels of the CONNECTs.
    levels: Vec<u8>,
}

impl ScriptedHub {
    pub fn start(manners: Manners) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let hub = Self { address, seen: seen.clone() };
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                let seen = seen.clone();
                thread::spawn(move || serve(stream, manners, &seen));
            }
        });
        hub
    }

    pub fn payloads(&self) -> BTreeSet<Vec<u8>> {
        self.seen.lock().unwrap().payloads.clone()
    }

    pub fn levels(&self) -> Vec<u8> {
        self.seen.lock().unwrap().levels.clone()
    }
}

/// An error is the end of the connection.
fn serve(mut stream: TcpStream, manners: Manners, seen: &Mutex<Seen>) -> io::Result<()> {
    let (_, connect) = packet(&mut stream)?;
    let level = connect[6];
    seen.lock().unwrap().levels.push(level);
    if level != 4 {
        return match manners.unknown {
            Unknown::Reason => stream.write_all(&[0x20, 3, 0, 0x84, 0]),
            Unknown::ReturnCode => stream.write_all(&[0x20, 2, 0, 1]),
            Unknown::Close => Ok(()),
        };
    }
    if manners.early_publish {
        stream.write_all(&[0x32, 7, 0, 1, b'x', 0, 9, b'h', b'i'])?;
    }
    thread::sleep(manners.late);
    stream.write_all(&[0x20, 2, 0, 0])?;
    loop {
        let (first, body) = packet(&mut stream)?;
        match first >> 4 {
            3 => {
                let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                seen.lock().unwrap().payloads.insert(body[end + 2..].to_vec());
                stream.write_all(&[0x40, 2, body[end], body[end + 1]])?;
            }
            12 => stream.write_all(&[0xd0, 0])?,
            14 => return Ok(()),
            _ => {}
        }
    }
}

fn packet(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let (first, mut len) = (byte[0], 0);
    for shift in (0..28).step_by(7) {
        stream.read_exact(&mut byte)?;
        len |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body)?;
    Ok((first, body))
}
