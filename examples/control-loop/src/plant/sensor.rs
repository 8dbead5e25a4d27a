//! Simulated sensor as found in the field: MQTT 3.1.1 at QoS 0, encoded by hand, without this workspace's code.

#![allow(clippy::disallowed_methods, reason = "a sensor owns a socket")]

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Publisher that reconnects when necessary, and drops readings that it cannot send.
#[derive(Debug)]
pub struct Sensor {
    broker: SocketAddr,
    name: String,
    stream: Option<TcpStream>,
}

impl Sensor {
    /// Creates a sensor that connects at its first reading.
    #[must_use]
    pub fn new(broker: SocketAddr, name: &str) -> Self {
        Sensor { broker, name: name.to_owned(), stream: None }
    }

    /// Publishes at QoS 0. A reading is dropped if there is no connection and none can be made, as real sensors do.
    pub fn publish(&mut self, topic: &str, payload: &str) {
        let packet = packet(0x30, &[text(topic), payload.as_bytes().to_vec()].concat());
        let stream = match self.stream.take() {
            Some(stream) => Some(stream),
            None => self.connect().ok(),
        };
        self.stream = stream.and_then(|mut stream| stream.write_all(&packet).is_ok().then_some(stream));
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&self.broker, Duration::from_millis(100))?;
        // A broker that does not read costs the sensor a moment, not for ever.
        stream.set_write_timeout(Some(Duration::from_millis(100)))?;
        stream.set_nodelay(true)?;
        // Protocol level 4, clean session, no keep alive.
        let body = [text("MQTT"), vec![4, 2, 0, 0], text(&self.name)].concat();
        stream.write_all(&packet(0x10, &body))?;
        Ok(stream)
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let (mut packet, mut left) = (vec![kind], body.len());
    loop {
        let low = (left % 128) as u8;
        left /= 128;
        packet.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            packet.extend_from_slice(body);
            return packet;
        }
    }
}
