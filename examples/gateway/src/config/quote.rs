//! Parts of a file that a message quotes: cut, so that a long line or name is not written out again for each mistake in it. Pure.

use std::borrow::Cow;

use super::mask::{may_have_password, sounds_secret, without_password, without_secret_values};

/// Most characters of a line, or of a key's name.
pub(super) const QUOTED_MAX: usize = 200;
/// Characters in front of the place that a line is about.
const IN_FRONT: usize = 60;
/// Most bytes of a line that is looked through for passwords: whole, because a cut may hide where one begins or ends.
const MASKED_BYTES_MAX: usize = 1 << 16;

/// Returns the beginning of a text, with an ellipsis if it has more characters.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(text),
    }
}

/// Returns a line of a file as it is shown: without passwords, and of a long one what stands around a column, which is counted from 1.
pub(super) fn line(text: &str, column: usize) -> String {
    let may_have_secret = || may_have_password(text) || text.split('=').any(sounds_secret);
    if text.len() > MASKED_BYTES_MAX && may_have_secret() {
        return format!("… ({} bytes)", text.len());
    }
    let masked = without_secret_values(text);
    let masked = without_password(&masked);
    let at = text.char_indices().nth(column.saturating_sub(1)).map_or(text.len(), |(at, _)| at);
    let at = masked_place(text, &masked, at);
    let start = masked.get(..at).and_then(|before| before.char_indices().rev().nth(IN_FRONT - 1));
    let start = start.map_or(0, |(start, _)| start);
    // A line that fits is shown whole.
    let start = if masked.chars().nth(QUOTED_MAX).is_none() { 0 } else { start };
    let before = if start > 0 { "…" } else { "" };
    format!("{before}{}", cut(masked.get(start..).unwrap_or_default(), QUOTED_MAX))
}

/// Returns the offset in the masked text of an offset in the text. Between the first and the last password it is where the first stood.
fn masked_place(text: &str, masked: &str, at: usize) -> usize {
    let same = text.bytes().zip(masked.bytes()).take_while(|(a, b)| a == b).count();
    let same_at_end = text.bytes().rev().zip(masked.bytes().rev()).take_while(|(a, b)| a == b).count();
    let behind = text.len() - at;
    let place =
        if at > same && behind <= same_at_end { masked.len().saturating_sub(behind) } else { at.min(same) };
    (0..=place).rev().find(|place| masked.is_char_boundary(*place)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_place_and_behind_its_password() {
        let secret = "s3cret".repeat(50);
        let text = format!("url = \"mqtt://u:{secret}@hub\" # {}", "ä".repeat(1_000));
        let shown = line(&text, 7);
        assert!(shown.starts_with("url = \"mqtt://u:…@hub\" # ä") && shown.ends_with("ä…"), "{shown}");
        assert_eq!(shown.chars().count(), QUOTED_MAX + 1);
        // A mistake within the password, one behind it, and one at the end.
        for column in [20, 200, 330, 600, text.chars().count(), usize::MAX] {
            let shown = line(&text, column);
            assert!(shown.chars().count() <= QUOTED_MAX + 2, "{shown}");
            assert!(!shown.contains("s3"), "{column}: {shown}");
        }
        assert_eq!(line(&text, usize::MAX), format!("…{}", "ä".repeat(IN_FRONT)));
        assert_eq!(line("a = 1", 5), "a = 1");
        let text = format!("{}wrong{}", "x".repeat(500_000), "y".repeat(300_000));
        let around = format!("…{}wrong{}…", "x".repeat(IN_FRONT), "y".repeat(QUOTED_MAX - IN_FRONT - 5));
        assert_eq!(line(&text, 500_001), around);
        assert_eq!(line(&format!("{text}@"), 500_001), "… (800006 bytes)");
    }
}
