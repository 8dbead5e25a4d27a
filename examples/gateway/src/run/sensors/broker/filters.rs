//! Overlapping topic filters: a broker sends a message once for each subscription that matches, and the copies look like two messages. Pure.

/// Returns the first two filters that both match some topic. `None`: no two filters overlap.
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
