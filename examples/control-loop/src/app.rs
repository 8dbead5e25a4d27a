//! The whole program: control threads and the network thread.

use crate::net::{Net, NetStats, Parts};
use crate::runner::{LoopStats, Runner};
use crate::{Actuate, Clock, Config, HubConfig};
use edge_queue::medium::Dir;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;

/// A running program. Dropping it stops it: outputs safe first, then the network.
#[derive(Debug)]
pub struct App {
    runner: Runner,
    net: Net,
}

/// Where the queue for the hub lives.
pub enum Spool {
    /// A directory.
    Dir(PathBuf),
    /// Any medium, for tests of one that fails.
    In(Box<dyn Dir>),
}

/// The program did not start.
#[derive(Clone, Debug)]
pub struct AppError(String);

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AppError {}

impl App {
    /// Starts all threads. Outputs go to `actuator`, and to `guard` while the watchdog holds them.
    ///
    /// # Errors
    /// If an address cannot be bound, the queue does not open, or the system gives no thread.
    pub fn start(
        config: Config,
        hub: HubConfig,
        spool: Spool,
        actuator: impl Actuate,
        guard: impl Actuate,
    ) -> Result<App, AppError> {
        let clock = Clock::start();
        let wake_every = config.mqtt.publish_every_ms.saturating_mul(1_000_000)
            / config.loops.controller.period_ns().max(1);
        let started = Runner::start(config.loops.controller.clone(), clock, actuator, guard, wake_every);
        let (runner, ports) = started.map_err(|error| AppError(format!("the control thread: {error}")))?;
        let loop_stats = runner.stats();
        let parts = Parts { config, hub, spool, clock, ports, loop_stats };
        let net = Net::start(parts).map_err(AppError)?;
        Ok(App { runner, net })
    }

    /// Where sensors publish.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.net.address
    }

    /// Where `/metrics` is served.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.net.metrics
    }

    /// What the loop did.
    #[must_use]
    pub fn loop_stats(&self) -> Arc<LoopStats> {
        self.runner.stats()
    }

    /// What the network side did.
    #[must_use]
    pub fn net_stats(&self) -> Arc<NetStats> {
        self.net.stats.clone()
    }

    /// The network's runtime; a task that blocks there freezes it, and nothing else.
    #[must_use]
    pub fn runtime(&self) -> Handle {
        self.net.runtime.clone()
    }
}
