//! Sizing of a configuration under a load: the longest outage that the queue covers, and the use of link, disk, flash and memory. Pure.

use std::time::Duration;

use edge_filter::Pipeline;
use edge_queue::ROW_OVERHEAD_BYTES;

use crate::config::{Config, Format, Input, Local, Route, SAVED_CLIENTS_BYTES};
use crate::run::hub::compact::{self, table_topics};
use crate::run::queue::store;
use crate::run::{ALARM_CHANGES_BYTES_MAX, NAME_BYTES_MAX, UNIT_BYTES_MAX, tap};

use super::route_loads::route_loads;
use super::simulated_load::{LinkBytes, Load, RouteLoad};

/// Bytes of a row in the store beside its payload and metadata, as far as its number, its time and its lengths are near those of the row before.
pub(super) const ROW_FRAME_BYTES: u64 = 8;
/// Page of the store in bytes; a commit writes whole pages.
const PAGE_BYTES: u64 = 4_096;
/// Bytes of a commit in its first page beside the rows: a header, and the first row's number and time.
const COMMIT_HEAD_BYTES: u64 = 136 + 16;
/// Bytes of a commit in each further page beside the rows.
const PAGE_MARK_BYTES: u64 = 8;
/// Round trip to the hub that must fit into `ack_within` beside the batch's age, see the warning of [`crate::config`].
const ROUND_TRIP: Duration = Duration::from_millis(500);
/// Write amplification inside flash memory: bytes that the device writes per byte given to it.
const FLASH_FACTOR: u64 = 2;
/// Length of the outage for which the time of catching up is computed.
const OUTAGE: Duration = Duration::from_secs(3_600);
const DAY_S: u64 = 86_400;
const MONTH_S: u64 = 30 * DAY_S;
/// Memory of binary, runtime, one queue segment's index and socket buffers, measured idle; see docs/guide/sizing.md.
const RAM_BASE_BYTES: u64 = 8 << 20;
/// Memory of messages received from a local broker and not yet acknowledged.
const RAM_UNACKED_BYTES: u64 = 4 << 20;
/// Memory of messages between the listener and the queue, and of waiting receipts.
const RAM_INTAKE_BYTES: u64 = 6 << 20;
/// Memory of the receive buffers of all connections.
const RAM_READING_BYTES: u64 = 4 << 20;
/// Memory of an idle connection, with its task and its session.
const RAM_CONNECTION_BYTES: u64 = 6 << 10;
/// Memory of a connection's TLS: 20 KiB while it is idle, 36 KiB for incomplete records, the client's certificate, and bytes that wait to be
/// written.
const RAM_TLS_BYTES: u64 = 68 << 10;
/// Memory of TLS handshakes under way: 64 of them, each with a buffer of up to 64 KiB.
const RAM_HANDSHAKES_BYTES: u64 = 8 << 20;
/// Memory of a connection's WebSocket: a frame on its way out, its state, and the last ping.
const RAM_WEB_SOCKET_BYTES: u64 = 5 << 10;
/// Memory of WebSocket handshakes under way without TLS: 64 of them, each with a request head of up to 8 KiB in a buffer that has grown to it.
const RAM_HEADS_BYTES: u64 = 1 << 20;
/// Factor from the bytes in the listener's accounts to resident memory, because blocks of all sizes that come and go fragment the heap. Measured
/// under attack: 1.3 to 1.6.
const LOCAL_HEAP_FACTOR: u64 = 2;
/// Memory of messages in flight to the hub, as rows and as packets, whatever their size.
const RAM_LINK_BYTES: u64 = 4 << 20;
/// Memory for the bookkeeping of rows in flight: 4 096 of about 1 KiB, in any number of messages.
const RAM_ROWS_IN_FLIGHT_BYTES: u64 = 4 << 20;
/// Memory of a filtered sensor: the longest name and unit, the states of its stages, and a text in two of them.
const RAM_FILTERED_SENSOR_BYTES: u64 = (NAME_BYTES_MAX + UNIT_BYTES_MAX + 512 + 2 * 128) as u64;
/// Memory of a topic of compact batches beside what all share: the hub's messages below the topic of its tables, and a task that reads them.
const RAM_COMPACT_TOPIC_BYTES: u64 = 32 << 10;
/// Memory of refused messages that are being parked on disk.
const RAM_PARKING_BYTES: u64 = 1 << 20;

