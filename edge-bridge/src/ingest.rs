//! The application's part of the way in: what to do with a message that a local publisher sent.
//!
//! The listener (or the client of a local broker) asks an [`Ingest`]; what becomes of the PUBACK is the [PUBACK chain](crate::puback_chain)'s
//! business.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::bridge::rules::Rules;
use crate::puback_chain::Ticket;
use crate::row::Row;
use crate::wire::{Properties, QoS, ReasonCode, Utf8, Version};

/// Decides about received messages. Pure: no clock, no waiting; called on the shell's thread for every message, so a call should take
/// microseconds.
pub trait Ingest {
    /// Decides about `message`. Called once per received PUBLISH, in order of arrival per connection.
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer;

    /// The message that was just answered has this ticket; not called for what is absorbed. Of use to those who
    /// [withhold](Answer::Withhold) and must know whose receipt it is.
    fn on_ticket(&mut self, _ticket: Ticket) {}

    /// The row to store for `message`, which was just [refused](Answer::Refuse). To be overridden by those who know that a message may be
    /// a repetition although its DUP flag is not set, as after a restart.
    fn dead_letter(&mut self, message: &Inbound, reason: ReasonCode) -> Row {
        message.dead_letter(reason)
    }

    /// Lane of the queue that `message`'s rows go to: while that one is full ([`Listener::set_full_lanes`](crate::listener::Listener::set_full_lanes))
    /// the message waits, and other clients' messages for other lanes do not. Must change nothing. `None`, the default: none, or it is not known.
    fn lane(&self, _message: &Inbound) -> Option<u8> {
        None
    }
}

/// Both clocks at one moment. Exhaustive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub up_ms: u64,
    /// Milliseconds since the Unix epoch, as the wall clock says.
    pub wall_ms: i64,
}

/// A received message, its topic resolved.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inbound {
    /// The publisher's client identifier; empty if it is not known (behind a local broker).
    pub client: Utf8,
    /// Address of the publisher's connection; of a will, that of the connection that left it. `None` where the listener was not told it
    /// ([`Listener::accept_from`](crate::listener::Listener::accept_from)), and behind a local broker.
    pub peer: Option<SocketAddr>,
    /// Topic of the message.
    pub topic: Utf8,
    /// The message; a slice of the receive buffer: copy what is kept for long.
    pub payload: Bytes,
    /// Properties of the message, without those of the connection; empty in 3.1.1.
    pub properties: Properties,
    /// QoS that the message came with.
    pub qos: QoS,
    /// Retain flag that the message came with.
    pub retain: bool,
    /// DUP flag as it came: set, the message may have been received before.
    pub dup: bool,
    /// MQTT version of the publisher.
    pub version: Version,
    /// The will of a client that is gone, written when it connected: nobody stands behind it any more, so it is nothing to be obeyed. Behind a
    /// local broker nobody can tell, and it is false.
    pub will: bool,
}

impl Inbound {
    /// A message from `client`, no will, from an unknown address.
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
            will: false,
        }
    }

    /// The message as a raw row: topic, payload, QoS, retain flag and DUP as they came; its Message Expiry Interval becomes the row's time to live. Shares
    /// no receive buffer.
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

    /// The row of a message that cannot be used: as it came, marked with `reason`, and as a possible duplicate if the
    /// publisher says so.
    pub fn dead_letter(&self, reason: ReasonCode) -> Row {
        Row {
            properties: self.properties.clone(),
            dead_letter: Some(reason),
            possible_duplicate: self.dup,
            ..Row::new(self.topic.clone(), self.payload.clone())
        }
    }
}

/// The ingest of a plain bridge: `out` rules, one raw row per message. What no rule takes out is absorbed.
#[derive(Debug, Clone, Default)]
pub struct Forward {
    rules: Rules,
}

impl Forward {
    /// Takes out what these rules do.
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

/// Decision about a message. Exhaustive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Push these rows; the PUBACK follows when all of them are safe. No rows is the same as [`Absorb`](Self::Absorb).
    Store(Vec<Row>),
    /// Nothing to store: a filter suppressed or holds it, it is a duplicate, or nobody wants it. The PUBACK follows when every receipt
    /// that was pending at its arrival is resolved, on any connection: one of those rows may be the copy that makes this one
    /// superfluous.
    Absorb,
    /// As [`Store`](Self::Store), also without rows: a filter holds something of it, and its PUBACK waits. The application resolves the
    /// ticket when these rows *and* what stands for the held part are safe; then the PUBACK follows when every receipt before it is
    /// resolved too, on any connection, since what was held may have been suppressed in the end.
    Withhold(Vec<Row>),
    /// The message cannot be used. It is stored as a [dead letter](Ingest::dead_letter), then acknowledged with this reason to an MQTT 5 client
    /// ([`PAYLOAD_FORMAT_INVALID`](ReasonCode::PAYLOAD_FORMAT_INVALID) for what cannot be decoded), plainly to a 3.1.1 client, which
    /// knows no refusal but a close and would only send it again. Must be a reason of PUBACK that does not invite a retry: 0x97 (quota
    /// exceeded) counts as acknowledged at the publisher, so it is never the way to say "later".
    Refuse(ReasonCode),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::rules::Rule;
    use crate::wire::{PropertiesBuilder, PropertyId, Publish, Value};

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
}
