//! Route: the destination of its messages, and the rows that it makes of them.

use bytes::Bytes;
use edge_bridge::ingest::{Inbound, Now};
use edge_bridge::wire::{PropertyId, QoS, ReasonCode, Utf8, validate_levels};
use edge_bridge::{Format as RowFormat, Row};
use edge_filter::{DropReason, Pipeline, RestoreError, Stats};
use serde::{Deserialize, Serialize};

use crate::config::{Format, Route};

use super::filters::filter::Filter;
use super::filters::filter_state::{FilterState, Origin};
use super::filters::readings::{Kept, Readings, Taken};
use super::hub::formats::row_format;
use super::sensors::bulkhead::Bulkhead;
use super::sensors::held_receipts::Link;
use super::status::snapshot::figures::RouteFigures;
use super::tap::Taps;

/// Destination of a route's readings, which is kept over a restart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Destination {
    pub(crate) to: String,
    /// Number of the format in the queue's rows.
    pub(crate) format: u8,
    pub(crate) lane: u8,
    /// Quality of service of the messages. Earlier versions did not write it.
    #[serde(default = "once_at_least")]
    pub(crate) qos: u8,
}

fn once_at_least() -> u8 {
    QoS::AtLeastOnce as u8
}

impl Destination {
    /// Returns the row of a reading. `None`: the topic is not valid.
    pub(crate) fn row(&self, kept: Kept) -> Option<Row> {
        let topic = Utf8::try_from(self.to.as_str()).ok()?;
        let qos = QoS::new(self.qos).unwrap_or(QoS::AtLeastOnce);
        Some(reading_row(topic, (RowFormat(self.format), qos), self.lane, kept))
    }
}

/// Makes the row of a reading. A change of an alarm takes the most urgent lane, so that telemetry does not hold it up.
fn reading_row(topic: Utf8, (format, qos): (RowFormat, QoS), lane: u8, kept: Kept) -> Row {
    let mut row = Row::new(topic, kept.row);
    (row.format, row.qos) = (format, qos);
    row.lane = Some(if kept.alarm { 0 } else { lane });
    row.possible_duplicate = kept.may_be_copy;
    row
}

/// A route, with the state that it needs to make rows.
#[derive(Debug)]
pub(crate) struct RouteState {
    /// The route as configured, to find out whether it changed.
    configured: Route,
    pub(crate) filter_topic: String,
    to: Utf8,
    format: Format,
    qos: QoS,
    pub(crate) lane: u8,
    /// Text of the filter's rules.
    rules: Option<String>,
    /// Decoder and filter. `None`: the route is raw.
    pub(crate) readings: Option<Readings>,
    /// Messages that the route accepted since the start, and the bytes of their payloads.
    taken: u64,
    taken_bytes: u64,
}

impl RouteState {
    pub(crate) fn new(route: &Route) -> Result<Self, String> {
        let rules = route.rules.as_deref().map(Pipeline::from_toml).transpose();
        let pipeline = rules.map_err(|error| format!("rules of \"{}\": {error}", route.filter_topic))?;
        let to = Utf8::try_from(route.to.as_str()).map_err(|error| format!("\"{}\": {error}", route.to))?;
        let hold_max_ms = route.hold_max.map(|max| u64::try_from(max.as_millis()).unwrap_or(u64::MAX));
        Ok(Self {
            configured: route.clone(),
            filter_topic: route.filter_topic.clone(),
            to,
            format: route.format,
            qos: QoS::new(route.qos).unwrap_or(QoS::AtLeastOnce),
            lane: route.lane,
            rules: route.rules.clone(),
            readings: (route.format != Format::Raw)
                .then(|| Readings::new(pipeline, hold_max_ms, &route.input)),
            taken: 0,
            taken_bytes: 0,
        })
    }

    /// Replaces the filter of the rules. Returns whether the route has readings, which can be filtered.
    pub(crate) fn set_filter(&mut self, pipeline: Pipeline) -> bool {
        self.rules = None;
        let name = format!("filter of \"{}\"", self.filter_topic);
        let part = Bulkhead::new(name, "the reading passes unfiltered");
        self.readings.as_mut().map(|readings| readings.set_filter(pipeline, part)).is_some()
    }

