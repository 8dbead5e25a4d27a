//! Sparkplug payloads of a route, and the requests of births that did not come.

use std::borrow::Cow;
use std::collections::HashMap;

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
/// Most nodes that are remembered as asked; no others are asked meanwhile.
const ASKED_MAX: usize = 256;

/// Births of a route's nodes.
#[derive(Debug)]
pub(super) struct Births {
    sessions: Sessions,
    /// Nodes that were asked for their births, by topic, with the time and the pause until they may be asked again.
    asked: HashMap<String, (i64, i64)>,
    /// Request that is to be published.
    request: Option<BirthRequest>,
}

/// Request to a node to send its births again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BirthRequest {
    pub(crate) topic: String,
    pub(crate) payload: bytes::Bytes,
}

impl Births {
    pub(super) fn new(bytes_max: u64) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        Self { sessions: Sessions::new(bytes_max), asked: HashMap::new(), request: None }
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
        let Self { sessions, asked, request } = self;
        let message = sessions.read(&topic, payload, source.arrival_ms, limits).inspect_err(|_| {
            if topic.kind == Kind::Birth && asked.len() < ASKED_MAX {
                asked.insert(topic.node_commands(), (source.arrival_ms, ASK_AGAIN_AFTER_USELESS_MS));
            }
        });
        match message.map_err(named)? {
            Message::Readings(batch) => Ok(Records::Named(topic.sender(), batch)),
            Message::Ended(ended) => Ok(Records::List(records_at_end(&ended, source.arrival_ms))),
            Message::Unborn => {
                *request = next_request(asked, topic.node_commands(), source.arrival_ms);
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

/// Returns the request at a topic, unless it was sent a short time before.
fn next_request(asked: &mut HashMap<String, (i64, i64)>, topic: String, now_ms: i64) -> Option<BirthRequest> {
    // A clock that was set back delays no request by more than it would have waited anyway.
    asked.retain(|_, (at_ms, pause_ms)| (0..*pause_ms).contains(&now_ms.saturating_sub(*at_ms)));
    if asked.len() >= ASKED_MAX || asked.contains_key(&topic) {
        return None;
    }
    asked.insert(topic.clone(), (now_ms, ASK_EVERY_MS));
    let payload = rebirth_request(u64::try_from(now_ms).unwrap_or(0));
    Some(BirthRequest { topic, payload })
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
