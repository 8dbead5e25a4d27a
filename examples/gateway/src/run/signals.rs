//! Signals: SIGTERM and SIGINT stop the gateway, SIGHUP reloads its configuration.

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
    /// SIGXFSZ, caught so that a write beyond the process's limit of file sizes is an error, as on a full disk.
    _file_size: Signal,
}

impl Signals {
    /// Installs the receivers.
    ///
    /// # Errors
    /// The system refuses to deliver the signals.
    pub(super) fn listen() -> Result<Self, RunError> {
        let listen = |kind: SignalKind, name: &str| {
            signal(kind).map_err(|error| RunError::Failed(format!("{name}: {error}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate(), "SIGTERM")?,
            interrupt: listen(SignalKind::interrupt(), "SIGINT")?,
            hangup: listen(SignalKind::hangup(), "SIGHUP")?,
            _file_size: listen(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()), "SIGXFSZ")?,
        })
    }

    /// Waits for the next signal. No signal is missed between two calls, or when a call is dropped.
    pub(super) async fn next(&mut self) -> Wish {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => return Wish::Reload,
        };
        tracing::info!(signal = name, "stopping");
        Wish::Stop
    }
}
