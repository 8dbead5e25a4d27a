//! Snapshot: the status of the gateway at one moment. These are the types of the JSON (docs/reference/status.md); page, terminal and monitoring
//! check are made from the same value, so that no two of them can contradict each other. Pure.

pub(super) mod facts;
pub(crate) mod figures;
pub(super) mod history;
pub(super) mod ledger;
pub(super) mod needs;
pub(super) mod recorder;
pub(super) mod remaining_room;
pub(super) mod sentence;
pub(super) mod snapshot_from_figures;
pub(crate) mod snapshot_maker;

pub(crate) use facts::{CurrentFacts, Facts};
pub(crate) use ledger::Totals;
pub(crate) use recorder::is_up;
pub(crate) use snapshot_from_figures::WithoutQueue;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::flash_wear::FlashWear;

/// Version of the JSON. It rises when a name or its meaning changes, not when a name is added.
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
    /// One of the five words of [`Verdict`](crate::run::status::verdict::Verdict).
    pub(crate) verdict: String,
    /// Seconds for which this has been the verdict.
    pub(crate) since_s: u64,
    /// Explanation of the verdict, in one to three sentences.
    pub(crate) sentence: String,
    /// Messages lost, over all starts.
    pub(crate) lost: u64,
    pub(crate) link: LinkStatus,
    pub(crate) queue: QueueStatus,
    pub(crate) room: Room,
    pub(crate) rates: Rates,
    /// Load of the last day. `None`: the queue has not been open yet.
    #[serde(default)]
    pub(crate) load: Option<DayLoad>,
    /// Ledger of messages. `None`: a part of the totals is unknown.
    pub(crate) ledger: Option<LedgerStatus>,
    /// Wear of the flash below the state directory, by the device's own estimate. Left out where the kernel does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) flash: Option<FlashWear>,
    pub(crate) refused: Refused,
    /// Conditions that need the operator, the worst first.
    pub(crate) needs: Vec<Need>,
    pub(crate) routes: Vec<RouteStatus>,
    /// Number of routes that are not in `routes`.
    pub(crate) more_routes: u64,
    pub(crate) bytes: Bytes,
    pub(crate) restarts: Restarts,
    /// Changes of the state, the newest first.
    pub(crate) events: Vec<Event>,
}

/// State of the connection to the hub.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkStatus {
    /// State of the link, one of six words.
    pub(crate) state: String,
    /// Seconds since the link went up or down.
    pub(crate) since_s: u64,
    /// Set while the hub has accepted the connection, and sends PUBACKs.
    pub(crate) is_up: bool,
    /// Reason why there is no connection. `None`: there is one, or no reason is known.
    pub(crate) cause: Option<String>,
    /// Index of the hub's address in the configuration, 0 for `url`.
    pub(crate) address: u64,
    /// Messages in flight to the hub.
    pub(crate) unacked: u64,
    /// Smoothed round trip in milliseconds. `None`: the hub has not answered yet.
    pub(crate) round_trip_ms: Option<u64>,
}

/// State of the queue.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct QueueStatus {
    pub(crate) open: bool,
    /// Reason why the queue is not open. `None`: it is.
    pub(crate) cause: Option<String>,
    /// Messages that wait for the hub.
    pub(crate) messages: u64,
    /// Bytes of these messages, as the limits count them.
    pub(crate) bytes: u64,
    /// Age of the oldest of these messages, in milliseconds; 0 without any.
    pub(crate) oldest_ms: u64,
    /// Lanes, the most urgent first.
    pub(crate) lanes: Vec<Lane>,
    /// Messages that were received and are not in the queue yet.
    pub(crate) not_queued: u64,
    /// Messages whose PUBACK waits for readings that a filter stage holds.
    pub(crate) withheld: u64,
}

/// One lane of the queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// Limit of messages. `None`: only bytes are limited.
    pub(crate) max_messages: Option<u64>,
    pub(crate) max_bytes: u64,
}

impl Lane {
    /// Returns how much of the nearer limit is used, in percent.
    pub(crate) fn percent(&self) -> u64 {
        let share = |have: u64, max: u64| have.saturating_mul(100).checked_div(max).unwrap_or(0).min(100);
        let by_count = self.max_messages.map_or(0, |max| share(self.messages, max));
        by_count.max(share(self.bytes, self.max_bytes))
    }
}

