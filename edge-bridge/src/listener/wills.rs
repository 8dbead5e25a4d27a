//! Will messages (§3.1.2.5, §3.1.3.2.2). A client leaves a will to be published when its connection ends without DISCONNECT, after the Will
//! Delay Interval, and at the latest when its session ends.
//!
//! A client that is connected when this listener ends, by a stop or a kill, may be well. Its will is [saved](super::saved) with its session, and published by the
//! next listener once that would have noticed the client's silence, and the delay is over; any new connection of the client takes it back.
//!
//! A will is no larger than its CONNECT, and counts in its client's memory until it is published. All published wills that wait for room in the queue have
//! one limit together, `WILLS_MAX` in `waiting_for_room.rs`.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::ingest::Inbound;
use crate::puback_chain::ConnectionId;
use crate::wire::{Connect, PropertyId, Publish, Utf8, Value, Version, Will};

/// Pseudo connection of wills, whose own connection no longer exists.
pub(super) const NOWHERE: ConnectionId = ConnectionId(0);

/// Milliseconds after which the silence of a client without keep-alive counts as noticed after a restart.
const NOTICED_MS: u64 = 60_000;

/// Will of a connection, to be published after its end.
#[derive(Debug)]
pub(super) struct PendingWill {
    pub(super) publish: Publish,
    /// Will Delay Interval in seconds after the end of the connection; at most the session's expiry.
    delay_s: u32,
    /// Up time at which the will is published; `None` while the client is connected.
    pub(super) due_ms: Option<u64>,
    /// Keep-alive in force on the connection, in seconds; 0 for none.
    keep_alive_s: u16,
    /// Set if the connection ended because the listener did, so that a new one takes the will back.
    ended_with_listener: bool,
    version: Version,
    /// Address of the connection that left the will.
    peer: Option<SocketAddr>,
}

impl PendingWill {
    /// Returns the will of a CONNECT; `None` if it has none. `keep_alive_s`: what the client is to keep, which it may not have asked for.
    pub(super) fn of(
        connect: &Connect,
        keep_alive_s: u16,
        expiry_s: u32,
        peer: Option<SocketAddr>,
    ) -> Option<Self> {
        connect.will.as_ref().map(|will| Self {
            publish: publish_of(will),
            delay_s: will.properties.u32(PropertyId::WillDelayInterval).unwrap_or(0).min(expiry_s),
            due_ms: None,
            keep_alive_s,
            ended_with_listener: false,
            version: connect.version,
            peer,
        })
    }

    /// Returns the will that [`left`](Self::left) saved `age_ms` ago, with its remaining delay.
    pub(super) fn restored(connect: &Connect, now_ms: u64, age_ms: u64) -> Option<Self> {
        let mut will = Self::of(connect, connect.keep_alive_s, u32::MAX, None)?;
        will.due_ms = Some(now_ms + (u64::from(will.delay_s) * 1000).saturating_sub(age_ms));
        Some(will)
    }

    /// Returns the will of a client that was connected until the listener ended, and whose session is kept for `expiry_s`.
    pub(super) fn of_connected(connect: &Connect, now_ms: u64, expiry_s: u32) -> Option<Self> {
        let mut will = Self::of(connect, connect.keep_alive_s, expiry_s, None)?;
        let noticed_ms = match will.keep_alive_s {
            0 => NOTICED_MS,
            // As for a connection that is silent (§3.1.2.10).
            keep_alive_s => u64::from(keep_alive_s) * 1500,
        };
        will.due_ms = Some(now_ms + noticed_ms.max(u64::from(will.delay_s) * 1000));
        will.ended_with_listener = true;
        Some(will)
    }

    /// Keeps the will for the next listener, because this one ends the connection.
    pub(super) fn leave_to_the_next_listener(&mut self) {
        self.ended_with_listener = true;
    }

    /// Returns whether a new connection of the client takes the will back.
    pub(super) fn is_taken_back(&self) -> bool {
        self.ended_with_listener
    }

    /// Returns the keep-alive in seconds of the client's connection, if that is there or ended with the listener; `None` if it ended before.
    pub(super) fn keep_alive_s(&self) -> Option<u16> {
        (self.due_ms.is_none() || self.ended_with_listener).then_some(self.keep_alive_s)
    }

    /// Returns the will with its remaining delay, to be saved.
    pub(super) fn left(&self, now_ms: u64) -> Option<Will> {
        // A client that has not come back is given all of the time again: nobody listened meanwhile.
        let due_ms = self.due_ms.filter(|_| !self.ended_with_listener);
        let left_ms = due_ms.map_or(u64::from(self.delay_s) * 1000, |due_ms| due_ms.saturating_sub(now_ms));
        let mut properties = self.publish.properties.to_builder();
        let left_s = u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX);
        properties.push(PropertyId::WillDelayInterval, Value::U32(left_s)).ok()?;
        let Publish { qos, retain, topic, payload, .. } = self.publish.clone();
        Some(Will { qos, retain, topic, payload, properties: properties.finish() })
    }

    /// Sets the time of publication at the end of the connection, whose session is kept for `expiry_s`.
    pub(super) fn on_closed(&mut self, now_ms: u64, expiry_s: u32) {
        if self.ended_with_listener {
            return;
        }
        self.due_ms = Some(now_ms + u64::from(self.delay_s.min(expiry_s)) * 1000);
    }

    /// Returns the message that the ingest gets.
    pub(super) fn message(&self, client: Utf8) -> Inbound {
        let message = Inbound::new(client, self.version, &self.publish);
        Inbound { will: true, peer: self.peer, ..message }
    }

    /// Bytes of the parts whose size the client chose.
    pub(super) fn bytes(&self) -> usize {
        let Publish { topic, properties, payload, .. } = &self.publish;
        topic.len() + properties.as_bytes().len() + payload.len()
    }
}

/// Makes the PUBLISH of a will.
fn publish_of(will: &Will) -> Publish {
    Publish {
        dup: false,
        qos: will.qos,
        retain: will.retain,
        topic: will.topic.detached(),
        packet_id: None,
        properties: will.properties.without(&[PropertyId::WillDelayInterval]).detached(),
        payload: Bytes::copy_from_slice(&will.payload),
    }
}
