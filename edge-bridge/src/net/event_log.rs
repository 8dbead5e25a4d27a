//! The log's lines about a link. What recurs is said once a minute, and text that comes from outside is escaped, since a
//! topic must not end a line.

use super::hub_address::Target;
use super::link_log::LinkLog;
use crate::bridge::{Event, Refusal, UplinkEvent};
use crate::escape::Escaped;
use crate::wire::ReasonCode;

/// Newest events, for the application to take.
#[derive(Debug)]
pub(super) struct EventLog {
    hub: Target,
    link: LinkLog,
}

impl EventLog {
    pub(super) fn new(hub: Target) -> Self {
        Self { hub, link: LinkLog::default() }
    }

    /// Writes the line about `event`, if it is due. Messages are no news.
    pub(super) fn say(&mut self, now_ms: u64, event: &Event) {
        let Self { hub, link } = self;
        match event {
            Event::Message { .. } => {}
            Event::Connected { session_present } => {
                if link.connected() {
                    tracing::info!(%hub, session_present, "connected");
                }
            }
            Event::SessionLost { republished } => {
                if link.recurs(now_ms, "session lost") {
                    tracing::warn!(%hub, republished, "the hub had lost the session: published again, subscribed again");
                }
            }
            Event::Disconnected { reason, retry_in_ms } => {
                // Without a retry it was our own stop, which nobody needs to look at.
                match retry_in_ms {
                    Some(retry_in_ms) if link.disconnected(now_ms, reason) => {
                        tracing::warn!(%hub, reason, retry_in_ms, "disconnected");
                    }
                    Some(retry_in_ms) => tracing::debug!(%hub, reason, retry_in_ms, "still disconnected"),
                    None => tracing::info!(%hub, reason, "disconnected"),
                }
            }
            Event::OtherVersion(version) => {
                tracing::warn!(%hub, "the hub does not take this version of MQTT: {version:?} is tried next");
            }
            Event::Stalled => {
                if link.recurs(now_ms, "stalled") {
                    tracing::warn!(%hub, "the link is stalled: broken, dialled again");
                }
            }
            Event::SubscriptionRefused(refused) => {
                let (filter, reason) = (Escaped(&refused.filter), refused.reason);
                tracing::error!(%hub, %filter, %reason, "subscription refused");
            }
            Event::QoS2Received => {
                if link.recurs(now_ms, "QoS 2") {
                    tracing::warn!(%hub, "the hub sends messages at QoS 2: delivered at least once");
                }
            }
            Event::Uplink(event) => self.say_uplink(now_ms, event),
        }
    }

    /// Writes the line about the ends of messages. Deliveries are no news.
    fn say_uplink(&mut self, now_ms: u64, event: &UplinkEvent) {
        let Self { hub, link } = self;
        match event {
            UplinkEvent::TopicRefused(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                tracing::warn!(%hub, %topic, identity, %reason, not_logged, "topic refused: it waits, others go on");
            }
            UplinkEvent::TopicHealed { topic } => {
                if link.recurs(now_ms, "topic taken again") {
                    tracing::info!(%hub, topic = %Escaped(topic), "topic taken again");
                }
            }
            UplinkEvent::LinkRefused(refusal) => {
                let Line { topic, identity, reason, .. } = Line::of(refusal);
                tracing::error!(%hub, %topic, identity, %reason, "the hub refuses every message: all wait, one probes");
            }
            UplinkEvent::LinkHealed => tracing::info!(%hub, "the hub takes messages again"),
            UplinkEvent::Poison(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                tracing::error!(%hub, %topic, identity, %reason, not_logged, "the hub closes the connection at this message: parked");
            }
            UplinkEvent::Unanswered(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                tracing::error!(%hub, %topic, identity, %reason, not_logged, "the hub never answers this message: parked");
            }
            UplinkEvent::Parked(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                let hub_limit = refusal.hub_limit.map(|limit| limit.to_string());
                tracing::warn!(%hub, %topic, identity, %reason, hub_limit, not_logged, "cannot be delivered now: kept and tried again, its topic goes on");
            }
            UplinkEvent::ByHand { count, dropped: true, left_out } => {
                tracing::warn!(%hub, %count, ?left_out, "refused messages were dropped by hand");
            }
            UplinkEvent::ByHand { count, dropped: false, left_out } => {
                tracing::info!(%hub, %count, ?left_out, "refused messages were copied by hand");
            }
            UplinkEvent::RetainCleared => {
                if link.recurs(now_ms, "no retained messages") {
                    tracing::warn!(%hub, "the hub takes no retained messages: published without the flag");
                }
            }
            UplinkEvent::QosNotSupported => {
                if link.recurs(now_ms, "no QoS 1") {
                    tracing::error!(%hub, "the hub takes no QoS 1: nothing can be delivered");
                }
            }
            UplinkEvent::Delivered { .. } => {}
        }
    }
}

/// A refusal, as a line shows it.
struct Line<'a> {
    topic: Escaped<'a>,
    /// Empty if the spool gives none.
    identity: String,
    reason: ReasonCode,
    /// Refusals of this kind and reason since the last line.
    not_logged: u64,
}

impl<'a> Line<'a> {
    fn of(refusal: &'a Refusal) -> Self {
        Self {
            topic: Escaped(&refusal.topic),
            identity: refusal.identity.map(|identity| identity.to_string()).unwrap_or_default(),
            reason: refusal.reason,
            not_logged: refusal.left_out,
        }
    }
}
