//! Topic filters that the gateway's session at a broker has, kept on disk: the broker keeps a subscription until an UNSUBSCRIBE, whatever the next
//! configuration has.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file, written when the topics change")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fmt, io, iter};

use edge_bridge::wire::{SharedFilter, validate_filter};
use edge_state::file as state_file;

use crate::config::operator_file;

/// Size of the largest file that is read, in bytes: the topic filters of a configuration, which has 2 MiB with its included files, and of the one
/// before.
const FILE_BYTES_MAX: u64 = 2 * 2 * operator_file::BYTES_MAX;

/// The list and its file: the session's name in the first line, a filter in each further one.
#[derive(Clone, Debug)]
pub(crate) struct SubscribedFilters {
    state: PathBuf,
    file: &'static str,
    session: String,
    filters: BTreeSet<String>,
    /// Set if the file is of this session, so that the broker should have it.
    pub(in crate::run) is_of_session: bool,
    /// Set if the file has all of the filters.
    is_saved: bool,
}

impl SubscribedFilters {
    /// Reads the filters that earlier processes subscribed to from `file` in the state directory. `session` names the session. A file of another
    /// session counts as empty.
    pub(crate) fn load(state: &Path, file: &'static str, session: String) -> Self {
        let text = read(state, file).unwrap_or_else(|error| {
            let path = state.join(file);
            tracing::warn!(path = %path.display(), %error, "the list of subscribed topics cannot be read and is made anew: topics that are wanted no longer stay subscribed at the broker");
            String::new()
        });
        let mut lines = text.lines();
        let first = lines.next();
        let is_of_session = first == Some(session.as_str());
        // A line that is no filter, which damage or a hand left, was never subscribed to.
        let known = lines.filter(|line| is_of_session && is_filter(line));
        let filters = known.map(str::to_owned).collect();
        if first.is_some_and(|known| known != session) {
            tracing::warn!(
                session,
                "another session than before: the earlier one stays at its broker until that removes it"
            );
        }
        Self { state: state.to_owned(), file, session, filters, is_of_session, is_saved: true }
    }

    /// Records durably that the filters `wanted` are about to be subscribed to; a refusal of the disk is logged. Returns those of earlier processes
    /// that have to be unsubscribed.
    pub(in crate::run) fn subscribing<'a>(&mut self, wanted: impl Iterator<Item = &'a str>) -> Vec<String> {
        let wanted: BTreeSet<String> = wanted.map(str::to_owned).collect();
        let gone = self.filters.difference(&wanted).cloned().collect();
        self.is_saved &= wanted.is_subset(&self.filters);
        // A list of another session is replaced, too, so that it is told once.
        self.is_saved &= self.is_of_session || !self.state.join(self.file).exists();
        self.filters.extend(wanted);
        if !self.is_saved
            && let Err(error) = self.save()
        {
            tell_unkept(&error);
        }
        gone
    }

    /// Records that the broker has removed these subscriptions.
    ///
    /// # Errors
    /// The disk refused; the next process unsubscribes them again.
    pub(in crate::run) fn unsubscribed(&mut self, gone: &[String]) -> io::Result<()> {
        self.filters.retain(|filter| !gone.contains(filter));
        self.save()
    }

    fn save(&mut self) -> io::Result<()> {
        let filters = self.filters.iter().map(String::as_str);
        let text: String =
            iter::once(self.session.as_str()).chain(filters).flat_map(|line| [line, "\n"]).collect();
        state_file::replace(&self.state, self.file, &[text.as_bytes()])?;
        (self.is_of_session, self.is_saved) = (true, true);
        Ok(())
    }
}

/// Returns whether a broker of MQTT 5 may have such a subscription.
fn is_filter(line: &str) -> bool {
    validate_filter(line).is_ok() && SharedFilter::parse(line).is_ok()
}

/// Logs that the disk did not take the list.
pub(in crate::run) fn tell_unkept(error: &dyn fmt::Display) {
    tracing::warn!(%error, "the list of subscribed topics is not kept");
}

/// Returns the content of the file; empty if there is none.
fn read(state: &Path, file: &str) -> io::Result<String> {
    match state_file::read(state, file, FILE_BYTES_MAX) {
        Ok(text) => {
            String::from_utf8(text).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use crate::run::log::captured_log::captured;

    use super::*;

    const FILE: &str = "subscribed";

    #[test]
    fn a_list_that_cannot_be_read_is_told_and_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let load = || {
            captured(|| assert!(SubscribedFilters::load(dir.path(), FILE, "a".to_owned()).filters.is_empty()))
        };
        assert_eq!(load(), "", "a first start says nothing");
        std::fs::write(dir.path().join(FILE), b"a\n\xff\n").unwrap();
        let told = load();
        assert!(told.contains(FILE) && told.contains("not UTF-8"), "{told}");
        std::fs::remove_file(dir.path().join(FILE)).unwrap();
        std::fs::create_dir(dir.path().join(FILE)).unwrap();
        let told = load();
        assert!(told.contains("cannot be read") && told.lines().count() == 1, "{told}");
    }

    #[test]
    fn what_was_ever_subscribed_is_known_until_it_is_unsubscribed() {
        let dir = tempfile::tempdir().unwrap();
        let load = |session: &str| SubscribedFilters::load(dir.path(), FILE, session.to_owned());
        assert!(load("a").subscribing(["r/#"].into_iter()).is_empty());
        for again in ["the broker does not answer", "it does"] {
            let mut next = load("a");
            assert_eq!(next.subscribing(["r/+", "x/#"].into_iter()), ["r/#"], "{again}");
            if again == "it does" {
                next.unsubscribed(&["r/#".to_owned()]).unwrap();
            }
        }
        assert_eq!(load("a").subscribing(["x/#"].into_iter()), ["r/+"]);
        assert!(load("b").subscribing(["x/#"].into_iter()).is_empty(), "another session");
    }

    /// One bad line would stop each UNSUBSCRIBE, and with it what follows.
    #[test]
    fn lines_that_are_no_filters_count_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "a\nr/#\n\nx#\ny/\0\n$share/x\n$share//a\n").unwrap();
        let mut list = SubscribedFilters::load(dir.path(), FILE, "a".to_owned());
        assert_eq!(list.subscribing(["x/#"].into_iter()), ["r/#"]);
    }

    #[test]
    fn what_the_disk_refused_is_not_taken_for_written() {
        let dir = tempfile::tempdir().unwrap();
        let load = || SubscribedFilters::load(dir.path(), FILE, "a".to_owned());
        load().subscribing(["r/#"].into_iter());
        let mut list = load();
        // As on a full disk, where the file stays as it was.
        let new = dir.path().join("subscribed.new");
        std::fs::create_dir(&new).unwrap();
        for attempt in ["first", "second"] {
            let mut gone = Vec::new();
            let told = captured(|| gone = list.subscribing(["x/#"].into_iter()));
            assert!(told.contains("is not kept"), "{attempt}: {told}");
            assert_eq!(gone, ["r/#"], "{attempt}: it is in the list whatever the disk takes");
        }
        std::fs::remove_dir(new).unwrap();
        list.subscribing(["x/#"].into_iter());
        assert_eq!(load().filters, ["r/#", "x/#"].map(str::to_owned).into());
    }
}
