//! gateway.toml, version 1: the whole file is read, every mistake is reported at once, and each setting can be written in one way only.
//!
//! Relative paths are relative to the file in which they stand. Durations and sizes are strings with a unit. `${NAME}` expands.

mod access;
mod ack_held;
mod alarms;
mod amount;
mod broker;
mod changes;
pub(crate) mod client_tls;
mod command;
mod conflicting_keys;
mod control;
mod digest;
pub(crate) mod effective;
mod est;
mod expand;
mod fields;
mod findings;
mod format;
mod hardware;
mod hub;
pub(crate) mod hub_topics;
pub(crate) mod include;
mod input;
mod key_places;
mod keys;
mod listener;
mod load;
mod loop_to_itself;
mod mask;
pub(crate) mod named_paths;
pub(crate) mod overlap;
pub(crate) mod password;
pub(crate) mod peer;
pub(crate) mod proxy;
pub(crate) mod queue_key;
mod quote;
pub(crate) mod reference;
mod route;
mod route_reach;
mod rule_reach;
mod secret_file;
mod section;
mod shareable;
mod sources;
mod status;
mod suggest;
mod tables;
mod test_case;
pub(crate) mod tls;
pub(crate) mod units;
mod websocket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use edge_bridge::bridge::IdentityForm;
use edge_codec::compact::Level;
use toml::de::DeTable;

pub(crate) use access::AccessFiles;
pub(crate) use ack_held::window;
pub(crate) use alarms::AlarmCommands;
pub(crate) use broker::{BrokerTls, BrokerWay};
pub(crate) use changes::Changes;
#[cfg(test)]
pub(crate) use command::Allowed;
pub(crate) use command::{CommandRule, LocalTopic, answers_by_default, own_topic};
pub(crate) use control::Control;
pub(crate) use edge_state::operator_file;
#[cfg(feature = "est")]
pub(crate) use est::Claim;
pub(crate) use est::Est;
pub(crate) use findings::{Findings, Severity};
pub use format::Format;
pub(crate) use hardware::Hardware;
pub(crate) use hub::Credentials;
pub(crate) use input::Input;
pub(crate) use listener::{Addresses, ClientLimits, ListenerLimits, SAVED_CLIENTS_BYTES, TlsAddresses};
pub(crate) use route_reach::{commanded, is_own_here, own_topics_here, refusal};
use section::{Section, World, table};
pub(crate) use shareable::shareable;
pub(crate) use sources::Sources;
pub(crate) use status::Token;
pub(crate) use tables::TABLES_MAX;
pub(crate) use test_case::TestCase;

/// A configuration that has been checked.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// Name of this gateway; part of its default client ids.
    pub(crate) id: String,
    /// State directory, which holds the queue; overridden by `--state`. `None`: the command line has to name it.
    pub(crate) state: Option<PathBuf>,
    /// Set if the configuration is read again when one of its files changes, and not only at a signal.
    pub(crate) follows_files: bool,
    pub(crate) local: Local,
    pub(crate) hub: Hub,
    pub(crate) queue: Queue,
    pub(crate) routes: Vec<Route>,
    /// Rules for commands; of several that match a message of the hub, the first is used.
    pub(crate) commands: Vec<CommandRule>,
    pub(crate) control: Option<Control>,
    /// Limits of alarm commands from local clients. `None`: such commands are not accepted.
    pub(crate) alarm_commands: Option<AlarmCommands>,
    /// Address of the status page, `/metrics`, `/healthz` and `/readyz`. `None`: there are no pages.
    pub(crate) metrics: Option<SocketAddr>,
    /// Bearer token that the status page requires. `None`: it requires none.
    pub(crate) status_token: Option<Token>,
    /// Set if the gateway's state is published at the hub.
    pub(crate) status_to_hub: bool,
    /// First digits of a hash of the configuration's files.
    pub(crate) digest: String,
    /// The files themselves.
    pub(crate) sources: Sources,
    /// Shortest time between two commits of the bookkeeping for whoever reads the totals of `/metrics`.
    pub(crate) totals_within: Duration,
    /// Set if the wall clock counts as synchronised whatever the operating system reports.
    pub(crate) trusts_clock: bool,
    pub(crate) hardware: Hardware,
    /// Cases for `edge-gateway test`.
    pub(crate) cases: Vec<TestCase>,
}

