//! Check of the rows that an embedding program's own ingest returns, as [`Bridge::publish_row`](edge_bridge::Bridge::publish_row) checks its row: one that
//! the queue or a hub never takes would be acknowledged, and gone. Pure.

use edge_bridge::Row;
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::{Answer, Inbound};
use edge_bridge::wire::{ReasonCode, validate_characters, validate_topic_name};

use crate::config::{Config, Local};
use crate::run::queue::store::{self, ROW_BYTES_MAX};

/// Rules for rows of the program's own.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RowRules {
    /// Number of the queue's lanes.
    lanes: usize,
    /// Most messages of a lane, by weight.
    messages_max: u64,
    accept_control_characters: bool,
}

impl RowRules {
    pub(crate) fn of(config: &Config) -> Self {
        let accept_control_characters =
            matches!(config.local, Local::Listen { accept_control_characters: true, .. });
        let messages_max = store::messages_max(config);
        Self { lanes: config.queue.lanes.len(), messages_max, accept_control_characters }
    }

    /// Returns the first mistake in the rows of an answer to `message`: a reason of PUBACK, and words. `None`: all rows can be delivered.
    pub(crate) fn mistake(self, message: &Inbound, answer: &Answer) -> Option<(ReasonCode, String)> {
        let (Answer::Store(rows) | Answer::Withhold(rows)) = answer else { return None };
        rows.iter().find_map(|row| self.mistake_of(message, row))
    }

    fn mistake_of(self, message: &Inbound, row: &Row) -> Option<(ReasonCode, String)> {
        if let Some(lane) = row.lane.filter(|lane| usize::from(*lane) >= self.lanes) {
            let words =
                format!("a row for lane {lane}: the lanes are numbered from 0, and there are {}", self.lanes);
            return Some((ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR, words));
        }
        if let Some(words) = self.too_much(row) {
            return Some((ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR, words));
        }
        // What came with such a topic passes by the routes, too.
        let is_free = self.accept_control_characters || row.topic == message.topic;
        let checked = validate_topic_name(&row.topic);
        let checked = checked.and_then(|()| if is_free { Ok(()) } else { validate_characters(&row.topic) });
        let error = checked.err()?;
        let words = format!("a row with the topic \"{}\": {error}", Escaped(&row.topic));
        Some((ReasonCode::TOPIC_NAME_INVALID, words))
    }

    /// Returns words about a row that would not fit into an empty queue.
    fn too_much(self, row: &Row) -> Option<String> {
        let weight = u64::from(row.weight);
        if weight > self.messages_max {
            return Some(format!(
                "a row of weight {weight}: the queue has max_messages = {}",
                self.messages_max
            ));
        }
        let stored = row.clone().into_queue_row();
        let bytes = stored.key.len() + stored.meta.len() + stored.payload.len();
        let beyond = bytes > ROW_BYTES_MAX;
        beyond.then(|| {
            format!("a row of {bytes} bytes with topic and properties: the queue takes {ROW_BYTES_MAX}")
        })
    }
}
