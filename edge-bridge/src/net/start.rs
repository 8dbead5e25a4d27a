//! Start of a bridge: checks the settings, opens the spool and spawns the link's task.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::builder::Builder;
use super::clock::Clock;
use super::dial::Dialer;
use super::driver::Driver;
use super::event_log::EventLog;
use super::handles::bridge::{Bridge, Store};
use super::handles::link::Link;
use super::hub_address::Target;
use super::memory_spool::SharedMemory;
#[cfg(feature = "spool-queue")]
use super::parking::Parking;
use super::renewal_watch::RenewalWatch;
use super::start_error::StartError;
use super::subscriptions::commands::Acks;
use super::subscriptions::router::Router;
use crate::bridge::spool::Spool;
use crate::bridge::{Core, LinkConfig, Pack, RawPack, Stats};
use crate::wire::{Utf8, validate_topic_name};

impl Builder {
    /// Starts the bridge as a task of the present tokio runtime. Returns before there is a connection, because publishing works without one.
    ///
    /// # Errors
    ///
    /// A setting is wrong, or the spool did not open.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does. On one without timers and I/O (`enable_all`) the link's task panics.
    pub async fn start(mut self) -> Result<Bridge, StartError> {
        let pack = RawPack::new(self.identity);
        let clock = Clock::start();
        let Some(dir) = self.spool_dir.take() else {
            let memory = SharedMemory::new();
            let (link, task) = self.spawn(clock, Box::new(memory.clone()), Box::new(pack))?;
            return Ok(Bridge::new(link, task, Store::Memory(memory), clock));
        };
        // Before the directory is touched.
        self.check()?;
        self.start_on_disk(dir, clock, pack).await
    }

    /// Starts a link with a spool and a pack of your own, as a gateway does. After pushing to the spool call [`Link::rows_pushed`].
    ///
    /// # Errors
    ///
    /// A setting is wrong.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does. On one without timers and I/O (`enable_all`) the link's task panics.
    pub fn start_with<S, P>(self, spool: S, pack: P) -> Result<(Link, JoinHandle<()>), StartError>
    where
        S: Spool + Send + 'static,
        P: Pack + Send + 'static,
    {
        self.spawn(Clock::start(), Box::new(spool), Box::new(pack))
    }

