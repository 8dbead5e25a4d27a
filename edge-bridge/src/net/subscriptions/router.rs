//! Dispatch of messages from the hub to the subscriptions of this program, and their acknowledgements.
//!
//! A message is acknowledged when every subscription that matched it is done. A message that no subscription matches waits half a minute for one,
//! because after a restart the hub may send before the program subscribes. Then it is acknowledged and counted, so that subscriptions of an
//! earlier program under this client identifier neither fill the RAM nor hold up the PUBACKs, which leave in order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::back_pressure::BackPressure;
use super::commands::{Acks, Commands, Neglected};
use super::shared_ack::{Copy, SharedAck};
use super::subscription_queue::{Entry, Put, SubscriptionQueue, size};
use super::unacked_qos2::HeldMessages;
use crate::escape::Escaped;
use crate::session::AckHandle;
use crate::wire::{self, Publish, QoS, Utf8};

/// Milliseconds for which a message without a subscription waits for one, since the start or since the last subscription ended. For the same time
/// an ended subscription stays at the hub.
const GRACE_MS: u64 = 30_000;
/// Most ended subscriptions that stay at the hub.
const LEAVING_MAX: usize = 1_024;
/// Most messages that wait for a subscription.
const UNCLAIMED_MAX: usize = 4_096;
/// Most bytes of messages that wait for a subscription.
const UNCLAIMED_BYTES_MAX: usize = 1024 * 1024;
/// Most topics that a log line names of messages that no subscription takes.
const TOPICS_SAID: usize = 8;

#[derive(Debug)]
struct Route {
    filter: Utf8,
    queue: Arc<SubscriptionQueue>,
}

/// Filter whose last subscription ended. The hub keeps the filter, and its messages, for [`GRACE_MS`], for a new subscription or for the next
/// start of a program that ends now.
#[derive(Debug)]
struct Leaving {
    filter: Utf8,
    until_ms: u64,
}

/// Subscriptions of this program, and the messages that no subscription has claimed.
#[derive(Debug)]
pub(in crate::net) struct Router {
    routes: Vec<Route>,
    /// Ended subscriptions that the hub still has, in the order of their UNSUBSCRIBEs to come.
    leaving: VecDeque<Leaving>,
    back_pressure: BackPressure,
    /// Messages that no subscription has claimed, in order of arrival.
    unclaimed: VecDeque<(Publish, AckHandle)>,
    unclaimed_bytes: usize,
    /// Set if a message exceeded the limits of unclaimed messages.
    unclaimed_missed: bool,
    /// Set when a subscription ended with a message taken and not acknowledged. Only a new connection makes the hub send that message again.
    ask_again: bool,
    grace_until_ms: u64,
    /// Messages that the application dropped without acknowledgement, while its subscription lives.
    neglected: Vec<Neglected>,
    held: HeldMessages,
    /// Handles of messages held since the last [`take_newly_held`](Self::take_newly_held).
    newly_held: Vec<AckHandle>,
    /// Handle of the youngest message of this connection; `None` before the first.
    latest: Option<AckHandle>,
    acks: Arc<Acks>,
    dropped_qos0: u64,
    nobodys: u64,
    /// Topics without a subscription, collected for one log line.
    topics: BTreeSet<Utf8>,
    said: bool,
    /// Largest packet from the hub, in bytes.
    packet_max: u32,
}

impl Router {
    pub(in crate::net) fn new(acks: Arc<Acks>, packet_max: u32) -> Self {
        Self {
            packet_max,
            routes: Vec::new(),
            leaving: VecDeque::new(),
            back_pressure: BackPressure::default(),
            unclaimed: VecDeque::new(),
            unclaimed_bytes: 0,
            unclaimed_missed: false,
            ask_again: false,
            grace_until_ms: GRACE_MS,
            neglected: Vec::new(),
            held: HeldMessages::default(),
            newly_held: Vec::new(),
            latest: None,
            acks,
            dropped_qos0: 0,
            nobodys: 0,
            topics: BTreeSet::new(),
            said: false,
        }
    }

    /// Makes a subscription with all of these filters.
    pub(in crate::net) fn subscribe(&mut self, filters: impl IntoIterator<Item = Utf8>) -> Commands {
        let queue = Arc::new(SubscriptionQueue::new(self.packet_max));
        filters.into_iter().for_each(|filter| self.add(filter, queue.clone()));
        Commands { queue, acks: self.acks.clone() }
    }

    /// Returns whether this is the queue of one of the subscriptions here.
    pub(in crate::net) fn has(&self, queue: &Arc<SubscriptionQueue>) -> bool {
        self.routes.iter().any(|route| Arc::ptr_eq(&route.queue, queue))
    }

    /// Adds a filter whose messages go into this queue.
    pub(in crate::net) fn add(&mut self, filter: Utf8, queue: Arc<SubscriptionQueue>) {
        self.leaving.retain(|leaving| leaving.filter != filter);
        self.routes.push(Route { filter, queue });
        for (publish, handle) in std::mem::take(&mut self.unclaimed) {
            self.unclaimed_bytes = self.unclaimed_bytes.saturating_sub(size(&publish));
            if !self.hand_out(&publish, Some(handle)) {
                self.unclaimed_bytes += size(&publish);
                self.unclaimed.push_back((publish, handle));
            }
        }
    }

