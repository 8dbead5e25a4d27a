//! Local side: the gateway's own listener, to which the control loops are connected too, or the client of a local broker.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: sockets and tasks")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_bridge::listener::Access;
use edge_bridge::net::intake::Intake;
use edge_bridge::net::server::{LocalPublisher, QueueSink, Receipts};
use edge_bridge::net::{Clock, ClockFloor, Server, ServerBuilder, ServerTls};

use tokio::task::JoinHandle;

use crate::config::{Addresses, Config, ListenerLimits, Local, SAVED_CLIENTS_BYTES, own_topics_here};
use crate::open_files::OpenFiles;
use crate::run::error::RunError;
use crate::run::local_control::control::Control;
use crate::run::status::snapshot::CurrentFacts;
use crate::run::subscribed_filters::SubscribedFilters;

use super::access_and_certificate_reload;
use super::birth_requests;
use super::broker::state::BrokerState;
use super::broker::{Broker, Target};
use super::client_log::ClientLog;
use super::held_receipts::Tell;
use super::ingest::GatewayIngest;
use super::refused_topic::RefusedTopic;
use super::saved_clients::SavedClients;

/// File of the topic filters that the session at the local broker has.
const SUBSCRIBED: &str = "subscribed";
/// Longest time for which no sensor's messages are read while the queue's task is behind.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Connection of the sensors to the gateway.
pub(in crate::run) enum Front {
    /// A listener, and its tasks: one reloads its access rules when their files change, one publishes requests of births.
    Server(Server, Vec<JoinHandle<()>>),
    Broker(Broker),
    /// Sensors behind a local broker, to which the gateway does not connect before it can store messages, and the floor of the clock by which its
    /// certificate is judged.
    NotYet(ClockFloor),
}

impl Front {
    /// Starts the listener, if sensors connect to one. It serves local clients with or without a queue.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub(in crate::run) async fn start(
        config: &Config,
        state: &Path,
        (clock, floor): (Clock, ClockFloor),
        ingest: &GatewayIngest,
        intake: &Intake,
        control: Option<&mut Control>,
        facts: &CurrentFacts,
    ) -> Result<Self, RunError> {
        let Local::Listen {
            addresses,
            accept_control_characters,
            accept_mqtt_3_1,
            limits,
            access,
            persistence,
        } = &config.local
        else {
            return Ok(Self::NotYet(floor));
        };
        let (rules, tls, in_force) =
            access_and_certificate_reload::open(access, addresses.tls.as_ref(), floor)?;
        let doors = Doors { addresses: (**addresses).clone(), tls };
        let fit = connections_that_fit(limits.max_connections);
        let limits = ListenerLimits { max_connections: fit, ..*limits };
        let accepts = (*accept_control_characters, *accept_mqtt_3_1);
        let limits = listener_config(&limits, accepts, own_topics_here(config));
        let store = persistence.then(|| SavedClients::new(state, facts.clone()));
        let server =
            listen((doors, limits, rules, store), clock, ingest, intake, (control, facts.clone())).await?;
        let told = (server.publisher(), facts.clone());
        let follow =
            access_and_certificate_reload::follow(access.clone(), addresses.tls.clone(), in_force, told);
        let mut tasks = vec![tokio::spawn(follow)];
        let asked = ingest.take_birth_requests();
        tasks.extend(asked.map(|asked| tokio::spawn(birth_requests::publish(asked, server.publisher()))));
        Ok(Self::Server(server, tasks))
    }

    /// Handles the opened queue: subscribes at the local broker, if the sensors are behind one.
    ///
    /// # Errors
    /// A name or topic filter that MQTT cannot carry.
    pub(in crate::run) fn with_queue(
        self,
        config: &Config,
        clock: Clock,
        ingest: &GatewayIngest,
        intake: &Intake,
        state: &Path,
    ) -> Result<Self, RunError> {
        let Local::Broker { host, port, client_id, topics, way } = &config.local else { return Ok(self) };
        let Self::NotYet(floor) = self else { return Ok(self) };
        let session = format!("{client_id} {host}:{port}");
        let subscribed = SubscribedFilters::load(state, SUBSCRIBED, session);
        let target = Target {
            host: host.clone(),
            port: *port,
            client_id: client_id.clone(),
            topics: topics.clone(),
            way: way.as_ref().clone(),
            expects_session: subscribed.is_of_session,
            subscribed,
        };
        Broker::start(target, (clock, floor), ingest.clone(), intake.clone()).map(Self::Broker)
    }

    pub(in crate::run) fn broker_state(&self) -> Option<Arc<BrokerState>> {
        match self {
            Self::Broker(broker) => Some(broker.state()),
            Self::Server(..) | Self::NotYet(_) => None,
        }
    }

    /// Returns the address of the listener. `None`: there is no listener.
    pub(in crate::run) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Server(server, _) => Some(server.local_addr()),
            Self::Broker(_) | Self::NotYet(_) => None,
        }
    }

    pub(in crate::run) fn listener(&self) -> Option<LocalPublisher> {
        match self {
            Self::Server(server, _) => Some(server.publisher()),
            Self::Broker(_) | Self::NotYet(_) => None,
        }
    }

    pub(in crate::run) async fn stop(self, within: Duration) {
        match self {
            Self::Server(server, tasks) => {
                tasks.iter().for_each(JoinHandle::abort);
                server.shutdown(within).await;
            }
            Self::Broker(broker) => broker.stop(within).await,
            Self::NotYet(_) => {}
        }
    }
}

