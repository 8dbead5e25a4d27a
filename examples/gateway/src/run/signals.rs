//! Signals: SIGTERM and SIGINT stop the gateway, SIGHUP reloads its configuration, SIGPWR makes durable what is in memory.

#![allow(clippy::disallowed_methods, reason = "a shell: signals of the process")]

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::RunError;

/// Action that a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Stop,
    /// SIGHUP.
    Reload,
}

/// Receivers of signals. While they exist, these signals do not end the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// SIGPWR, which would end the process while no part listens to it: between two starts, and while the first one is under way.
    _power: Signal,
    /// SIGXFSZ, caught so that a write beyond the process's limit of file sizes is an error, as on a full disk.
    _file_size: Signal,
}

impl Signals {
    /// Installs the receivers.
    ///
    /// # Errors
    /// The system refuses to deliver the signals.
    pub(super) fn listen() -> Result<Self, RunError> {
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hangup: listen(SignalKind::hangup(), "SIGHUP")?,
            _power: power_failure()?,
            _file_size: listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()), "SIGXFSZ")?,
        })
    }

    /// Waits for the next signal but SIGPWR. No signal is missed between two calls, or when a call is dropped.
    pub(super) async fn next(&mut self) -> Wish {
        tokio::select! {
            () = Self::stop_of(&mut self.terminate, &mut self.interrupt) => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    /// Waits for a signal that stops the gateway. A SIGHUP meanwhile is kept for [`next`](Self::next).
    pub(super) async fn stop(&mut self) {
        Self::stop_of(&mut self.terminate, &mut self.interrupt).await;
    }

    async fn stop_of(terminate: &mut Signal, interrupt: &mut Signal) {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
    }
}

/// Returns a receiver of SIGPWR, for the parts of one run.
///
/// # Errors
/// The system refuses to deliver the signal.
pub(super) fn power_failure() -> Result<Signal, RunError> {
    listen(SignalKind::from_raw(rustix::process::Signal::POWER.as_raw()), "SIGPWR")
}

fn listen(kind: SignalKind, name: &str) -> Result<Signal, RunError> {
    signal(kind).map_err(|error| RunError::Failed(format!("{name}: {error}")))
}
