//! Records of saved clients, as they are found in bytes of which any may be damaged, and a count of those that are missing.
#![deny(clippy::indexing_slicing)]

use bytes::{Buf, Bytes, BytesMut};

use super::frame::{Frame, Kind, Summary, damaged_session, scan};
use super::{CONNECTED, FIRST_FRAMED, RestoreError, VERSION};
use crate::listener::events::Damage;
use crate::wire::{Connect, Limits, Packet, Publish, Subscribe, Utf8, Version, decode, decode_connect};

/// Limits of packets that are saved: they were within the limits of their time. `max_subscriptions`, the filters of one SUBSCRIBE, is the
/// default: 1 would do, because each filter is saved in a SUBSCRIBE of its own.
pub(super) const LIMITS: Limits = Limits {
    max_packet_size: u32::MAX,
    max_topic_len: u16::MAX,
    max_topic_levels: u16::MAX,
    max_user_properties: u16::MAX,
    max_subscriptions: 1024,
    drop_bad_response_topic: false,
    accept_mqtt_3_1: false,
};
/// Most clients that are named of those that lost something.
const CLIENTS_MAX: usize = 8;

/// Clients as they were saved.
#[derive(Default)]
pub(super) struct Records {
    /// Wall clock at that time; `None` if no record with it is left.
    pub(super) saved_ms: Option<i64>,
    pub(super) retained: Vec<RetainedRecord>,
    /// Sessions, those of clients that were there, or went away last, first.
    pub(super) sessions: Vec<SessionRecord>,
    /// Records that are missing; `None` if the bytes are as they were saved.
    pub(super) damage: Option<Damage>,
}

/// Retained message, and the identifier of its publisher if it is known.
pub(super) struct RetainedRecord {
    pub(super) publish: Publish,
    pub(super) publisher: Option<Box<str>>,
}

impl RetainedRecord {
    fn decode(mut body: BytesMut) -> Option<Self> {
        let publish = publish_of(&mut body)?;
        let publisher = if body.is_empty() { None } else { Some(std::str::from_utf8(&body).ok()?.into()) };
        Some(Self { publish, publisher })
    }
}

pub(super) struct SessionRecord {
    /// CONNECT of the session, with its will.
    pub(super) connect: Box<Connect>,
    /// Set if the connection that left the will was there until the end.
    pub(super) has_will_of_connected: bool,
    pub(super) subscriptions: Vec<Subscribe>,
    pub(super) waiting: Vec<WaitingRecord>,
}

/// Message that waits for a client.
pub(super) struct WaitingRecord {
    pub(super) publish: Publish,
    /// Filter of the group for which the client was chosen; `None` for its own subscriptions.
    pub(super) share: Option<Utf8>,
}

impl SessionRecord {
    pub(super) fn new(connect: Box<Connect>) -> Self {
        Self { connect, has_will_of_connected: false, subscriptions: Vec::new(), waiting: Vec::new() }
    }

    fn decode(mut body: BytesMut) -> Option<Self> {
        let mut session = Self::new(Box::new(connect_of(&mut body)?));
        while !body.is_empty() {
            let Some(Packet::Subscribe(subscribe)) = packet_of(&mut body) else { return None };
            session.subscriptions.push(subscribe);
        }
        Some(session)
    }

    /// Returns the number of records that belong to it and were found.
    fn found(&self) -> usize {
        usize::from(self.connect.will.is_some()) + self.waiting.len()
    }
}

/// Reads the records that are whole.
pub(super) fn read(saved: &[u8]) -> Result<Records, RestoreError> {
    let found = scan(saved);
    if found.frames.is_empty() {
        return Err(RestoreError::NoRecord { bytes: saved.len() });
    }
    let mut reading = Reading::default();
    let mut scratch = Vec::new();
    // One allocation for all bodies.
    let mut buffer = BytesMut::with_capacity(saved.len());
    for frame in &found.frames {
        frame.body(&mut scratch, &mut buffer);
        reading.take(frame, buffer.split())?;
    }
    reading.leave_session();
    let is_whole =
        found.is_clean && reading.summary.is_some_and(|summary| summary.records() == reading.taken);
    if !is_whole {
        let names = found.damaged.iter().filter_map(|chunk| name_of(damaged_session(chunk)?));
        let names: Vec<_> = names.filter(|name| !reading.has_session_of(name)).collect();
        reading.clients.extend(names);
        reading.records.damage = Some(reading.damage(found.frames.last().map_or(0, |last| last.number)));
    }
    reading.records.saved_ms = reading.summary.map(|summary| summary.wall_ms);
    Ok(reading.records)
}

/// Records that were read so far.
#[derive(Default)]
struct Reading {
    records: Records,
    summary: Option<Summary>,
    /// Number of records that were taken.
    taken: u64,
    /// Number of wills among them.
    wills: usize,
    /// Number of the last session's record, and of how many belong to it.
    session: Option<(u32, u32)>,
    /// Clients that lost something.
    clients: Vec<Utf8>,
    /// Wills and messages whose session is missing.
    orphans: Damage,
}

