//! Status messages at the hub, for people who cannot reach the gateway: a retained message of a few hundred bytes, made from the same snapshot as
//! the status page and the `status` command; and a second retained topic for the connection, where the hub publishes the gateway's will when the
//! connection is lost. Pure.
//!
//! These messages do not go through the queue, because an old status is worth nothing. They are sent before batches, and a refusal by the hub
//! affects nothing else.

#![deny(clippy::indexing_slicing)]

mod corrections;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use edge_bridge::bridge::{Packed, Packing};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{Properties, Publish, QoS, Utf8, Will};
use serde::Serialize;

use crate::config::hub_topics::status_topics;
use crate::config::named_paths::NamedPaths;
use crate::run::status::snapshot::{Level, Snapshot};
use crate::run::status::verdict::Verdict;

use corrections::{Corrections, Figures};

/// Size of the largest status, in bytes.
const BYTES_MAX: usize = 350;
/// Largest number in a status, so that all numbers always fit.
const FIGURE_MAX: u64 = 999_999_999_999;
/// Milliseconds after which a status is sent again although nothing changed.
const AGAIN_MS: u64 = 3_600_000;
/// Pause between two statuses in milliseconds, so that a verdict that changes all the time costs two messages a minute. A loss does not wait for it.
const PAUSE_MS: u64 = 30_000;
/// Milliseconds after which a message without a PUBACK is sent again. Doubles each time, up to 17 hours.
const UNANSWERED_MS: u64 = 60_000;
const DOUBLINGS_MAX: u32 = 10;

const CONNECTED: &[u8] = b"1";
const AWAY: &[u8] = b"0";

/// Handle to the status messages; clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct HubStatus {
    topics: Arc<Topics>,
    /// Paths of the configuration, of which the hub gets the settings alone.
    paths: Arc<NamedPaths>,
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
    /// Origin of the status that is wanted.
    made: Option<Made>,
    /// Origin of the status in flight: a newer one may be wanted meanwhile.
    sent: Option<Made>,
    /// Origin of the last status with a PUBACK on this connection. `None`: there is none.
    told: Option<Made>,
    corrections: Corrections,
    /// Number of connections that the hub has accepted.
    connects: u64,
}

/// Origin of a status.
#[derive(Clone, Debug)]
struct Made {
    matter: Matter,
    figures: Figures,
    at_ms: u64,
}

impl State {
    /// Makes both messages due on a new connection, except one that is in flight: the session resends that one, and a message at which a hub
    /// closes must not come on each connection. Without a will the hub could not report a lost connection, so then the gateway does not publish
    /// that it is connected either.
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

    fn is_news(&self, now_ms: u64, matter: &Matter) -> bool {
        let is_old = |told: &Made| matter.is_news_after(&told.matter) || now_ms >= told.at_ms + AGAIN_MS;
        self.told.as_ref().is_none_or(is_old)
    }

    /// Ends the pause at the first look at a loss of which the hub does not know: it counts as one for no longer than a pause lasts, so that the hub
    /// would not learn of it in time, or not at all. A hub that answers nothing, or refuses, is asked no sooner.
    fn cut_pause_short(&mut self, now_ms: u64, matter: &Matter) {
        let losing = |matter: &Matter| matter.verdict == Verdict::Losing;
        let is_unknown = self.told.as_ref().is_some_and(|told| losing(matter) && !losing(&told.matter));
        if is_unknown && self.status.on_its_way.is_none() && self.status.unanswered == 0 {
            self.status.next_ms = self.status.next_ms.min(now_ms);
        }
    }

    /// Begins the time until the figures of the status that the hub has are compared. `former`: the one that it had before on this connection.
    fn on_told(&mut self, former: Option<&Made>) {
        let Some(told) = &self.told else { return };
        let is_news = former.is_none_or(|former| told.matter.is_news_after(&former.matter));
        self.corrections.on_told(told.at_ms, is_news);
    }

    /// Returns whether the figures that the hub has are to be compared with the present ones.
    fn is_look_due(&mut self, now_ms: u64) -> bool {
        let is_calm = self.status.on_its_way.is_none() && self.status.wanted.is_none() && self.told.is_some();
        is_calm && self.corrections.is_look_due(now_ms)
    }
}

/// State of one topic: the message to be sent, and the one in flight.
#[derive(Debug, Default)]
struct Slot {
    wanted: Option<Bytes>,
    on_its_way: Option<Bytes>,
    /// Up time before which no message is sent.
    next_ms: u64,
    /// Messages since the last one with a PUBACK.
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

    /// Ends the flight of a message at its PUBACK. Returns whether the PUBACK is that of the message in flight. `next_ms`: earliest up time of the next
    /// message.
    fn on_delivered(&mut self, payload: &Bytes, next_ms: u64) -> bool {
        let is_it = self.on_its_way.take_if(|sent| sent == payload).is_some();
        if is_it {
            *self = Self { next_ms, ..Self::default() };
        }
        is_it
    }
}

/// Parts of a status whose change is sent at once. Other changes are sent with these, as [`Corrections`], or once an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::run) struct Matter {
    pub(in crate::run) verdict: Verdict,
    /// Digest of the configuration in force.
    pub(in crate::run) config: String,
    /// Set if the configuration in the files is a different one and was refused.
    pub(in crate::run) is_refused: bool,
    /// Messages lost, over all starts.
    pub(in crate::run) lost: u64,
}

