//! Signals that the program obeys, and work during which it is asked to stop.

use std::pin::pin;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Duration, timeout};

/// Time limit of work under way when a stop is asked for. A disk that hangs would hold it up for good, and the supervisor would kill the program
/// before the other connections are closed.
const END_WITHIN: Duration = Duration::from_secs(3);

/// Number of SIGPWR, of Linux on all processors that this is built for.
const POWER: i32 = 30;

/// SIGTERM and SIGINT, which stop the program.
pub(crate) struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

/// Signals at which the program goes on.
pub(crate) struct Others {
    /// SIGHUP.
    pub(crate) hangup: Signal,
    /// SIGPWR: the supply of power is failing.
    pub(crate) power: Signal,
}

/// Listens for the signals that stop the program, and for SIGHUP and SIGPWR.
///
/// # Errors
///
/// In words.
pub(crate) fn listen() -> Result<(Stop, Others), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let [terminate, interrupt] = [listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?];
    let power = listen(SignalKind::from_raw(POWER))?;
    Ok((Stop { terminate, interrupt }, Others { hangup: listen(SignalKind::hangup())?, power }))
}

impl Stop {
    /// Waits until the program is asked to stop. Cancel-safe.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Performs work; returns its result, and whether a stop was asked for meanwhile. Then the work is given up if it does not end soon.
pub(crate) async fn until_stopped<T>(
    work: impl Future<Output = T>,
    stop: impl Future<Output = ()>,
) -> (Option<T>, bool) {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        result = &mut work => return (Some(result), false),
        () = stop => {}
    }
    let result = timeout(END_WITHIN, work).await.ok();
    if result.is_none() {
        tracing::warn!(
            "connections were being started or changed, which does not end: given up for the stop"
        );
    }
    (result, true)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{Instant, sleep};

    use super::*;

    /// As with a queue whose disk hangs while it is opened.
    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_keeps_no_stop_waiting() {
        let start = Instant::now();
        let asked = sleep(Duration::from_secs(60));
        let given_up = timeout(Duration::from_secs(3_600), until_stopped(pending::<()>(), asked)).await;
        assert_eq!((given_up, start.elapsed()), (Ok((None, true)), Duration::from_secs(60) + END_WITHIN));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_ends_is_done_whether_a_stop_is_asked_for_or_not() {
        let work = async {
            sleep(Duration::from_secs(1)).await;
            1
        };
        assert_eq!(until_stopped(work, ready(())).await, (Some(1), true));
        assert_eq!(until_stopped(ready(1), pending()).await, (Some(1), false));
    }
}