/// Memory of the hub's commands: 1 MiB of payloads, their answers, and 4 096 identities.
const RAM_COMMANDS_BYTES: u64 = 3 << 20;
/// Memory of changes of alarms that wait to be published to local clients, in a queue that has grown to twice as many.
const RAM_ALARM_COMMANDS_BYTES: u64 = 2 * ALARM_CHANGES_BYTES_MAX as u64;

/// Figures of a configuration under a load. Pure but for the files of users and rights: the same configuration gives the same figures on every machine.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sizing {
    /// Figures of each route, in the configuration's order, as if all messages used that route.
    pub(super) routes: Vec<RouteSizing>,
    /// Bytes that the queue reserves on disk.
    pub(super) disk_bytes: u64,
    /// Bytes that the queue of parked messages reserves beside it once the hub has refused one.
    pub(super) parked_disk_bytes: u64,
    /// Largest resident memory in bytes.
    pub(super) ram_bytes: u64,
    /// The part of it that is for logins and rights, with their files as they are.
    pub(super) access_ram_bytes: u64,
    /// Longest time for which a sensor waits for its PUBACK.
    pub(super) receipt: Duration,
}

/// Figures of a route if all messages use it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RouteSizing {
    /// Longest outage before `on_full` applies.
    pub(super) outage: Duration,
    /// Name of the limit that is reached first.
    pub(super) reached_first: &'static str,
    /// Longest outage at the rate of the busiest five minutes. `None`: it is not known.
    pub(super) outage_when_busiest: Option<Duration>,
    /// Bytes on the link in 30 days: of MQTT alone, and with TLS and TCP.
    pub(super) month: (u64, u64),
    /// Bytes written to the store in a day while the hub is away.
    pub(super) flash_offline: u64,
    /// Bytes written to the store in a day while the hub answers.
    pub(super) flash_online: u64,
    /// Years until the flash is worn out if the hub never answers.
    pub(super) years: f64,
    /// Time to catch up after [`OUTAGE`]. `None`: the link's rate is not configured. `Duration::MAX`: the link is too slow.
    pub(super) catching_up: Option<Duration>,
}

/// Computes the figures.
pub(super) fn sizing(config: &Config, load: Load) -> Sizing {
    let held = config.routes.iter().filter_map(|route| route.hold_max).max();
    let routes = config.routes.iter().zip(route_loads(config, load));
    let access_ram_bytes = match &config.local {
        Local::Listen { access, .. } => access.ram_bytes(),
        Local::Broker { .. } => 0,
    };
    Sizing {
        routes: routes.map(|(route, of_route)| route_sizing(config, route, load, of_route)).collect(),
        disk_bytes: disk_bytes(config),
        parked_disk_bytes: lane_disk_bytes(config.queue.max_bytes),
        ram_bytes: ram_bytes(config) + access_ram_bytes,
        access_ram_bytes,
        receipt: config.queue.ack_within + held.unwrap_or_default(),
    }
}

impl Sizing {
    /// Returns the index of the route that fills this lane first, with its figures. `None`: no route uses the lane.
    pub(super) fn first_to_fill(&self, config: &Config, lane: usize) -> Option<(usize, &RouteSizing)> {
        let routes = config.routes.iter().zip(&self.routes).enumerate();
        let of_lane = routes.filter(|(_, (route, _))| usize::from(route.lane) == lane);
        of_lane.map(|(index, (_, figures))| (index, figures)).min_by_key(|(_, figures)| figures.outage)
    }

    /// Returns the route that covers the shortest outage.
    pub(super) fn shortest(&self) -> Option<&RouteSizing> {
        self.routes.iter().min_by_key(|route| route.outage)
    }
}

