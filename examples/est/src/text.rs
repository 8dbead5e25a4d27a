//! Text of a server, in a form that fits a log line.

/// Most characters of what a server says.
const SAID_MAX: usize = 120;

/// Returns the letters, digits and signs of a text, cut.
pub(crate) fn harmless(text: &str) -> String {
    let printed =
        text.trim().chars().filter(|char| char.is_alphanumeric() || char.is_ascii_graphic() || *char == ' ');
    printed.take(SAID_MAX).collect()
}
