//! Client of a local broker to which the sensors publish: it subscribes there, and sends a PUBACK for a message once its rows are safe.
//!
//! The broker keeps the client's session for ever, so that messages that it received while the gateway was down are delivered afterwards. The
//! broker alone is responsible for a message that it has acknowledged to a sensor and not yet delivered to the gateway.
//!
//! This client is not the bridge's, because a broker with the messages of an outage sends them as fast as it can, and not every broker keeps to
//! the Receive Maximum meanwhile (Mosquitto 2.0.11 exceeds it by far). So no Receive Maximum is announced, and a connection with too much
//! unacknowledged is not read.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a shell: a socket and a task")]

mod connection;
mod filters;
mod log_rate_limit;
pub(crate) mod state;
mod way;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use edge_bridge::bridge::backoff::{Backoff, BackoffConfig};
use edge_bridge::net::intake::Intake;
use edge_bridge::net::server::Receipts;
use edge_bridge::net::{Clock, ClockFloor};
use edge_bridge::puback_chain::PubackChain;
use edge_bridge::session::{ClientConfig, Resume};
use edge_bridge::wire::{Publish, Utf8};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::BrokerWay;
use crate::config::overlap::without_covered;
use crate::run::error::RunError;
use crate::run::hub::link_trouble::LinkTrouble;
use crate::run::subscribed_filters::SubscribedFilters;

use super::ingest::GatewayIngest;
use log_rate_limit::Lines;
use state::BrokerState;
use way::Way;

/// Longest back-off after an attempt without an answer. It is short because the broker is on the same machine or the next one. One that refuses the login
/// is asked as rarely as a hub.
const SILENT_MAX_MS: u64 = 5_000;

/// Address of the local broker, and the topics to subscribe to there.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) client_id: String,
    pub(crate) topics: Vec<String>,
    pub(crate) way: BrokerWay,
    /// Set if an earlier process left a session at the broker.
    pub(crate) expects_session: bool,
    /// Topic filters that the session is subscribed to.
    pub(crate) subscribed: SubscribedFilters,
}

/// Running client of the local broker.
#[derive(Debug)]
pub(crate) struct Broker {
    state: Arc<BrokerState>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Broker {
    /// Starts to connect, again and again for as long as the client runs. Returns before the broker has answered. Its certificate is judged within `floor`.
    ///
    /// # Errors
    /// A name or topic filter that MQTT cannot carry.
    pub(crate) fn start(
        target: Target,
        (clock, floor): (Clock, ClockFloor),
        ingest: GatewayIngest,
        intake: Intake,
    ) -> Result<Self, RunError> {
        let text = |text: &str| {
            let wrong = |error| RunError::Configuration(format!("[local] \"{text}\": {error}"));
            Utf8::try_from(text).map_err(wrong)
        };
        let mut config = ClientConfig::new(text(&target.client_id)?);
        config.session_expiry_s = u32::MAX;
        config.receive_maximum = u16::MAX;
        config.username =
            target.way.credentials.as_ref().map(|credentials| text(&credentials.user)).transpose()?;
        let way = Way::new(&target.host, target.port, &target.way, floor);
        let topics = without_covered(&target.topics);
        if let Some((one, other)) = filters::overlapping(&topics) {
            tracing::warn!(
                one,
                other,
                "filters overlap: a broker sends what matches both twice, as two messages"
            );
        }
        let filters = topics.iter().map(|topic| text(topic)).collect::<Result<_, _>>()?;
        let state = Arc::new(BrokerState::new(clock.now().up_ms));
        let (stop, stopped) = watch::channel(false);
        let birth_requests = ingest.take_birth_requests();
        let client = Client {
            birth_requests,
            target,
            way,
            config,
            filters,
            clock,
            ingest,
            intake,
            chain: PubackChain::default(),
            receipts: Receipts::default(),
            epoch: 0,
            resume: None,
            unsubscribing: Vec::new(),
            state: state.clone(),
            stopped,
            lines: Lines::default(),
        };
        Ok(Self { state, stop, task: tokio::spawn(client.run()) })
    }

    pub(crate) fn state(&self) -> Arc<BrokerState> {
        self.state.clone()
    }

    /// Accepts no more messages, acknowledges those whose rows become safe within `within`, and disconnects. The session stays at the broker.
    pub(crate) async fn stop(self, within: Duration) {
        self.stop.send_replace(true);
        let mut task = self.task;
        if tokio::time::timeout(within, &mut task).await.is_err() {
            task.abort();
            tracing::info!("the local broker is not told of every message that is safe: it sends them again");
        }
    }
}

/// Client of the local broker, over all of its connections.
struct Client {
    target: Target,
    way: Way,
    config: ClientConfig,
    filters: Vec<Utf8>,
    /// Topic filters whose UNSUBSCRIBE has no UNSUBACK.
    unsubscribing: Vec<String>,
    /// Requests of Sparkplug births, which are published at the broker.
    birth_requests: Option<Receiver<Publish>>,
    clock: Clock,
    ingest: GatewayIngest,
    intake: Intake,
    chain: PubackChain,
    receipts: Receipts,
    /// Serial number of the connection, for session and PUBACK chain alike.
    epoch: u64,
    resume: Option<Resume>,
    state: Arc<BrokerState>,
    stopped: watch::Receiver<bool>,
    lines: Lines,
}

impl Client {
    async fn run(mut self) {
        let mut config = BackoffConfig::default();
        config.silent_max_ms = SILENT_MAX_MS;
        let mut backoff = Backoff::new(config, u64::from(std::process::id()));
        let mut stopped = self.stopped.clone();
        while !*self.stopped.borrow() {
            let dialed = tokio::select! {
                dialed = self.way.dial() => dialed,
                _ = stopped.changed() => return,
            };
            let why = match dialed {
                Ok(dialed) => {
                    self.config.password = dialed.password;
                    let since_ms = self.clock.now().up_ms;
                    let ended = self.serve(dialed.stream).await;
                    self.state.set_connected(false, self.clock.now().up_ms);
                    // One that ends again and again at once is dialled ever more rarely, as where two clients of one identifier end each other's.
                    let lasted_ms = self.clock.now().up_ms.saturating_sub(since_ms);
                    if ended.was_useful && lasted_ms >= SILENT_MAX_MS {
                        backoff.reset();
                    }
                    ended.why
                }
                Err(why) => why,
            };
            if *self.stopped.borrow() {
                return;
            }
            self.state.set_cause(&why);
            self.tell(&why);
            let is_refused = self.state.needs_somebody();
            let pause_ms = if is_refused { backoff.next_ms() } else { backoff.next_silent_ms() };
            let pause = Duration::from_millis(pause_ms);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// Tells why there is no connection, where a line is due.
    fn tell(&mut self, why: &str) {
        if !self.lines.away(self.clock.now().up_ms, why) {
            return;
        }
        let (broker, port) = (&self.target.host, self.target.port);
        match LinkTrouble::of(why).filter(|trouble| trouble.needs_somebody()) {
            Some(LinkTrouble::Refused(reason)) => tracing::warn!(
                broker,
                port,
                reason,
                "the local broker refuses the login: look at broker_user, broker_password_file and client_id of [local]"
            ),
            _ => tracing::warn!(broker, port, why, "no connection to the local broker"),
        }
    }
}
