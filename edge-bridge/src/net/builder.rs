//! Everything that is said before the start.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::clock::Clock;
use super::commands::Acks;
use super::dial::Dialer;
use super::driver::Driver;
use super::event_log::EventLog;
use super::in_process::{Bridge, Store};
use super::link::Link;
use super::memory::SharedMemory;
#[cfg(feature = "spool-queue")]
use super::parking::Parking;
use super::password::PasswordSource;
use super::router::Router;
use super::start_error::StartError;
use super::target::Target;
use super::tls::Tls;
use crate::bridge::backoff::BackoffConfig;
use crate::bridge::rules::Rules;
use crate::bridge::spool::Spool;
use crate::bridge::{Core, LinkConfig, Pack, RawPack, Stats};
use crate::session::ClientConfig;
use crate::wire::{QoS, Utf8, Version, Will};

/// The bridge's name in its own queue.
#[cfg(feature = "spool-queue")]
const CONSUMER: &str = "hub";

/// Settings of a bridge. Nothing is checked before `start`.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    url: String,
    client_id: String,
    client: ClientConfig,
    username: Option<String>,
    password: Option<PasswordSource>,
    tls: Option<Tls>,
    connect_timeout: Duration,
    send_buffer_bytes: Option<u32>,
    window_max_bytes: Option<u64>,
    command_within: Option<Duration>,
    any_version: bool,
    backoff: BackoffConfig,
    rules: Rules,
    identity: bool,
    spool_dir: Option<PathBuf>,
    #[cfg(feature = "spool-queue")]
    queue_config: Option<edge_queue::Config>,
}