    /// Delivers one message of the hub.
    pub(in crate::net) fn deliver(&mut self, now_ms: u64, publish: &Publish, ack: Option<AckHandle>) {
        // The receive buffer is far larger than most messages, and must not be kept by one.
        let publish = publish.detached();
        self.latest = ack.or(self.latest);
        if self.hand_out(&publish, ack) {
            return;
        }
        match ack {
            None => self.nobodys += 1,
            Some(handle) if now_ms < self.grace_until_ms => self.keep(publish, handle),
            Some(handle) => self.acknowledge_nobodys(&publish.topic, handle),
        }
    }

    /// Handles a QoS 2 message that comes again. `earlier`: handle of the copy before.
    pub(in crate::net) fn repeat(
        &mut self,
        now_ms: u64,
        publish: &Publish,
        ack: AckHandle,
        earlier: AckHandle,
    ) {
        self.latest = Some(ack);
        match self.held.copy(ack, earlier) {
            Copy::Waits => {}
            Copy::Done => self.acks.push(ack),
            Copy::Wanted => self.deliver(now_ms, publish, Some(ack)),
        }
    }

    /// Takes the handles of QoS 2 messages that the application got since the last call, for [`Core::take_in`](crate::bridge::Core::take_in).
    pub(in crate::net) fn take_newly_held(&mut self) -> Vec<AckHandle> {
        std::mem::take(&mut self.newly_held)
    }

    /// Removes held messages that cannot come again, once there are many.
    pub(in crate::net) fn tidy_held(&mut self, may_come_again: impl Fn(AckHandle) -> bool) {
        self.held.tidy(may_come_again);
    }

    /// Forgets the messages of a session that the hub has lost.
    pub(in crate::net) fn on_session_lost(&mut self) {
        self.held.clear();
    }

    /// Gives a message to every subscription that matches. Returns `false` if none does.
    fn hand_out(&mut self, publish: &Publish, ack: Option<AckHandle>) -> bool {
        let mut matching: Vec<&Arc<SubscriptionQueue>> = Vec::new();
        for Route { filter, queue } in &self.routes {
            let is_here = matching.iter().any(|here| Arc::ptr_eq(here, queue));
            if !is_here && !queue.is_closed() && wire::matches(wire::unshared(filter), &publish.topic) {
                matching.push(queue);
            }
        }
        let ack = ack.map(|handle| SharedAck::new(handle, matching.len()));
        let (mut room, mut is_with_all) = (false, true);
        for queue in &matching {
            // One without room is not done: no PUBACK, and the hub sends it again.
            let put = queue.put(Entry { publish: publish.clone(), ack: ack.clone() });
            room |= put != Put::Missed;
            is_with_all &= put != Put::Missed;
            if put == Put::Filled {
                self.back_pressure.add(queue);
            }
        }
        if let Some(ack) = ack.as_ref().filter(|_| publish.qos == QoS::ExactlyOnce)
            && is_with_all
            && !matching.is_empty()
            && self.held.add(ack)
        {
            self.newly_held.push(ack.handle());
        }
        self.dropped_qos0 += u64::from(!matching.is_empty() && !room && ack.is_none());
        !matching.is_empty()
    }

    fn keep(&mut self, publish: Publish, handle: AckHandle) {
        self.note_topic(&publish.topic);
        let bytes = self.unclaimed_bytes + size(&publish);
        // One message always fits.
        let no_room = self.unclaimed.len() >= UNCLAIMED_MAX
            || !self.unclaimed.is_empty() && bytes > UNCLAIMED_BYTES_MAX;
        if self.unclaimed_missed || no_room {
            // It comes again when those before it are done with.
            self.unclaimed_missed = true;
            return;
        }
        self.unclaimed_bytes = bytes;
        self.unclaimed.push_back((publish, handle));
    }

    /// Handles ended subscriptions, and their unacknowledged messages. Returns the filters to unsubscribe, because their grace time has passed.
    pub(in crate::net) fn tidy(&mut self, now_ms: u64) -> Vec<Utf8> {
        let (closed, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.routes).into_iter().partition(|route| route.queue.is_closed());
        self.routes = open;
        // What came by an earlier connection the hub sends again by itself.
        let is_present =
            |ack: &SharedAck| self.latest.is_some_and(|own| own.is_of_connection_of(&ack.handle()));
        let neglected = self.acks.take_neglected().into_iter().filter(|message| is_present(&message.ack));
        self.neglected.extend(neglected);
        let (ended, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.neglected).into_iter().partition(|message| message.queue.is_closed());
        self.neglected = kept;
        if !closed.is_empty() || !ended.is_empty() {
            self.grace_until_ms = now_ms + GRACE_MS;
        }
        for Neglected { ack, .. } in ended {
            match ack.abandon() {
                None => {}
                Some(true) => self.acks.push(ack.handle()),
                Some(false) => self.ask_again = true,
            }
        }
        for entry in closed.iter().flat_map(|route| route.queue.drain()) {
            self.take_back(entry);
        }
        let mut unwanted = Vec::new();
        for Route { filter, .. } in closed {
            if self.routes.iter().any(|other| other.filter == filter) || self.is_leaving(&filter) {
                continue;
            }
            if is_shared(&filter) {
                // The others of its group take the messages as soon as this member has left.
                unwanted.push(filter);
            } else {
                self.leaving.push_back(Leaving { filter, until_ms: now_ms + GRACE_MS });
            }
        }
        let due = self.leaving.iter().take_while(|leaving| leaving.until_ms <= now_ms).count();
        let due = due.max(self.leaving.len().saturating_sub(LEAVING_MAX));
        unwanted.extend(self.leaving.drain(..due).map(|leaving| leaving.filter));
        unwanted
    }

