//! The hub's session: what it publishes, repeats, and lets expire.

use edge_bridge::wire::{PropertyId, Publish, Value};

use super::super::super::testing::{command, with};
use super::World;
use super::planted::Bug;

/// A command at the hub.
pub(super) struct AtHub {
    publish: Publish,
    /// By the hub's clock.
    published_ms: u64,
    pub(super) expires_ms: u64,
    pub(super) sent: bool,
}

impl World {
    /// Message Expiry Interval in a PUBLISH of now.
    fn expiry_left(&self, at_hub: &AtHub, now_ms: u64) -> u32 {
        let from_ms = if self.bug == Some(Bug::HubTimeLost) { at_hub.published_ms } else { now_ms };
        u32::try_from(at_hub.expires_ms.saturating_sub(from_ms).div_ceil(1_000)).unwrap()
    }

    pub(super) fn publish(&mut self, id: u64) {
        let seconds = 1 + u32::try_from(self.below(20)).unwrap();
        let (is_other, is_repeatable) = (self.one_in(3), self.one_in(3));
        self.others.extend(is_other.then_some(id));
        self.repeatable.extend(is_repeatable.then_some(id));
        // Both rules lead to the same two local topics.
        let topic = match (is_repeatable, is_other) {
            (false, false) => "c/a",
            (false, true) => "c/b",
            (true, false) => "r/a",
            (true, true) => "r/b",
        };
        let publish =
            with(&command(topic, "on"), PropertyId::UserProperty, Value::Pair("cmd-id", &id.to_string()));
        let unfit = match self.below(24) {
            0 => Some("retained"),
            1 => Some("no-expiry"),
            _ => None,
        };
        self.unfit.extend(unfit.map(|reason| (id, reason)));
        let expires_ms = self.now_ms + u64::from(seconds) * 1_000;
        self.expires_ms.insert(id, expires_ms);
        self.hub.insert(id, AtHub { publish, published_ms: self.now_ms, expires_ms, sent: false });
    }

    /// Sends what the session has, oldest first: again what was sent, marked.
    pub(super) fn connect(&mut self) {
        self.in_flight.clear();
        self.deliver(|at_hub| at_hub.sent);
    }

    pub(super) fn deliver(&mut self, which: fn(&AtHub) -> bool) {
        self.deliver_sent_at(self.now_ms, which);
    }

    /// Delivers now, as sent at `sent_ms`.
    pub(super) fn deliver_sent_at(&mut self, sent_ms: u64, which: fn(&AtHub) -> bool) {
        // What was never sent goes with its time.
        self.hub.retain(|_, at_hub| at_hub.sent || at_hub.expires_ms > sent_ms);
        let ids: Vec<u64> = self.hub.iter().filter(|(_, at_hub)| which(at_hub)).map(|(id, _)| *id).collect();
        // An upper bound: some copies seem older than they are.
        let doubt_ms = if self.one_in(4) { self.below(3_000) } else { 0 };
        let unnoticed = [Bug::StandstillUnnoticed, Bug::StandstillUnnoticedOfAcknowledged];
        let is_unnoticed = self.bug.is_some_and(|bug| unnoticed.contains(&bug));
        let waited_ms = if is_unnoticed { 0 } else { self.now_ms - sent_ms + doubt_ms };
        for id in ids {
            let left = self.hub.get(&id).map_or(0, |at_hub| self.expiry_left(at_hub, sent_ms));
            let at_hub = self.hub.get_mut(&id).unwrap();
            let unfit = self.unfit.get(&id).filter(|_| self.bug != Some(Bug::UnfitTaken)).copied();
            let mut publish = match unfit {
                Some("no-expiry") => at_hub.publish.clone(),
                _ => with(&at_hub.publish, PropertyId::MessageExpiryInterval, Value::U32(left)),
            };
            publish.retain = unfit == Some("retained");
            publish.dup = std::mem::replace(&mut at_hub.sent, true);
            let ticket = self.dispatcher.arrive(self.clock(), self.wall(), &publish, waited_ms);
            self.in_flight.push((ticket, id));
            self.arrived.insert(id);
            let at_once = [Bug::AcknowledgedAtOnce, Bug::StandstillUnnoticedOfAcknowledged];
            if self.bug.is_some_and(|bug| at_once.contains(&bug)) {
                self.hub.remove(&id);
            }
        }
    }
}
