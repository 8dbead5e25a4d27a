//! Gap reports: messages to the hub about rows that were acknowledged to their publishers and lost, sent before the queue drops its gap records.
//! Pure.
//!
//! A gap record leaves the queue's list when the hub has acknowledged the report that names it. Until then the same report is sent again,
//! whatever was lost since, because the session may still send the first one, and a reader could not tell two reports with different numbers from
//! two losses. Rows that were merged into a record meanwhile are in a later report. Each lane has reports of its own, so that a refused topic
//! blocks no other lane's reports.

#![deny(clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use edge_bridge::bridge::{Packed, Packing};
use edge_bridge::ingest::Now;
use edge_bridge::wire::{Properties, PropertiesBuilder, PropertyId, Publish, QoS, Utf8, Value};
use edge_queue::Gap;
use serde::Serialize;

use crate::config::Config;
use crate::config::hub_topics::gap_topic;

/// Pause between two reports of a lane, in milliseconds; a report has as many messages as its records need. A lane that overflows for hours costs
/// one message a minute.
const EVERY_MS: u64 = 60_000;
/// Milliseconds after which a report without a PUBACK is sent again. Doubles with each such report.
const AGAIN_MS: u64 = 600_000;
const DOUBLINGS_MAX: u32 = 7;
/// Most gap records in one message.
const RECORDS_MAX: usize = 32;
const CONTENT_TYPE: &str = "application/vnd.edge.gaps+json";
/// Bytes of a packet beside topic and payload: fixed header, packet identifier, content type.
const PACKET_OVERHEAD: usize = 64;

/// Handle to the reports; clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct GapReports {
    gateway: u64,
    id: String,
    /// Name by lane.
    lanes: Arc<Vec<String>>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Report topic by lane. A lane that the configuration no longer has uses the topic of the last one.
    topics: Vec<Utf8>,
    /// Gap records whose report has no PUBACK yet.
    waiting: Vec<Gap>,
    lanes: BTreeMap<u8, LaneReports>,
    /// Gap records whose report has a PUBACK, until they are removed from the queue's list.
    delivered: Vec<Gap>,
}

/// Reports of one lane.
#[derive(Debug, Default)]
struct LaneReports {
    under_way: Option<UnderWay>,
    next_ms: u64,
    /// Up time of the first message of this minute's report; with the number of records at that time that are not delivered yet.
    began_ms: u64,
    left: usize,
    /// Messages since the last one with a PUBACK.
    unanswered: u32,
}

#[derive(Debug)]
struct UnderWay {
    payload: Bytes,
    gaps: Vec<Gap>,
}

/// Payload of a report, as JSON.
#[derive(Serialize)]
struct Report<'a> {
    id: &'a str,
    gateway: String,
    gaps: Vec<Record<'a>>,
}

/// Lost rows of one lane. Times are in milliseconds since the Unix epoch, 0 if not known.
#[derive(Serialize)]
struct Record<'a> {
    lane: u8,
    lane_name: Option<&'a str>,
    reason: &'static str,
    count: u64,
    first_seq: u64,
    last_seq: u64,
    first_ms: i64,
    last_ms: i64,
}

impl GapReports {
    /// Creates the reports of the queue with the id `gateway`.
    pub(crate) fn new(config: &Config, gateway: u64) -> Self {
        let lanes = Arc::new(config.queue.lanes.clone());
        let reports = Self { gateway, id: config.id.clone(), lanes, state: Arc::default() };
        reports.follow(config);
        reports
    }

    /// Takes over the topics of changed routes. A report under way goes to the new topic when it is sent again.
    pub(in crate::run) fn follow(&self, config: &Config) {
        let topic = |lane| gap_topic(config, lane).and_then(|topic| Utf8::try_from(topic).ok());
        self.lock().topics = (0..config.queue.lanes.len()).filter_map(topic).collect();
    }

    /// Updates the gap records from the queue's list, without those of [`take_delivered`](Self::take_delivered). Returns whether a lane without
    /// records has some now.
    pub(in crate::run) fn see(&self, gaps: Vec<Gap>) -> bool {
        let mut state = self.lock();
        // What the hub has by now is in the list still.
        if !state.delivered.is_empty() {
            return false;
        }
        let before = std::mem::replace(&mut state.waiting, gaps);
        state.waiting.iter().any(|gap| !before.iter().any(|known| known.lane == gap.lane))
    }

    /// Takes the gap records whose report has a PUBACK, to remove them from the queue's list.
    pub(in crate::run) fn take_delivered(&self) -> Vec<Gap> {
        std::mem::take(&mut self.lock().delivered)
    }

