//! Topics of dead letters: messages that the ingest could not use are sent unchanged under `dead-letter/`, so that subscribers of readings do not
//! get them. Messages that the hub refuses are not dead letters; they are parked.

use crate::bridge::spool::Leased;
use crate::row::Row;
use crate::wire::{Utf8, validate_levels};

/// Prefix of the topics of dead letters.
pub const DEAD_LETTER_PREFIX: &str = "dead-letter/";

/// Returns the topic of the message made of `row`: the row's own topic, for a dead letter with [`DEAD_LETTER_PREFIX`] in front unless that would
/// be too long, or have more levels than a hub takes.
pub fn dead_letter_topic(row: &Row) -> Utf8 {
    let own = || row.topic.clone();
    match row.dead_letter {
        Some(_) => {
            let below = Utf8::try_from(format!("{DEAD_LETTER_PREFIX}{}", row.topic.as_str())).ok();
            below.filter(|topic| validate_levels(topic).is_ok()).unwrap_or_else(own)
        }
        None => own(),
    }
}

/// Sets a dead letter's topic, and its reason as the user property `edge-reason`. Leaves other rows unchanged.
pub(in crate::bridge) fn address(mut leased: Leased) -> Leased {
    let Some(reason) = leased.row.dead_letter else { return leased };
    leased.row.topic = dead_letter_topic(&leased.row);
    let mut properties = leased.row.properties.to_builder();
    // A message with properties at the limit of the format keeps what it has.
    let _ = properties.user("edge-reason", &reason.to_string());
    leased.row.properties = properties.finish();
    leased
}
