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

    /// Returns the looks at the files of this subject.
    pub(super) fn looks(&self, subject: &'static str) -> Looks<'_> {
        Looks { refusals: self, subject, are_late: false }
    }
}

/// Looks at the files of one subject. A spell of late ones begins with one that does not end in time, and ends with one that does.
pub(super) struct Looks<'a> {
    refusals: &'a Refusals,
    subject: &'static str,
    are_late: bool,
}

impl Looks<'_> {
    /// Replaces the reason by that of the last look; an empty one is none. While looks are late, that stays the reason.
    pub(super) fn tell(&self, reason: &str) {
        if !self.are_late {
            self.refusals.set(self.subject, reason);
        }
    }

    /// Waits for a look at these files. The first one of a spell that has not ended in time is told then.
    pub(super) async fn wait<T>(&mut self, files: &[PathBuf], look: impl Future<Output = T>) -> T {
        let mut look = std::pin::pin!(look);
        if let Ok(ended) = tokio::time::timeout(LATE_AFTER, look.as_mut()).await {
            self.are_late = false;
            return ended;
        }
        if !std::mem::replace(&mut self.are_late, true) {
            self.tell_late(files);
        }
        look.await
    }

    fn tell_late(&self, files: &[PathBuf]) {
        let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
        let (subject, files, seconds) = (self.subject, files.join(", "), LATE_AFTER.as_secs());
        tracing::warn!(
            subject,
            files,
            seconds,
            "files of the local clients' access cannot be looked at: a read does not end, as where a mount is away"
        );
        let said = format!("{subject} cannot be looked at, since a read of one of {files} does not end");
        self.refusals.set(subject, &said);
    }
}

#[cfg(test)]
mod tests {
    use crate::run::log::captured_log::captured;
    use crate::run::status::snapshot::test_snapshots;

    use super::*;

    async fn look(takes_s: u64) -> u64 {
        tokio::time::sleep(Duration::from_secs(takes_s)).await;
        takes_s
    }

    /// Each look of a slow mount would be a warning, and a need that comes and goes.
    #[test]
    fn a_spell_of_late_looks_is_told_once_and_stays_the_reason_until_one_ends_in_time() {
        let facts = CurrentFacts::new(test_snapshots::facts());
        let refusals = Refusals::new(&facts);
        let reason = || facts.get().refused_access.clone().unwrap_or_default();
        let looks = async {
            let mut looks = refusals.looks(RULES);
            looks.tell("line 3");
            for (takes_s, late) in [(9, false), (11, true), (3_600, true), (11, true), (9, false), (11, true)]
            {
                assert_eq!(looks.wait(&[PathBuf::from("/mnt/acl")], look(takes_s)).await, takes_s);
                looks.tell("line 3");
                let said = reason();
                let is_late = said.starts_with(RULES) && said.contains("/mnt/acl does not end");
                assert_eq!((is_late, said == "line 3"), (late, !late), "{takes_s}: {said}");
            }
        };
        let told = captured(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(looks);
        });
        assert_eq!(told.matches("a read does not end").count(), 2, "two spells: {told}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_does_not_end_is_told_while_it_lasts() {
        let facts = CurrentFacts::new(test_snapshots::facts());
        let refusals = Refusals::new(&facts);
        let mut looks = refusals.looks(CERTIFICATES);
        let endless = looks.wait(&[], std::future::pending::<()>());
        assert!(tokio::time::timeout(Duration::from_secs(11), endless).await.is_err());
        assert!(facts.get().refused_access.as_ref().is_some_and(|said| said.starts_with(CERTIFICATES)));
    }
}