fn route_sizing(config: &Config, route: &Route, load: Load, of_route: RouteLoad) -> RouteSizing {
    let rate = load.messages_per_s;
    let RouteLoad { row_bytes, live, backlog } = of_route;
    let outage_at = |rate: f64| outage(config, route, rate * (row_bytes + ROW_OVERHEAD_BYTES) as f64, rate);
    let (outage, reached_first) = outage_at(rate);
    let flash_offline = bytes_a_day(rate, row_bytes + ROW_FRAME_BYTES, config.queue.ack_within);
    // Where the hub can answer in time nothing is written.
    let waits = if route.format == Format::Raw { Duration::ZERO } else { route.batch_age };
    let is_elided = waits + ROUND_TRIP < config.queue.ack_within;
    let life = config.hardware.flash_bytes.saturating_mul(config.hardware.flash_cycles) / FLASH_FACTOR;
    let of_month = |bytes: f64| (bytes * rate * MONTH_S as f64) as u64;
    RouteSizing {
        outage,
        reached_first,
        outage_when_busiest: load.measured.map(|measured| outage_at(measured.busiest_per_s).0),
        month: (of_month(live.mqtt), of_month(live.wire)),
        flash_offline,
        flash_online: if is_elided { 0 } else { flash_offline },
        years: life as f64 / (flash_offline.max(1) as f64 * 365.0),
        catching_up: config
            .hardware
            .link_bytes_per_s
            .map(|line| catching_up(line as f64, rate, live, backlog)),
    }
}

/// Returns the time until a limit of the route's lane is reached, and the name of that limit.
fn outage(config: &Config, route: &Route, bytes_per_s: f64, rate: f64) -> (Duration, &'static str) {
    let queue = &config.queue;
    // Lanes but the last have an eighth of the limits.
    let share = if usize::from(route.lane) + 1 < queue.lanes.len() { 8 } else { 1 };
    let of = |limit: u64, per_s: f64| (limit / share) as f64 / per_s;
    let limits = [
        (Some(of(queue.max_bytes, bytes_per_s)), "max_bytes"),
        (queue.max_messages.map(|count| of(count, rate)), "max_messages"),
        (queue.max_age.map(|age| age.as_secs_f64()), "max_age"),
    ];
    let known = limits.into_iter().filter_map(|(seconds, name)| Some((seconds?, name)));
    let (seconds, name) =
        known.min_by(|(one, _), (other, _)| one.total_cmp(other)).unwrap_or((0.0, "max_bytes"));
    (Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX), name)
}

/// Returns the bytes that a commit of so many bytes of rows writes, in whole pages.
pub(super) fn commit_bytes(row_bytes: f64) -> f64 {
    let beyond = row_bytes + COMMIT_HEAD_BYTES as f64 - PAGE_BYTES as f64;
    let further = (beyond / (PAGE_BYTES - PAGE_MARK_BYTES) as f64).ceil().max(0.0);
    (1.0 + further) * PAGE_BYTES as f64
}

/// Returns the bytes that a day's commits write. A commit comes `every` after its first row, which comes half the time between two rows after the commit
/// before. So its rows are as many as come in both times, and one more or less.
fn bytes_a_day(rate: f64, row_bytes: u64, every: Duration) -> u64 {
    let rows = (rate * every.as_secs_f64() + 0.5).max(1.0);
    let bytes = |rows: f64| commit_bytes(rows * row_bytes as f64);
    let bytes = bytes(rows.floor()) * (1.0 - rows.fract()) + bytes(rows.floor() + 1.0) * rows.fract();
    let commits = DAY_S as f64 * rate / rows;
    (commits * bytes) as u64
}

