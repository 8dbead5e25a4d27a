//! The whole program: control threads and the network thread.

#![allow(clippy::disallowed_methods, reason = "a shell: it makes the directory of what is kept")]

use crate::net::{Net, NetStats, Parts};
use crate::restart_memory::{self, Found, Keeper, Mailbox};
use crate::runner::{LoopStats, Runner};
use crate::{Actuate, Clock, Config, HubConfig, Loops};
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

/// Storage of the queue to the hub.
pub enum Spool {
    /// A directory.
    Dir(PathBuf),
    /// A directory type of the caller, for tests with a failing medium.
    In(Box<dyn Dir>),
    /// No queue: messages to the hub are dropped.
    Nowhere,
}

/// Error of the start, in words.
#[derive(Clone, Debug)]
pub struct AppError(String);

impl fmt::Display for AppError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AppError {}

/// Default period at which outputs are published, in milliseconds.
const PUBLISH_EVERY_MS: u64 = 100;

impl App {
    /// Starts all threads. Outputs go to `actuator`, and to `guard` while the watchdog keeps them safe. Without a hub events are only published
    /// locally. A queue that does not open is opened again later; no other part waits for it.
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
        let loops = &mut config.loops;
        let (keeper, mailbox) = match (&config.state, &spool) {
            (Some(dir), _) | (None, Spool::Dir(dir)) => keep(dir, loops, clock).map_err(failed)?,
            (None, Spool::In(_) | Spool::Nowhere) => (None, None),
        };
        let started = Runner::start(loops.controller.clone(), clock, actuator, guard, wake_every, mailbox);
        let (runner, ports) = started.map_err(failed)?;
        let loop_stats = runner.stats();
        let hub = hub.into();
        let parts = Parts { config, hub, spool, clock, ports, loop_stats };
        let net = Net::start(parts).map_err(AppError)?;
        Ok(App { runner, _keeper: keeper, net })
    }

    /// Returns the address at which sensors publish.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.net.address
    }

    /// Returns the address of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.net.metrics
    }

    /// Returns the statistics of the control loop.
    #[must_use]
    pub fn loop_stats(&self) -> Arc<LoopStats> {
        self.runner.stats()
    }

    /// Returns the statistics of the network side.
    #[must_use]
    pub fn net_stats(&self) -> Arc<NetStats> {
        self.net.stats.clone()
    }

    /// Returns the network's runtime. A task that blocks there freezes the network side, and nothing else.
    #[must_use]
    pub fn runtime(&self) -> Handle {
        self.net.runtime.clone()
    }
}

/// Opens the memory over restarts. Without a directory none is kept: after a restart interlocks are tripped and alarms begin anew.
fn keep(dir: &Path, loops: &mut Loops, clock: Clock) -> std::io::Result<(Option<Keeper>, Option<Mailbox>)> {
    let file = dir.join(restart_memory::FILE);
    let (said, mut last) = (file.clone(), String::new());
    let on_error = move |error: std::io::Error| {
        let error = error.to_string();
        if last != error {
            edge_print::complain!("control-loop: {}: not kept for the next start: {error}", said.display());
            last = error;
        }
    };
    let (keeper, mailbox, found) = Keeper::start(file.clone(), &mut loops.controller, clock, on_error)?;
    for taken_back in loops.commands.take_back(&mut loops.controller, clock.now_ns()) {
        edge_print::complain!("control-loop: the rules no longer allow what an operator chose: {taken_back}");
    }
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