    /// Returns whether one of the subscriptions here has this filter.
    pub(in crate::net) fn has_filter(&self, filter: &Utf8) -> bool {
        self.routes.iter().any(|route| route.filter == *filter)
    }

    /// Returns whether the hub still has this filter although its last subscription has ended.
    pub(in crate::net) fn is_leaving(&self, filter: &Utf8) -> bool {
        self.leaving.iter().any(|leaving| leaving.filter == *filter)
    }

    /// Takes back a message that was still in the queue of an ended subscription.
    fn take_back(&mut self, Entry { publish, ack }: Entry) {
        let Some(ack) = ack else { return };
        match ack.abandon() {
            // Others have it.
            None => {}
            Some(true) => self.acks.push(ack.handle()),
            Some(false) if self.hand_out(&publish, Some(ack.handle())) => {}
            Some(false) => self.keep(publish, ack.handle()),
        }
    }

    /// Up time of the next [`on_timeout`](Self::on_timeout); `None` if there is none.
    pub(in crate::net) fn next_deadline(&self) -> Option<u64> {
        let waits = !self.unclaimed.is_empty() || self.unclaimed_missed;
        let leaving_ms = self.leaving.front().map(|leaving| leaving.until_ms);
        [waits.then_some(self.grace_until_ms), leaving_ms].into_iter().flatten().min()
    }

    /// Acknowledges and counts the messages that no subscription claimed in time.
    pub(in crate::net) fn on_timeout(&mut self, now_ms: u64) {
        if now_ms < self.grace_until_ms {
            return;
        }
        for (publish, handle) in std::mem::take(&mut self.unclaimed) {
            self.acknowledge_nobodys(&publish.topic, handle);
        }
        self.unclaimed_bytes = 0;
        // Without a connection now, the next one brings them.
        self.ask_again |= std::mem::take(&mut self.unclaimed_missed);
    }

    /// Up time until which the link reads nothing; `None` if it may read.
    pub(in crate::net) fn reads_again_ms(&mut self, now_ms: u64) -> Option<u64> {
        self.back_pressure.until_ms(now_ms)
    }

    /// Returns whether messages that found no room, or that an ended subscription left unacknowledged, can be taken now. The link then reconnects, so
    /// that the hub sends them again.
    pub(in crate::net) fn wants_redial(&self) -> bool {
        (self.unclaimed_missed || self.ask_again) && self.unclaimed.is_empty()
            || self.routes.iter().any(|route| route.queue.wants_missed())
    }

    /// Returns the number of QoS 0 messages that were dropped because no matching subscription had room.
    pub(in crate::net) fn dropped_qos0(&self) -> u64 {
        self.dropped_qos0
    }

    /// Returns the number of messages that no subscription of this program matched.
    pub(in crate::net) fn nobodys(&self) -> u64 {
        self.nobodys
    }

    /// Forgets unclaimed and missed messages at the end of the connection, because the hub sends them again.
    pub(in crate::net) fn on_hangup(&mut self) {
        self.unclaimed.clear();
        self.unclaimed_bytes = 0;
        (self.unclaimed_missed, self.ask_again) = (false, false);
        self.neglected.clear();
        self.latest = None;
        self.routes.iter().for_each(|route| route.queue.forget_missed());
    }

    fn acknowledge_nobodys(&mut self, topic: &Utf8, handle: AckHandle) {
        self.note_topic(topic);
        self.nobodys += 1;
        self.acks.push(handle);
        if !std::mem::replace(&mut self.said, true) {
            let topics: Vec<_> = self.topics.iter().map(|topic| format!("\"{}\"", Escaped(topic))).collect();
            tracing::warn!(
                topics = %topics.join(", "),
                "the hub sends what no subscription of this program asks for, perhaps for an earlier client of this name: acknowledged, counted"
            );
        }
    }

    fn note_topic(&mut self, topic: &Utf8) {
        if !self.said && self.topics.len() < TOPICS_SAID {
            self.topics.insert(topic.clone());
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.routes.iter().for_each(|route| route.queue.end());
    }
}

fn is_shared(filter: &Utf8) -> bool {
    matches!(wire::SharedFilter::parse(filter), Ok(Some(_)))
}

#[cfg(test)]
mod tests;
