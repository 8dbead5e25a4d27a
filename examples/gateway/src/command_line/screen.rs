//! Text that is drawn again in place on a terminal, for the subcommands with `--watch`.

use std::io::{self, IsTerminal};

/// Returns whether standard output is a terminal that obeys escape codes.
pub(crate) fn is_terminal() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && !is_dumb
}

/// Place of the text on the screen.
#[derive(Debug, Default)]
pub(crate) struct Redrawn {
    /// Set if the text stands at the top of the screen.
    is_drawn: bool,
}

impl Redrawn {
    /// Returns the text with the escape codes that write it over the last one without flicker. The first time the screen is cleared.
    pub(crate) fn over(&mut self, text: &str) -> String {
        let begin = if self.is_drawn { "\u{1b}[H" } else { "\u{1b}[2J\u{1b}[H" };
        self.is_drawn = true;
        format!("{begin}{}\u{1b}[J", text.replace('\n', "\u{1b}[K\n"))
    }

    /// Marks the screen as changed by other output.
    pub(crate) fn forget(&mut self) {
        self.is_drawn = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_is_cleared_once_and_then_drawn_over() {
        let mut redrawn = Redrawn::default();
        assert_eq!(redrawn.over("a\nb\n"), "\u{1b}[2J\u{1b}[Ha\u{1b}[K\nb\u{1b}[K\n\u{1b}[J");
        assert_eq!(redrawn.over("c\n"), "\u{1b}[Hc\u{1b}[K\n\u{1b}[J");
        redrawn.forget();
        assert!(redrawn.over("").starts_with("\u{1b}[2J"));
    }
}
