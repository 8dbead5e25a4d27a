//! Sparkplug payloads of a route, and the requests of births that did not come.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use edge_codec::sparkplug::{
    BIRTHS, Ended, Kind, Message, Sessions, Topic, is_session_metric, rebirth_request,
};
use edge_codec::{DecodeError, Limits, Record, Source, Value};
use edge_filter::Quality;

use super::check_names;
use super::payload::Records;

/// Shortest time between two requests to a node, in milliseconds of wall clock: a birth may have thousands of metrics.
const ASK_EVERY_MS: i64 = 60_000;
/// The same after a birth that could not be read or kept: another one would be as useless, and both go to the hub as dead letters.
const ASK_AGAIN_AFTER_USELESS_MS: i64 = 3_600_000;
/// Most nodes that are remembered as asked, no others are asked meanwhile; and most of which a useless birth is remembered, others may be asked.
const ASKED_MAX: usize = 256;

/// Births of a route's nodes.
#[derive(Debug)]
pub(super) struct Births {
    sessions: Sessions,
    /// Nodes that were asked for their births.
    asked: Pauses,
    /// Nodes whose birth could not be read or kept. They are apart from the others: whoever sends such births keeps no other node from being asked.
    useless: Pauses,
    /// Request that is to be published.
    request: Option<BirthRequest>,
}

/// Request to a node to send its births again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BirthRequest {
    pub(crate) topic: String,
    pub(crate) payload: bytes::Bytes,
}

impl BirthRequest {
    fn new(topic: String, now_ms: i64) -> Self {
        Self { topic, payload: rebirth_request(u64::try_from(now_ms).unwrap_or(0)) }
    }
}

impl Births {
    pub(super) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let sessions = Sessions::new(bytes_max);
        let (asked, useless) = (Pauses::of(ASK_EVERY_MS), Pauses::of(ASK_AGAIN_AFTER_USELESS_MS));
        Self { sessions, asked, useless, request: None }
    }

    /// Takes the request that the last payload has given rise to.
    pub(super) fn take_request(&mut self) -> Option<BirthRequest> {
        self.request.take()
    }

    /// Decodes a payload as a whole. At the end of a session each of its sensors has a reading without a value.
    pub(super) fn decode<'a>(
        &'a mut self,
        payload: &'a [u8],
        source: &Source<'a>,
        limits: &Limits,
    ) -> Result<Records<'a>, DecodeError> {
        let Some(topic) = source.sensor.and_then(Topic::read) else {
            return Err(DecodeError::Malformed { offset: 0, what: "the topic is none of Sparkplug".into() });
        };
        let Self { sessions, asked, useless, request } = self;
        let now_ms = source.arrival_ms;
        let message = sessions.read(&topic, payload, now_ms, limits).inspect_err(|_| {
            if topic.kind == Kind::Birth {
                useless.begin(&topic.node_commands(), now_ms);
            }
        });
        match message.map_err(named)? {
            Message::Readings(batch) => Ok(Records::Named(topic.sender(), batch)),
            Message::Ended(ended) => Ok(Records::List(records_at_end(&ended, now_ms))),
            Message::Unborn => {
                let node = topic.node_commands();
                let may_ask = !useless.lasts(&node, now_ms)
                    && !asked.lasts(&node, now_ms)
                    && asked.begin(&node, now_ms);
                *request = may_ask.then(|| BirthRequest::new(node, now_ms));
                let what = "no birth of its sender is known: the node is asked for it";
                Err(DecodeError::Malformed { offset: 0, what: what.into() })
            }
            _ => Ok(Records::List(Vec::new())),
        }
    }
}

/// Returns the error, with the key that a person can change where births have no room.
fn named(error: DecodeError) -> DecodeError {
    match error {
        DecodeError::Limit { what: BIRTHS, limit, found, .. } => {
            let what = format!("births of {found} bytes have no room in max_births = {limit}");
            DecodeError::Malformed { offset: 0, what: what.into() }
        }
        error => error,
    }
}

/// Pauses of nodes, by the hashes of their names: senders choose names of up to 64 KiB. Two nodes of one hash share a pause.
#[derive(Debug)]
struct Pauses {
    /// Times at which they began.
    began_ms: HashMap<u64, i64>,
    hashes: RandomState,
    length_ms: i64,
}

impl Pauses {
    fn of(length_ms: i64) -> Self {
        Self { began_ms: HashMap::new(), hashes: RandomState::new(), length_ms }
    }

    /// Returns whether the pause of a node still lasts.
    fn lasts(&mut self, node: &str, now_ms: i64) -> bool {
        self.forget_old(now_ms);
        self.began_ms.contains_key(&self.hashes.hash_one(node))
    }

    /// Begins the pause of a node. `false`: as many as are remembered have one.
    fn begin(&mut self, node: &str, now_ms: i64) -> bool {
        self.forget_old(now_ms);
        let has_room = self.began_ms.len() < ASKED_MAX;
        if has_room {
            self.began_ms.insert(self.hashes.hash_one(node), now_ms);
        }
        has_room
    }

    /// Forgets the nodes whose pause is over. A clock that was set back delays no request by more than it would have waited anyway.
    fn forget_old(&mut self, now_ms: i64) {
        let length_ms = self.length_ms;
        self.began_ms.retain(|_, began_ms| (0..length_ms).contains(&now_ms.saturating_sub(*began_ms)));
    }
}

/// Returns a reading without a value for each sensor of sessions that have ended. Its time is that of the message's arrival: a death was
/// written when its session began. A sensor whose name or unit is too long has none: its birth went to the hub as a dead letter, and the others of
/// its node have theirs nevertheless.
fn records_at_end(ended: &[Ended], now_ms: i64) -> Vec<Record<'static>> {
    let mut records = Vec::new();
    for Ended { sender, birth, .. } in ended {
        let sensors = birth.sensors().iter().filter(|sensor| {
            let name_bytes = if sensor.name.is_empty() { 0 } else { sender.len() + 1 + sensor.name.len() };
            !is_session_metric(&sensor.name) && check_names(name_bytes, &sensor.unit).is_ok()
        });
        records.extend(sensors.map(|sensor| Record {
            sensor: Cow::Owned(format!("{sender}/{}", sensor.name)),
            field: Cow::Borrowed(""),
            unit: Cow::Owned(sensor.unit.to_string()),
            time: now_ms,
            arrival_time: true,
            value: Value::Null,
            quality: Quality::BAD_NO_COMMUNICATION.0,
            numeric_quality: false,
        }));
    }
    records
}

#[cfg(test)]
mod tests;
