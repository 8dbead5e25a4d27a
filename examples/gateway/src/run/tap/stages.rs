//! Calls of the stages, with what each knows of a message.

use std::fmt;
use std::sync::Arc;

use edge_bridge::Row;
use edge_bridge::bridge::{HubAnswer, dead_letter_topic};
use edge_bridge::ingest::Inbound;
use edge_bridge::net::Clock;
use edge_bridge::net::intake::{Intake, OnSafe, SafeRow};
use edge_queue::Receipt as QueueReceipt;

use super::super::filters::reading_row::ReadingRow;
use super::super::sensors::ingest::GatewayIngest;
use super::registry::Taps;
use super::sample::{Incoming, Judged, Reading, Receipt, Sample, Sent, Shown, Stored, Verdict, cut};
use super::{Stage, Trail, Wish};

impl Taps {
    /// Shows a message as it came.
    pub(crate) fn came_in(&self, message: &Inbound) {
        if !self.watches(Stage::In) {
            return;
        }
        let topic = message.topic.as_str();
        self.offer(
            Stage::In,
            |wish| wish.takes(topic),
            || {
                Sample::In(Incoming {
                    topic: cut(topic),
                    client: cut(message.client.as_str()),
                    qos: message.qos as u8,
                    retain: message.retain,
                    bytes: message.payload.len(),
                    payload: Shown::of(&message.payload),
                })
            },
        );
    }

    /// Returns the trail for the next readings, which is empty while nobody taps them.
    pub(crate) fn trail(&self) -> Trail {
        if self.watches(Stage::Filtered) { Trail::begin() } else { Trail::default() }
    }

    /// Shows the judgements about the readings of a message. `None`: the filter made them without one.
    pub(crate) fn judged(&self, topic: Option<&str>, trail: Trail) {
        if !self.watches(Stage::Filtered) {
            return;
        }
        let is_of =
            |wish: &Wish, sensor: &str| wish.takes(sensor) || topic.is_some_and(|topic| wish.takes(topic));
        let (all, left_out) = trail.into_parts();
        for mut judged in all {
            let sensor = judged.reading.as_ref().map(|reading| reading.sensor.clone()).unwrap_or_default();
            let is_passed = judged.verdict == Verdict::Passed;
            let wants = |wish: &Wish| (wish.why || is_passed) && is_of(wish, &sensor);
            self.offer(Stage::Filtered, wants, || {
                judged.topic = topic.map(cut);
                Sample::Filtered(judged)
            });
        }
        if left_out > 0 {
            // Whose they were is not known any more: whoever taps the stage may miss one.
            self.lose(Stage::Filtered, |_| true, left_out);
        }
    }

    /// Shows a message that goes beside all filters.
    pub(crate) fn unfiltered(&self, topic: &str, why: &str) {
        self.without_reading(topic, Verdict::Unfiltered, &why);
    }

    /// Shows a message without readings that a filter could judge.
    pub(crate) fn no_reading(&self, topic: &str, why: &dyn fmt::Display) {
        self.without_reading(topic, Verdict::NoReading, why);
    }

    fn without_reading(&self, topic: &str, verdict: Verdict, why: &dyn fmt::Display) {
        if !self.watches(Stage::Filtered) {
            return;
        }
        let wants = |wish: &Wish| (wish.why || verdict == Verdict::Unfiltered) && wish.takes(topic);
        self.offer(Stage::Filtered, wants, || {
            Sample::Filtered(Judged {
                topic: Some(cut(topic)),
                verdict,
                why: cut(&why.to_string()),
                reading: None,
            })
        });
    }

    /// Creates the registry, and connects it to the stages before the queue, and behind it.
    pub(crate) fn start(clock: Clock, ingest: &GatewayIngest, intake: &Intake, lanes: &[String]) -> Self {
        let taps = Self::new(clock);
        ingest.set_taps(&taps);
        let (watch, lanes) = (taps.clone(), Arc::<[String]>::from(lanes));
        intake.watch_rows(move |row| watch.row(row, &lanes));
        taps
    }

    fn row(&self, row: &Row, lanes: &Arc<[String]>) -> Option<OnSafe> {
        if !self.watches(Stage::Stored) {
            return None;
        }
        let topic = dead_letter_topic(row);
        if !self.is_wanted(Stage::Stored, |wish| wish.takes(topic.as_str())) {
            return None;
        }
        let Some(place) = self.reserve_row() else {
            self.lose(Stage::Stored, |wish| wish.takes(topic.as_str()), 1);
            return None;
        };
        let (taps, lanes) = (self.clone(), lanes.clone());
        let is_raw = row.format == edge_bridge::Format::RAW;
        let reading = ReadingRow::decode(&row.payload).filter(|_| !is_raw);
        let reading =
            reading.map(|row| Reading::new((&row.sensor, &row.unit, row.time, &row.value), row.quality));
        let payload = if reading.is_some() { Shown::default() } else { Shown::of(&row.payload) };
        let bytes = row.payload.len();
        Some(Box::new(move |safe: SafeRow| {
            let _place = place;
            taps.offer(
                Stage::Stored,
                |wish| wish.takes(topic.as_str()),
                || {
                    let lane = lanes.get(usize::from(safe.lane)).cloned().unwrap_or_default();
                    let receipt = match safe.receipt {
                        QueueReceipt::HandedOver => Receipt::HandedOver,
                        QueueReceipt::Settled(_) => Receipt::Dropped,
                        QueueReceipt::Volatile => Receipt::Volatile,
                        _ => Receipt::Stored,
                    };
                    let topic = cut(topic.as_str());
                    Sample::Stored(Stored { topic, lane, seq: safe.seq, receipt, bytes, reading, payload })
                },
            );
        }))
    }

    /// Shows a message that the hub answered.
    pub(crate) fn answered(&self, answer: &HubAnswer<'_>) {
        if !self.watches(Stage::Sent) {
            return;
        }
        let topic = answer.message.topic.as_str();
        self.offer(
            Stage::Sent,
            |wish| wish.takes(topic),
            || {
                Sample::Sent(Sent {
                    topic: cut(topic),
                    bytes: answer.message.payload.len(),
                    rows: answer.rows,
                    refused: answer.reason.is_error().then(|| answer.reason.to_string()),
                    took_ms: answer.took_ms,
                })
            },
        );
    }
}

#[cfg(test)]
mod tests;