/// Source of messages: the gateway's own listener, or a separate broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// Sensors connect to these addresses of the gateway.
    Listen {
        addresses: Box<Addresses>,
        /// Set if topics and properties may have control characters, for which a hub may end the connection.
        accept_control_characters: bool,
        /// Set if clients of MQTT 3.1 may connect.
        accept_mqtt_3_1: bool,
        limits: ListenerLimits,
        access: AccessFiles,
        /// Set if sessions and retained messages are kept over a restart.
        persistence: bool,
    },
    /// Existing broker at which the gateway subscribes.
    Broker { host: String, port: u16, client_id: String, topics: Vec<String>, way: Box<BrokerWay> },
}

impl Local {
    /// Returns whether messages with control characters are taken, and sent to the hub.
    pub(crate) fn accepts_control_characters(&self) -> bool {
        matches!(self, Self::Listen { accept_control_characters: true, .. })
    }
}

/// The hub: address, names and limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hub {
    pub(crate) url: String,
    /// Further addresses, which are tried in this order after `url`.
    pub(crate) further_urls: Vec<String>,
    /// Set if the link returns to `url` when that address can be reached again (failback).
    pub(crate) failback: bool,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// Lists of revoked certificates.
    pub(crate) crl: Option<PathBuf>,
    /// Server that renews the certificate. `None`: others do.
    pub(crate) est: Option<Est>,
    /// Protocols for ALPN. If the list is empty, ALPN is not sent.
    pub(crate) alpn: Vec<String>,
    /// Name of the hub in TLS. `None`: the host of the address.
    pub(crate) server_name: Option<String>,
    pub(crate) proxy: Option<proxy::Proxy>,
    pub(crate) client_id: String,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) protocol: Protocol,
    pub(crate) keep_alive: Duration,
    /// Time within which a lost connection is noticed and dialled again while there are subscriptions.
    pub(crate) command_within: Duration,
    /// Most unacknowledged messages to the hub, within its Receive Maximum.
    pub(crate) window: u16,
    /// Form of the identity of raw messages and dead letters.
    pub(crate) identity: IdentityForm,
}

/// MQTT version at the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// MQTT 5, or 3.1.1 if the hub does not support 5.
    Auto,
    V5,
    V311,
}

/// Policy for a message that exceeds the queue's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFull {
    DropOldest,
    DropNewest,
    Reject,
}

/// Order in which messages are sent after an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Fifo,
    LiveFirst,
}

/// Limits of the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) max_messages: Option<u64>,
    pub(crate) max_bytes: u64,
    pub(crate) max_age: Option<Duration>,
    pub(crate) on_full: OnFull,
    /// Order of all lanes, except of the first one if there are several. `None`: the formats of the lane's routes decide.
    pub(crate) order: Option<Order>,
    pub(crate) ack_within: Duration,
    pub(crate) gap_reports: bool,
    /// Key of an encrypted queue.
    pub(crate) key: Option<queue_key::QueueKey>,
    /// Names of the lanes, most urgent first.
    pub(crate) lanes: Vec<String>,
}

/// Limits of a batch. `batch_max` sets one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchMax {
    pub(crate) readings: u32,
    /// Most bytes of an encoded batch. `None`: limited only by the largest packet.
    pub(crate) bytes: Option<u32>,
}

/// Route: topic filter, destination, format and filter rules of one class of messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// MQTT topic filter.
    pub(crate) filter_topic: String,
    /// For raw routes the prefix before the whole topic, for others the topic of the batches.
    pub(crate) to: String,
    pub(crate) qos: u8,
    /// Index into [`Queue::lanes`].
    pub(crate) lane: u8,
    pub(crate) format: Format,
    /// Compression level of compact batches.
    pub(crate) level: Level,
    /// Format of the sensors' payloads.
    pub(crate) input: Input,
    pub(crate) batch_age: Duration,
    pub(crate) batch_max: BatchMax,
    /// Text of the filter's rules. `None`: the route has no filter.
    pub(crate) rules: Option<String>,
    /// File from which the rules of the filter were read.
    pub(crate) rules_file: Option<PathBuf>,
    /// Longest time for which the PUBACK of a reading waits while a filter stage holds the reading (`ack_held = "when_emitted"`). `None`: the
    /// PUBACK does not wait.
    pub(crate) hold_max: Option<Duration>,
}

