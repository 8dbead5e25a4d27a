//! Snapshot: what the gateway says of itself at one moment, on every surface. The types of the JSON (docs/reference/status.md); page,
//! terminal and monitoring check are made of the same value, so no two of them can contradict each other. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of the JSON: it rises when a name or its meaning changes, not when one is added.
pub(crate) const VERSION: u32 = 1;

/// State of a gateway at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) v: u32,
    /// Name of the gateway in its configuration.
    pub(crate) gateway: String,
    /// Name and version of the program.
    pub(crate) program: String,
    /// First eight digits of the SHA-256 of the configuration in force.
    #[serde(default)]
    pub(crate) config: String,
    /// Milliseconds since the Unix epoch, by the gateway's clock.
    pub(crate) time_ms: i64,
    pub(crate) clock_synced: bool,
    /// Seconds since the start of the process.
    pub(crate) up_s: u64,
    /// One of the five pinned words.
    pub(crate) verdict: String,
    /// Seconds since the verdict became this one.
    pub(crate) since_s: u64,
    /// The verdict, in a sentence or three.
    pub(crate) sentence: String,
    /// Messages that were given up.
    pub(crate) lost: u64,
    pub(crate) link: LinkStatus,
    pub(crate) queue: QueueStatus,
    pub(crate) room: Room,
    pub(crate) rates: Rates,
    /// `None` while a part of the totals is not known.
    pub(crate) ledger: Option<LedgerStatus>,
    pub(crate) refused: Refused,
    /// Causes that need a person, the worst first.
    pub(crate) needs: Vec<Need>,
    pub(crate) routes: Vec<RouteStatus>,
    /// Routes that are not listed.
    pub(crate) more_routes: u64,
    pub(crate) bytes: Bytes,
    pub(crate) restarts: Restarts,
    /// Changes of the state, the newest first.
    pub(crate) events: Vec<Event>,
}

/// State of the connection to the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkStatus {
    /// One of the six pinned words.
    pub(crate) state: String,
    /// Seconds since it went up or down.
    pub(crate) since_s: u64,
    /// The hub has accepted the connection, and answers.
    pub(crate) is_up: bool,
    /// Reason why there is no connection.
    pub(crate) cause: Option<String>,
    /// Place of the hub's address in the list of the configuration.
    pub(crate) address: u64,
    /// Messages sent to the hub without an answer.
    pub(crate) unacked: u64,
    /// Smoothed; `None` before the first answer.
    pub(crate) round_trip_ms: Option<u64>,
}

/// State of the queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueueStatus {
    pub(crate) open: bool,
    /// Reason why it is not open.
    pub(crate) cause: Option<String>,
    /// Messages that wait for the hub.
    pub(crate) messages: u64,
    /// Bytes of them, as the limits count.
    pub(crate) bytes: u64,
    /// Age of the oldest of them.
    pub(crate) oldest_ms: u64,
    /// The most urgent first.
    pub(crate) lanes: Vec<Lane>,
    /// Messages that were received and are not in the queue yet.
    pub(crate) not_queued: u64,
    /// Messages whose acknowledgment waits for a stage of a filter.
    pub(crate) withheld: u64,
}

/// One lane of the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// `None`: only the bytes are limited.
    pub(crate) max_messages: Option<u64>,
    pub(crate) max_bytes: u64,
}

impl Lane {
    /// Returns the share of the nearer limit that is used, in percent.
    pub(crate) fn percent(&self) -> u64 {
        let share = |have: u64, max: u64| have.saturating_mul(100).checked_div(max).unwrap_or(0).min(100);
        let by_count = self.max_messages.map_or(0, |max| share(self.messages, max));
        by_count.max(share(self.bytes, self.max_bytes))
    }
}

/// Time until the first limit, if the hub took nothing from now on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// `None`: nothing came in lately, so it is not known.
    pub(crate) seconds: Option<u64>,
    /// Limit that is reached first: `max_bytes`, `max_messages` or `max_age`.
    pub(crate) limit: Option<String>,
    /// Lane of that limit.
    pub(crate) lane: Option<String>,
}

/// Flow of the last minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rates {
    /// Seconds that the rates are over: fewer than 60 after the start.
    pub(crate) over_s: u64,
    /// Readings that filters suppressed.
    pub(crate) suppressed_per_s: f64,
    /// Messages and readings taken into the queue.
    pub(crate) accepted_per_s: f64,
    /// Messages and readings that the hub acknowledged.
    pub(crate) delivered_per_s: f64,
}

/// The ledger: every accepted message is in one of the other figures. As of the last commit, over restarts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LedgerStatus {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) waiting: u64,
    pub(crate) parked: u64,
    /// By reason, as `edge_dropped_total` has them.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Accepted without all the others.
    pub(crate) difference: i64,
    /// Messages that are between the queue and the parked ones, or in both: they explain as much of the difference.
    pub(crate) between: i64,
    /// Messages that the hub acknowledged since that commit: in no other figure here.
    pub(crate) newer: u64,
}

impl LedgerStatus {
    /// Returns whether what is not accounted for is only on its way to the parked messages.
    pub(crate) fn adds_up(&self) -> bool {
        self.difference == self.between
    }
}

/// Messages that the hub does not take.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) parked: u64,
    pub(crate) in_place: u64,
    pub(crate) held: u64,
    pub(crate) topics: u64,
    /// The hub refuses every message as not authorized.
    pub(crate) link: bool,
}

/// Urgency of what needs a person. The order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// It does not heal by itself.
    Act,
    /// It is worth a look.
    Look,
}

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Need {
    pub(crate) level: Level,
    /// Name that does not change.
    pub(crate) id: String,
    /// The matter, in a sentence.
    pub(crate) text: String,
    /// Advice on what to do.
    pub(crate) action: String,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RouteStatus {
    #[serde(rename = "match")]
    pub(crate) filter: String,
    pub(crate) to: String,
    pub(crate) format: String,
    pub(crate) lane: String,
    /// Messages that it took since the start.
    pub(crate) messages: u64,
    /// Readings in them; `None` without a filter.
    pub(crate) readings: Option<u64>,
    /// Readings that its filter suppressed since the start; `None` without a filter.
    pub(crate) suppressed: Option<u64>,
}

/// Bytes since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bytes {
    /// To and from the hub, by cause.
    pub(crate) wan: BTreeMap<String, u64>,
    /// Written to the store.
    pub(crate) store_written: u64,
}

/// Starts after an earlier run, by how that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restarts {
    pub(crate) clean: u64,
    pub(crate) unclean: u64,
}

/// Change of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Seconds since then.
    pub(crate) ago_s: u64,
    pub(crate) verdict: String,
    pub(crate) link: String,
    /// Reason why there was no connection to the hub.
    pub(crate) cause: Option<String>,
    /// More than one: the state came and went, and this was the last time.
    pub(crate) times: u64,
}

#[cfg(test)]
pub(crate) mod examples;