/// Returns the time in which a link delivers the backlog of [`OUTAGE`] beside the new messages, which share its segments.
fn catching_up(line: f64, rate: f64, live: LinkBytes, backlog: LinkBytes) -> Duration {
    let left = line - rate * live.in_full_segments();
    if left <= 0.0 {
        return Duration::MAX;
    }
    let seconds = rate * OUTAGE.as_secs_f64() * backlog.in_full_segments() / left;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Returns the most memory that the local side may use, in bytes.
fn local_ram_bytes(local: &Local) -> u64 {
    match local {
        Local::Listen { limits, addresses, persistence, .. } => {
            let tls = if addresses.tls.is_some() { RAM_TLS_BYTES } else { 0 };
            let has_web_socket = addresses.ws.iter().next().is_some();
            let handshakes = match (&addresses.tls, has_web_socket) {
                (Some(_), _) => RAM_HANDSHAKES_BYTES,
                (None, true) => RAM_HEADS_BYTES,
                (None, false) => 0,
            };
            let web_socket = if has_web_socket { RAM_WEB_SOCKET_BYTES } else { 0 };
            let connections =
                u64::from(limits.max_connections) * (RAM_CONNECTION_BYTES + tls + web_socket) + handshakes;
            let saved = if *persistence { SAVED_CLIENTS_BYTES } else { 0 };
            RAM_INTAKE_BYTES + RAM_READING_BYTES + connections + saved + LOCAL_HEAP_FACTOR * limits.max_memory
        }
        Local::Broker { .. } => RAM_UNACKED_BYTES,
    }
}

/// Returns the sum of the most memory that each part but logins and rights may use. Parked rows have a queue of their own, with one lane. A stop, a start after it and a
/// change of the routes copy the filters' states, one filter after the other.
fn ram_bytes(config: &Config) -> u64 {
    let queue = store::config(config);
    let parked = queue.clone().lanes(1).max_unwritten_bytes(RAM_PARKING_BYTES);
    let link = RAM_LINK_BYTES + RAM_ROWS_IN_FLIGHT_BYTES;
    let readings: u64 =
        config.routes.iter().map(|route| births_ram_bytes(route) + filter_ram_bytes(route)).sum();
    let copied = config.routes.iter().map(filter_ram_bytes).max().unwrap_or(0);
    RAM_BASE_BYTES
        + local_ram_bytes(&config.local)
        + queue.ram_bytes(1)
        + link
        + parked.ram_bytes(1)
        + readings
        + copied
        + compact_ram_bytes(config)
        + tap::RAM_BYTES
        + if config.commands.is_empty() { 0 } else { RAM_COMMANDS_BYTES }
        + if config.alarm_commands.is_none() { 0 } else { RAM_ALARM_COMMANDS_BYTES }
}

/// Returns the memory of compact batches, in bytes: names, samples, tables and encoders of all topics have one budget.
pub(super) fn compact_ram_bytes(config: &Config) -> u64 {
    let topics = table_topics(&config.routes, &config.id).len() as u64;
    if topics == 0 { 0 } else { compact::RAM_BYTES + topics * RAM_COMPACT_TOPIC_BYTES }
}

/// Bytes of births, and of the rows of all their sensors at a node's death, by those that births may take.
const BIRTHS_FACTOR: u64 = 4;

/// Returns the memory of a route's births, in bytes.
fn births_ram_bytes(route: &Route) -> u64 {
    if let Input::Sparkplug(births_max) = route.input { BIRTHS_FACTOR * births_max } else { 0 }
}

/// Returns the memory of a route's filter with as many sensors as it takes, in bytes. Each may fill the windows of its stages, because clients choose
/// the times of their readings.
fn filter_ram_bytes(route: &Route) -> u64 {
    let filter = route.rules.as_deref().and_then(|rules| Pipeline::from_toml(rules).ok());
    let sensor_bytes = |filter: &Pipeline| RAM_FILTERED_SENSOR_BYTES + filter.window_bytes() as u64;
    filter.map_or(0, |filter| filter.max_keys() as u64 * sensor_bytes(&filter))
}

/// Returns the bytes that the queue reserves. Every lane reserves twice its limit and four segments of 1 MiB; lanes but the last have an eighth
/// of the limit.
fn disk_bytes(config: &Config) -> u64 {
    let others = config.queue.lanes.len().saturating_sub(1) as u64;
    lane_disk_bytes(config.queue.max_bytes) + others * lane_disk_bytes(config.queue.max_bytes / 8)
}

fn lane_disk_bytes(limit: u64) -> u64 {
    2 * limit + (4 << 20)
}

#[cfg(test)]
mod tests;