impl Config {
    /// Returns the order of each lane. The lane of alarms keeps their order, because an alarm that seems to end before it begins would mislead.
    /// So does a lane of raw messages, which carry no timestamp.
    pub(crate) fn orders(&self) -> Vec<Order> {
        let lanes = self.queue.lanes.len();
        let of_lane = |lane: usize| {
            let is_raw = |route: &Route| usize::from(route.lane) == lane && route.format == Format::Raw;
            let by_routes = if self.routes.iter().any(is_raw) { Order::Fifo } else { Order::LiveFirst };
            if lane == 0 && lanes > 1 { Order::Fifo } else { self.queue.order.unwrap_or(by_routes) }
        };
        (0..lanes).map(of_lane).collect()
    }
}

/// Reads the root table; every part is read even if an earlier one is wrong.
fn read(root: &DeTable<'_>, world: &World<'_>, findings: &mut Findings) -> Option<Config> {
    let mut top = Section::new("", 0, Some(root), world);
    let mut gateway = table(&mut top, "gateway", world, findings);
    let mut local = table(&mut top, "local", world, findings);
    let mut hub_table = table(&mut top, "hub", world, findings);
    let mut queue = table(&mut top, "queue", world, findings);
    let mut control = table(&mut top, "control", world, findings);
    let mut alarms_table = table(&mut top, "alarms", world, findings);
    let mut metrics = table(&mut top, "metrics", world, findings);
    let mut status_table = table(&mut top, "status", world, findings);
    let clock = table(&mut top, "clock", world, findings);
    let mut hardware_table = table(&mut top, "hardware", world, findings);

    let id = tables::gateway_id(&mut gateway, findings);
    let state = tables::state(&mut gateway, findings);
    let follows_files = gateway.one_of_in_force("reload", findings) == "on_change";
    gateway.finish(findings);
    let named = id.as_deref().unwrap_or("gateway");
    let queue_config = tables::queue(&mut queue, findings);
    queue.finish(findings);
    let (route_numbers, routes) = route::routes(&mut top, &queue_config, world, findings);
    let (numbers, commands): (Vec<_>, Vec<_>) =
        command::commands(&mut top, named, world, findings).into_iter().unzip();
    let local_config = tables::local(&mut local, named, &routes, findings);
    local.finish(findings);
    let hub_config = hub::hub(&mut hub_table, named, queue_config.max_age, findings);
    hub_table.finish(findings);
    let control_config = control::control(&mut control, findings);
    control.finish(findings);
    let alarm_commands = alarms::alarms(&mut alarms_table, findings);
    alarms_table.finish(findings);
    let (listen, totals_within) = tables::metrics(&mut metrics, findings);
    metrics.finish(findings);
    let status_token = status::status(&mut status_table, listen, findings);
    let status_to_hub = status_table.boolean("to_hub", findings).unwrap_or(false);
    status_table.finish(findings);
    let trusts_clock = clock.boolean("trusted", findings).unwrap_or(false);
    clock.finish(findings);
    let hardware = hardware::hardware(&mut hardware_table, findings);
    hardware_table.finish(findings);
    let cases = test_case::test_cases(&mut top, world, findings);
    top.finish(findings);

    let config = Config {
        id: id?,
        state,
        follows_files,
        local: local_config?,
        hub: hub_config?,
        queue: queue_config,
        routes,
        commands,
        control: control_config,
        alarm_commands,
        metrics: listen,
        status_token,
        status_to_hub,
        digest: String::new(),
        sources: findings.sources().clone(),
        totals_within,
        trusts_clock,
        hardware,
        cases,
    };
    conflicting_keys::check(&config, &route_numbers, findings);
    command::check(&config, (&numbers, &route_numbers), findings);
    control::check(&config, findings);
    alarms::check(&config, &route_numbers, findings);
    Some(config)
}

#[cfg(test)]
mod tests;
