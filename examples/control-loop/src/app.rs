//! The whole program: control threads and the network thread.

#![allow(clippy::disallowed_methods, reason = "a shell: it makes the directory of what is kept")]

use crate::net::{Net, NetStats, Parts};
use crate::restart_memory::{self, Found, Keeper, Mailbox};
use crate::runner::{LoopStats, Runner};
use crate::{Actuate, Clock, Config, HubConfig};
use edge_filter::control::Controller;
use edge_queue::medium::Dir;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;

/// A running program. Dropping it stops it: outputs safe first, then the network.
#[derive(Debug)]
pub struct App {
    runner: Runner,
    _keeper: Option<Keeper>,
    net: Net,
}

/// Place of the queue for the hub.
pub enum Spool {
    /// A directory.
    Dir(PathBuf),
    /// Any medium, for tests of one that fails.
    In(Box<dyn Dir>),
    /// None: nothing is queued.
    Nowhere,
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

/// Period of the outputs where the file has none.
const PUBLISH_EVERY_MS: u64 = 100;

impl App {
    /// Starts all threads. Outputs go to `actuator`, and to `guard` while the watchdog holds them. Without a hub events stay here; a queue that
    /// does not open is tried again and nobody waits for it.
    ///
    /// # Errors
    /// If an address cannot be bound, or the system gives no thread.
    pub fn start(
        mut config: Config,
        hub: impl Into<Option<HubConfig>>,
        spool: Spool,
        actuator: impl Actuate,
        guard: impl Actuate,
    ) -> Result<App, AppError> {
        let clock = Clock::start();
        let publish_every_ms = config.mqtt.publish_every_ms.unwrap_or(PUBLISH_EVERY_MS);
        let wake_every =
            publish_every_ms.saturating_mul(1_000_000) / config.loops.controller.period_ns().max(1);
        let failed = |error: std::io::Error| AppError(format!("the control thread: {error}"));
        let controller = &mut config.loops.controller;
        let (keeper, mailbox) = match (&config.state, &spool) {
            (Some(dir), _) | (None, Spool::Dir(dir)) => keep(dir, controller, clock).map_err(failed)?,
            (None, Spool::In(_) | Spool::Nowhere) => (None, None),
        };
        let started = Runner::start(controller.clone(), clock, actuator, guard, wake_every, mailbox);
        let (runner, ports) = started.map_err(failed)?;
        let loop_stats = runner.stats();
        let hub = hub.into();
        let parts = Parts { config, hub, spool, clock, ports, loop_stats };
        let net = Net::start(parts).map_err(AppError)?;
        Ok(App { runner, _keeper: keeper, net })
    }

    /// Returns where sensors publish.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.net.address
    }

    /// Returns where `/metrics` is served.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.net.metrics
    }

    /// Returns what the loop did.
    #[must_use]
    pub fn loop_stats(&self) -> Arc<LoopStats> {
        self.runner.stats()
    }

    /// Returns what the network side did.
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

/// Without the directory nothing is kept: interlocks are tripped, alarms begin anew.
fn keep(
    dir: &Path,
    controller: &mut Controller,
    clock: Clock,
) -> std::io::Result<(Option<Keeper>, Option<Mailbox>)> {
    let file = dir.join(restart_memory::FILE);
    let (said, mut last) = (file.clone(), String::new());
    let on_error = move |error: std::io::Error| {
        let error = error.to_string();
        if last != error {
            edge_print::complain!("control-loop: {}: not kept for the next start: {error}", said.display());
            last = error;
        }
    };
    let (keeper, mailbox, found) = Keeper::start(file.clone(), controller, clock, on_error)?;
    match found {
        Found::Damaged(why) => {
            edge_print::complain!("control-loop: {}: {why}: alarms begin anew", file.display());
        }
        Found::Late => {
            edge_print::complain!(
                "control-loop: {}: the disk does not answer: alarms begin anew",
                file.display()
            );
        }
        _ => {}
    }
    Ok((Some(keeper), Some(mailbox)))
}
