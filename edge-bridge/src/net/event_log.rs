//! Log lines about a link. Recurring lines are rate-limited, and text from peers is escaped between quotes, because a topic must neither end a
//! line nor read as words of it.

use super::hub_address::Target;
use super::log_rate_limit::LinkLog;
use crate::bridge::{Event, Refusal, UplinkEvent};
use crate::escape::Escaped;
use crate::wire::ReasonCode;

/// Writer of the log lines about a link.
#[derive(Debug)]
pub(super) struct EventLog {
    hub: Target,
    link: LinkLog,
    /// Set if the last line about the hub as a whole says that it refuses every message.
    says_refused: bool,
}

impl EventLog {
    pub(super) fn new(hub: Target) -> Self {
        Self { hub, link: LinkLog::default(), says_refused: false }
    }

    /// Sets the address that the following lines name.
    pub(super) fn set_hub(&mut self, hub: &Target) {
        if self.hub != *hub {
            self.hub = hub.clone();
        }
    }

    /// Writes the log line of `event`, if its rate limit allows. Messages get no line.
    pub(super) fn say(&mut self, now_ms: u64, event: &Event) {
        let Self { hub, link, .. } = self;
        match event {
            Event::Message { .. } | Event::Repeated { .. } => {}
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
                let Some(retry_in_ms) = retry_in_ms else {
                    tracing::info!(%hub, reason, "disconnected");
                    return;
                };
                match link.disconnected(now_ms, reason) {
                    Some(not_logged) => {
                        tracing::warn!(%hub, reason, retry_in_ms, not_logged, "disconnected");
                    }
                    None => tracing::debug!(%hub, reason, retry_in_ms, "still disconnected"),
                }
            }
            Event::OtherVersion(version) => {
                if link.recurs(now_ms, "other version") {
                    tracing::warn!(%hub, "the hub does not take this version of MQTT: {version:?} is tried next");
                }
            }
            Event::BridgeBitRefused => {
                if link.recurs(now_ms, "bridge bit") {
                    tracing::warn!(%hub, "the hub takes no bridge, or is away: a plain client is tried next");
                }
            }
            Event::WillRefused => {
                if link.recurs(now_ms, "will") {
                    tracing::warn!(%hub, "the hub refuses the connection, perhaps for its will: tried without one next");
                }
            }
            Event::Stalled => {
                if link.recurs(now_ms, "stalled") {
                    tracing::warn!(%hub, "the link is stalled: broken, dialled again");
                }
            }
            Event::SubscriptionRefused(refused) => {
                let (filter, reason) = (quoted(&refused.filter), refused.reason);
                tracing::error!(%hub, %filter, %reason, "subscription refused");
            }
            Event::TooLarge { topic, size, limit } => {
                if link.once_a_minute(now_ms, "too large") {
                    let topic = quoted(topic);
                    tracing::error!(%hub, %topic, size, limit, "a message of the hub is too large: it is acknowledged and lost");
                }
            }
            Event::Uplink(event) => self.say_uplink(now_ms, event),
        }
    }

    /// Writes the log line of an uplink event. Deliveries get no line.
    fn say_uplink(&mut self, now_ms: u64, event: &UplinkEvent) {
        let Self { hub, link, says_refused } = self;
        match event {
            UplinkEvent::TopicRefused(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                tracing::warn!(%hub, %topic, identity, %reason, not_logged, "topic refused: it waits, others go on");
            }
            UplinkEvent::TopicHealed { topic } => {
                if link.once_a_minute(now_ms, "topic taken again") {
                    tracing::info!(%hub, topic = %quoted(topic), "topic taken again");
                }
            }
            UplinkEvent::LinkRefused(refusal) => {
                *says_refused = true;
                let Line { topic, identity, reason, .. } = Line::of(refusal);
                tracing::error!(%hub, %topic, identity, %reason, "the hub refuses every message: all wait, one probes");
            }
            UplinkEvent::LinkHealed if std::mem::take(says_refused) => {
                tracing::info!(%hub, "the hub takes messages again");
            }
            UplinkEvent::ClosedAt { topic } => {
                if link.once_a_minute(now_ms, "closed at a message") {
                    tracing::warn!(%hub, topic = %quoted(topic), "the hub closed again with this topic unanswered: it may deny it");
                }
            }
            UplinkEvent::Poison(refusal) => say_poison(hub, refusal),
            UplinkEvent::Unanswered(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                tracing::error!(%hub, %topic, identity, %reason, not_logged, "the hub never answers this message: parked");
            }
            UplinkEvent::Parked(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                let hub_limit = refusal.hub_limit.map(|limit| limit.to_string());
                tracing::warn!(%hub, %topic, identity, %reason, hub_limit, not_logged, "cannot be delivered now: kept and tried again, its topic goes on");
            }
            UplinkEvent::Dropped(refusal) => {
                let Line { topic, identity, reason, not_logged } = Line::of(refusal);
                tracing::warn!(%hub, %topic, identity, %reason, not_logged, "the hub refuses a message that is not kept for it: dropped");
            }
            UplinkEvent::ByHand { count, dropped: true, left_out } => {
                tracing::warn!(%hub, %count, ?left_out, "refused messages were dropped by hand");
            }
            UplinkEvent::ByHand { count, dropped: false, left_out } => {
                tracing::info!(%hub, %count, ?left_out, "refused messages were copied by hand");
            }
            UplinkEvent::WithoutSubscribers { topic } => {
                tracing::warn!(%hub, topic = %quoted(topic), "the hub has no subscriber for this topic: what it accepts of it nobody gets");
            }
            UplinkEvent::RetainCleared => {
                if link.once_a_minute(now_ms, "no retained messages") {
                    tracing::warn!(%hub, "the hub takes no retained messages: published without the flag");
                }
            }
            UplinkEvent::QosLowered => {
                if link.once_a_minute(now_ms, "no QoS 2") {
                    tracing::warn!(%hub, "the hub takes no QoS 2: published at QoS 1");
                }
            }
            UplinkEvent::QosNotSupported => {
                if link.once_a_minute(now_ms, "no QoS 1") {
                    tracing::error!(%hub, "the hub takes no QoS 1: nothing can be delivered");
                }
            }
            UplinkEvent::Delivered { .. } | UplinkEvent::LinkHealed => {}
        }
    }
}