    /// Returns whether both were configured in the same way.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.configured == other.configured
    }

    /// Returns whether the route's lane is among these, bit `n` for lane `n`.
    pub(super) fn is_in(&self, lanes: u8) -> bool {
        lanes.checked_shr(self.lane.into()).unwrap_or(0) & 1 == 1
    }

    /// Prepares a route that replaces another one. The hub may know alarm states of that one, so first states are reported. `obeys`: local
    /// clients may command alarms, so changes of alarms are collected for them.
    pub(super) fn begin(&mut self, obeys: bool) {
        self.readings.iter_mut().for_each(Readings::tell_first_alarms);
        if obeys && let Some(filter) = self.filter_mut() {
            filter.tell_alarms();
        }
    }

    /// Takes over what the messages of the route before have told of later ones, if its messages are the same.
    pub(super) fn take_over(&mut self, old: &mut Self) {
        let is_same = self.filter_topic == old.filter_topic && self.configured.input == old.configured.input;
        if let (true, Some(readings), Some(old)) = (is_same, &mut self.readings, &mut old.readings) {
            readings.take_over_births(old);
        }
    }

    /// Sets the taps that the filter's judgements are shown to.
    pub(super) fn set_taps(&mut self, taps: &Taps) {
        self.readings.iter_mut().for_each(|readings| readings.set_taps(taps));
    }

    /// Counts a message of this route, with a payload of so many bytes.
    pub(crate) fn count(&mut self, payload_bytes: usize) {
        self.taken += 1;
        self.taken_bytes += payload_bytes as u64;
    }

    /// Figures for the status.
    pub(crate) fn figures(&self) -> RouteFigures {
        let suppressed = |stats: &Stats| DropReason::ALL.iter().map(|reason| stats.dropped_by(*reason)).sum();
        let stats = self.readings.as_ref().and_then(Readings::stats);
        RouteFigures {
            messages: self.taken,
            payload_bytes: self.taken_bytes,
            filtered: stats.map(|stats| (stats.input, suppressed(&stats))),
        }
    }

    pub(crate) fn tick(&mut self, now: Now, is_asked_for: bool) -> (Vec<Row>, Link) {
        let taken = self.readings.as_mut().map(|readings| readings.tick(now, is_asked_for));
        self.rows(taken.unwrap_or_default())
    }

    /// Returns the rows of alarms whose delay has ended.
    pub(crate) fn tick_alarms(&mut self, now: Now) -> (Vec<Row>, Link) {
        let taken = self.readings.as_mut().map(|readings| readings.tick_alarms(now));
        self.rows(taken.unwrap_or_default())
    }

    /// Returns the rows of the readings that the filter holds.
    pub(crate) fn flush(&mut self) -> (Vec<Row>, Link) {
        let taken = self.readings.as_mut().map(Readings::flush);
        self.rows(taken.unwrap_or_default())
    }

    /// The filter of the route's readings.
    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.readings.as_ref()?.filter()
    }

    pub(crate) fn filter_mut(&mut self) -> Option<&mut Filter> {
        self.readings.as_mut()?.filter_mut()
    }

    /// Returns the row of a message without change, under its topic at the hub. The payload is copied, because as a slice it would keep a whole
    /// receive buffer alive.
    pub(crate) fn raw(&self, message: &Inbound) -> Result<Row, ReasonCode> {
        let topic = [self.to.as_bytes(), message.topic.as_bytes()].concat();
        let topic = Utf8::new(Bytes::from(topic)).map_err(|_| ReasonCode::TOPIC_NAME_INVALID)?;
        validate_levels(&topic).map_err(|_| ReasonCode::TOPIC_NAME_INVALID)?;
        let mut row = Row::new(topic, Bytes::copy_from_slice(&message.payload));
        row.qos = self.qos;
        row.retain = message.retain;
        row.lane = Some(self.lane);
        let expiry_s = message.properties.u32(PropertyId::MessageExpiryInterval);
        row.ttl_ms = expiry_s.map(|seconds| u64::from(seconds) * 1_000);
        if !message.properties.is_empty() {
            row.properties = message.properties.without(&[
                PropertyId::TopicAlias,
                PropertyId::SubscriptionIdentifier,
                PropertyId::MessageExpiryInterval,
            ]);
        }
        Ok(row)
    }

    pub(crate) fn rows(&self, taken: Taken) -> (Vec<Row>, Link) {
        (taken.kept.into_iter().map(|kept| self.reading(kept)).collect(), taken.link)
    }

    fn reading(&self, kept: Kept) -> Row {
        reading_row(self.to.clone(), (row_format(self.format), self.qos), self.lane, kept)
    }

    /// Returns the state of the filter, to be kept over a restart. `None`: there is no filter.
    pub(crate) fn filter_state(&self) -> Option<FilterState> {
        let snapshot = self.readings.as_ref()?.snapshot()?;
        let (to, format) = (self.to.as_str().to_owned(), row_format(self.format).0);
        let destination = Destination { to, format, lane: self.lane, qos: self.qos as u8 };
        let origin = self.rules.clone().map(|rules| Origin { rules, destination });
        Some(FilterState { filter_topic: self.filter_topic.clone(), origin, snapshot })
    }

    /// Text of the filter's rules.
    pub(crate) fn rules(&self) -> Option<&str> {
        self.rules.as_deref()
    }

    /// Restores the filter's state from before a restart.
    ///
    /// # Errors
    /// The state is of another version; the filter then starts without history.
    pub(crate) fn restore(&mut self, now: Now, state: FilterState) -> Result<(), RestoreError> {
        self.readings.as_mut().map_or(Ok(()), |readings| readings.restore(now, state.snapshot))
    }
}