impl Builder {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            client_id: String::new(),
            client: ClientConfig { receive_maximum: u16::MAX, ..ClientConfig::new(Utf8::default()) },
            username: None,
            password: None,
            tls: None,
            connect_timeout: Duration::from_secs(10),
            send_buffer_bytes: None,
            window_max_bytes: None,
            command_within: None,
            any_version: false,
            backoff: BackoffConfig::default(),
            rules: Rules::default(),
            identity: false,
            spool_dir: None,
            #[cfg(feature = "spool-queue")]
            queue_config: None,
        }
    }

    /// The name under which the hub keeps our session. Required; two bridges with the same one throw each other out.
    pub fn client_id(mut self, client_id: &str) -> Self {
        client_id.clone_into(&mut self.client_id);
        self
    }

    /// Keys and trust of `mqtts`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// User name and password, each of at most 65 535 bytes.
    pub fn credentials(mut self, username: &str, password: impl Into<Bytes>) -> Self {
        self.username = Some(username.to_owned());
        self.client.password = Some(password.into());
        self
    }

    /// Reads the password again before each CONNECT, on a thread that may block: a rotated one needs no restart. While `read` fails, or takes
    /// longer than a second, the last password is used, at first that of [`credentials`](Self::credentials), which are needed for
    /// the user name.
    pub fn password_from(
        mut self,
        read: impl Fn() -> std::io::Result<Bytes> + Send + Sync + 'static,
    ) -> Self {
        self.password = Some(PasswordSource::new(read));
        self
    }

    /// Keep the spool on disk, in this directory: messages survive a restart. Without it they live in RAM (at most 64 MiB), and a receipt
    /// comes only when the hub has the message.
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.spool_dir = Some(dir.into());
        self
    }

    /// Settings of the spool on disk.
    #[cfg(feature = "spool-queue")]
    pub fn queue_config(mut self, config: edge_queue::Config) -> Self {
        self.queue_config = Some(config);
        self
    }

    /// Default MQTT 5. A 3.1.1 hub says neither what it bears nor why it refuses.
    pub fn version(mut self, version: Version) -> Self {
        self.client.version = version;
        self
    }

    /// MQTT 5 where the hub takes it, 3.1.1 where it says that it does not (not where it closes without a word). The log says so; what a hub
    /// has accepted is kept until the process ends.
    pub fn any_version(mut self) -> Self {
        self.any_version = true;
        self
    }

    /// Seconds without a packet after which the hub may give us up. Default 60. A lost link is noticed in seconds, whatever this is, while
    /// something is unacknowledged, and within [`command_within`](Self::command_within) while there are subscriptions; without
    /// either nobody waits for it. A large value costs nothing but the hub's patience and saves pings.
    pub fn keep_alive_s(mut self, seconds: u16) -> Self {
        self.client.keep_alive_s = seconds;
        self
    }

    /// While there are subscriptions: how long a lost connection may stay unnoticed, hence how much later a command may come
    /// for it. Default 15 s; zero leaves it to the keep alive. It cannot hold where a round trip takes more than an eighth of it. Costs a
    /// PINGREQ per [`idle_ping_every_ms`](crate::bridge::idle_ping_every_ms) of silence, none while other packets come.
    pub fn command_within(mut self, within: Duration) -> Self {
        self.command_within = Some(within);
        self
    }

    /// Time for which the hub keeps our session, hence the commands of an outage. Default a day. With 0 whatever is not acknowledged when a
    /// connection ends is lost, and so is what a subscription has no room for, 1 s after that is full.
    pub fn session_expiry_s(mut self, seconds: u32) -> Self {
        self.client.session_expiry_s = seconds;
        self
    }

    /// Published by the hub when we vanish.
    pub fn will(mut self, will: Will) -> Self {
        self.client.will = Some(will);
        self
    }

    /// The `in` rules, for messages from the hub: subscribed to, and renamed. `out` rules are the ingest's.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Adds `edge-id` and, on possible duplicates, `edge-pd` to raw messages. Default false: nothing is added.
    pub fn identity(mut self, on: bool) -> Self {
        self.identity = on;
        self
    }

    /// RAM of messages on the way at most, rows and packets together. Default 4 MiB; half of it bounds the window, which below it follows the
    /// link's delay.
    pub fn window_max_bytes(mut self, bytes: u64) -> Self {
        self.window_max_bytes = Some(bytes);
        self
    }

    /// Messages unacknowledged at most, within the hub's Receive Maximum; 0 counts as 1.
    pub fn max_in_flight(mut self, messages: u16) -> Self {
        self.client.max_in_flight = messages.max(1);
        self
    }

    /// Messages that the hub may have unacknowledged towards us; 0 counts as 1. Default 65 535: Mosquitto 2.0 does not keep to less while it works
    /// off what it queued in an outage, and a hub that does not is disconnected (§4.9). What finds no room here waits in the network for up to 1 s;
    /// then it is not acknowledged, and comes again by a new connection.
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.client.receive_maximum = messages.max(1);
        self
    }

    /// Bytes of a packet from the hub at most, announced to it; 0 counts as 1. Default 1 MiB. A hub drops what is larger without a word (MQTT 5,
    /// §3.1.2.11.4); under 3.1.1, which announces nothing, such a packet ends the connection. Takes that much RAM as a receive buffer, and
    /// again for each subscription whose application is behind.
    pub fn max_packet_size(mut self, bytes: u32) -> Self {
        self.client.limits = self.client.limits.with_max_packet_size(bytes.max(1));
        self
    }

    /// Sets the delays between dials.
    pub fn backoff(mut self, backoff: BackoffConfig) -> Self {
        self.backoff = backoff;
        self
    }

    /// For DNS, TCP and TLS together. Default 10 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The socket's send buffer. Default: the system's. Smaller ones keep fresh messages from waiting behind bytes that the kernel
    /// already has, and limit the throughput to that many bytes per round trip.
    pub fn send_buffer_bytes(mut self, bytes: u32) -> Self {
        self.send_buffer_bytes = Some(bytes);
        self
    }

    /// Starts the bridge as a task of the present tokio runtime. Returns before there is a connection: publishing works without one.
    ///
    /// # Errors
    ///
    /// What was said before is wrong, or the spool did not open.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub async fn start(mut self) -> Result<Bridge, StartError> {
        let pack = RawPack::new(self.identity);
        let clock = Clock::start();
        let Some(dir) = self.spool_dir.take() else {
            let memory = SharedMemory::new();
            let (link, task) = self.spawn(clock, memory.clone(), pack)?;
            return Ok(Bridge::new(link, task, Store::Memory(memory), clock));
        };
        // Before the directory is touched.
        self.check()?;
        self.start_on_disk(dir, clock, pack).await
    }

    /// Starts a link on a spool and a pack of your own: what a gateway does. After pushing to the spool call
    /// [`Link::rows_pushed`].
    ///
    /// # Errors
    ///
    /// What was said before is wrong.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    pub fn start_with<S, P>(self, spool: S, pack: P) -> Result<(Link, JoinHandle<()>), StartError>
    where
        S: Spool + Send + 'static,
        P: Pack + Send + 'static,
    {
        self.spawn(Clock::start(), spool, pack)
    }

    /// Starts a link that drains an open queue through `consumer`. The link is woken by the queue itself. What the hub refuses is parked in a
    /// second queue, in the directory `parked` of the first; it is made, and its disk reserved, when the first row is refused.
    ///
    /// # Errors
    ///
    /// What was said before is wrong.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does.
    #[cfg(feature = "spool-queue")]
    pub fn start_on<P>(
        self,
        queue: &edge_queue::aio::Queue,
        consumer: edge_queue::aio::Consumer,
        pack: P,
    ) -> Result<(Link, JoinHandle<()>), StartError>
    where
        P: Pack + Send + 'static,
    {
        let wake = Arc::new(Notify::new());
        let (parking, parker) = Parking::new(queue, wake.clone());
        let parked = parking.queue();
        let spool = super::queue_spool::QueueSpool::new(consumer, parking, wake.clone());
        let (mut link, task) =
            self.spawn_with(Clock::start(), spool, pack, wake, Some(Box::pin(parker.run())))?;
        link.parked = parked;
        Ok((link, task))
    }

    #[cfg(feature = "spool-queue")]
    async fn start_on_disk(self, dir: PathBuf, clock: Clock, pack: RawPack) -> Result<Bridge, StartError> {
        let config = self.queue_config.clone().unwrap_or_default();
        let queue = edge_queue::aio::Queue::open(&dir, config)
            .await
            .map_err(|e| StartError::Spool { dir: dir.clone(), reason: e.to_string() })?;
        let consumer =
            queue.consumer(CONSUMER).await.map_err(|e| StartError::Spool { dir, reason: e.to_string() })?;
        let (link, task) = self.start_on(&queue, consumer, pack)?;
        Ok(Bridge::new(link, task, Store::Queue(queue), clock))
    }

    #[cfg(not(feature = "spool-queue"))]
    async fn start_on_disk(self, _: PathBuf, _: Clock, _: RawPack) -> Result<Bridge, StartError> {
        Err(StartError::NoDiskSpool)
    }

    fn check(&self) -> Result<(Target, LinkConfig), StartError> {
        let target: Target = self.url.parse()?;
        match (target.tls, &self.tls) {
            (true, None) => return Err(StartError::TlsMissing),
            (false, Some(_)) => return Err(StartError::TlsUnused),
            _ => {}
        }
        if self.client_id.is_empty() {
            return Err(StartError::ClientId);
        }
        for rule in self.rules.iter().filter(|rule| rule.qos() == QoS::ExactlyOnce) {
            tracing::warn!(filter = ?rule.remote_filter(), "the rule asks for QoS 2, which is not supported: QoS 1 is used");
        }
        let text = |what, text: &str| Utf8::try_from(text).map_err(|_| StartError::Text { what });
        let mut client = self.client.clone();
        client.client_id = text("client_id", &self.client_id)?;
        client.username = self.username.as_deref().map(|name| text("the user name", name)).transpose()?;
        if client.password.as_ref().is_some_and(|password| password.len() > usize::from(u16::MAX)) {
            return Err(StartError::Text { what: "a password of more than 65 535 bytes" });
        }
        let mut config = LinkConfig::new(client);
        config.backoff = self.backoff;
        config.any_version = self.any_version;
        config.rules = self.rules.clone();
        config.seed = RandomState::new().build_hasher().finish();
        if let Some(bytes) = self.window_max_bytes {
            config.window_max_bytes = bytes;
        }
        if let Some(within) = self.command_within {
            config.command_within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        }
        Ok((target, config))
    }

    fn spawn<S, P>(self, clock: Clock, spool: S, pack: P) -> Result<(Link, JoinHandle<()>), StartError>
    where
        S: Spool + Send + 'static,
        P: Pack + Send + 'static,
    {
        self.spawn_with(clock, spool, pack, Arc::new(Notify::new()), None)
    }

    fn spawn_with<S, P>(
        self,
        clock: Clock,
        spool: S,
        pack: P,
        wake: Arc<Notify>,
        beside: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ) -> Result<(Link, JoinHandle<()>), StartError>
    where
        S: Spool + Send + 'static,
        P: Pack + Send + 'static,
    {
        let (target, config) = self.check()?;
        let packet_max = config.client.limits.max_packet_size;
        let log = EventLog::new(target.clone());
        let acks = Acks::new(wake.clone());
        let (requests, received) = mpsc::channel(16);
        let (status, watched) = watch::channel(Stats::default());
        let driver = Driver {
            core: Core::new(config, spool, pack),
            dialer: Dialer {
                target,
                tls: self.tls,
                connect_timeout: self.connect_timeout,
                send_buffer_bytes: self.send_buffer_bytes,
                wire_bytes: Arc::default(),
                password: self.password,
            },
            clock,
            router: Router::new(acks.clone(), packet_max),
            acks,
            wake: wake.clone(),
            requests: received,
            status,
            status_at_ms: 0,
            wire: None,
            dialing: None,
            log,
            hand: super::by_hand::Hand::default(),
            beside: beside.map(tokio::spawn),
        };
        let link = Link {
            requests,
            wake,
            status: watched,
            #[cfg(feature = "spool-queue")]
            parked: Arc::default(),
        };
        Ok((link, tokio::spawn(driver.run())))
    }
}
