//! Figures of a configuration: the outage that it covers, and what it takes of disk and memory. Pure.

use std::time::Duration;

use edge_filter::Pipeline;

use crate::config::{Config, Local, Route};
use crate::run::{NAME_BYTES_MAX, UNIT_BYTES_MAX, store};

/// The site the prediction is made for: the field's usual load.
pub(super) const MESSAGES_PER_SECOND: u64 = 30;
pub(super) const MESSAGE_BYTES: u64 = 200;
/// Bytes of a row beside its payload: topic, times, frame share.
const ROW_OVERHEAD_BYTES: u64 = 60;
/// Binary, runtime, one queue segment's index, socket buffers: measured idle, see docs/guide/sizing.md.
const RAM_BASE_BYTES: u64 = 8 << 20;
/// Messages received from a local broker and not yet acknowledged.
const RAM_UNACKED_BYTES: u64 = 4 << 20;
/// Messages between the listener and the queue, and receipts that wait.
const RAM_INTAKE_BYTES: u64 = 6 << 20;
/// Bytes that all connections read at a time.
const RAM_READING_BYTES: u64 = 4 << 20;
/// A connection that holds nothing, its task and its session.
const RAM_CONNECTION_BYTES: u64 = 6 << 10;
/// TLS of a connection: 20 KiB while it is idle, 36 KiB in records that are not whole, the client's certificate, and what waits to be written.
const RAM_TLS_BYTES: u64 = 68 << 10;
/// TLS handshakes under way: 64, each with up to 64 KiB in a buffer that has grown to it.
const RAM_HANDSHAKES_BYTES: u64 = 8 << 20;
/// Memory of what clients make the listener hold, by its bytes: blocks of all sizes that come and go leave room between them that is of no use to the next.
/// Measured under attack: 1.3 to 1.6.
const LOCAL_HEAP_FACTOR: u64 = 2;
/// Messages on the way to the hub, as rows and as packets, whatever their size.
const RAM_LINK_BYTES: u64 = 4 << 20;
/// Bookkeeping of the rows on the way: 4 096 of about 1 KiB, in however many messages.
const RAM_ROWS_IN_FLIGHT_BYTES: u64 = 4 << 20;
/// A filtered sensor: the longest name and unit, the states of its stages, and a text in two of them.
const RAM_FILTERED_SENSOR_BYTES: u64 = (NAME_BYTES_MAX + UNIT_BYTES_MAX + 512 + 2 * 128) as u64;
/// Refused messages on the way to the disk.
const RAM_PARKING_BYTES: u64 = 1 << 20;

/// Commands of the hub: 1 MiB of payloads, their answers, and 4 096 identities.
const RAM_COMMANDS_BYTES: u64 = 3 << 20;

/// Figures of a configuration. Pure: the same configuration gives the same answer everywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sizing {
    /// Longest outage before `on_full` applies.
    pub(super) outage: Duration,
    /// Name of the limit that is reached first.
    pub(super) reached_first: &'static str,
    /// Reserved on disk.
    pub(super) disk_bytes: u64,
    /// Most resident memory.
    pub(super) ram_bytes: u64,
    /// Longest a sensor waits for its PUBACK.
    pub(super) receipt: Duration,
}

/// Computes the figures.
pub(super) fn sizing(config: &Config) -> Sizing {
    let by_bytes = config.queue.max_bytes / (MESSAGES_PER_SECOND * (MESSAGE_BYTES + ROW_OVERHEAD_BYTES));
    let by_count = config.queue.max_messages.map(|count| count / MESSAGES_PER_SECOND);
    let by_age = config.queue.max_age.map(|age| age.as_secs());
    let limits = [(by_bytes, "max_bytes"), (by_count.unwrap_or(u64::MAX), "max_messages")];
    let limits = limits.into_iter().chain([(by_age.unwrap_or(u64::MAX), "max_age")]);
    let (seconds, reached_first) = limits.min_by_key(|(seconds, _)| *seconds).unwrap_or((0, "max_bytes"));
    let held = config.routes.iter().filter_map(|route| route.hold_max).max();
    Sizing {
        outage: Duration::from_secs(seconds),
        reached_first,
        disk_bytes: disk_bytes(config),
        ram_bytes: ram_bytes(config),
        receipt: config.queue.ack_within + held.unwrap_or_default(),
    }
}

/// Memory that the side of the sensors may hold.
fn local_ram_bytes(local: &Local) -> u64 {
    match local {
        Local::Listen { limits, addresses, .. } => {
            let tls = if addresses.tls.is_some() { RAM_TLS_BYTES } else { 0 };
            let handshakes = if addresses.tls.is_some() { RAM_HANDSHAKES_BYTES } else { 0 };
            let connections = u64::from(limits.max_connections) * (RAM_CONNECTION_BYTES + tls) + handshakes;
            RAM_INTAKE_BYTES + RAM_READING_BYTES + connections + LOCAL_HEAP_FACTOR * limits.max_memory
        }
        Local::Broker { .. } => RAM_UNACKED_BYTES,
    }
}

/// The sum of what each part may hold. The parked rows have a queue of their own, of one lane.
fn ram_bytes(config: &Config) -> u64 {
    let queue = store::config(config);
    let parked = queue.clone().lanes(1).max_unwritten_bytes(RAM_PARKING_BYTES);
    let link = RAM_LINK_BYTES + RAM_ROWS_IN_FLIGHT_BYTES;
    let filters: u64 = config.routes.iter().map(filter_ram_bytes).sum();
    RAM_BASE_BYTES
        + local_ram_bytes(&config.local)
        + queue.ram_bytes(1)
        + link
        + parked.ram_bytes(1)
        + filters
        + if config.commands.is_empty() { 0 } else { RAM_COMMANDS_BYTES }
}

/// Memory of a route's filter, with as many sensors as it takes.
fn filter_ram_bytes(route: &Route) -> u64 {
    let filter = route.rules.as_deref().and_then(|rules| Pipeline::from_toml(rules).ok());
    filter.map_or(0, |filter| filter.max_keys() as u64 * RAM_FILTERED_SENSOR_BYTES)
}

/// Every lane reserves twice its limit and four segments of 1 MiB; lanes but the last get an eighth of the limit.
fn disk_bytes(config: &Config) -> u64 {
    let others = config.queue.lanes.len().saturating_sub(1) as u64;
    let lane = |limit: u64| 2 * limit + (4 << 20);
    lane(config.queue.max_bytes) + others * lane(config.queue.max_bytes / 8)
}
