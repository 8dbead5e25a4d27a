//! Overlap of topic filters: pairs that match a common topic, and filters that another one covers. Pure.

use edge_bridge::wire::matches;

/// Returns the filters in their order, without those that another filter covers.
pub(crate) fn without_covered(filters: &[String]) -> Vec<String> {
    let needed = |(at, filter): (usize, &String)| {
        let by = |(other_at, other): (usize, &String)| {
            other_at != at && matches(other, filter) && (other_at < at || !matches(filter, other))
        };
        !filters.iter().enumerate().any(by)
    };
    let kept = filters.iter().enumerate().filter(|(at, filter)| needed((*at, filter)));
    kept.map(|(_, filter)| filter.clone()).collect()
}

/// Returns whether some topic matches both filters. A level may also be a prefix followed by `+`, as it results from a topic prefix that ends
/// within a level.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    // A wildcard at the beginning is for no topic that begins with `$`.
    let is_beside = |own: &str, wild: &str| own.starts_with('$') && wild.starts_with(['+', '#']);
    if is_beside(one, other) || is_beside(other, one) {
        return false;
    }
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            // `a/#` matches `a` too.
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if is_level_of_both(a, b) => {}
            _ => return false,
        }
    }
}

fn is_level_of_both(one: &str, other: &str) -> bool {
    match (one.strip_suffix('+'), other.strip_suffix('+')) {
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
        (Some(beginning), None) => other.starts_with(beginning),
        (None, Some(beginning)) => one.starts_with(beginning),
        (None, None) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_overlap_where_some_topic_matches_both() {
        for (one, other) in [
            ("a/b", "a/b"),
            ("+/b", "a/+"),
            ("a/#", "a"),
            ("a/#", "+/c/d"),
            ("#", "a/+"),
            ("$aws/#", "$aws/x"),
            ("hub-+/#", "hub-7/cmd/+"),
            ("hub-+", "hub-"),
            ("hub-+", "+"),
        ] {
            assert!(overlap(one, other) && overlap(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("a/b", "a/b/c"),
            ("a/+/c", "a/b/d"),
            ("a/#", "b/#"),
            ("+/x", "$aws/x"),
            ("#", "$aws/x"),
            ("hub-+/#", "cmd/#"),
        ] {
            assert!(!overlap(one, other) && !overlap(other, one), "{one} {other}");
        }
    }

    fn left(filters: &[&str]) -> Vec<String> {
        without_covered(&filters.iter().map(|f| (*f).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_another_covers_is_not_subscribed() {
        assert_eq!(left(&["plant/alarm/#", "plant/+/t", "plant/#", "other"]), ["plant/#", "other"]);
        assert_eq!(left(&["a/b", "a/b"]), ["a/b"], "one of equals stays");
        assert_eq!(left(&["+/b", "a/+"]), ["+/b", "a/+"]);
        assert_eq!(left(&["a/+", "a/#"]), ["a/#"]);
        assert_eq!(left(&["a/#", "a"]), ["a/#"], "the parent level is matched too");
        assert_eq!(left(&["+", "#"]), ["#"]);
    }
}
