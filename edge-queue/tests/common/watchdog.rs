//! A hang is a failure, not a job that never ends.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Far longer than anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `test` on a thread of its own and fails if it does not come back.
#[allow(clippy::disallowed_methods, reason = "the thread that may hang")]
pub(crate) fn must_end(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        test();
        let _heard = done.send(());
    });
    match ended.recv_timeout(PATIENCE) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        // Ended, or panicked: then its own words are the better ones.
        _ => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}
