//! Counter of starts, by the way in which the process before ended. It is a small file beside the queue, because a counter in RAM ends with the
//! process. The file also says in which boot of the machine, and of which version, the last process was: what tells a lost supply of power from a
//! kill, and an upgrade from a stop.

#![allow(clippy::disallowed_methods, reason = "a shell: one small file, written at the start")]

use std::io;
use std::path::Path;

use edge_state::file as state_file;

use crate::run::status::prometheus_text::Page;

const FILE: &str = "restarts";
/// Identity of the machine's present boot, by Linux.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Word of the file for a boot that is not known.
const UNKNOWN: &str = "unknown";
/// Size of the largest file that is read, in bytes; the file has one line with a few numbers.
const FILE_BYTES_MAX: u64 = 1_024;

/// Counts of restarts since the state directory was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StartCounter {
    /// Starts after a stop by a signal, of the same version.
    pub(crate) clean: u64,
    /// Starts after a kill or a crash of the process.
    pub(crate) unclean: u64,
    /// Starts after a stop by a signal, of another version.
    pub(crate) upgrade: u64,
    /// Starts after an end of the process with the machine.
    pub(crate) power_loss: u64,
}

/// Boot of the machine and version of the program in which a process runs, as words of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    /// `None`: not known, so that a loss of power is not told from a kill.
    boot: Option<String>,
    version: String,
}

impl Run {
    fn of_this_process() -> Self {
        Self { boot: boot(Path::new(BOOT_ID)), version: env!("CARGO_PKG_VERSION").to_owned() }
    }

    fn is_of_another_boot(&self, last: &Self) -> bool {
        self.boot.as_ref().zip(last.boot.as_ref()).is_some_and(|(this, last)| this != last)
    }
}

/// Reads the identity of a boot as a word of the file.
fn boot(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    Some(format!("{:032x}", u128::from_str_radix(&digits, 16).ok()?))
}

impl StartCounter {
    /// Counts this start. `last_clean`: the last process stopped cleanly; `None`: there was none. An unreadable file counts as zero.
    ///
    /// # Errors
    /// The disk refused; the count is right in this process, and is not kept for the next.
    pub(crate) fn count(state: &Path, last_clean: Option<bool>) -> (Self, io::Result<()>) {
        Self::count_as(state, last_clean, &Run::of_this_process())
    }

    fn count_as(state: &Path, last_clean: Option<bool>, run: &Run) -> (Self, io::Result<()>) {
        let (mut restarts, last) = match state_file::read(state, FILE, FILE_BYTES_MAX) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Self::default(), None),
            read => read.ok().and_then(|text| parse(str::from_utf8(&text).ok()?)).unwrap_or_else(|| {
                let path = state.join(FILE);
                tracing::warn!(path = %path.display(), "the count of starts is damaged: it begins anew");
                (Self::default(), None)
            }),
        };
        let is_upgrade = last.as_ref().is_some_and(|last| last.version != run.version);
        let is_other_boot = last.as_ref().is_some_and(|last| run.is_of_another_boot(last));
        let counter = match last_clean {
            None => None,
            Some(true) if is_upgrade => Some(&mut restarts.upgrade),
            Some(true) => Some(&mut restarts.clean),
            Some(false) if is_other_boot => Some(&mut restarts.power_loss),
            Some(false) => Some(&mut restarts.unclean),
        };
        if let Some(counter) = counter {
            *counter = counter.saturating_add(1);
        }
        (restarts, restarts.keep(state, run))
    }

    /// Returns the starts after a stop by a signal, whatever the version.
    pub(crate) fn clean_in_all(self) -> u64 {
        self.clean.saturating_add(self.upgrade)
    }

    /// Returns the starts after a kill, a crash or a loss of power.
    pub(crate) fn unclean_in_all(self) -> u64 {
        self.unclean.saturating_add(self.power_loss)
    }

    pub(in crate::run) fn render(self, page: &mut Page) {
        page.head("edge_restarts_total", "counter", "Starts after an earlier run, by how that ended.");
        page.labelled("edge_restarts_total", "cause", self.by_cause());
    }

    fn by_cause(self) -> [(&'static str, u64); 4] {
        let Self { clean, unclean, upgrade, power_loss } = self;
        [("clean", clean), ("unclean", unclean), ("upgrade", upgrade), ("power_loss", power_loss)]
    }

    /// Writes the file. An older program reads the first two numbers and drops the rest.
    fn keep(self, state: &Path, Run { boot, version }: &Run) -> io::Result<()> {
        let counts: String =
            self.by_cause().iter().map(|(cause, count)| format!("{cause} {count} ")).collect();
        let boot = boot.as_deref().unwrap_or(UNKNOWN);
        let text = format!("{counts}boot {boot} version {version}\n");
        state_file::replace(state, FILE, &[text.as_bytes()])
    }
}

