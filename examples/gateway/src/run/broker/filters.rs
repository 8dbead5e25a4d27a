//! Topic filters that overlap: a broker sends a message once for each subscription that it matches, and the copies
//! cannot be told from two messages. Pure.

use edge_bridge::wire::matches;

/// The filters without those that another one covers, in their order.
pub(super) fn without_covered(filters: &[String]) -> Vec<String> {
    let needed = |(at, filter): (usize, &String)| {
        let by = |(other_at, other): (usize, &String)| {
            other_at != at && matches(other, filter) && (other_at < at || !matches(filter, other))
        };
        !filters.iter().enumerate().any(by)
    };
    let kept = filters.iter().enumerate().filter(|(at, filter)| needed((*at, filter)));
    kept.map(|(_, filter)| filter.clone()).collect()
}

/// The first two filters that some topic matches both of.
pub(super) fn overlapping(filters: &[String]) -> Option<(&str, &str)> {
    filters.iter().enumerate().find_map(|(at, one)| {
        let other = filters.iter().skip(at + 1).find(|other| overlap(one, other))?;
        Some((one.as_str(), other.as_str()))
    })
}

fn overlap(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            // `a/#` matches `a` too.
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn an_overlap_that_is_no_cover_is_found() {
        let of = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|f| (*f).to_owned()).collect();
            overlapping(&filters).map(|(a, b)| (a.to_owned(), b.to_owned()))
        };
        assert!(of(&["+/b", "x/#", "a/+"]).is_some());
        assert!(of(&["plant/#", "+/raw/#"]).is_some());
        assert!(of(&["a/+/c", "a/b/d", "b/#"]).is_none());
        assert!(of(&["a/b", "a/b/c"]).is_none());
    }
}
