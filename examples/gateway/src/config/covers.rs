//! Topic filters of which one takes in all that another one does.

/// Returns whether every topic of `narrow` is one of `wide`.
pub(crate) fn covers(wide: &str, narrow: &str) -> bool {
    if narrow.starts_with('$') && !wide.starts_with('$') {
        return false;
    }
    let (mut wide, mut narrow) = (wide.split('/'), narrow.split('/'));
    loop {
        match (wide.next(), narrow.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_covers_what_it_matches_at_each_level() {
        for (wide, narrow) in [("#", "a/+"), ("a/#", "a"), ("a/+/c", "a/b/c"), ("+/+", "a/+"), ("a", "a")] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [("a/+", "a/#"), ("a/b", "a/+"), ("+", "a/b"), ("a/+/c", "a/b")] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }

    /// \[MQTT-4.7.2-1\]: wildcards at the first level do not match topics that begin with `$`.
    #[test]
    fn a_wildcard_does_not_cover_what_begins_with_a_dollar() {
        assert!(!covers("#", "$SYS/x") && !covers("+/x", "$SYS/x"));
        assert!(covers("$SYS/#", "$SYS/x"));
    }
}
