//! Places of the program's files, and the one that says that it is ready.

#![allow(clippy::disallowed_methods, reason = "a shell: files")]

use std::io;
use std::path::PathBuf;

use crate::one_line::OneLine;

/// Content of the file that says that this is ready.
const READY: &str = "ready\n";

/// Paths of the program's files.
pub(crate) struct Places {
    pub(crate) state: PathBuf,
    /// File that is written when every local broker has accepted its bridge.
    pub(crate) ready: Option<PathBuf>,
}

impl Places {
    /// Removes the file that says that this is ready: one of a run that was killed says nothing of this one.
    pub(crate) fn clear_ready(&self) {
        let Some(ready) = &self.ready else { return };
        match std::fs::remove_file(ready) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::error!(file = %OneLine(&ready.to_string_lossy()), error = error.to_string(), "it cannot be removed, and says that this is ready");
            }
            _ => {}
        }
    }

    /// Writes the file again if another start of this program, or a cleaner, has removed it.
    pub(crate) fn keep_ready(&self) {
        if let Some(ready) = self.ready.as_ref().filter(|ready| !ready.exists()) {
            // An error was logged at the first time.
            let _ = std::fs::write(ready, READY);
        }
    }

    /// Writes the file, at the first time or when a changed site is ready.
    pub(crate) fn tell_ready(&self) {
        let Some(ready) = &self.ready else { return };
        if let Err(error) = std::fs::write(ready, READY) {
            tracing::error!(file = %OneLine(&ready.to_string_lossy()), error = error.to_string(), "nobody can see that this is ready");
        }
    }
}