impl Reading {
    fn take(&mut self, frame: &Frame<'_>, mut body: BytesMut) -> Result<(), RestoreError> {
        let taken = match frame.kind {
            Kind::Summary => self.take_summary(&body)?,
            Kind::Retained => {
                RetainedRecord::decode(body).map(|retained| self.records.retained.push(retained))
            }
            Kind::Session => self.take_session(frame.number, body),
            Kind::Will => connect_of(&mut body).and_then(|connect| self.take_will(frame.number, connect)),
            Kind::Waiting => self.take_waiting(frame.number, &mut body, None),
            Kind::SharedWaiting => {
                share_of(&mut body).and_then(|share| self.take_waiting(frame.number, &mut body, Some(share)))
            }
        };
        self.taken += u64::from(taken.is_some());
        Ok(())
    }

    fn take_summary(&mut self, body: &[u8]) -> Result<Option<()>, RestoreError> {
        let summary = Summary::decode(body, FIRST_FRAMED..=VERSION);
        if let Some(Summary { version, .. }) = summary
            && !(FIRST_FRAMED..=VERSION).contains(&version)
        {
            return Err(RestoreError::Version(version));
        }
        self.summary = self.summary.or(summary);
        Ok(summary.map(|_| ()))
    }

    fn take_session(&mut self, number: u32, mut body: BytesMut) -> Option<()> {
        self.leave_session();
        let records = body.try_get_u32().ok()?;
        let session = SessionRecord::decode(body)?;
        self.session = Some((number, records));
        self.records.sessions.push(session);
        Some(())
    }

    fn take_will(&mut self, number: u32, connect: Connect) -> Option<()> {
        let Some(session) = self.session_of(number) else {
            self.orphans.wills += 1;
            self.clients.push(connect.client_id);
            return None;
        };
        session.has_will_of_connected = connect.properties.user_property(CONNECTED).is_some();
        (session.connect.will, session.connect.keep_alive_s) = (connect.will, connect.keep_alive_s);
        self.wills += 1;
        Some(())
    }

    fn take_waiting(&mut self, number: u32, body: &mut BytesMut, share: Option<Utf8>) -> Option<()> {
        let publish = publish_of(body)?;
        let Some(session) = self.session_of(number) else {
            self.orphans.waiting += 1;
            return None;
        };
        session.waiting.push(WaitingRecord { publish, share });
        Some(())
    }

    /// Returns the session to which a record belongs; `None` if it is missing.
    fn session_of(&mut self, number: u32) -> Option<&mut SessionRecord> {
        let (first, records) = self.session?;
        let belongs = number.checked_sub(first).is_some_and(|behind| (1..=records).contains(&behind));
        self.records.sessions.last_mut().filter(|_| belongs)
    }

    /// Names the last session's client, if anything of it is missing.
    fn leave_session(&mut self) {
        let Some((_, records)) = self.session.take() else { return };
        if let Some(session) = self.records.sessions.last()
            && session.found() < records as usize
        {
            self.clients.push(session.connect.client_id.clone());
        }
    }

    fn has_session_of(&self, client: &Utf8) -> bool {
        self.records.sessions.iter().any(|session| session.connect.client_id == *client)
    }

    /// Counts what is missing among records whose last has the number `last`.
    fn damage(&self, last: u32) -> Damage {
        let Records { retained, sessions, .. } = &self.records;
        let waiting = sessions.iter().map(|session| session.waiting.len()).sum();
        let mut damage = self.orphans.clone();
        match &self.summary {
            Some(summary) => {
                let missing = |there: u32, taken: usize| (there as usize).saturating_sub(taken);
                damage.retained = missing(summary.retained, retained.len());
                damage.sessions = missing(summary.sessions, sessions.len());
                damage.wills = missing(summary.wills, self.wills);
                damage.waiting = missing(summary.waiting, waiting);
            }
            None => {
                // The summary is missing too; the one at the end has a number beyond the last.
                let seen = self.taken + (damage.wills + damage.waiting) as u64;
                damage.unknown = usize::try_from(u64::from(last).saturating_sub(seen)).unwrap_or(usize::MAX);
                damage.is_minimum = true;
            }
        }
        for client in &self.clients {
            if damage.clients.len() < CLIENTS_MAX && !damage.clients.contains(client) {
                damage.clients.push(client.detached());
            }
        }
        damage
    }
}

/// Returns the client's identifier in the body of a session's record.
fn name_of(body: Vec<u8>) -> Option<Utf8> {
    let mut body = BytesMut::from(Bytes::from(body));
    body.try_get_u32().ok()?;
    connect_of(&mut body).map(|connect| connect.client_id)
}

fn connect_of(body: &mut BytesMut) -> Option<Connect> {
    decode_connect(body, &LIMITS).ok().flatten()
}

/// Takes the filter of a group.
fn share_of(body: &mut BytesMut) -> Option<Utf8> {
    let length = usize::from(body.try_get_u16().ok()?);
    if body.len() < length {
        return None;
    }
    let filter = body.split_to(length);
    Utf8::try_from(std::str::from_utf8(&filter).ok()?).ok()
}

fn packet_of(body: &mut BytesMut) -> Option<Packet> {
    decode(body, Version::V5, &LIMITS).ok().flatten()
}

fn publish_of(body: &mut BytesMut) -> Option<Publish> {
    match packet_of(body)? {
        Packet::Publish(publish) => Some(publish),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