/// Writes the line of a message at which the connection ends. Where this side ends it, nobody is to look for a reason in the hub's log.
fn say_poison(hub: &Target, refusal: &Refusal) {
    let Line { topic, identity, reason, not_logged } = Line::of(refusal);
    if reason == ReasonCode::BROKEN_ANSWER {
        tracing::error!(%hub, %topic, identity, %reason, not_logged, "the hub's answer to this message breaks the protocol, which ends the connection: parked");
    } else {
        tracing::error!(%hub, %topic, identity, %reason, not_logged, "the hub closes the connection at this message: parked");
    }
}

/// Refusal in the form of a log line.
struct Line {
    topic: String,
    /// Identity of the row; empty if the spool gives none.
    identity: String,
    reason: ReasonCode,
    /// Number of refusals of this kind and reason since the last line.
    not_logged: u64,
}

impl Line {
    fn of(refusal: &Refusal) -> Self {
        Self {
            topic: quoted(&refusal.topic),
            identity: refusal.identity.map(|identity| identity.to_string()).unwrap_or_default(),
            reason: refusal.reason,
            not_logged: refusal.left_out,
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", Escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::Refused;
    use crate::net::log_fields::Fields;
    use crate::wire::Utf8;

    const HOUR_MS: u64 = 3_600_000;

    /// Lines by hour of a day in which this happens again and again, without those of the first minute and of the first time.
    fn lines_of_a_day(pause_ms: u64, happens: &[Event]) -> Vec<usize> {
        let fields = Fields::default();
        let mut log = EventLog::new("mqtt://hub".parse().unwrap());
        let mut by_hour = vec![0; 24];
        let from_ms = (pause_ms * happens.len() as u64).max(60_000);
        tracing::subscriber::with_default(fields.clone(), || {
            for (now_ms, event) in (0..24 * HOUR_MS).step_by(pause_ms as usize).zip(happens.iter().cycle()) {
                log.say(now_ms, event);
                let lines = fields.take();
                let lines = lines.lines().filter(|line| !line.contains("still disconnected")).count();
                by_hour[(now_ms / HOUR_MS) as usize] += if now_ms > from_ms { lines } else { 0 };
            }
        });
        by_hour
    }

    /// Logs are written to flash, and a log full of one thing hides all others. The other line is for the state, which has a log of its own.
    #[test]
    fn an_outage_has_two_lines_an_hour_at_most_however_it_looks() {
        let down = |reason: &str| Event::Disconnected { reason: reason.to_owned(), retry_in_ms: Some(3_000) };
        let up = || Event::Connected { session_present: true };
        for happens in [
            vec![down("connection refused")],
            vec![down("connection refused"), down("timed out")],
            vec![
                down("no such name"),
                down("no such name"),
                down("timed out"),
                down("network is unreachable"),
            ],
            vec![up(), down("kicked")],
            vec![up(), Event::SessionLost { republished: 3 }, Event::Stalled, down("the link is stalled")],
            vec![up(), down("kicked"), down("connection refused"), down("timed out")],
            vec![
                Event::OtherVersion(crate::wire::Version::V311),
                down("protocol"),
                Event::BridgeBitRefused,
                Event::WillRefused,
            ],
        ] {
            for pause_ms in [1_000, 3_000, 20_000] {
                let by_hour = lines_of_a_day(pause_ms, &happens);
                let most =
                    if happens.iter().any(|event| matches!(event, Event::Connected { .. })) { 2 } else { 1 };
                assert!(
                    by_hour.iter().all(|lines| *lines <= most),
                    "{by_hour:?}: {happens:?} every {pause_ms} ms"
                );
            }
        }
    }

    /// The core reports a refused link once a minute at most. The last line has to be true: a link that healed is not left as refused.
    #[test]
    fn a_link_that_healed_has_a_line_for_each_that_it_was_refused() {
        let topic = Utf8::from_static("a");
        let reason = ReasonCode::NOT_AUTHORIZED;
        let refusal = Refusal { reason, topic, identity: None, hub_limit: None, left_out: 0 };
        let (refused, healed) = (UplinkEvent::LinkRefused(refusal), UplinkEvent::LinkHealed);
        let healed_alone = lines_of_a_day(1_000, &[Event::Uplink(healed.clone())]);
        assert!(healed_alone.iter().all(|lines| *lines == 0), "{healed_alone:?}");
        let twice = [refused, healed.clone(), healed].map(Event::Uplink);
        let by_hour = lines_of_a_day(20_000, &twice);
        assert!(by_hour[1..].iter().all(|lines| *lines == 120), "{by_hour:?}");
    }

    #[test]
    fn no_topic_reads_as_words_of_a_line() {
        let topic = Utf8::from_static("a reason=\"none\"\n2026 ERROR forged");
        let shown = r#""a reason=\"none\"\n2026 ERROR forged""#;
        let refusal = || Refusal {
            reason: ReasonCode::QUOTA_EXCEEDED,
            topic: topic.clone(),
            identity: None,
            hub_limit: None,
            left_out: 0,
        };
        let broken_answer = Refusal { reason: ReasonCode::BROKEN_ANSWER, ..refusal() };
        let refused = Refused { filter: topic.clone(), reason: ReasonCode::QUOTA_EXCEEDED };
        for (field, event) in [
            ("topic", Event::Uplink(UplinkEvent::TopicRefused(refusal()))),
            ("topic", Event::Uplink(UplinkEvent::TopicHealed { topic: topic.clone() })),
            ("topic", Event::Uplink(UplinkEvent::LinkRefused(refusal()))),
            ("topic", Event::Uplink(UplinkEvent::Poison(refusal()))),
            ("topic", Event::Uplink(UplinkEvent::Poison(broken_answer))),
            ("topic", Event::Uplink(UplinkEvent::Unanswered(refusal()))),
            ("topic", Event::Uplink(UplinkEvent::Parked(refusal()))),
            ("topic", Event::Uplink(UplinkEvent::Dropped(refusal()))),
            ("topic", Event::Uplink(UplinkEvent::WithoutSubscribers { topic: topic.clone() })),
            ("filter", Event::SubscriptionRefused(refused)),
        ] {
            let fields = Fields::default();
            let mut log = EventLog::new("mqtt://hub".parse().unwrap());
            tracing::subscriber::with_default(fields.clone(), || log.say(0, &event));
            let lines = fields.take();
            assert!(lines.contains(&format!("{field}={shown} ")) && lines.lines().count() == 1, "{lines}");
        }
    }

    #[test]
    fn a_connection_that_this_side_ends_is_not_told_as_closed_by_the_hub() {
        for (reason, closes) in [(ReasonCode::BROKEN_ANSWER, false), (ReasonCode::UNSPECIFIED_ERROR, true)] {
            let refusal = Refusal {
                reason,
                topic: Utf8::from_static("a"),
                identity: None,
                hub_limit: None,
                left_out: 0,
            };
            let fields = Fields::default();
            let mut log = EventLog::new("mqtt://hub".parse().unwrap());
            let event = Event::Uplink(UplinkEvent::Poison(refusal));
            tracing::subscriber::with_default(fields.clone(), || log.say(0, &event));
            let line = fields.take();
            assert_eq!(line.contains("the hub closes"), closes, "{line}");
            assert_eq!(line.contains("breaks the protocol"), !closes, "{line}");
        }
    }
}
