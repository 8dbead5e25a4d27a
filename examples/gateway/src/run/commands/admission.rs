//! Admission of commands from the hub: one that is retained, late, too large or not allowed is refused at once. Pure.

use edge_bridge::wire::{PropertyId, Publish, Utf8, Value};

use crate::config::CommandRule;

use super::answer::{Reason, ReturnAddress};

/// Largest payload of a command, in bytes.
pub(super) const PAYLOAD_MAX: usize = 256 * 1024;

/// Returns the local topic of a command, and the milliseconds for which it may still be delivered to clients. `waited_ms` is the longest time
/// that it may have waited in this process.
///
/// # Errors
/// The reason of the refusal. Except for lateness, a copy of the command is refused for the same reason.
pub(super) fn admit(rule: &CommandRule, publish: &Publish, waited_ms: u64) -> Result<(Utf8, u64), Reason> {
    if publish.retain {
        return Err(Reason::Retained);
    }
    if publish.payload.len() > PAYLOAD_MAX || !ReturnAddress::holds(publish) {
        return Err(Reason::TooLarge);
    }
    if rule.allow.as_ref().is_some_and(|allow| !allow.iter().any(|allowed| allowed.has(&publish.payload))) {
        return Err(Reason::NotAllowed);
    }
    let longest_ms = u64::try_from(rule.expiry.as_millis()).unwrap_or(u64::MAX);
    let left_ms = match publish.properties.u32(PropertyId::MessageExpiryInterval) {
        Some(seconds) => longest_ms.min(u64::from(seconds) * 1_000),
        None if rule.allows_unbounded => longest_ms,
        None => return Err(Reason::NoExpiry),
    };
    let left_ms = left_ms.saturating_sub(waited_ms);
    if left_ms == 0 {
        return Err(Reason::Expired);
    }
    let topic = rule.to.of(&publish.topic).and_then(|topic| Utf8::try_from(topic).ok());
    topic.map(|topic| (topic, left_ms)).ok_or(Reason::NotATopic)
}

/// Returns the message with a Message Expiry Interval of `left_ms`, rounded up to whole seconds. `None`: the properties would be too long.
pub(super) fn expiring(publish: &Publish, left_ms: u64) -> Option<Publish> {
    let seconds = u32::try_from(left_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
    let of_the_connection =
        [PropertyId::MessageExpiryInterval, PropertyId::TopicAlias, PropertyId::SubscriptionIdentifier];
    let mut properties = publish.properties.without(&of_the_connection).to_builder();
    properties.push(PropertyId::MessageExpiryInterval, Value::U32(seconds)).ok()?;
    Some(Publish { properties: properties.finish(), ..publish.clone() })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{command, rule, with};
    use super::*;
    use crate::config::Allowed;

    #[test]
    fn a_payload_that_the_rule_does_not_allow_is_refused_whatever_time_is_left() {
        let admitted = |allow: &Option<Vec<Allowed>>, payload, seconds| {
            let rule = CommandRule { allow: allow.clone(), ..rule("c/#", "l/#") };
            let interval = Value::U32(seconds);
            let publish = with(&command("c/a", payload), PropertyId::MessageExpiryInterval, interval);
            admit(&rule, &publish, 0).map(|(topic, _)| topic.to_string())
        };
        let open = Some(vec![Allowed::Text("open".to_owned()), Allowed::Range(0.0, 9.0)]);
        let given = || Ok("l/a".to_owned());
        assert_eq!(admitted(&None, "whatever", 9), given());
        assert_eq!((admitted(&open, "open", 9), admitted(&open, "9.0", 9)), (given(), given()));
        assert_eq!(admitted(&open, "9.1", 9), Err(Reason::NotAllowed));
        assert_eq!(admitted(&Some(Vec::new()), "open", 9), Err(Reason::NotAllowed));
        // For the same reason when it comes again, late.
        assert_eq!(admitted(&open, "shut", 0), Err(Reason::NotAllowed));
        assert_eq!(admitted(&open, "open", 0), Err(Reason::Expired));
    }
}
