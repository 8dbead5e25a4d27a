//! The little of MQTT that a scripted hub needs, sharing no code with us.

use std::io::Read;
use std::net::TcpStream;

/// A PUBLISH.
pub struct Publish {
    /// 0 at QoS 0.
    pub id: u16,
    pub topic: String,
    pub payload: Vec<u8>,
}

impl Publish {
    pub fn read(first: u8, body: &[u8], is_5: bool) -> Option<Self> {
        let topic = text(body)?;
        let mut rest = body.get(2 + topic.len()..)?;
        let mut id = 0;
        if first & 6 != 0 {
            id = u16::from_be_bytes([rest[0], rest[1]]);
            rest = &rest[2..];
        }
        Some(Self { id, topic, payload: after_properties(rest, is_5)?.to_vec() })
    }
}

/// Grants QoS 1 to every filter.
pub fn suback(body: &[u8], is_5: bool, reason: u8) -> Option<Vec<u8>> {
    let mut rest = after_properties(body.get(2..)?, is_5)?;
    let mut out = vec![body[0], body[1]];
    out.extend(is_5.then_some(0));
    while let Some(filter) = text(rest) {
        rest = rest.get(2 + filter.len() + 1..)?;
        out.push(reason);
    }
    Some([vec![0x90, out.len() as u8], out].concat())
}

/// Only MQTT 5 has properties.
pub fn after_properties(bytes: &[u8], is_5: bool) -> Option<&[u8]> {
    if !is_5 {
        return Some(bytes);
    }
    let (length, size) = varint(bytes)?;
    bytes.get(size + length..)
}

pub fn text(bytes: &[u8]) -> Option<String> {
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

/// First byte and body.
pub fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
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
