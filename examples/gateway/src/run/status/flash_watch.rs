//! Reading of the flash's wear once an hour, for the status.

#![allow(clippy::disallowed_methods, reason = "a shell: it reads files of the kernel, and sleeps")]

use std::path::PathBuf;
use std::time::Duration;

use super::flash_wear::FlashWear;
use super::snapshot::CurrentFacts;

/// Pause between two readings: the estimate rises by a tenth in months.
const READ_EVERY: Duration = Duration::from_secs(3_600);

/// Keeps the wear in the facts of the status.
pub(in crate::run) async fn keep(state: PathBuf, facts: CurrentFacts) {
    loop {
        let state = state.clone();
        // A disk that hangs holds this thread, and not the runtime's.
        if let Ok(wear) = tokio::task::spawn_blocking(move || FlashWear::of(&state)).await {
            facts.set_flash(wear);
        }
        tokio::time::sleep(READ_EVERY).await;
    }
}
