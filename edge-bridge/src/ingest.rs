//! Ingest: the application's decision about each message of a local publisher.
//!
//! The listener (or the client of a local broker) calls an [`Ingest`] with each message; the [PUBACK chain](crate::puback_chain) sends its
//! PUBACK in time.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::bridge::topic_rules::Rules;
use crate::puback_chain::{Group, Ticket};
use crate::row::Row;
use crate::wire::{Properties, PropertyId, QoS, ReasonCode, Utf8, Version};

/// Decides about received messages. Must be pure: no clock, no waiting. It is called on the shell's thread for every message, so that a call
/// should take microseconds. Must not panic: a panic ends the server, whose calls return errors from then on.
pub trait Ingest {
    /// Decides about `message`. Called once per received PUBLISH, in order of arrival per connection.
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer;

    /// Reports the ticket of the message that was just answered; not called for an [absorbed](Answer::Absorb) one. An ingest that
    /// [withholds](Answer::Withhold) PUBACKs needs the ticket to resolve the right one later.
    fn on_ticket(&mut self, _ticket: Ticket) {}

    /// Makes the row to store for `message`, which was just [refused](Answer::Refuse). Override it to mark a repeated message as a possible
    /// duplicate although its DUP flag is not set, as after a restart of this process.
    fn dead_letter(&mut self, message: &Inbound, reason: ReasonCode) -> Row {
        message.dead_letter(reason)
    }

    /// Lane of the queue to which `message`'s rows go. While it is full ([`Listener::set_full_lanes`](crate::listener::Listener::set_full_lanes))
    /// the message waits, and other clients' messages for other lanes do not. A call must not change the ingest's state. `None`, the default, if
    /// the queue has one lane or the lane cannot be determined.
    fn lane(&self, _message: &Inbound) -> Option<u8> {
        None
    }

    /// Version of the division into lanes: another number after a change by which [`lane`](Self::lane) may answer otherwise, such as of routes.
    /// Messages that wait for room in their lane are then asked about again. Called often while messages wait, so it should take next to no time.
    /// Default: always the same.
    fn lanes_version(&self) -> u32 {
        0
    }

    /// Group of the message that was just answered: only messages of one group can make each other superfluous, and a PUBACK that waits for others'
    /// rows waits for those of its group. So a full lane holds up no message of another group. `None`, the default: any message may depend on it,
    /// and it on any.
    fn group(&self) -> Option<Group> {
        None
    }
}

/// Monotonic and wall clock at one moment. New fields come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Up time: milliseconds of a monotonic clock, which no correction of the wall clock changes. Where it begins does not matter.
    pub up_ms: u64,
    /// Milliseconds since the Unix epoch by the wall clock.
    pub wall_ms: i64,
}

/// A received message, with a topic alias replaced by its topic.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inbound {
    /// Client identifier of the publisher; empty if it is not known, as behind a local broker.
    pub client: Utf8,
    /// Address of the publisher's connection, or of the connection that left a will. `None` if the caller did not report it
    /// ([`Listener::accept_from`](crate::listener::Listener::accept_from)), and behind a local broker.
    pub peer: Option<SocketAddr>,
    /// Topic of the message.
    pub topic: Utf8,
    /// Payload of the message. It is a slice of the receive buffer, so copy it to keep it for long.
    pub payload: Bytes,
    /// Properties of the message, with those of one connection only (Topic Alias) removed; empty in 3.1.1.
    pub properties: Properties,
    /// QoS that the message came with.
    pub qos: QoS,
    /// Retain flag that the message came with.
    pub retain: bool,
    /// DUP flag that the message came with. If it is set, the message may have been received before.
    pub dup: bool,
    /// MQTT version of the publisher.
    pub version: Version,
    /// Up time, in milliseconds of `Now::up_ms`, at which the publisher's connection last had no backlog of unread bytes. Bytes read after it may
    /// be as old as that moment, as after this process was suspended. `None` if it is not known: behind a local broker, for wills, and if the
    /// caller does not report it ([`Input::Waiting`](crate::listener::Input::Waiting)).
    pub up_to_date_ms: Option<u64>,
    /// Set if the message is the will of a client whose connection ended. The client wrote it when it connected and cannot take it back, so do
    /// not obey it as a command. Always false behind a local broker, which does not tell wills from other messages.
    pub will: bool,
}

