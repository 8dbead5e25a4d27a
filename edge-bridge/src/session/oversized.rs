//! Messages larger than this client's limit. An MQTT 5 server gets the limit in CONNECT. A 3.1.1 server cannot be told, and would send the
//! message again on every connection, and none after it. So the message's bytes are skipped, the message is acknowledged and lost, and the
//! application gets an event.

use bytes::{Buf, BytesMut};

use super::received_messages::Arrival;
use super::unreleased_qos2::Digest;
use super::{AckHandle, Event, Phase, Role, Session};
use crate::wire::{Ack, Packet, PacketId, PacketType, QoS, ReasonCode, Utf8, Version, frame};

/// A message whose bytes are being skipped.
#[derive(Debug, Clone)]
pub(super) struct Oversized {
    /// Number of its bytes that have not come yet.
    left: usize,
    size: usize,
    topic: Utf8,
    ack: Option<AckHandle>,
}

impl Oversized {
    /// Number of its bytes that have come.
    pub(super) fn received(&self) -> usize {
        self.size - self.left
    }
}

/// Result of a check of the beginning of the receive buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PassedOver {
    /// The buffer begins with a packet that is not too large.
    Nothing,
    /// More bytes of the message must come.
    Part,
    /// The message is skipped to its end.
    Whole,
}

/// Beginning of a PUBLISH of 3.1.1.
struct Head {
    qos: QoS,
    is_dup: bool,
    topic: Utf8,
    packet_id: Option<PacketId>,
}

impl Session {
    /// Skips the bytes of a message that is too large, if the buffer begins with one.
    pub(super) fn pass_over(&mut self, now_ms: u64, buffer: &mut BytesMut) -> PassedOver {
        if self.oversized.is_none() {
            let is_client = matches!(self.role, Role::Client { .. }) && matches!(self.phase, Phase::Open);
            if !is_client || self.version != Version::V311 {
                return PassedOver::Nothing;
            }
            let Some((PacketType::Publish, size)) = frame(buffer) else { return PassedOver::Nothing };
            if size <= self.limits.max_packet_size as usize {
                return PassedOver::Nothing;
            }
            match head(buffer, size) {
                None => return PassedOver::Nothing,
                Some(None) => return PassedOver::Part,
                Some(Some(head)) => self.begin_to_pass_over(now_ms, head, size),
            }
        }
        let Some(oversized) = &mut self.oversized else { return PassedOver::Nothing };
        let part = oversized.left.min(buffer.len());
        buffer.advance(part);
        oversized.left -= part;
        if oversized.left > 0 {
            return PassedOver::Part;
        }
        if let Some(Oversized { size, topic, ack, .. }) = self.oversized.take() {
            self.events.push_back(Event::TooLarge { topic, size, limit: self.limits.max_packet_size });
            if let Some(ack) = ack {
                // It is of this connection.
                let _ = self.ack(now_ms, ack, ReasonCode::SUCCESS);
            }
        }
        PassedOver::Whole
    }

    fn begin_to_pass_over(&mut self, now_ms: u64, head: Head, size: usize) {
        let Head { qos, is_dup, topic, packet_id } = head;
        let digest = (qos == QoS::ExactlyOnce).then(|| Digest::of(&topic, &size.to_be_bytes()));
        let arrival = packet_id.map(|id| (id, self.arrivals.arrive(id, is_dup, digest)));
        let ack = match arrival {
            None | Some((_, Ok(Arrival::Repeated))) => None,
            Some((_, Ok(Arrival::New(handle) | Arrival::PossibleCopy(handle)))) => Some(handle),
            Some((_, Ok(Arrival::TakenIn { handle, .. }))) => Some(handle),
            Some((id, Ok(Arrival::Received))) => {
                self.write_small(now_ms, &Packet::PubRec(Ack::success(id)));
                None
            }
            Some((_, Err(violation))) => return self.violate(now_ms, violation),
        };
        self.oversized = Some(Oversized { left: size, size, topic, ack });
    }
}

/// Reads the beginning of a PUBLISH of `size` bytes. `None` if it is not a valid one, `Some(None)` if more bytes must come.
fn head(buffer: &[u8], size: usize) -> Option<Option<Head>> {
    let first = *buffer.first()?;
    let qos =
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].get(usize::from(first >> 1 & 3)).copied()?;
    // The remaining length ends with the first byte below 128.
    let fixed = 2 + buffer.iter().skip(1).take_while(|byte| **byte >= 128).count();
    let id_bytes = if qos == QoS::AtMostOnce { 0 } else { 2 };
    let mut rest = buffer.get(fixed..)?;
    if rest.len() < 2 {
        return Some(None);
    }
    let topic_bytes = usize::from(rest.get_u16());
    if fixed + 2 + topic_bytes + id_bytes > size {
        return None;
    }
    let Some((topic, mut rest)) =
        rest.split_at_checked(topic_bytes).filter(|(_, rest)| rest.len() >= id_bytes)
    else {
        return Some(None);
    };
    let packet_id = if id_bytes == 0 { None } else { Some(PacketId::new(rest.get_u16())?) };
    let topic = Utf8::try_from(String::from_utf8_lossy(topic).as_ref()).unwrap_or_default();
    Some(Some(Head { qos, is_dup: first & 8 != 0, topic, packet_id }))
}

