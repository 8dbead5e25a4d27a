//! Signals that stop the gateway, and one that does nothing.

#![allow(clippy::disallowed_methods, reason = "a shell: signals of the process")]

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::RunError;

/// From now on these signals no longer end the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Taken so that a write beyond the process's limit of file sizes is an error, as on a full disk.
    _file_size: Signal,
}

impl Signals {
    /// # Errors
    /// The system refuses to tell of them.
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

    /// Until the gateway is to stop.
    pub(super) async fn stop(&mut self) {
        let name = loop {
            tokio::select! {
                _ = self.terminate.recv() => break "SIGTERM",
                _ = self.interrupt.recv() => break "SIGINT",
                _ = self.hangup.recv() => tracing::warn!("SIGHUP has no effect: a changed gateway.toml needs a restart, password and access files are read again by themselves"),
            }
        };
        tracing::info!(signal = name, "stopping");
    }
}
