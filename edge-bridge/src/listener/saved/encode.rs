//! Encoding of sessions and retained messages, to save them.

use std::cmp::Reverse;

use bytes::{BufMut, BytesMut};

use super::frame::{self, Kind};
use super::{CERTIFIED, CONNECTED, Saved, UNRELEASED, VERSION};
use crate::ingest::{Ingest, Now};
use crate::listener::client::Client;
use crate::listener::delivery::{Delivery, Tag};
use crate::listener::retained::RetainedMessage;
use crate::listener::{ClientKey, Listener};
use crate::session::InFlight;
use crate::wire::{
    Connect, EncodeError, Packet, PacketId, Properties, PropertiesBuilder, PropertyId, Publish, QoS,
    Subscribe, Value, Version, encode,
};

/// Most bytes of a PUBLISH beside topic, properties and payload.
const PUBLISH_HEAD: usize = 20;
/// Bytes before the packets of a session's record: how many records belong to it.
const RECORDS: usize = 4;
/// Bytes before the filter of a group: its length.
const SHARE_HEAD: usize = 2;

/// A session to be saved.
struct Session<'a> {
    /// Encoded CONNECT and SUBSCRIBEs of the session.
    head: BytesMut,
    /// Encoded CONNECT with the will, if there is one.
    will: Option<BytesMut>,
    /// Messages that wait for the client, or that it has not acknowledged, the oldest first.
    waiting: Vec<Waiting<'a>>,
}

/// Message of a session.
struct Waiting<'a> {
    message: Reference<'a>,
    /// Filter of the group for which the client was chosen; `None` for its own subscriptions, and for a group that is gone.
    share: Option<&'a str>,
}

/// Reference to a message. Copies of all messages would take several times the memory of the saved bytes.
#[derive(Clone, Copy)]
enum Reference<'a> {
    Sent(&'a InFlight),
    Queued(&'a Delivery),
}

impl Reference<'_> {
    fn tag(self) -> Tag {
        match self {
            Self::Sent(message) => message.token.into(),
            Self::Queued(delivery) => delivery.tag,
        }
    }

    /// Returns whether the client may have the message.
    fn was_sent(self) -> bool {
        match self {
            Self::Sent(_) => true,
            Self::Queued(delivery) => delivery.was_sent,
        }
    }

    fn is_expired(self, now_ms: u64) -> bool {
        match self {
            Self::Sent(message) => message.expires_ms().is_some_and(|end_ms| end_ms <= now_ms),
            Self::Queued(delivery) => delivery.message.is_expired(now_ms),
        }
    }
}

impl Waiting<'_> {
    fn size(&self) -> usize {
        let publish = match self.message {
            Reference::Sent(message) => &message.publish,
            Reference::Queued(delivery) => &delivery.message.publish,
        };
        size_of(publish, self.share)
    }

    /// Returns the message's packet with its remaining Message Expiry Interval.
    fn packet(&self, now_ms: u64) -> Publish {
        let packet = match self.message {
            Reference::Sent(message) => left_of(now_ms, message),
            Reference::Queued(delivery) => delivery.message.packet(now_ms),
        };
        Publish { dup: self.message.was_sent(), ..packet }
    }

    fn put(&self, now_ms: u64, body: &mut BytesMut, frames: &mut frame::Writer) {
        body.clear();
        let kind = match self.share {
            Some(share) => {
                // A filter has at most 65 535 bytes.
                body.put_u16(u16::try_from(share.len()).unwrap_or(0));
                body.extend_from_slice(share.as_bytes());
                Kind::SharedWaiting
            }
            None => Kind::Waiting,
        };
        put_message(body, self.packet(now_ms));
        frames.put(kind, body);
    }
}

/// Number of bytes that may still be saved, and of items that did not fit.
struct Room {
    left: usize,
    left_out: usize,
}

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left_out += usize::from(left.is_none());
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

impl<I: Ingest> Listener<I> {
    /// Returns a number that grows with each change of the state that [`save`](Self::save) saves, except for [`exchanges`](Self::exchanges).
    pub fn changes(&self) -> u64 {
        self.changes + self.topics.retained.changes()
    }

