//! Patterns that choose a rule's sensors: names split at `/`, with MQTT's wildcards.

use std::fmt;

/// Pattern for names: `+` stands for one level, `#` at the end for any number of levels, also none.
///
/// Patterns are like MQTT topic filters (5.0 §4.7.1), so `site/#` matches `site` too. But names are no topics, so a leading `$` has no special
/// meaning.
///
/// ```
/// use edge_filter::Pattern;
///
/// let pattern = Pattern::new("line2/+/temp")?;
/// assert!(pattern.matches("line2/oven/temp") && !pattern.matches("line2/temp"));
/// assert!(Pattern::new("line#").is_err());
/// # Ok::<(), edge_filter::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

/// Error for a pattern that can never match what its author meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError(pub(super) &'static str);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// If the pattern is empty, a wildcard shares its level with other text, or `#` is not the last level.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.is_empty() {
            return Err(PatternError("a pattern must not be empty: `#` matches every name"));
        }
        let mut levels = pattern.split('/').peekable();
        while let Some(level) = levels.next() {
            if level.len() > 1 && level.contains(['+', '#']) {
                return Err(PatternError("`+` and `#` must stand for a whole level, as in `line/+/temp`"));
            }
            if level == "#" && levels.peek().is_some() {
                return Err(PatternError("`#` must be the last level"));
            }
        }
        Ok(Pattern(pattern.to_owned()))
    }

    /// Returns the only name that the pattern matches; `None` if it has wildcards.
    #[cfg(feature = "config")]
    pub(crate) fn name(&self) -> Option<&str> {
        (!self.0.contains(['+', '#'])).then_some(self.0.as_str())
    }

    /// Returns whether the pattern matches `name`. It costs one pass over both.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut levels = name.split('/');
        for wanted in self.0.split('/') {
            if wanted == "#" {
                return true;
            }
            match levels.next() {
                Some(level) if wanted == "+" || wanted == level => {}
                _ => return false,
            }
        }
        levels.next().is_none()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_mqtt() -> Result<(), PatternError> {
        for (pattern, name, expected) in [
            ("line2/temp", "line2/temp", true),
            ("line2/temp", "line2/temp/x", false),
            ("line2/temp", "line2", false),
            ("+/temp", "line2/temp", true),
            ("+/temp", "/temp", true),
            ("+/temp", "a/b/temp", false),
            ("line2/+", "line2", false),
            ("line2/+", "line2/", true),
            ("#", "", true),
            ("#", "a/b", true),
            ("site/#", "site", true),
            ("site/#", "site/a/b", true),
            ("site/#", "sites/a", false),
            ("site/+/temp/#", "site/a/temp/in", true),
            ("site/+/temp/#", "site/a/temp", true),
            ("site/+/temp/#", "site/a/press", false),
            ("#", "$SYS/x", true),
        ] {
            assert_eq!(Pattern::new(pattern)?.matches(name), expected, "{pattern} {name}");
        }
        Ok(())
    }

    #[test]
    fn misplaced_wildcards_are_refused() {
        for pattern in ["", "a/#/b", "a#", "a/b+", "++", "#/", "+a/b"] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
