//! `$SYS` topics: figures of the listener, and states of links, under the names and in the form that Mosquitto has for them.
//!
//! A client that subscribes gets them at once, as retained messages, and then those that have changed at each interval. They are at QoS 0, and
//! neither retained messages of the store nor given to the ingest. Nothing is computed while no connected client has a filter for them.

use std::collections::BTreeMap;

use super::message::Message;
use super::retained_walk::Wanted;
use super::sys_names::{is_for_sys, is_sys};
use super::{ClientKey, Due, Listener};
use crate::ingest::{Ingest, Now};
use crate::session::Flow;
use crate::wire::{Properties, Publish, QoS, TopicError, Utf8, matches, validate_topic_name};

/// Topics on which bridges of other programs may report their state, as in Mosquitto the only ones that clients may publish to.
const BRIDGE_STATES: &str = "$SYS/broker/connection/+/state";
/// Topics of the figures, in the order of [`Listener::figures`].
const FIGURES: [&str; 10] = [
    "$SYS/broker/version",
    "$SYS/broker/uptime",
    "$SYS/broker/clients/connected",
    "$SYS/broker/clients/total",
    "$SYS/broker/messages/received",
    "$SYS/broker/messages/sent",
    "$SYS/broker/publish/messages/dropped",
    "$SYS/broker/retained messages/count",
    "$SYS/broker/bytes/received",
    "$SYS/broker/bytes/sent",
];

/// State of the topics, see the [module](self).
#[derive(Debug, Default)]
pub(super) struct SysTopics {
    /// Packets and bytes of connections that have ended.
    pub(super) ended: Flow,
    /// Figures as they were published last, while there is a [deadline](Due::Figures) for the next.
    told: Option<Vec<String>>,
    /// States of links by topic.
    links: BTreeMap<Utf8, bool>,
}

impl SysTopics {
    /// Returns whether clients may not publish to a topic.
    pub(super) fn is_reserved(&self, topic: &str) -> bool {
        is_sys(topic)
            && (!matches(BRIDGE_STATES, topic) || self.links.keys().any(|own| own.as_str() == topic))
    }
}

impl<I: Ingest> Listener<I> {
    /// Publishes the state of a link of the application on `$SYS/broker/connection/NAME/state`, `1` or `0`, to present subscribers, and later ones
    /// as a retained message. It is not saved: set it again after a start.
    ///
    /// # Errors
    ///
    /// The name cannot be a part of a topic.
    pub fn set_link_state(&mut self, now: Now, name: &str, is_up: bool) -> Result<(), TopicError> {
        let topic = link_topic(name);
        validate_topic_name(&topic)?;
        let topic = Utf8::try_from(topic).map_err(|_| TopicError::Nul)?;
        let before = self.sys.links.insert(topic.clone(), is_up);
        if before.is_none() {
            // One that a client left there says nothing of this link, and no client may clear it from now on.
            self.topics.retained.remove(&topic);
        }
        if before != Some(is_up) {
            self.tell(now.up_ms, topic, state(is_up).to_owned(), QoS::AtLeastOnce);
            self.run(now);
        }
        Ok(())
    }

    /// Forgets a link of the application, so that bridges of clients may publish on its topic. Subscribers get no message, and later ones no state.
    pub fn clear_link_state(&mut self, name: &str) {
        let topic = link_topic(name);
        self.sys.links.retain(|link, _| link.as_str() != topic);
    }

    /// Begins to publish the figures if a connected client has a filter for them.
    pub(super) fn watch_figures(&mut self, now_ms: u64, key: ClientKey) {
        let interval_ms = self.sys_interval_ms();
        if interval_ms > 0 && self.sys.told.is_none() && self.topics.subscriptions.is_for_sys(key) {
            self.sys.told = Some(Vec::new());
            self.deadlines.no_later(Due::Figures, now_ms + interval_ms);
        }
    }

