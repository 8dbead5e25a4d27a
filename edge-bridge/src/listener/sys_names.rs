//! Names of `$SYS` topics, which belong to the server (§4.7.2).

use crate::wire::unshared;

/// Prefix of these topics.
const PREFIX: &str = "$SYS/";

/// Returns whether a topic is one of these.
pub(super) fn is_sys(topic: &str) -> bool {
    topic.starts_with(PREFIX)
}

/// Returns whether a filter, shared or not, may match one of these topics. A wildcard does not match `$SYS`.
pub(super) fn is_for_sys(filter: &str) -> bool {
    unshared(filter).starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_may_match() {
        for filter in ["$SYS/#", "$SYS/+/uptime", "$share/g/$SYS/#"] {
            assert!(is_for_sys(filter), "{filter}");
        }
        for filter in ["#", "+/broker/uptime", "$share/$SYS/a", "$SYSTEM/#"] {
            assert!(!is_for_sys(filter), "{filter}");
        }
    }
}