    /// Returns a number that grows with each QoS 1 or 2 message that is sent to, or acknowledged by, a connected client whose session is saved.
    /// These messages are saved too, and are far more frequent than the [`changes`](Self::changes).
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Saves the state of the clients, within [`Config::max_saved_bytes`](crate::listener::Config::max_saved_bytes). Left out beyond it are first
    /// waiting messages, the oldest first, then retained messages, then sessions, the longest absent first. Cost: a scan of sessions, their
    /// waiting messages and retained messages; some hundred microseconds for a thousand.
    pub fn save(&self, now: Now) -> Saved {
        let mut room = Room { left: self.config.max_saved_bytes, left_out: 0 };
        let mut sessions = self.lasting_sessions(now.up_ms, &mut room);
        let mut frames = frame::Writer::new(VERSION, now.wall_ms);
        let mut body = BytesMut::new();
        for RetainedMessage { message, publisher } in self.topics.retained.iter() {
            if message.is_expired(now.up_ms) {
                continue;
            }
            body.clear();
            put_message(&mut body, message.packet(now.up_ms));
            body.extend_from_slice(publisher.as_ref().map_or(&[], |publisher| publisher.as_bytes()));
            if room.take(frame::size(body.len())) {
                frames.put(Kind::Retained, &body);
            }
        }
        share_out(&mut sessions, &mut room);
        for Session { head, will, waiting } in sessions {
            let records = u32::try_from(usize::from(will.is_some()) + waiting.len()).unwrap_or(u32::MAX);
            body.clear();
            body.extend_from_slice(&records.to_be_bytes());
            body.extend_from_slice(&head);
            frames.put(Kind::Session, &body);
            if let Some(will) = will {
                frames.put(Kind::Will, &will);
            }
            for message in waiting {
                message.put(now.up_ms, &mut body, &mut frames);
            }
        }
        Saved { bytes: frames.finish(), left_out: room.left_out }
    }

    /// Returns the sessions that outlive their connections, as far as they fit.
    fn lasting_sessions(&self, now_ms: u64, room: &mut Room) -> Vec<Session<'_>> {
        let mut clients: Vec<_> = self.clients.iter().filter(|(_, client)| client.expiry_s > 0).collect();
        // Of equals the younger: a restore adds those that went away longest ago first.
        clients.sort_by_key(|(key, client)| Reverse((client.absent_since_ms().unwrap_or(u64::MAX), *key)));
        let mut sessions = Vec::new();
        for (key, client) in clients {
            let mut head = BytesMut::new();
            // A client's name and filters came in packets, and go into packets: an error cannot come, and would leave the session out.
            let written =
                self.put_session(&mut head, now_ms, key, client).and_then(|()| put_will(now_ms, client));
            let Ok(will) = written else { continue };
            let will_size = will.as_ref().map_or(0, |will| frame::size(will.len()));
            if room.take(frame::size(RECORDS + head.len()) + will_size) {
                sessions.push(Session { head, will, waiting: self.waiting_of(now_ms, client) });
            }
        }
        sessions
    }

    fn put_session(
        &self,
        out: &mut BytesMut,
        now_ms: u64,
        key: ClientKey,
        client: &Client,
    ) -> Result<(), EncodeError> {
        let left_ms =
            client.ends_ms.map_or(u64::from(client.expiry_s) * 1000, |at_ms| at_ms.saturating_sub(now_ms));
        let mut properties = PropertiesBuilder::new();
        properties.push(PropertyId::SessionExpiryInterval, Value::U32(seconds(left_ms)))?;
        if client.user.is_certified {
            properties.user(CERTIFIED, "")?;
        }
        if client.connection.is_some() {
            properties.user(CONNECTED, "")?;
        }
        if self.is_shut_down {
            for exchange in client.resume.exchanges_to_save(self.pending() == 0) {
                properties.user(UNRELEASED, &exchange.to_string())?;
            }
        }
        let properties = properties.finish();
        let connect = Connect { username: client.user.name.clone(), properties, ..connect_of(client) };
        encode(&Packet::Connect(Box::new(connect)), Version::V5, out)?;
        for (subscription, identifier) in self.topics.subscriptions.of(key) {
            let mut properties = PropertiesBuilder::new();
            if let Some(identifier) = identifier {
                properties.push(PropertyId::SubscriptionIdentifier, Value::Varint(identifier))?;
            }
            let subscribe = Subscribe {
                packet_id: PacketId::MIN,
                properties: properties.finish(),
                filters: vec![subscription],
            };
            encode(&Packet::Subscribe(subscribe), Version::V5, out)?;
        }
        Ok(())
    }

    /// Returns those messages that are saved among the waiting and the unacknowledged ones of a client, the oldest first.
    fn waiting_of<'a>(&'a self, now_ms: u64, client: &'a Client) -> Vec<Waiting<'a>> {
        let connected = client.connection.and_then(|id| self.connections.get(id));
        let in_flight = connected.into_iter().flat_map(|state| state.session.unacked());
        let in_flight = client.resume.in_flight().iter().chain(in_flight);
        let all = self.config.saves_own_messages;
        let sent = in_flight.map(Reference::Sent);
        let queued = client.waiting.iter().filter(|delivery| !delivery.is_qos_0()).map(Reference::Queued);
        let saved = sent.chain(queued).filter(|message| all || message.tag().origin.is_none());
        let saved = saved.filter(|message| !message.is_expired(now_ms));
        let shared = &self.topics.subscriptions.shared;
        let share = |message: Reference<'_>| message.tag().group.and_then(|group| shared.name(group));
        saved.map(|message| Waiting { message, share: share(message) }).collect()
    }
}

