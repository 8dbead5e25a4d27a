//! Messages of the hub that nobody here takes, for the metrics. Pure.

use edge_bridge::bridge::Stats;

/// Returns the number of messages that no subscription asks for, at QoS 0 also of those that one asks for and has no room for.
pub(super) fn unclaimed(link: &Stats) -> u64 {
    link.unclaimed + link.dropped_qos0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At QoS 0 they are in no other figure: the hub does not send them again.
    #[test]
    fn what_was_dropped_at_qos_0_is_among_the_messages_that_nobody_takes() {
        let mut link = Stats::default();
        (link.unclaimed, link.dropped_qos0) = (3, 40);
        assert_eq!(unclaimed(&link), 43);
    }
}