/// Raises the limit of open files if necessary. Returns how many connections fit.
fn connections_that_fit(wanted: u32) -> u32 {
    let files = OpenFiles::of_this_process();
    let fit = files.connections(wanted);
    if let Err(error) = files.raise_for(fit) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
    if fit < wanted {
        tracing::warn!(
            limit = files.hard,
            "at most {fit} connections of [local] max_connections = {wanted}: the limit of open files leaves no more"
        );
    }
    fit
}

/// Returns the listener's configuration by the keys of `[local]`.
fn listener_config(
    limits: &ListenerLimits,
    (accept_control_characters, accept_mqtt_3_1): (bool, bool),
    own_topics: Vec<String>,
) -> edge_bridge::listener::Config {
    let mut config = edge_bridge::listener::Config::default();
    config.accept_control_characters = accept_control_characters;
    config.session.limits.accept_mqtt_3_1 = accept_mqtt_3_1;
    config.own_topics = own_topics;
    config.max_connections = limits.max_connections as usize;
    config.session.limits = config.session.limits.with_max_packet_size(limits.max_packet);
    let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX);
    config.max_memory = size(limits.max_memory);
    let of_each = &limits.per_client;
    (config.max_queued, config.max_queued_bytes) = (size(of_each.max_queued.0), size(of_each.max_queued.1));
    config.max_in_flight = of_each.max_in_flight;
    config.max_unwritten_bytes = size(of_each.max_unread);
    config.max_subscriptions = size(of_each.max_subscriptions);
    config.max_bytes_per_s = of_each.max_rate;
    config.session_expiry_max_s = u32::try_from(of_each.max_session_expiry.as_secs()).unwrap_or(u32::MAX);
    config.keep_alive_max_s = u16::try_from(of_each.max_keep_alive.as_secs()).unwrap_or(u16::MAX);
    let min_s = of_each.min_keep_alive.map_or(0, |min| min.as_secs());
    config.keep_alive_min_s = u16::try_from(min_s).unwrap_or(u16::MAX);
    let (topics, bytes) = limits.max_retained;
    (config.max_retained, config.max_retained_bytes) = (size(topics), size(bytes));
    config.max_saved_bytes = size(SAVED_CLIENTS_BYTES);
    config.sys_interval_s = limits.sys_interval_s;
    // Sessions of absent clients beside those that are there.
    config.max_sessions = config.max_sessions.max(2 * config.max_connections);
    // What waits for several clients is one copy: `max_memory` is its limit.
    config.max_queued_bytes_total = usize::MAX;
    config
}

/// Addresses of the listener.
#[derive(Clone, Debug)]
pub(in crate::run) struct Doors {
    pub(in crate::run) addresses: Addresses,
    /// TLS of the addresses that have it. `None`: there are none.
    pub(in crate::run) tls: Option<ServerTls>,
}

