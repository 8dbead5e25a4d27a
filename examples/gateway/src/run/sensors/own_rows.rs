//! Check of the rows that an embedding program's own ingest returns, as [`Bridge::publish_row`](edge_bridge::Bridge::publish_row) checks its row: one that
//! the queue or a hub never takes would be acknowledged, and gone. Pure.

use edge_bridge::Row;
use edge_bridge::escape::Escaped;
use edge_bridge::ingest::{Answer, Inbound};
use edge_bridge::wire::{
    ReasonCode, validate_characters, validate_levels, validate_properties, validate_topic_name,
};
use edge_queue::{Lane, ROW_OVERHEAD_BYTES};

use crate::config::Config;
use crate::run::queue::store::{self, ROW_BYTES_MAX};

/// Rules for rows of the program's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowRules {
    lanes: Vec<LaneMax>,
    accept_control_characters: bool,
}

/// Largest row of an empty lane.
#[derive(Clone, Debug)]
struct LaneMax {
    /// By weight.
    messages: u64,
    row_bytes: u64,
}

impl RowRules {
    pub(crate) fn of(config: &Config) -> Self {
        let accept_control_characters = config.local.accepts_control_characters();
        let queue = store::config(config);
        let max_of = |(lane, _)| LaneMax {
            messages: queue.lane_max_messages(Lane(lane)),
            row_bytes: queue
                .lane_max_bytes(Lane(lane))
                .saturating_sub(ROW_OVERHEAD_BYTES)
                .min(ROW_BYTES_MAX as u64),
        };
        Self { lanes: (0..).zip(&config.queue.lanes).map(max_of).collect(), accept_control_characters }
    }

    /// Returns the first mistake in the rows of an answer to `message`: a reason of PUBACK, and words. `None`: all rows can be delivered.
    pub(crate) fn mistake(&self, message: &Inbound, answer: &Answer) -> Option<(ReasonCode, String)> {
        let (Answer::Store(rows) | Answer::Withhold(rows)) = answer else { return None };
        rows.iter().find_map(|row| self.mistake_of(message, row))
    }

    fn mistake_of(&self, message: &Inbound, row: &Row) -> Option<(ReasonCode, String)> {
        if let Some(lane) = row.lane.filter(|lane| usize::from(*lane) >= self.lanes.len()) {
            let words = format!(
                "a row for lane {lane}: the lanes are numbered from 0, and there are {}",
                self.lanes.len()
            );
            return Some((ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR, words));
        }
        if let Some(words) = self.too_much(row) {
            return Some((ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR, words));
        }
        // What came with such a topic passes by the routes, too.
        let is_free = self.accept_control_characters || row.topic == message.topic;
        let checked = validate_topic_name(&row.topic).and_then(|()| validate_levels(&row.topic));
        let checked = checked.and_then(|()| if is_free { Ok(()) } else { validate_characters(&row.topic) });
        let has_any = self.accept_control_characters || row.properties == message.properties;
        let checked =
            checked.and_then(|()| if has_any { Ok(()) } else { validate_properties(&row.properties) });
        let error = checked.err()?;
        let words = format!("a row with the topic \"{}\": {error}", Escaped(&row.topic));
        Some((ReasonCode::TOPIC_NAME_INVALID, words))
    }

    /// Returns words about a row that would not fit into its lane if that were empty.
    fn too_much(&self, row: &Row) -> Option<String> {
        // The last lane is that of a row without one.
        let max = row.lane.map_or(self.lanes.last(), |lane| self.lanes.get(usize::from(lane)))?;
        if u64::from(row.weight) > max.messages {
            return Some(format!("a row of weight {}: its lane holds {} messages", row.weight, max.messages));
        }
        let stored = row.clone().into_queue_row();
        let bytes = (stored.key.len() + stored.meta.len() + stored.payload.len()) as u64;
        let is_beyond = bytes > max.row_bytes;
        is_beyond.then(|| {
            format!("a row of {bytes} bytes with topic and properties: its lane takes {}", max.row_bytes)
        })
    }
}
