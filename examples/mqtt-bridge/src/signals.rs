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
    pub(crate) power: Power,
}

/// SIGPWR: the supply of power is failing.
pub(crate) struct Power(Signal);

/// Listens for the signals that stop the program, and for SIGHUP and SIGPWR.
///
/// # Errors
///
/// In words.
pub(crate) fn listen() -> Result<(Stop, Others), String> {
    let listen = |kind| signal(kind).map_err(|error| format!("signals: {error}"));
    let [terminate, interrupt] = [listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?];
    let power = Power(listen(SignalKind::from_raw(POWER))?);
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

impl Power {
    /// Waits for the signal. Cancel-safe.
    pub(crate) async fn fails(&mut self) {
        // Ends with the program alone.
        let _ = self.0.recv().await;
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

/// Performs work, and meanwhile what is to be done at a SIGPWR, because a supply of power that fails does not wait. Returns the result of the work, and
/// whether there was a SIGPWR.
pub(crate) async fn while_powered<T>(
    work: impl Future<Output = T>,
    power_fails: impl Future<Output = ()>,
    rescue: impl Future<Output = ()>,
) -> (T, bool) {
    let (mut work, mut rescue, mut power_fails) = (pin!(work), pin!(rescue), pin!(power_fails));
    let (mut has_failed, mut is_rescued) = (false, false);
    loop {
        tokio::select! {
            biased;
            () = &mut power_fails, if !has_failed => has_failed = true,
            () = &mut rescue, if has_failed && !is_rescued => is_rescued = true,
            result = &mut work => return (result, has_failed),
        }
    }
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
    async fn power_that_fails_waits_for_no_work() {
        let start = Instant::now();
        let mut rescued = None;
        let work = sleep(Duration::from_secs(60));
        let rescue = async { rescued = Some(start.elapsed()) };
        let ((), has_failed) = while_powered(work, sleep(Duration::from_secs(1)), rescue).await;
        assert_eq!((has_failed, start.elapsed()), (true, Duration::from_secs(60)));
        assert_eq!(rescued, Some(Duration::from_secs(1)));
        let mut is_rescued = false;
        assert_eq!(while_powered(ready(1), pending(), async { is_rescued = true }).await, (1, false));
        assert!(!is_rescued);
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
