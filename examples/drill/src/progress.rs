//! Live progress on standard error: one rewritten line on a terminal, otherwise a plain line per event and every five seconds.

use std::io::{IsTerminal, Write};

const PLAIN_EVERY_MS: u64 = 5_000;

/// Content of the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot<'a> {
    pub(crate) at_ms: u64,
    pub(crate) phase: &'a str,
    /// Link state as the gateway sees it; empty while it does not answer.
    pub(crate) link: &'a str,
    pub(crate) waiting: Option<u64>,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) arrived: u64,
}

#[derive(Debug)]
pub(crate) struct Progress<W> {
    out: W,
    terminal: bool,
    next_plain_ms: u64,
}

impl Progress<std::io::Stderr> {
    pub(crate) fn stderr() -> Self {
        let out = std::io::stderr();
        Self { terminal: out.is_terminal(), out, next_plain_ms: 0 }
    }
}

impl<W: Write> Progress<W> {
    /// Shows the state, as often as there is something to show. A standard error that is gone is no reason to stop a drill.
    pub(crate) fn show(&mut self, snapshot: &Snapshot<'_>) {
        if self.terminal {
            let _ = write!(self.out, "\r\x1b[2K{}", line(snapshot));
            let _ = self.out.flush();
        } else if snapshot.at_ms >= self.next_plain_ms {
            self.next_plain_ms = snapshot.at_ms + PLAIN_EVERY_MS;
            let _ = writeln!(self.out, "{}", line(snapshot));
        }
    }

    /// Writes a line that stays, about an event.
    pub(crate) fn event(&mut self, at_ms: u64, text: &str) {
        let clear = if self.terminal { "\r\x1b[2K" } else { "" };
        let _ = writeln!(self.out, "{clear}{:>6.1} s  {text}", at_ms as f64 / 1000.0);
    }

    /// Ends the rewritten line.
    pub(crate) fn finish(&mut self) {
        if self.terminal {
            let _ = write!(self.out, "\r\x1b[2K");
            let _ = self.out.flush();
        }
    }
}

/// Fits 80 columns, so that a rewritten line does not wrap.
fn line(snapshot: &Snapshot<'_>) -> String {
    let link = if snapshot.link.is_empty() { "no answer" } else { snapshot.link };
    let waiting = snapshot.waiting.map_or_else(|| "-".to_owned(), |n| n.to_string());
    format!(
        "{:>6.1} s {:<9} {link:<11} waiting {waiting:<5} sent {:<5} acked {:<5} at hub {}",
        snapshot.at_ms as f64 / 1000.0,
        snapshot.phase,
        snapshot.sent,
        snapshot.acknowledged,
        snapshot.arrived
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: Snapshot<'static> = Snapshot {
        at_ms: 12_340,
        phase: "half-open",
        link: "backing-off",
        waiting: Some(12_345),
        sent: 99_999,
        acknowledged: 99_999,
        arrived: 99_999,
    };

    fn shown(terminal: bool) -> String {
        let mut progress = Progress { out: Vec::new(), terminal, next_plain_ms: 0 };
        for at_ms in [0, 1_000, 4_999, 5_000] {
            progress.show(&Snapshot { at_ms, ..SNAPSHOT });
        }
        progress.event(6_000, "link cut");
        progress.finish();
        String::from_utf8(progress.out).unwrap()
    }

    #[test]
    fn a_terminal_gets_one_rewritten_line_and_a_file_gets_few_plain_ones() {
        assert_eq!(shown(true).lines().count(), 2);
        let plain = shown(false);
        assert_eq!(plain.lines().count(), 3);
        assert!(!plain.contains('\x1b') && !plain.contains('\r'));
        assert!(plain.ends_with("   6.0 s  link cut\n"));
    }

    #[test]
    fn the_longest_line_does_not_wrap_and_says_when_nobody_answers() {
        assert!(line(&SNAPSHOT).len() <= 80, "{}", line(&SNAPSHOT).len());
        assert!(line(&Snapshot { link: "", waiting: None, ..SNAPSHOT }).contains("no answer"));
    }
}
