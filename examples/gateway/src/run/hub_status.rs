//! Status at the hub: for whoever cannot reach the gateway, a retained message of a few hundred bytes, made of the snapshot that every other surface
//! shows; and beside it whether the gateway is connected, which the hub itself says when it is not. Pure.
//!
//! Nothing of it is in the queue: a status of yesterday is worth nothing. It goes before the batches, and a hub that denies it costs it alone.

#![deny(clippy::indexing_slicing)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use edge_bridge::bridge::{Packed, Packing};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8, Will};
use serde::Serialize;

use super::status::Verdict;
use super::status_page::snapshot::Snapshot;

/// Topics, before the gateway's id: whether it is connected, and how it is.
pub(crate) const ALIVE: &str = "edge/alive/";
pub(crate) const STATUS: &str = "edge/status/";

/// Bytes of a status at most.
const BYTES_MAX: usize = 350;
/// Larger figures are given as this, so that they always have room.
const FIGURE_MAX: u64 = 999_999_999_999;
/// Time after which a status is said again although nothing changed.
const AGAIN_MS: u64 = 3_600_000;
/// Between two of them: a verdict that comes and goes costs two messages a minute.
const PAUSE_MS: u64 = 30_000;
/// Time after which what the hub did not acknowledge is said again; it doubles with each, up to 17 hours.
const UNANSWERED_MS: u64 = 60_000;
const DOUBLINGS_MAX: u32 = 10;

const CONNECTED: &[u8] = b"1";
const AWAY: &[u8] = b"0";

/// A handle; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct HubStatus {
    topics: Arc<Topics>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct Topics {
    alive: Utf8,
    status: Utf8,
}

#[derive(Debug, Default)]
struct State {
    alive: Slot,
    status: Slot,
    /// Matter and time of the status in the slot.
    made: Option<(Matter, u64)>,
    /// The same of the last one that the hub has, on this connection.
    told: Option<(Matter, u64)>,
    /// Connections that the hub accepted.
    connects: u64,
}

impl State {
    /// Both are said anew on each connection, but for what was on its way: the session sends that again, and one at which a hub closes must not come
    /// at each.
    /// Without a will nobody would say that the gateway is away: then it does not say that it is there.
    fn on_connected(&mut self, connects: u64, has_will: bool) {
        (self.connects, self.told) = (connects, None);
        if self.alive.on_its_way.is_none() {
            let wanted = has_will.then(|| Bytes::from_static(CONNECTED));
            self.alive = Slot { wanted, ..Slot::default() };
        }
        if self.status.on_its_way.is_none() {
            self.status = Slot::default();
        }
    }
}

/// One topic: what is to be said there, and what is on its way.
#[derive(Debug, Default)]
struct Slot {
    wanted: Option<Bytes>,
    on_its_way: Option<Bytes>,
    /// Time before which nothing is said.
    next_ms: u64,
    /// Messages since the last that the hub has.
    unanswered: u32,
}

impl Slot {
    fn poll(&mut self, now_ms: u64) -> Option<Bytes> {
        let payload = self.wanted.as_ref().filter(|_| now_ms >= self.next_ms)?.clone();
        self.next_ms = now_ms.saturating_add(UNANSWERED_MS << self.unanswered.min(DOUBLINGS_MAX));
        self.unanswered = self.unanswered.saturating_add(1);
        self.on_its_way = Some(payload.clone());
        Some(payload)
    }

    /// Returns whether the hub has what was on its way. `next_ms`: when the next one may follow.
    fn on_delivered(&mut self, payload: &Bytes, next_ms: u64) -> bool {
        let is_it = self.on_its_way.take_if(|sent| sent == payload).is_some();
        if is_it {
            *self = Self { next_ms, ..Self::default() };
        }
        is_it
    }
}

/// Parts of a status of which a change is told at once; the others are as of then, or of the hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matter {
    pub(super) verdict: Verdict,
    /// Digest of the configuration in force.
    pub(super) config: String,
    /// The files' configuration is another one, and refused.
    pub(super) is_refused: bool,
}

/// Figures of this process beside its snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// Whole days until the first certificate ends.
    pub(crate) certificate_days: Option<u64>,
    /// Resident memory in bytes, if the system tells.
    pub(crate) memory_bytes: Option<u64>,
}

/// Status as it stands in a payload. Names that /status.json has too mean the same.
#[derive(Serialize)]
struct Status<'a> {
    v: u32,
    time_ms: i64,
    verdict: &'a str,
    since_s: u64,
    why: Option<&'a str>,
    waiting: u64,
    room_s: Option<u64>,
    lost: u64,
    parked: u64,
    flash_mb: u64,
    link_kb: u64,
    memory_mb: Option<u64>,
    certificate_days: Option<u64>,
    clock_synced: bool,
    version: &'static str,
    config: &'a str,
}