    /// Returns a report that is due, in a packet of at most `packet_max` bytes. `None`: none is due.
    pub(in crate::run) fn poll(&self, now: Now, packet_max: usize) -> Option<Packing> {
        let mut state = self.lock();
        let State { topics, waiting, lanes, .. } = &mut *state;
        waiting.chunk_by(|one, other| one.lane == other.lane).find_map(|gaps| {
            let (lane, records) = (gaps.first()?.lane.0, gaps.len());
            let reports = lanes.entry(lane).or_default();
            if now.up_ms < reports.next_ms {
                return None;
            }
            let Some(topic) = topics.get(usize::from(lane)).or_else(|| topics.last()) else {
                reports.next_ms = now.up_ms.saturating_add(EVERY_MS);
                return None;
            };
            let room = packet_max.saturating_sub(topic.len() + PACKET_OVERHEAD);
            let again = reports.under_way.take().filter(|under_way| under_way.payload.len() <= room);
            let Some((payload, gaps)) =
                again.map(|again| (again.payload, again.gaps)).or_else(|| self.cut(gaps, room))
            else {
                reports.next_ms = now.up_ms.saturating_add(EVERY_MS);
                return None;
            };
            if reports.left == 0 {
                (reports.began_ms, reports.left) = (now.up_ms, records);
            }
            let pause_ms = AGAIN_MS << reports.unanswered.min(DOUBLINGS_MAX);
            reports.next_ms = now.up_ms.saturating_add(pause_ms);
            reports.unanswered = reports.unanswered.saturating_add(1);
            reports.under_way = Some(UnderWay { payload: payload.clone(), gaps });
            Some(report(topic.clone(), payload))
        })
    }

    /// Returns a payload with as many of these records as fit, and these records. `None`: not even one fits.
    fn cut(&self, gaps: &[Gap], room: usize) -> Option<(Bytes, Vec<Gap>)> {
        let mut gaps = gaps.get(..RECORDS_MAX).unwrap_or(gaps);
        loop {
            let payload = self.payload(gaps);
            if payload.len() <= room {
                return Some((payload.into(), gaps.to_vec()));
            }
            gaps = gaps.get(..gaps.len() / 2).filter(|half| !half.is_empty())?;
        }
    }

    pub(in crate::run) fn next_deadline(&self) -> Option<u64> {
        let state = self.lock();
        let next_ms = |gap: &Gap| state.lanes.get(&gap.lane.0).map_or(0, |reports| reports.next_ms);
        state.waiting.iter().map(next_ms).min()
    }

    /// Moves the gap records of a report to the delivered ones, if this message, whose PUBACK came, is one under way.
    pub(in crate::run) fn on_delivered(&self, message: &Publish) {
        let mut state = self.lock();
        let State { waiting, lanes, delivered, .. } = &mut *state;
        for (lane, reports) in lanes {
            let is_it = |under_way: &mut UnderWay| under_way.payload == message.payload;
            if let Some(UnderWay { gaps, .. }) = reports.under_way.take_if(is_it) {
                reports.left = reports.left.saturating_sub(gaps.len());
                let pause_ms = if reports.left == 0 { EVERY_MS } else { 0 };
                reports.next_ms = reports.began_ms.saturating_add(pause_ms);
                reports.unanswered = 0;
                delivered.extend(gaps);
                waiting.retain(|gap| gap.lane.0 != *lane);
            }
        }
    }

    fn payload(&self, gaps: &[Gap]) -> Vec<u8> {
        let record = |gap: &Gap| Record {
            lane: gap.lane.0,
            lane_name: self.lanes.get(usize::from(gap.lane.0)).map(String::as_str),
            reason: gap.reason.name(),
            count: gap.count,
            first_seq: gap.first_seq,
            last_seq: gap.last_seq,
            first_ms: gap.first_ms,
            last_ms: gap.last_ms,
        };
        let gaps = gaps.iter().map(record).collect();
        let report = Report { id: &self.id, gateway: format!("{:016x}", self.gateway), gaps };
        // Texts and numbers always are JSON.
        serde_json::to_vec(&report).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(topic: Utf8, payload: Bytes) -> Packing {
    let mut properties = PropertiesBuilder::new();
    // A short static text always fits.
    let _ = properties.push(PropertyId::ContentType, Value::Utf8(CONTENT_TYPE));
    let properties: Properties = properties.finish();
    Packing::Message(Packed {
        publish: Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            packet_id: None,
            properties,
            payload,
        },
        rows: Vec::new(),
        expires_ms: None,
    })
}

#[cfg(test)]
mod tests;
