//! The gateway as a service of systemd: ready when the queue is open and sensors can connect, with the verdict as its status, and a watchdog that
//! is fed while the runtime runs and the queue's writer makes progress, or there is no queue yet. Without systemd, and inside another program, nothing
//! is sent.
//! The liveness probe of Kubernetes goes by the watchdog's rule.

#![allow(clippy::disallowed_methods, reason = "a shell: the environment, and looks at the queue")]

use std::time::Duration;

use edge_queue::{STALLED_AFTER_MS, Stats, aio};
use edge_service::{Notifier, makes_progress};

use super::http::Answer;
use super::verdict::Verdict;

/// Time limit of the queue's statistics. A queue that does not answer counts as one without progress.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Returns the sender of notifications to systemd. If systemd did not start this process, it sends nothing.
pub(in crate::run) fn from_env() -> Notifier {
    let notifier = Notifier::new(|name| std::env::var(name).ok(), std::process::id());
    notifier.unwrap_or_else(|error| {
        untold(&error);
        Notifier::default()
    })
}

/// Notifies systemd that messages are stored from now on (`READY=1`).
pub(in crate::run) fn ready(notifier: &Notifier) {
    if let Err(error) = notifier.ready() {
        untold(&error);
    }
}

fn untold(error: &std::io::Error) {
    tracing::warn!(%error, "systemd is not told that this is ready, and will start it again");
}

/// Feeds the watchdog for as long as it is polled, by the runtime's only thread.
pub(in crate::run) async fn keep_alive(notifier: &Notifier, queue: &aio::Queue) {
    notifier.keep_alive(|| is_alive(queue)).await;
}

async fn is_alive(queue: &aio::Queue) -> bool {
    let stats = tokio::time::timeout(ANSWER_WITHIN, queue.stats()).await;
    stats.ok().flatten().is_some_and(|stats| makes_progress(&stats))
}

/// Returns the answer of the liveness probe, by the rule of the watchdog: who fails it is killed. `None`: the queue does not answer.
pub(in crate::run) fn liveness(stats: Option<&Stats>) -> Answer {
    let (ok, body) = match stats {
        None => (false, "the queue does not answer\n".to_owned()),
        Some(stats) if !makes_progress(stats) => {
            (false, format!("the writer is {} ms late\n", stats.overdue_ms))
        }
        Some(stats) if stats.call_ms >= STALLED_AFTER_MS => (
            true,
            format!("the disk hangs, a restart mends nothing: a call takes {} ms by now\n", stats.call_ms),
        ),
        Some(_) => (true, "the writer makes progress\n".to_owned()),
    };
    Answer { ok, body }
}

/// Returns the verdict as a sentence, with its cause.
pub(in crate::run) fn sentence(verdict: Verdict, cause: Option<&str>) -> String {
    let words = match verdict {
        Verdict::Delivering => return "delivering: messages go out as they come in".to_owned(),
        Verdict::Storing => "storing: the hub is not reached, everything is kept",
        Verdict::CatchingUp => "catching-up: the hub is reached, what was kept is on its way",
        Verdict::Degraded => "degraded: something is to be mended",
        Verdict::Losing => "losing: messages are being given up",
    };
    cause.map_or_else(|| words.to_owned(), |cause| format!("{words} ({cause})"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use edge_queue::testing::{Call, SimDir};
    use edge_queue::{Config, ManualClock, Now, Queue, Row};

    use super::*;

    /// With this clock a queue has no writer thread: a commit is due that nobody writes.
    fn queue(dir: &SimDir) -> (Queue, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Now { boot_id: 1, up_ms: 1_000, ..Now::default() }));
        let config = Config::default().max_bytes(1 << 20);
        (Queue::open_in(Box::new(dir.clone()), config, clock.clone()).unwrap(), clock)
    }

    /// A killed process would end when the disk answers, and control of the plant at once.
    #[test]
    fn promise_11_the_probe_of_liveness_fails_for_a_stuck_writer_and_not_for_a_disk_that_hangs() {
        let dir = SimDir::new();
        let (queue, clock) = queue(&dir);
        assert_eq!(liveness(Some(&queue.stats())).body, "the writer makes progress\n");
        let _waiting = queue.push(Row::new("reading")).unwrap();
        clock.advance_ms(60_000);
        let stuck = liveness(Some(&queue.stats()));
        assert!(!stuck.ok && stuck.body.starts_with("the writer is "), "{stuck:?}");
        assert!(!liveness(None).ok);

        let hold = dir.hold(Call::Sync);
        let writer = queue.clone();
        let commit = std::thread::spawn(move || writer.commit());
        hold.wait_until_held();
        clock.advance_ms(60_000);
        let hangs = liveness(Some(&queue.stats()));
        assert!(hangs.ok && hangs.body.starts_with("the disk hangs"), "{hangs:?}");
        drop(hold);
        commit.join().unwrap().unwrap();
        assert!(liveness(Some(&queue.stats())).ok);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_writer_that_is_stuck_is_not_alive() {
        let (queue, clock) = queue(&SimDir::new());
        let queue = aio::Queue::of(queue).unwrap();
        clock.advance_ms(3_600_000);
        assert!(is_alive(&queue).await, "nothing is due");
        let _waiting = queue.push(Row::new("reading")).await.unwrap();
        clock.advance_ms(60_000);
        assert!(!is_alive(&queue).await);
        queue.commit().await.unwrap();
        assert!(is_alive(&queue).await);
    }

    #[test]
    fn a_sentence_begins_with_the_word_of_the_other_surfaces() {
        for verdict in Verdict::ALL {
            let sentence = sentence(verdict, Some("connection refused"));
            assert!(sentence.starts_with(&format!("{verdict}: ")), "{sentence}");
            let says_why = sentence.ends_with("(connection refused)");
            assert_eq!(says_why, verdict != Verdict::Delivering, "{sentence}");
        }
    }
}