/// Reads the file. Of an older program it has the first two numbers alone, and which run that was is not known.
fn parse(text: &str) -> Option<(StartCounter, Option<Run>)> {
    let mut words = text.split_ascii_whitespace();
    let mut word = |name| (words.next()? == name).then(|| words.next()).flatten();
    let (clean, unclean) = (word("clean")?.parse().ok()?, word("unclean")?.parse().ok()?);
    let counts = StartCounter { clean, unclean, ..StartCounter::default() };
    let Some(upgrade) = word("upgrade") else { return Some((counts, None)) };
    let (upgrade, power_loss) = (upgrade.parse().ok()?, word("power_loss")?.parse().ok()?);
    let boot = Some(word("boot")?).filter(|boot| *boot != UNKNOWN).map(str::to_owned);
    let run = Run { boot, version: word("version")?.to_owned() };
    Some((StartCounter { upgrade, power_loss, ..counts }, Some(run)))
}

#[cfg(test)]
mod tests {
    use crate::run::log::captured_log::captured;

    use super::*;

    fn run(boot: &str, version: &str) -> Run {
        Run { boot: Some(boot.to_owned()), version: version.to_owned() }
    }

    fn counted(state: &Path, last_clean: Option<bool>, run: &Run) -> [u64; 4] {
        let (restarts, kept) = StartCounter::count_as(state, last_clean, run);
        kept.unwrap();
        restarts.by_cause().map(|(_, count)| count)
    }

    #[test]
    fn starts_are_counted_over_runs_by_how_the_last_one_ended() {
        let dir = tempfile::tempdir().unwrap();
        let of_one = run("1", "1.0.0");
        let mut seen = Vec::new();
        for last in [None, Some(true), Some(false), Some(false), Some(true)] {
            seen.push(counted(dir.path(), last, &of_one));
        }
        assert_eq!(seen, [[0; 4], [1, 0, 0, 0], [1, 1, 0, 0], [1, 2, 0, 0], [2, 2, 0, 0]]);
    }

    /// A kill is one, whatever version comes next; a stop with the machine is as clean as any.
    #[test]
    fn a_loss_of_power_is_told_by_the_boot_and_an_upgrade_by_the_version() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        for (last, run) in [
            (None, run("1", "1.0.0")),
            (Some(false), run("2", "1.0.0")),
            (Some(false), run("2", "1.0.0")),
            (Some(true), run("2", "1.0.1")),
            (Some(false), run("2", "1.0.2")),
            (Some(true), run("3", "1.0.2")),
        ] {
            seen.push(counted(dir.path(), last, &run));
        }
        let clean_unclean_upgrade_power =
            [[0; 4], [0, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 1], [0, 2, 1, 1], [1, 2, 1, 1]];
        assert_eq!(seen, clean_unclean_upgrade_power);
    }

    #[test]
    fn the_file_of_an_older_program_counts_on_and_tells_no_run() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "clean 3 unclean 4\n").unwrap();
        assert_eq!(
            counted(dir.path(), Some(false), &run("1", "1.0.0")),
            [3, 5, 0, 0],
            "which it was, nobody knows"
        );
        assert_eq!(counted(dir.path(), Some(false), &run("2", "1.0.0")), [3, 5, 0, 1]);
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(text.starts_with("clean 3 unclean 5 "), "as an older program reads it: {text}");
    }

    #[test]
    fn this_process_has_a_boot_and_a_version() {
        let run = Run::of_this_process();
        assert_eq!(run, Run::of_this_process());
        let boot = run.boot.unwrap();
        assert!(boot.len() == 32 && !boot.trim_matches('0').is_empty(), "{boot}");
        assert_eq!(super::boot(Path::new("/proc/sys/kernel/random/none")), None);
    }

    /// As in a container without /proc/sys: each process would be of a boot of its own.
    #[test]
    fn where_the_boot_is_not_known_a_kill_is_no_loss_of_power() {
        let dir = tempfile::tempdir().unwrap();
        let unknown = |version: &str| Run { boot: None, version: version.to_owned() };
        let mut seen = Vec::new();
        for (last, run) in [
            (None, unknown("1")),
            (Some(false), unknown("1")),
            (Some(false), run("2", "1")),
            (Some(false), unknown("1")),
            (Some(true), unknown("2")),
        ] {
            seen.push(counted(dir.path(), last, &run));
        }
        assert_eq!(seen, [[0; 4], [0, 1, 0, 0], [0, 2, 0, 0], [0, 3, 0, 0], [0, 3, 1, 0]]);
    }

    #[test]
    fn a_damaged_count_begins_anew_and_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "clean x").unwrap();
        let told = captured(|| {
            for unclean in 1..3 {
                let expected = StartCounter { unclean, ..StartCounter::default() };
                assert_eq!(StartCounter::count(dir.path(), Some(false)).0, expected);
            }
        });
        assert!(told.contains("restarts") && told.lines().count() == 1, "{told}");
    }
}