#[cfg(test)]
mod tests {
    use super::super::{ClientConfig, Input, Output};
    use super::*;
    use crate::wire::Limits;

    const LIMIT: u32 = 1_000;

    fn client(version: Version) -> Session {
        let mut config = ClientConfig::new(Utf8::from_static("site7"));
        config.version = version;
        config.limits = Limits::default().with_max_packet_size(LIMIT);
        let mut session = Session::client(0, 1, config, None);
        let connack: &[u8] = if version == Version::V5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
        receive(&mut session, connack, usize::MAX);
        assert!(session.is_open());
        session
    }

    /// Receives bytes, so many at a time; returns what was written and what was told.
    fn receive(session: &mut Session, bytes: &[u8], at_a_time: usize) -> (Vec<u8>, Vec<String>) {
        let (mut written, mut told, mut buffer) = (Vec::new(), Vec::new(), BytesMut::new());
        for part in bytes.chunks(at_a_time.min(bytes.len())) {
            buffer.extend_from_slice(part);
            session.handle_input(0, Input::Bytes(&mut buffer));
            assert!(buffer.len() < 1_000, "{} bytes are kept", buffer.len());
            while let Some(output) = session.poll_output() {
                match output {
                    Output::Transmit(bytes) => written.extend_from_slice(&bytes),
                    Output::Event(Event::TooLarge { topic, size, limit }) => {
                        told.push(format!("{topic} {size} {limit}"));
                    }
                    Output::Event(Event::Publish { publish, .. }) => told.push(publish.topic.to_string()),
                    Output::Event(_) => {}
                }
            }
        }
        (written, told)
    }

    /// A PUBLISH of 3.1.1.
    fn publish(first: u8, topic: &str, id: u8, payload: usize) -> Vec<u8> {
        let mut rest = vec![0, u8::try_from(topic.len()).unwrap()];
        rest.extend_from_slice(topic.as_bytes());
        if first & 6 != 0 {
            rest.extend_from_slice(&[0, id]);
        }
        rest.resize(rest.len() + payload, b'x');
        let mut bytes = vec![first];
        let mut left = rest.len();
        while left >= 128 {
            bytes.push(u8::try_from(left % 128).unwrap() | 128);
            left /= 128;
        }
        bytes.push(u8::try_from(left).unwrap());
        bytes.append(&mut rest);
        bytes
    }

    #[test]
    fn a_message_that_is_too_large_is_acknowledged_in_its_turn_and_told() {
        for at_a_time in [1, 7, 300, usize::MAX] {
            let mut session = client(Version::V311);
            let bytes = [
                publish(0x30, "a", 0, 3),
                publish(0x32, "big", 5, 5_000),
                publish(0x34, "twice", 6, 200_000),
                publish(0x30, "none", 0, 1_000),
                publish(0x3a, "big", 7, 990),
                publish(0x30, "z", 0, 3),
            ]
            .concat();
            let (written, told) = receive(&mut session, &bytes, at_a_time);
            // The fifth is of 1 000 bytes.
            assert_eq!(told, ["a", "big 5010 1000", "twice 200013 1000", "none 1009 1000", "big", "z"]);
            assert_eq!(written, [0x40, 2, 0, 5, 0x50, 2, 0, 6], "{at_a_time}");
            assert!(session.is_open());
        }
    }

    /// The one before has no PUBACK yet.
    #[test]
    fn its_puback_waits_for_those_before() {
        let mut session = client(Version::V311);
        let mut buffer =
            BytesMut::from(&[publish(0x32, "a", 1, 3), publish(0x32, "big", 2, 5_000)].concat()[..]);
        session.handle_input(0, Input::Bytes(&mut buffer));
        let mut handle = None;
        while let Some(output) = session.poll_output() {
            match output {
                Output::Event(Event::Publish { ack, .. }) => handle = ack,
                Output::Transmit(bytes) => panic!("{bytes:?}"),
                Output::Event(_) => {}
            }
        }
        session.ack(0, handle.unwrap(), ReasonCode::SUCCESS).unwrap();
        let Some(Output::Transmit(bytes)) = session.poll_output() else { panic!("nothing") };
        assert_eq!(bytes[..], [0x40, 2, 0, 1, 0x40, 2, 0, 2]);
    }

    #[test]
    fn a_server_that_was_told_the_limit_is_left() {
        let mut session = client(Version::V5);
        receive(&mut session, &publish(0x32, "big", 5, 5_000), usize::MAX);
        assert!(!session.is_open());
    }

    #[test]
    fn what_is_no_message_is_an_error_as_ever() {
        let mut long_topic = publish(0x30, "big", 0, 1_100);
        long_topic[3..5].fill(0xff);
        for wrong in [publish(0x36, "big", 5, 5_000), publish(0x32, "big", 0, 5_000), long_topic] {
            let mut session = client(Version::V311);
            receive(&mut session, &wrong, usize::MAX);
            assert!(!session.is_open());
        }
    }
}
