//! Delivery of a message to one client, and its tag: the message of the application of which it is a copy, and the group for which the client was
//! chosen. The tag is the token of the message while it is in flight.

use super::events::PublishId;
use super::group_id::GroupId;
use super::message::Message;
use crate::session::{InFlight, Token};
use crate::wire::{PropertyId, Publish, QoS};

/// Bits of the token for the number of the application's message. At 10 000 a second they last for three years.
const ORIGIN_BITS: u32 = 40;

/// Tag of a delivery, see the [module](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tag {
    /// Number of the application's message of which the delivery is a copy; `None` for a message of a client.
    pub(super) origin: Option<PublishId>,
    /// Group for which the client gets the message; `None` for its own subscriptions.
    pub(super) group: Option<GroupId>,
}

impl Tag {
    /// Tag of a copy of the application's message, for a client's own subscriptions.
    pub(super) fn of(origin: Option<PublishId>) -> Self {
        Self { origin, group: None }
    }

    pub(super) fn token(self) -> Token {
        let origin = self.origin.map_or(0, |origin| origin.0);
        Token(origin | self.group.map_or(0, |group| u64::from(group.0) << ORIGIN_BITS))
    }
}

impl From<Token> for Tag {
    fn from(token: Token) -> Self {
        let origin = token.0 & ((1 << ORIGIN_BITS) - 1);
        let group = u32::try_from(token.0 >> ORIGIN_BITS).unwrap_or(0);
        Self {
            origin: (origin != 0).then_some(PublishId(origin)),
            group: (group != 0).then_some(GroupId(group)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) message: Message,
    pub(super) tag: Tag,
    /// Set if it was in flight before a restart of the listener. It waits again, and counts in no limit of waiting messages, as it did not then.
    pub(super) was_sent: bool,
}

impl Delivery {
    /// Makes a delivery that was never sent.
    pub(super) fn new(message: Message, tag: Tag) -> Self {
        Self { message, tag, was_sent: false }
    }

    /// Returns a message that was sent and not acknowledged, for another client.
    pub(super) fn of_unacked(unacked: InFlight) -> Self {
        let (tag, expires_ms) = (Tag::from(unacked.token), unacked.expires_ms());
        let (properties, _) = unacked.publish.properties.handed_on();
        let publish = Publish { dup: false, packet_id: None, properties, ..unacked.publish };
        Self::new(Message { publish, expires_ms }, tag)
    }

    /// Removes what belongs to the subscription of the client that does not get the message after all.
    pub(super) fn for_another(mut self) -> Self {
        let properties = &mut self.message.publish.properties;
        *properties = properties.without(&[PropertyId::SubscriptionIdentifier]);
        self
    }

    pub(super) fn is_qos_0(&self) -> bool {
        self.message.publish.qos == QoS::AtMostOnce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_from_its_token() {
        for origin in [None, Some(1), Some((1 << ORIGIN_BITS) - 1)] {
            for group in [None, Some(1), Some((1 << 24) - 1)] {
                let tag = Tag { origin: origin.map(PublishId), group: group.map(GroupId) };
                assert_eq!(Tag::from(tag.token()), tag);
            }
        }
        assert_eq!(Tag::default().token(), Token(0));
    }
}
