//! Counter of starts, by the way in which the process before ended. It is a small file beside the queue, because a counter in RAM ends with the
//! process.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file, written at the start")]

use std::io;
use std::path::Path;

use edge_state::file as state_file;

use crate::run::status::prometheus_text::Page;

const FILE: &str = "restarts";
/// Size of the largest file that is read, in bytes; the file has one line with two numbers.
const FILE_BYTES_MAX: u64 = 1_024;

/// Counts of restarts since the state directory was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StartCounter {
    /// Starts after a stop by a signal.
    pub(crate) clean: u64,
    /// Starts after a kill, a crash or a power cut.
    pub(crate) unclean: u64,
}

impl StartCounter {
    /// Counts this start. `last_clean`: the last process stopped cleanly; `None`: there was none. An unreadable file counts as zero.
    ///
    /// # Errors
    /// The disk refused; the count is right in this process, and is not kept for the next.
    pub(crate) fn count(state: &Path, last_clean: Option<bool>) -> (Self, io::Result<()>) {
        let mut restarts = match state_file::read(state, FILE, FILE_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            read => read.ok().and_then(|text| parse(str::from_utf8(&text).ok()?)).unwrap_or_else(|| {
                let path = state.join(FILE);
                tracing::warn!(path = %path.display(), "the count of starts is damaged: it begins anew");
                Self::default()
            }),
        };
        match last_clean {
            None => return (restarts, Ok(())),
            Some(true) => restarts.clean = restarts.clean.saturating_add(1),
            Some(false) => restarts.unclean = restarts.unclean.saturating_add(1),
        }
        (restarts, restarts.keep(state))
    }

    pub(in crate::run) fn render(self, page: &mut Page) {
        page.head("edge_restarts_total", "counter", "Starts after an earlier run, by how that ended.");
        let restarts = [("clean", self.clean), ("unclean", self.unclean)];
        page.labelled("edge_restarts_total", "cause", restarts);
    }

    fn keep(self, state: &Path) -> io::Result<()> {
        let text = format!("clean {} unclean {}\n", self.clean, self.unclean);
        state_file::replace(state, FILE, &[text.as_bytes()])
    }
}

fn parse(text: &str) -> Option<StartCounter> {
    let mut words = text.split_ascii_whitespace();
    let mut number = |word| (words.next()? == word).then(|| words.next()?.parse().ok()).flatten();
    Some(StartCounter { clean: number("clean")?, unclean: number("unclean")? })
}

#[cfg(test)]
mod tests {
    use crate::run::log::captured_log::captured;

    use super::*;

    #[test]
    fn starts_are_counted_over_runs_by_how_the_last_one_ended() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        for last in [None, Some(true), Some(false), Some(false), Some(true)] {
            let (restarts, kept) = StartCounter::count(dir.path(), last);
            kept.unwrap();
            seen.push((restarts.clean, restarts.unclean));
        }
        assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (1, 2), (2, 2)]);
    }

    #[test]
    fn a_damaged_count_begins_anew_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "clean x").unwrap();
        let told = captured(|| {
            for unclean in 1..3 {
                let expected = StartCounter { clean: 0, unclean };
                assert_eq!(StartCounter::count(dir.path(), Some(false)).0, expected);
            }
        });
        assert!(told.contains("restarts") && told.lines().count() == 1, "{told}");
    }
}