impl HubStatus {
    /// `id`: the gateway's. `None` for an id that is no part of a topic.
    pub(crate) fn new(id: &str) -> Option<Self> {
        let [alive, status] = Self::topics(id);
        let topics = Topics { alive: Utf8::try_from(alive).ok()?, status: Utf8::try_from(status).ok()? };
        Some(Self { topics: Arc::new(topics), state: Arc::default() })
    }

    /// Topics of the connection's state and of the status.
    pub(crate) fn topics(id: &str) -> [String; 2] {
        [ALIVE, STATUS].map(|prefix| format!("{prefix}{id}"))
    }

    /// Will of the connection.
    pub(crate) fn will(&self) -> Will {
        Will {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: self.topics.alive.clone(),
            payload: Bytes::from_static(AWAY),
            properties: Properties::default(),
        }
    }

    /// Looks whether anything is to be said, now that there is a connection, the `connects`th, of which the hub took the will or not; only then `make` is called. Returns whether the link has to be
    /// woken.
    pub(super) fn see(
        &self,
        now_ms: u64,
        (connects, has_will): (u64, bool),
        matter: Matter,
        make: impl FnOnce() -> (Snapshot, Process),
    ) -> bool {
        let mut state = self.lock();
        if state.connects != connects {
            state.on_connected(connects, has_will);
        }
        let is_news =
            state.told.as_ref().is_none_or(|(told, at_ms)| *told != matter || now_ms >= at_ms + AGAIN_MS);
        if is_news && now_ms >= state.status.next_ms {
            let (snapshot, process) = make();
            state.status.wanted = Some(payload(&snapshot, process).into());
            state.made = Some((matter, now_ms));
        }
        let is_due = |slot: &Slot| slot.wanted.is_some() && now_ms >= slot.next_ms;
        is_due(&state.alive) || is_due(&state.status)
    }

    /// A message that is due, in a packet of at most `packet_max` bytes.
    pub(super) fn poll(&self, now: Now, packet_max: usize) -> Option<Packing> {
        if packet_max < 2 * BYTES_MAX {
            return None;
        }
        let mut state = self.lock();
        if let Some(payload) = state.alive.poll(now.up_ms) {
            return Some(retained(&self.topics.alive, payload));
        }
        let payload = state.status.poll(now.up_ms)?;
        Some(retained(&self.topics.status, payload))
    }

    /// The hub has a message that no row is in.
    pub(super) fn on_delivered(&self, message: &Publish) {
        let mut state = self.lock();
        if message.topic == self.topics.alive {
            state.alive.on_delivered(&message.payload, 0);
        } else if message.topic == self.topics.status {
            let next_ms = state.made.as_ref().map_or(0, |(_, at_ms)| at_ms + PAUSE_MS);
            if state.status.on_delivered(&message.payload, next_ms) {
                state.told = state.made.clone();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn retained(topic: &Utf8, payload: Bytes) -> Packing {
    Packing::Message(Packed {
        publish: Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: topic.clone(),
            packet_id: None,
            properties: Properties::default(),
            payload,
        },
        rows: Vec::new(),
        expires_ms: None,
    })
}

/// Returns a status of at most [`BYTES_MAX`] bytes: the cause is cut where it has no room.
fn payload(snapshot: &Snapshot, process: Process) -> Vec<u8> {
    let figure = |figure: u64| figure.min(FIGURE_MAX);
    let need = snapshot.needs.first().map(|need| need.text.as_str());
    let why = need.or(snapshot.link.cause.as_deref().filter(|_| !snapshot.link.is_up));
    let mut status = Status {
        v: 1,
        time_ms: snapshot.time_ms,
        verdict: &snapshot.verdict,
        since_s: figure(snapshot.since_s),
        why,
        waiting: figure(snapshot.queue.messages),
        room_s: snapshot.room.seconds.map(figure),
        lost: figure(snapshot.lost),
        parked: figure(snapshot.refused.parked),
        flash_mb: figure(snapshot.bytes.store_written / 1_000_000),
        link_kb: figure(snapshot.bytes.wan.values().sum::<u64>() / 1_000),
        memory_mb: process.memory_bytes.map(|bytes| figure(bytes / 1_000_000)),
        certificate_days: process.certificate_days.map(figure),
        clock_synced: snapshot.clock_synced,
        version: env!("CARGO_PKG_VERSION"),
        config: &snapshot.config,
    };
    loop {
        // Texts and numbers always are JSON.
        let json = serde_json::to_vec(&status).unwrap_or_default();
        let Some(why) = status.why.filter(|_| json.len() > BYTES_MAX) else { return json };
        // A character takes six bytes at most, so that a few steps do.
        let over = json.len() - BYTES_MAX;
        let keep = why.chars().count().saturating_sub(over.div_ceil(6));
        status.why = why.char_indices().nth(keep).map(|(at, _)| why.get(..at).unwrap_or_default());
        status.why = status.why.filter(|why| !why.is_empty());
    }
}

#[cfg(test)]
mod tests;