/// Time until the first limit of the queue is reached, if the hub accepts no messages from now on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// Seconds until the limit is reached. `None`: unknown, because no message came lately.
    pub(crate) seconds: Option<u64>,
    /// Limit that is reached first: `max_bytes`, `max_messages` or `max_age`.
    pub(crate) limit: Option<String>,
    /// Lane whose limit is reached first. `None`: unknown.
    pub(crate) lane: Option<String>,
}

impl Room {
    /// Returns whether the first limit is an age, which the oldest message reaches: it expires, and new ones come in.
    pub(in crate::run::status) fn is_of_age(&self) -> bool {
        self.limit.as_deref() == Some("max_age")
    }
}

/// Rates of the last minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rates {
    /// Seconds over which the rates are averaged, fewer than 60 just after the start.
    pub(crate) over_s: u64,
    /// Readings that filters suppressed, per second.
    pub(crate) suppressed_per_s: f64,
    /// Messages and readings accepted into the queue, per second.
    pub(crate) accepted_per_s: f64,
    /// Messages and readings that the hub acknowledged, per second.
    pub(crate) delivered_per_s: f64,
}

/// Load of the last day, or since the start if that is later; `edge-gateway check --measured` sizes by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DayLoad {
    /// Seconds for which the load was observed.
    pub(crate) over_s: u64,
    /// Messages and readings accepted into the queue, per second.
    pub(crate) accepted_per_s: f64,
    /// Rate of the busiest five minutes.
    pub(crate) busiest_per_s: f64,
    /// Mean bytes of a payload on the raw routes, since the start. `None`: no message came there.
    pub(crate) raw_bytes: Option<u64>,
}

/// Ledger: every accepted message is counted in one of the other figures. As of the last commit, over all starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LedgerStatus {
    pub(crate) accepted: u64,
    pub(crate) delivered: u64,
    pub(crate) waiting: u64,
    pub(crate) parked: u64,
    /// Dropped messages, by reasons as in `edge_dropped_total`.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Accepted messages less the sum of all others.
    pub(crate) difference: i64,
    /// Messages that are being parked, in neither queue or in both. They explain a difference of that size.
    pub(crate) between: i64,
    /// Messages acknowledged by the hub since the last commit. Until the next one they count as waiting or parked, or, accepted since, in no
    /// other figure; so they are no part of the sum.
    pub(crate) newer: u64,
}

impl LedgerStatus {
    /// Returns whether the difference is explained by messages that are being parked.
    pub(crate) fn adds_up(&self) -> bool {
        self.difference == self.between
    }
}

/// Messages that the hub refuses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Refused {
    pub(crate) parked: u64,
    pub(crate) in_place: u64,
    pub(crate) held: u64,
    pub(crate) topics: u64,
    /// Set while the hub refuses every message as not authorized.
    pub(crate) link: bool,
}

/// Urgency of a need, ordered from most to least urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// The cause does not go away without the operator.
    Act,
    /// The operator should look at the cause.
    Look,
}

/// Cause for which the operator is needed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Need {
    pub(crate) level: Level,
    /// Identifier of the cause, which does not change between versions.
    pub(crate) id: String,
    /// Description of the cause, in a sentence.
    pub(crate) text: String,
    /// Advice for the operator.
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
    /// Messages that the route accepted since the start.
    pub(crate) messages: u64,
    /// Readings in these messages. `None`: the route has no filter.
    pub(crate) readings: Option<u64>,
    /// Readings that the route's filter suppressed since the start. `None`: the route has no filter.
    pub(crate) suppressed: Option<u64>,
}

/// Bytes transferred and written since the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Bytes {
    /// Bytes to and from the hub, by use.
    pub(crate) wan: BTreeMap<String, u64>,
    /// Bytes written to the store.
    pub(crate) store_written: u64,
}

/// Numbers of restarts, by the way in which the process before ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Restarts {
    pub(crate) clean: u64,
    pub(crate) unclean: u64,
}

/// Change of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Event {
    /// Seconds since the change.
    pub(crate) ago_s: u64,
    pub(crate) verdict: String,
    pub(crate) link: String,
    /// Reason why there was no connection to the hub. `None`: there was one, or no reason is known.
    pub(crate) cause: Option<String>,
    /// Number of times that this state was entered. If there are several, the event is the last of them.
    pub(crate) times: u64,
}

#[cfg(test)]
pub(crate) mod test_snapshots;
