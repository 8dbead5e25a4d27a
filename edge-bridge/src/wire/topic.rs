//! Topic names and topic filters (§4.7) and shared subscriptions (§4.8.2).

use super::{Limits, PropertyId, Version};

/// Error in a topic name or a topic filter. New kinds come only with a breaking release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The topic is empty \[MQTT-4.7.3-1\]
    #[error("empty")]
    Empty,
    /// The topic contains U+0000 \[MQTT-4.7.3-2\]
    #[error("contains U+0000")]
    Nul,
    /// The topic is longer than the format allows \[MQTT-4.7.3-3\], or than [`Limits::max_topic_len`](super::Limits::max_topic_len).
    #[error("{len} bytes, the limit is {limit}")]
    TooLong {
        /// Length of the topic or filter in bytes.
        len: usize,
        /// Limit of the length.
        limit: u16,
    },
    /// The topic has more levels than [`Limits::max_topic_levels`](super::Limits::max_topic_levels).
    #[error("more than {0} levels")]
    TooManyLevels(u16),
    /// A wildcard, at this byte, in a topic name \[MQTT-4.7.0-1\], or misplaced in a filter, where it must be a whole level, and `#` the last
    /// one \[MQTT-4.7.1-1\], \[MQTT-4.7.1-2\].
    #[error("a wildcard at byte {0}")]
    Wildcard(usize),
    /// Shared subscription without a name or a filter \[MQTT-4.8.2-1\], \[MQTT-4.8.2-2\]
    #[error("not of the form $share/GROUP/FILTER")]
    Share,
    /// A control character or a Unicode non-character, see [`validate_characters`](super::validate_characters).
    #[error("U+{code:04X} at byte {at}, for which a server may end the connection")]
    Discouraged {
        /// Code point of the character.
        code: u32,
        /// Position of the character in bytes.
        at: usize,
    },
    /// Such a character not in the topic but in a property of its message, see [`validate_properties`](super::validate_properties).
    #[error("U+{code:04X} in the property {property:?}, for which a server may end the connection")]
    DiscouragedProperty {
        /// The property; of a user property the name or the value.
        property: PropertyId,
        /// Code point of the character.
        code: u32,
    },
    /// The server reserves the topic for its own messages, see [`Config::own_topics`](crate::listener::Config::own_topics).
    #[error("only the server publishes there")]
    Reserved,
    /// The client has no right to publish there, see [`Authorize`](crate::listener::Authorize).
    #[error("the client may not publish there")]
    Denied,
}

/// Checks that `name` can be published to (§4.7): not empty, no `+`, `#` or U+0000, at most 65 535 bytes.
pub fn validate_topic_name(name: &str) -> Result<(), TopicError> {
    validate_any(name)?;
    check_name(name.as_bytes())
}

/// Checks that `filter` can be subscribed to (§4.7.1): as a topic name, but a level may be `+` and the last one `#`. A `$share/…` filter is
/// treated like any other, see [`SharedFilter::parse`].
pub fn validate_filter(filter: &str) -> Result<(), TopicError> {
    validate_any(filter)?;
    let mut at = 0;
    for level in filter.split('/') {
        let end = at + level.len();
        if let Some(inner) = level.bytes().position(|b| matches!(b, b'+' | b'#')) {
            let last = end == filter.len();
            if !(level == "+" || level == "#" && last) {
                return Err(TopicError::Wildcard(at + inner));
            }
        }
        at = end + 1;
    }
    Ok(())
}

/// Checks a topic name as [`validate_topic_name`] does, in bytes that are an MQTT string already.
pub(crate) fn check_name(name: &[u8]) -> Result<(), TopicError> {
    if name.is_empty() {
        return Err(TopicError::Empty);
    }
    let is_wildcard = |b: &u8| matches!(b, b'+' | b'#');
    // Without an early exit the compiler takes sixteen bytes at a time.
    if !name.iter().fold(false, |found, b| found | is_wildcard(b)) {
        return Ok(());
    }
    Err(TopicError::Wildcard(name.iter().position(is_wildcard).unwrap_or_default()))
}

/// Checks a filter for `version`, because only MQTT 5 has shared subscriptions.
pub(crate) fn check_filter(filter: &str, version: Version) -> Result<(), TopicError> {
    validate_filter(filter)?;
    if version == Version::V5 {
        SharedFilter::parse(filter)?;
    }
    Ok(())
}

/// Length and depth of a name or filter against the receiver's limits.
pub(crate) fn check_limits(text: &[u8], limits: &Limits) -> Result<(), TopicError> {
    if text.len() > usize::from(limits.max_topic_len) {
        return Err(TopicError::TooLong { len: text.len(), limit: limits.max_topic_len });
    }
    // The format allows one level more than the number can say.
    if limits.max_topic_levels < u16::MAX { check_levels(text, limits.max_topic_levels) } else { Ok(()) }
}

/// Depth of a name or filter.
pub(super) fn check_levels(text: &[u8], max: u16) -> Result<(), TopicError> {
    let separators = text.iter().filter(|b| **b == b'/').count();
    if separators >= usize::from(max) { Err(TopicError::TooManyLevels(max)) } else { Ok(()) }
}