impl Doors {
    /// Adds all addresses but the first to the server, and returns that one; `None` if there is none.
    fn add_to(&self, builder: ServerBuilder) -> (Option<SocketAddr>, ServerBuilder) {
        let Addresses { plain, tls: secure, ws, proxies } = &self.addresses;
        let builder = builder.trusted_proxies(proxies.iter().copied());
        let builder = builder.ws_origins(ws.origins.iter().cloned());
        let mut plain = plain.iter().copied();
        let mut first = plain.next();
        let mut builder = plain.fold(builder, ServerBuilder::listen);
        if let Some(tls) = &self.tls {
            let mut secure = secure.iter().flat_map(|secure| &secure.addresses).copied();
            if first.is_none() {
                first = secure.next();
                builder = builder.tls(tls.clone());
            }
            builder = secure.fold(builder, |builder, address| builder.tls_listen(address, tls.clone()));
            let secure = ws.tls.iter().copied();
            builder = secure.fold(builder, |builder, address| builder.wss_listen(address, tls.clone()));
        }
        (first, ws.plain.iter().copied().fold(builder, ServerBuilder::ws_listen))
    }
}

/// Starts the listener, and connects the control loops to it.
pub(in crate::run) async fn listen(
    (doors, limits, access, store): (Doors, edge_bridge::listener::Config, Access, Option<SavedClients>),
    clock: Clock,
    ingest: &GatewayIngest,
    intake: &Intake,
    (control, facts): (Option<&mut Control>, CurrentFacts),
) -> Result<Server, RunError> {
    let mut log = ClientLog::default();
    let departures = control.as_ref().and_then(|control| control.departures());
    let mut builder =
        Server::builder().config(limits).access(access).clock(clock).on_event(move |event, address| {
            if let Some(departures) = &departures {
                departures.on_event(event);
            }
            if let Some(refused) = RefusedTopic::of(event) {
                facts.set_refused_topic(Some(refused));
            }
            log.on_event(clock.now().up_ms, event, address);
        });
    if let Some(store) = store {
        builder = builder.client_store(store);
    }
    let mut control = control;
    let pause_max = pause_max(control.as_ref().map(|control| control.watchdog()));
    if let Some(inputs) = control.as_mut().and_then(|control| control.inputs()) {
        builder = builder.on_publish(inputs);
    }
    let sink = |receipts| sink(ingest, intake, receipts).pause_max(pause_max);
    let (Some(address), builder) = doors.add_to(builder) else {
        return Err(RunError::Failed("[local] no address to listen at".to_owned()));
    };
    let server = builder.start(address, ingest.clone(), sink).await;
    let server = server.map_err(|error| RunError::Failed(format!("[local] listen {error}")))?;
    for at in server.addresses() {
        let address = at.address;
        match (at.is_web_socket, at.has_tls) {
            (true, _) => tracing::info!("accepting WebSocket on {address}"),
            (false, true) => tracing::info!("accepting with TLS on {address}"),
            (false, false) => tracing::info!("accepting on {address}"),
        }
    }
    if let Some(control) = control {
        control.publish(server.publisher(), ingest.clone(), intake.clone(), clock);
    }
    Ok(server)
}

/// Returns the longest time for which no sensor's messages are read while the queue's task is behind. Some of them are inputs of the loops, and
/// those must not wait for anywhere near the `watchdog`'s time; `None`: there are no loops.
pub(in crate::run) fn pause_max(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(PAUSE_MAX, |watchdog| PAUSE_MAX.min(watchdog / 4))
}

/// Returns the listener's sink into the queue. Receipts may depend on readings in stages, which are emitted before a commit.
fn sink(ingest: &GatewayIngest, intake: &Intake, receipts: Receipts) -> QueueSink {
    let (links, commits, way) = (ingest.clone(), ingest.clone(), intake.clone());
    let tell = receipts.clone();
    QueueSink::new(intake.clone(), receipts)
        .when_safe(move |ticket| links.take_link_of(ticket).then(Tell::Publisher(tell.clone(), ticket)))
        .on_commit(move || commits.commit(&way))
}

#[cfg(test)]
mod tests;