    /// Publishes the figures that have changed, or ends if no connected client has a filter for them.
    pub(super) fn figures_due(&mut self, now: Now) {
        let Some(told) = self.sys.told.take() else { return };
        let subscriptions = &self.topics.subscriptions;
        if !self
            .clients
            .keyed()
            .any(|(key, connection)| connection.is_some() && subscriptions.is_for_sys(key))
        {
            return;
        }
        let figures = self.figures(now.up_ms);
        for (at, (topic, figure)) in FIGURES.into_iter().zip(&figures).enumerate() {
            if told.get(at) != Some(figure) {
                self.tell(now.up_ms, Utf8::from_static(topic), figure.clone(), QoS::AtMostOnce);
            }
        }
        self.sys.told = Some(figures);
        self.deadlines.no_later(Due::Figures, now.up_ms + self.sys_interval_ms());
    }

    /// Returns what a new subscriber of these filters gets at once.
    pub(super) fn sys_messages(&self, now_ms: u64, filters: &BTreeMap<Box<str>, Wanted>) -> Vec<Message> {
        let filters: Vec<_> = filters.iter().filter(|(filter, _)| is_for_sys(filter)).collect();
        let wanted = |topic: &str| {
            let matching = filters.iter().filter(|(filter, _)| matches(filter, topic));
            matching.map(|(_, wanted)| wanted.qos).max()
        };
        let has_figures = self.sys_interval_ms() > 0 && FIGURES.iter().any(|topic| wanted(topic).is_some());
        let figures = if has_figures { self.figures(now_ms) } else { Vec::new() };
        let figures = FIGURES.into_iter().map(Utf8::from_static).zip(figures);
        let links = self.sys.links.iter().map(|(topic, is_up)| (topic.clone(), state(*is_up).to_owned()));
        let all = figures.map(|of| (of, QoS::AtMostOnce)).chain(links.map(|of| (of, QoS::AtLeastOnce)));
        let wanted = all.filter_map(|((topic, text), own)| Some((wanted(&topic)?.min(own), topic, text)));
        wanted.map(|(qos, topic, text)| self.sys_message(now_ms, topic, text, qos)).collect()
    }

    fn tell(&mut self, now_ms: u64, topic: Utf8, text: String, qos: QoS) {
        let message = self.sys_message(now_ms, topic, text, qos);
        let receivers = self.topics.subscriptions.receivers(&message.publish.topic, None);
        self.spread(now_ms, &message, receivers, None);
    }

    fn sys_message(&self, now_ms: u64, topic: Utf8, text: String, qos: QoS) -> Message {
        let publish = Publish {
            dup: false,
            qos,
            retain: true,
            topic,
            packet_id: None,
            properties: Properties::default(),
            payload: text.into(),
        };
        Message::new(now_ms, &publish, self.accounts.payloads())
    }

    fn sys_interval_ms(&self) -> u64 {
        u64::from(self.config.sys_interval_s) * 1000
    }

    /// Returns the figures, in the order of [`FIGURES`].
    fn figures(&self, now_ms: u64) -> Vec<String> {
        let connected = self.clients.keyed().filter(|(_, connection)| connection.is_some()).count();
        let mut flow = self.sys.ended;
        self.connections.iter().for_each(|(_, state)| flow += state.session.flow());
        vec![
            concat!("edge-bridge version ", env!("CARGO_PKG_VERSION")).to_owned(),
            format!("{} seconds", now_ms / 1000),
            connected.to_string(),
            self.clients.len().to_string(),
            flow.packets_in.to_string(),
            flow.packets_out.to_string(),
            self.stats.dropped_full.to_string(),
            self.topics.retained.len().to_string(),
            flow.bytes_in.to_string(),
            flow.bytes_out.to_string(),
        ]
    }
}

fn link_topic(name: &str) -> String {
    format!("$SYS/broker/connection/{name}/state")
}

fn state(is_up: bool) -> &'static str {
    if is_up { "1" } else { "0" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_of_other_bridges_alone_are_open_to_clients() {
        let mut sys = SysTopics::default();
        let state = |name: &str| format!("$SYS/broker/connection/{name}/state");
        sys.links.insert(Utf8::try_from(state("hub")).unwrap(), true);
        let reserved =
            ["$SYS/broker/uptime", "$SYS/x", &state("hub")].iter().all(|topic| sys.is_reserved(topic));
        assert!(reserved);
        assert!(!sys.is_reserved(&state("other")) && !sys.is_reserved("$SYSTEM/x") && !sys.is_reserved("a"));
        assert!(FIGURES.iter().all(|topic| is_sys(topic)));
    }
}