    /// Starts a link that drains an open queue through `consumer`. The queue itself wakes the link. Rows that the hub refuses are parked in a
    /// second queue, in the directory `parked` of the first; the second queue is created, and its disk space reserved, when the first row is
    /// refused.
    ///
    /// # Errors
    ///
    /// A setting is wrong.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as `tokio::spawn` does. On one without timers and I/O (`enable_all`) the link's task panics.
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
        self.spawn_on(queue, consumer, Box::new(pack))
    }

    #[cfg(feature = "spool-queue")]
    fn spawn_on(
        self,
        queue: &edge_queue::aio::Queue,
        consumer: edge_queue::aio::Consumer,
        pack: Box<dyn Pack + Send>,
    ) -> Result<(Link, JoinHandle<()>), StartError> {
        let wake = Arc::new(Notify::new());
        let (parking, parker) = Parking::new(queue, wake.clone());
        let parked = parking.queue();
        let spool = Box::new(super::queue_spool::QueueSpool::new(consumer, parking, wake.clone()));
        let (mut link, task) =
            self.spawn_with(Clock::start(), spool, pack, wake, Some(Box::pin(parker.run())))?;
        link.parked = parked;
        Ok((link, task))
    }

    #[cfg(feature = "spool-queue")]
    async fn start_on_disk(self, dir: PathBuf, clock: Clock, pack: RawPack) -> Result<Bridge, StartError> {
        let config = self.queue_config.clone().unwrap_or_default();
        let keeps_rows = config.store_kind() != edge_queue::StoreKind::Memory;
        let queue = edge_queue::aio::Queue::open(&dir, config)
            .await
            .map_err(|e| StartError::Spool { dir: dir.clone(), source: e.into() })?;
        let consumer = queue
            .consumer(super::queue_spool::CONSUMER)
            .await
            .map_err(|e| StartError::Spool { dir, source: e.into() })?;
        let (link, task) = self.spawn_on(&queue, consumer, Box::new(pack))?;
        Ok(Bridge::new(link, task, Store::Queue { queue, keeps_rows }, clock))
    }

    #[cfg(not(feature = "spool-queue"))]
    async fn start_on_disk(self, _: PathBuf, _: Clock, _: RawPack) -> Result<Bridge, StartError> {
        Err(StartError::NoDiskSpool)
    }

    /// Checks the settings as [`start`](Self::start) does, without opening or dialling anything.
    ///
    /// # Errors
    ///
    /// A setting is wrong.
    pub fn validate(&self) -> Result<(), StartError> {
        self.check().map(drop)
    }

    fn check(&self) -> Result<(Dialer, Vec<Target>, LinkConfig), StartError> {
        let (dialer, targets) = (self.dialer()?, self.targets()?);
        if self.client_id.is_empty() {
            return Err(StartError::ClientId);
        }
        let text = |what, text: &str| Utf8::try_from(text).map_err(|_| StartError::Text { what });
        let mut client = self.client.clone();
        client.client_id = text("client_id", &self.client_id)?;
        client.username = self.username.as_deref().map(|name| text("the user name", name)).transpose()?;
        if client.password.as_ref().is_some_and(|password| password.len() > usize::from(u16::MAX)) {
            return Err(StartError::Text { what: "a password of more than 65 535 bytes" });
        }
        if let Some(will) = &client.will {
            validate_topic_name(&will.topic).map_err(StartError::WillTopic)?;
        }
        let mut config = LinkConfig::new(client);
        config.backoff = self.backoff;
        config.any_version = self.any_version;
        (config.addresses, config.failback) = (targets.len(), self.failback);
        config.rules = self.rules.clone();
        config.seed = RandomState::new().build_hasher().finish();
        if let Some(bytes) = self.window_max_bytes {
            config.window_max_bytes = bytes;
        }
        config.will_at_stop = self.will_at_close;
        config.accept_control_characters = self.accept_control_characters;
        if let Some(within) = self.command_within {
            config.command_within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        }
        Ok((dialer, targets, config))
    }

    fn spawn(
        self,
        clock: Clock,
        spool: Box<dyn Spool + Send>,
        pack: Box<dyn Pack + Send>,
    ) -> Result<(Link, JoinHandle<()>), StartError> {
        self.spawn_with(clock, spool, pack, Arc::new(Notify::new()), None)
    }

    fn spawn_with(
        self,
        clock: Clock,
        spool: Box<dyn Spool + Send>,
        pack: Box<dyn Pack + Send>,
        wake: Arc<Notify>,
        beside: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ) -> Result<(Link, JoinHandle<()>), StartError> {
        let (dialer, targets, config) = self.check()?;
        let packet_max = config.client.limits.max_packet_size;
        let (log, hub_tls) = (EventLog::new(dialer.target.clone()), dialer.hub_tls.clone());
        let acks = Acks::new(wake.clone());
        let (requests, received) = mpsc::channel(16);
        let (status, watched) = watch::channel(Stats::default());
        let driver = Driver {
            core: Core::new(config, spool, pack),
            renewal_watch: RenewalWatch::new(dialer.renewal.as_ref()),
            dialer,
            targets,
            clock,
            router: Router::new(acks.clone(), packet_max),
            acks,
            wake: wake.clone(),
            requests: received,
            status,
            status_at_ms: 0,
            socket: None,
            dialing: None,
            probing: None,
            log,
            operator_requests: super::operator_requests::OperatorRequests::default(),
            unsubscribing: super::unsubscribing::Unsubscribing::default(),
            closing: super::closing::Closing::default(),
            beside: beside.map(tokio::spawn),
        };
        let link = Link {
            requests,
            wake,
            status: watched,
            hub_tls,
            clock,
            #[cfg(feature = "spool-queue")]
            parked: Arc::default(),
        };
        // A program with several links tells their lines apart by the spans in which it starts them.
        Ok((link, tokio::spawn(driver.run().in_current_span())))
    }
}
