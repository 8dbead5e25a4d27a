//! Subscriptions that `topic` lines ask for.

use edge_bridge::wire::{QoS, RetainHandling, Subscription, Utf8, matches};

/// Returns a subscription with No Local, so that topics in both directions do not loop, and with the retain flag as published.
pub(super) fn wanted(filter: &Utf8, qos: QoS) -> Subscription {
    Subscription {
        no_local: !filter.starts_with("$share/"),
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
        ..Subscription::new(filter.clone(), qos)
    }
}

/// Leaves out each filter whose topics another one takes, which gets the higher QoS of both: a broker may send a message once for each filter that it
/// matches.
pub(super) fn without_covered(mut all: Vec<Subscription>) -> Vec<Subscription> {
    let is_plain = |filter: &Utf8| !filter.starts_with("$share/");
    let mut at = 0;
    while let Some(one) = all.get(at) {
        let (filter, qos) = (one.filter.clone(), one.qos);
        let covers = |other: &Subscription| is_plain(&other.filter) && matches(&other.filter, &filter);
        let is_covering = |(n, other): (usize, &Subscription)| n != at && covers(other);
        match all.iter().enumerate().position(is_covering).filter(|_| is_plain(&filter)) {
            Some(wider) => {
                if let Some(wider) = all.get_mut(wider) {
                    wider.qos = wider.qos.max(qos);
                }
                all.remove(at);
            }
            None => at += 1,
        }
    }
    all
}

/// Returns whether there are topics that both filters match.
pub(super) fn meet(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.split('/'), other.split('/'));
    loop {
        match (one.next(), other.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(level), Some(wanted)) if level == wanted => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(lines: &[(&str, QoS)]) -> Vec<(String, QoS)> {
        let all = lines.iter().map(|(filter, qos)| wanted(&Utf8::try_from(*filter).unwrap(), *qos)).collect();
        without_covered(all).into_iter().map(|one| (one.filter.to_string(), one.qos)).collect()
    }

    #[test]
    fn a_topic_is_asked_for_once_and_at_the_highest_qos() {
        let (q0, q1, q2) = (QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce);
        let one = |filter: &str, qos| (filter.to_owned(), qos);
        assert_eq!(filters(&[("plant/#", q0), ("+/#", q2)]), [one("+/#", q2)]);
        assert_eq!(filters(&[("+/#", q0), ("plant/#", q1), ("plant/a", q2)]), [one("+/#", q2)]);
        assert_eq!(filters(&[("a/b", q1), ("a/b", q0)]), [one("a/b", q1)]);
        // Neither takes all that the other does; `#` takes nothing below `$SYS`; a group has its messages from the broker.
        for both in [["a/+", "+/b"], ["#", "$SYS/a"], ["a/#", "$share/g/a/#"]] {
            assert_eq!(filters(&[(both[0], q0), (both[1], q1)]), [one(both[0], q0), one(both[1], q1)]);
        }
    }

    #[test]
    fn filters_with_a_topic_in_common_meet() {
        for (one, other) in [("a/#", "a"), ("a/+", "+/b"), ("#", "x/y"), ("a/b", "a/b"), ("a/+/c", "a/#")] {
            assert!(meet(one, other) && meet(other, one), "{one} {other}");
        }
        for (one, other) in [("a/b", "a/c"), ("a", "a/b"), ("a/+", "a/b/c"), ("a/#", "b/#"), ("+", "a/b")] {
            assert!(!meet(one, other) && !meet(other, one), "{one} {other}");
        }
    }
}