impl Matter {
    /// Returns whether this is news to whoever knows `told`. Losses that came and went since are; those that go on are told by the verdict.
    fn is_news_after(&self, told: &Self) -> bool {
        let has_lost = self.lost > told.lost && self.verdict != Verdict::Losing;
        has_lost || Self { lost: told.lost, ..self.clone() } != *told
    }
}

/// Figures of the process that are not in the snapshot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Process {
    /// Whole days until the first certificate ends.
    pub(crate) certificate_days: Option<u64>,
    /// Resident memory in bytes. `None`: the system does not tell.
    pub(crate) memory_bytes: Option<u64>,
}

/// Payload of a status, as JSON. Names that also occur in `/status.json` have the same meaning.
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
    /// Creates the status messages of the gateway `id`, whose configuration names `paths`. `None`: the id is not valid in a topic.
    pub(crate) fn new(id: &str, paths: NamedPaths) -> Option<Self> {
        let [alive, status] = status_topics(id);
        let topics = Topics { alive: Utf8::try_from(alive).ok()?, status: Utf8::try_from(status).ok()? };
        Some(Self { topics: Arc::new(topics), paths: Arc::new(paths), state: Arc::default() })
    }

    /// Returns the will of the connection, by which the hub reports that the gateway is away.
    pub(crate) fn will(&self) -> Will {
        Will {
            qos: QoS::AtLeastOnce,
            retain: true,
            topic: self.topics.alive.clone(),
            payload: Bytes::from_static(AWAY),
            properties: Properties::default(),
        }
    }

    /// Checks whether a message is due, while there is a connection; calls `make` only if a status is. `connects` is the number of that
    /// connection; `has_will`: its CONNECT had the will. Returns whether the link has to be woken.
    pub(in crate::run) fn see(
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
        let is_news = state.is_news(now_ms, &matter);
        state.cut_pause_short(now_ms, &matter);
        if now_ms >= state.status.next_ms && (is_news || state.is_look_due(now_ms)) {
            let (snapshot, process) = make();
            let figures = Figures::of(&snapshot);
            let is_outdated = |told: &Made| told.figures.are_outdated_by(&figures);
            if is_news || state.told.as_ref().is_some_and(is_outdated) {
                state.status.wanted = Some(payload(&snapshot, &self.paths, process).into());
                state.made = Some(Made { matter, figures, at_ms: now_ms });
            }
        }
        let is_due = |slot: &Slot| slot.wanted.is_some() && now_ms >= slot.next_ms;
        is_due(&state.alive) || is_due(&state.status)
    }

    /// Returns a message that is due, in a packet of at most `packet_max` bytes. `None`: none is due.
    pub(in crate::run) fn poll(&self, now: Now, packet_max: usize) -> Option<Packing> {
        if packet_max < 2 * BYTES_MAX {
            return None;
        }
        let mut state = self.lock();
        if let Some(payload) = state.alive.poll(now.up_ms) {
            return Some(retained(&self.topics.alive, payload));
        }
        let payload = state.status.poll(now.up_ms)?;
        state.sent = state.made.clone();
        Some(retained(&self.topics.status, payload))
    }

    /// Ends the flight of a status message, if this message, whose PUBACK came, is one.
    pub(in crate::run) fn on_delivered(&self, message: &Publish) {
        let mut state = self.lock();
        if message.topic == self.topics.alive {
            state.alive.on_delivered(&message.payload, 0);
        } else if message.topic == self.topics.status {
            let next_ms = state.sent.as_ref().map_or(0, |sent| sent.at_ms + PAUSE_MS);
            if state.status.on_delivered(&message.payload, next_ms) {
                // A newer one that was wanted meanwhile is news against this one: the next look makes it anew.
                let sent = state.sent.take();
                let former = std::mem::replace(&mut state.told, sent);
                state.on_told(former.as_ref());
            }
        }
    }

    /// Ends the flight of a status message, if this message, which the hub refused, is one: the session does not send it again. The next one comes
    /// after the pause that has begun, or on a new connection, where the hub may have other rights.
    pub(in crate::run) fn on_refused(&self, message: &Publish) {
        let mut state = self.lock();
        let State { alive, status, .. } = &mut *state;
        for (topic, slot) in [(&self.topics.alive, alive), (&self.topics.status, status)] {
            if message.topic == *topic {
                slot.on_its_way.take_if(|sent| *sent == message.payload);
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

/// Returns the reason beside the verdict, in words.
fn why(snapshot: &Snapshot) -> Option<&str> {
    let is_well = snapshot.verdict == Verdict::Delivering.as_str();
    // A note beside a good verdict would read as its reason.
    let need = snapshot.needs.first().filter(|need| !is_well || need.level == Level::Act);
    let cause = snapshot.link.cause.as_deref().filter(|_| !snapshot.link.is_up);
    need.map(|need| need.text.as_str()).or(cause)
}

/// Returns the JSON of a status, of at most [`BYTES_MAX`] bytes; the cause is shortened if it does not fit. It leaves the site, and so has no path of
/// this machine.
fn payload(snapshot: &Snapshot, paths: &NamedPaths, process: Process) -> Vec<u8> {
    let why = why(snapshot).map(|why| paths.without_paths(why));
    let figure = |figure: u64| figure.min(FIGURE_MAX);
    let mut status = Status {
        v: 1,
        time_ms: snapshot.time_ms,
        verdict: &snapshot.verdict,
        since_s: figure(snapshot.since_s),
        why: why.as_deref(),
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