/// Keeps the newest messages of each session. Sessions get equal shares, and the unused part of a share goes to the others, so the smallest
/// sessions come first.
fn share_out(sessions: &mut [Session<'_>], room: &mut Room) {
    let size = |session: &Session<'_>| session.waiting.iter().map(|message| message.size()).sum::<usize>();
    let mut by_size: Vec<_> = sessions.iter_mut().map(|session| (size(session), session)).collect();
    by_size.sort_by_key(|(size, _)| *size);
    let count = by_size.len();
    for (at, (_, session)) in by_size.into_iter().enumerate() {
        let mut share = Room { left: room.left / (count - at), left_out: 0 };
        let before = share.left;
        let kept = session.waiting.iter().rev().take_while(|message| share.take(message.size())).count();
        let gone = session.waiting.len() - kept;
        session.waiting.drain(..gone);
        room.left -= before - share.left;
        room.left_out += gone;
    }
}

/// Returns a CONNECT with the name of a client.
fn connect_of(client: &Client) -> Connect {
    Connect {
        version: Version::V5,
        is_bridge: false,
        clean_start: false,
        keep_alive_s: 0,
        client_id: client.id.clone(),
        will: None,
        username: None,
        password: None,
        properties: Properties::default(),
    }
}

/// Returns the encoded will, if there is one: that waits for its time, or of the connection that is there.
fn put_will(now_ms: u64, client: &Client) -> Result<Option<BytesMut>, EncodeError> {
    let Some(pending) = &client.will else { return Ok(None) };
    let Some(will) = pending.left(now_ms) else { return Ok(None) };
    let mut out = BytesMut::new();
    let mut connect = Connect { will: Some(will), ..connect_of(client) };
    if let Some(keep_alive_s) = pending.keep_alive_s() {
        let mut properties = PropertiesBuilder::new();
        properties.user(CONNECTED, "")?;
        (connect.keep_alive_s, connect.properties) = (keep_alive_s, properties.finish());
    }
    encode(&Packet::Connect(Box::new(connect)), Version::V5, &mut out)?;
    Ok(Some(out))
}

/// Returns a message in flight with its remaining Message Expiry Interval.
fn left_of(now_ms: u64, message: &InFlight) -> Publish {
    let publish = &message.publish;
    let Some(end_ms) = message.expires_ms() else { return publish.clone() };
    let left_s = seconds(end_ms.saturating_sub(now_ms));
    Publish { properties: publish.properties.with_expiry_s(left_s), ..publish.clone() }
}

fn size_of(packet: &Publish, share: Option<&str>) -> usize {
    let content = packet.topic.len() + packet.properties.as_bytes().len() + packet.payload.len();
    frame::size(PUBLISH_HEAD + content + share.map_or(0, |share| SHARE_HEAD + share.len()))
}

/// Writes a message as the packet that restores it. Encoding cannot fail for a message that came in a packet; a failure would leave a record
/// without one, which counts as lost.
fn put_message(out: &mut BytesMut, packet: Publish) {
    let before = out.len();
    let packet_id = (packet.qos != QoS::AtMostOnce).then_some(PacketId::MIN);
    let properties: Properties = packet.properties.without(&[PropertyId::TopicAlias]);
    let packet = Publish { packet_id, properties, ..packet };
    if encode(&Packet::Publish(packet), Version::V5, out).is_err() {
        out.truncate(before);
    }
}

/// Seconds from milliseconds, rounded up.
pub(super) fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX)
}