fn validate_any(text: &str) -> Result<(), TopicError> {
    match text.len() {
        0 => Err(TopicError::Empty),
        len if len > usize::from(u16::MAX) => Err(TopicError::TooLong { len, limit: u16::MAX }),
        _ if text.bytes().any(|b| b == 0) => Err(TopicError::Nul),
        _ => Ok(()),
    }
}

/// Returns whether a message to `topic` is for a subscriber of `filter`; both must be valid. A filter that starts with a wildcard does not match a topic
/// that starts with `$` (\[MQTT-4.7.2-1\]); `a/#` matches `a` too (§4.7.1.2). For `$share/GROUP/FILTER` give `FILTER`.
///
/// `topic` may also be a filter. The result then tells if `filter` covers it, that is, matches every topic that it matches.
///
/// ```
/// use edge_bridge::wire::matches;
///
/// assert!(matches("a/+", "a/b") && !matches("a/+", "a/b/c"));
/// assert!(matches("a/#", "a/+") && !matches("a/+", "a/#"));
/// ```
///
/// Takes one pass over both, without allocation.
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(level)) if level != "#" => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Parts of a shared subscription's filter, `$share/GROUP/FILTER` (§4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedFilter<'a> {
    /// Share name: not empty, without `/`, `+`, `#`.
    pub group: &'a str,
    /// Filter to which the group subscribes.
    pub filter: &'a str,
}

impl<'a> SharedFilter<'a> {
    /// Splits `$share/NAME/FILTER`, and checks `FILTER` too. Returns `None` for a filter that is not shared, and an error for one that starts
    /// with `$share/` and does not have the form.
    pub fn parse(filter: &'a str) -> Result<Option<Self>, TopicError> {
        let Some(shared) = filter.strip_prefix("$share/") else { return Ok(None) };
        let (group, filter) = shared.split_once('/').ok_or(TopicError::Share)?;
        if group.is_empty() || group.contains(['+', '#']) || filter.is_empty() {
            return Err(TopicError::Share);
        }
        validate_filter(filter)?;
        Ok(Some(Self { group, filter }))
    }
}

/// Returns the filter against which topics are matched, which in a shared subscription is the one after the group.
pub(crate) fn unshared(filter: &str) -> &str {
    match SharedFilter::parse(filter) {
        Ok(Some(shared)) => shared.filter,
        _ => filter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_have_no_wildcards() {
        for bad in ["", "a/#", "+", "a+b", "a\0"] {
            assert!(validate_topic_name(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "/", "a//b", "$SYS/x", " ", "ä/€"] {
            assert_eq!(validate_topic_name(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn a_wildcard_in_a_filter_is_a_whole_level_and_hash_is_the_last() {
        for (bad, at) in [("a#", 1), ("a/#/b", 2), ("a/b+", 3), ("+a/b", 0), ("##", 0), ("#/", 0), ("++", 0)]
        {
            assert_eq!(validate_filter(bad), Err(TopicError::Wildcard(at)), "{bad:?}");
        }
        for good in ["#", "+", "a/#", "+/+", "/+", "+/", "a/+/b", "/"] {
            assert_eq!(validate_filter(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn matches_as_the_examples_of_4_7() {
        for (filter, topic, wanted) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/#", "sports", false),
            ("#", "sport", true),
            ("#", "/", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/a", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("a/b", "a/b", true),
            ("a/b", "A/b", false),
            ("a/b", "a/b/", false),
            ("a/b/", "a/b", false),
        ] {
            assert_eq!(matches(filter, topic), wanted, "{filter} {topic}");
        }
    }

    #[test]
    fn a_filter_covers_what_it_matches_at_each_level() {
        for (wide, narrow) in [
            ("#", "a/+"),
            ("a/#", "a"),
            ("a/#", "a/#"),
            ("a/+/c", "a/b/c"),
            ("+/+", "a/+"),
            ("+", "+"),
            ("$SYS/#", "$SYS/+"),
        ] {
            assert!(matches(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("a/+", "a/#"),
            ("+", "#"),
            ("a/b", "a/+"),
            ("+", "a/b"),
            ("a/+/c", "a/b"),
            ("#", "$SYS/+"),
            ("+/x", "$SYS/x"),
        ] {
            assert!(!matches(wide, narrow), "{wide} {narrow}");
        }
    }

    #[test]
    fn shared_filters_have_a_group_and_a_filter() {
        assert_eq!(SharedFilter::parse("a/b"), Ok(None));
        assert_eq!(SharedFilter::parse("$shared/a"), Ok(None));
        assert_eq!(SharedFilter::parse("$share/g/a/+"), Ok(Some(SharedFilter { group: "g", filter: "a/+" })));
        assert_eq!(SharedFilter::parse("$share/g//a"), Ok(Some(SharedFilter { group: "g", filter: "/a" })));
        for bad in ["$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/g#/a"] {
            assert_eq!(SharedFilter::parse(bad), Err(TopicError::Share), "{bad}");
        }
        assert_eq!(SharedFilter::parse("$share/g/a#"), Err(TopicError::Wildcard(1)));
        assert_eq!(["a/+", "$share/g/a/+", "$share/g"].map(unshared), ["a/+", "a/+", "$share/g"]);
    }
}