impl Inbound {
    /// Makes a message of `client`, which is not a will, from an unknown address.
    pub fn new(client: Utf8, version: Version, publish: &crate::wire::Publish) -> Self {
        Self {
            client,
            peer: None,
            topic: publish.topic.clone(),
            payload: publish.payload.clone(),
            properties: publish.properties.clone(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            version,
            up_to_date_ms: None,
            will: false,
        }
    }

    /// Subtracts the time for which the message waited before an [`Ingest`] gets it from its Message Expiry Interval (\[MQTT-3.3.2-6\]). One that has
    /// expired keeps 0, so that the queue counts its row, and a reading, which does not expire, is one.
    pub fn age(&mut self, waited_ms: u64) {
        let Some(said_s) = self.properties.u32(PropertyId::MessageExpiryInterval) else { return };
        let left_ms = (u64::from(said_s) * 1000).saturating_sub(waited_ms);
        if waited_ms > 0 {
            let left_s = u32::try_from(left_ms.div_ceil(1000)).unwrap_or(said_s);
            self.properties = self.properties.with_expiry_s(left_s);
        }
    }

    /// Returns the message as a raw row, with topic, payload, QoS, retain flag and DUP unchanged. Its Message Expiry Interval becomes the
    /// row's time to live. Shares no receive buffer.
    pub fn to_row(&self) -> Row {
        let (properties, ttl_ms) = self.properties.handed_on();
        Row {
            qos: self.qos,
            retain: self.retain,
            possible_duplicate: self.dup,
            properties: properties.detached(),
            ttl_ms,
            ..Row::new(self.topic.detached(), Bytes::copy_from_slice(&self.payload))
        }
    }

    /// Returns the row of a message that cannot be used: unchanged, marked with `reason`, and as a possible duplicate if its DUP flag is set.
    /// Shares no receive buffer.
    pub fn dead_letter(&self, reason: ReasonCode) -> Row {
        Row {
            properties: self.properties.detached(),
            dead_letter: Some(reason),
            possible_duplicate: self.dup,
            ..Row::new(self.topic.detached(), Bytes::copy_from_slice(&self.payload))
        }
    }
}

/// Ingest of a plain bridge: makes one raw row of each message that an `out` rule maps, and absorbs the others.
#[derive(Debug, Clone, Default)]
pub struct Forward {
    rules: Rules,
}

impl Forward {
    /// Creates a forwarder with these topic rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules }
    }
}

impl Ingest for Forward {
    fn ingest(&mut self, _now: Now, message: &Inbound) -> Answer {
        let Some(mapped) = self.rules.map_out(&message.topic) else { return Answer::Absorb };
        let qos = message.qos.min(mapped.qos);
        Answer::Store(vec![Row { topic: mapped.topic, qos, ..message.to_row() }])
    }
}

/// Decision about a message. New kinds come only with a breaking release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Push these rows; the PUBACK follows when all of them are safe. No rows is the same as [`Absorb`](Self::Absorb).
    Store(Vec<Row>),
    /// Store nothing, because a filter suppressed the message, it is a duplicate, or no rule wants it. The PUBACK follows when every receipt of
    /// its [group](Ingest::group) that was pending at its arrival, on any connection, is resolved: one of those rows may be the copy that makes
    /// this message superfluous.
    Absorb,
    /// Store these rows, or none, of a message of which a filter still holds a part, and delay its PUBACK. The application resolves the message's
    /// ticket when these rows *and* those made of the held part are safe. The PUBACK follows when every receipt of its group before it, on any
    /// connection, is resolved too, because the filter may have suppressed the held part in the end.
    Withhold(Vec<Row>),
    /// Refuse the message, because it cannot be used. It is stored as a [dead letter](Ingest::dead_letter), then acknowledged with this reason
    /// to an MQTT 5 client ([`PAYLOAD_FORMAT_INVALID`](ReasonCode::PAYLOAD_FORMAT_INVALID) if it cannot be decoded), and without one to a
    /// 3.1.1 client, which could only be disconnected and would send it again. Must be a reason of PUBACK that does not invite a retry: 0x97
    /// (quota exceeded) counts as acknowledged at the publisher, so it must not be used for "later".
    Refuse(ReasonCode),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::topic_rules::Rule;
    use crate::wire::{PropertiesBuilder, Publish, Value};

    #[test]
    fn a_plain_bridge_renames_what_its_rules_take_out() {
        let mut properties = PropertiesBuilder::new();
        properties.push(PropertyId::MessageExpiryInterval, Value::U32(60)).unwrap();
        properties.user("unit", "K").unwrap();
        let publish = Publish {
            dup: true,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: Utf8::from_static("line/1"),
            packet_id: None,
            properties: properties.finish(),
            payload: Bytes::from_static(b"x"),
        };
        let mut forward = Forward::new(Rules::new(vec![Rule::parse("line/# out 1 \"\" site7/").unwrap()]));
        let message = Inbound::new(Utf8::default(), Version::V5, &publish);
        let Answer::Store(rows) = forward.ingest(Now::default(), &message) else { panic!("stored") };
        assert_eq!((rows[0].topic.as_str(), rows[0].ttl_ms), ("site7/line/1", Some(60_000)));
        assert!(rows[0].retain && rows[0].possible_duplicate);
        assert_eq!(rows[0].properties.user_properties().collect::<Vec<_>>(), [("unit", "K")]);
        let other = Inbound { topic: Utf8::from_static("other"), ..message };
        assert_eq!(forward.ingest(Now::default(), &other), Answer::Absorb);
    }

    /// Promise 12: a row counts with its own bytes, and a receive buffer has up to 64 KiB.
    #[test]
    fn a_dead_letter_keeps_no_receive_buffer_alive() {
        let buffer = Bytes::from(b"line/1 nonsense".to_vec());
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Utf8::new(buffer.slice(..6)).unwrap(),
            packet_id: None,
            properties: PropertiesBuilder::new().finish(),
            payload: buffer.slice(7..),
        };
        let message = Inbound::new(Utf8::default(), Version::V5, &publish);
        let letter = message.dead_letter(ReasonCode::PAYLOAD_FORMAT_INVALID);
        drop((message, publish));
        assert!(buffer.is_unique(), "{letter:?}");
        assert_eq!((letter.topic.as_str(), &letter.payload[..]), ("line/1", &b"nonsense"[..]));
    }
}
