//! Reasons for which changed files of the local clients' access are not in force, as the status has them: of users with rights, and of certificates, each
//! by itself. One is a look at files that does not end, as on a mount whose server is away.

#![allow(clippy::disallowed_methods, reason = "a shell: a timer")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::run::status::snapshot::CurrentFacts;

/// Time after which a look at files that has not ended is told.
const LATE_AFTER: Duration = Duration::from_secs(10);

pub(super) const RULES: &str = "users and rights";
pub(super) const CERTIFICATES: &str = "TLS files of the listener";

/// Reasons of now, by what they are about.
pub(super) struct Refusals {
    facts: CurrentFacts,
    reasons: Mutex<BTreeMap<&'static str, String>>,
}

impl Refusals {
    pub(super) fn new(facts: &CurrentFacts) -> Self {
        facts.set_refused_access(None);
        Self { facts: facts.clone(), reasons: Mutex::default() }
    }

    /// Replaces a reason; an empty one is none.
    pub(super) fn set(&self, subject: &'static str, reason: &str) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            "" => drop(reasons.remove(subject)),
            reason => drop(reasons.insert(subject, reason.to_owned())),
        }
        let all = reasons.values().cloned().reduce(|both, reason| format!("{both}; {reason}"));
        self.facts.set_refused_access(all);
    }

    /// Returns a function that tells that the look at these files has not ended.
    pub(super) fn late(&self, subject: &'static str, files: &[PathBuf]) -> impl FnOnce() + use<'_> {
        let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let files = files.join(", ");
        move || {
            let seconds = LATE_AFTER.as_secs();
            tracing::warn!(
                subject,
                files,
                seconds,
                "files of the local clients' access cannot be looked at: a read does not end, as where a mount is away"
            );
            let said = format!("{subject} cannot be looked at, since a read of one of {files} does not end");
            self.set(subject, &said);
        }
    }
}

/// Waits for a look at files, and calls `late` if it has not ended in time.
pub(super) async fn in_time<T>(look: impl Future<Output = T>, late: impl FnOnce()) -> T {
    let mut look = std::pin::pin!(look);
    match tokio::time::timeout(LATE_AFTER, look.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            late();
            look.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_look_that_does_not_end_is_told_once_and_waited_for() {
        for (takes_s, told) in [(9, 0), (11, 1), (3_600, 1)] {
            let mut times = 0;
            let look = async {
                tokio::time::sleep(Duration::from_secs(takes_s)).await;
                takes_s
            };
            assert_eq!(in_time(look, || times += 1).await, takes_s);
            assert_eq!(times, told, "{takes_s}");
        }
    }
}
