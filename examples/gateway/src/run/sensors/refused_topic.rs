//! Topic to which a local client may not publish, as the status names it. Pure.

use edge_bridge::escape::Escaped;
use edge_bridge::listener::Event;
use edge_bridge::wire::TopicError;

/// The last refused topic of a local client. Names and topic are escaped and cut, since clients choose them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedTopic {
    pub(crate) client: String,
    pub(crate) user: Option<String>,
    pub(crate) topic: String,
    pub(crate) error: TopicError,
}

impl RefusedTopic {
    /// Returns the topic that an event of the listener refuses; `None` for other events.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let Event::TopicRefused { client, user, topic, error, .. } = event else { return None };
        let shown = |text: &str| Escaped(text).to_string();
        let user = user.name.as_deref().map(shown);
        Some(Self { client: shown(client), user, topic: shown(topic), error: *error })
    }
}

#[cfg(test)]
mod tests {
    use edge_bridge::listener::SessionUser;
    use edge_bridge::puback_chain::ConnectionId;
    use edge_bridge::wire::Utf8;

    use super::*;

    #[test]
    fn long_and_hostile_names_are_cut_and_escaped() {
        let event = Event::TopicRefused {
            connection: ConnectionId(1),
            client: Utf8::from_static("a\u{202e}b"),
            user: SessionUser { name: Some(Utf8::from_static("c\"d")), is_certified: false },
            topic: Utf8::try_from("x".repeat(60_000).as_str()).unwrap(),
            error: TopicError::Denied,
        };
        let refused = RefusedTopic::of(&event).unwrap();
        assert_eq!((refused.client.as_str(), refused.user.as_deref()), ("a\\u{202e}b", Some("c\\\"d")));
        assert!(refused.topic.chars().count() < 100, "{}", refused.topic);
    }
}
