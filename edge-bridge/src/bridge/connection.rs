//! One connection of the link: routes the session's events to the parts that own them.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::ingest::Now;
use crate::session::{self, ClientConfig, Closed, Connected, Resume, Session, SessionOutcome, Violation};
use crate::wire::{QoS, ReasonCode, Version};

use super::dialling::address_choice::{AddressChoice, End, Return};
use super::downlink::Downlink;
use super::idle_ping::IdlePing;
use super::packing::pack::Pack;
use super::spool::Spool;
use super::stall_breaker::{Delays, StallAction, StallBreaker};
use super::stats::Stats;
use super::uplink::{Answer, Uplink};
use super::uplink_event::UplinkEvent;
use super::{Event, Output};

mod replacing;
mod subscribing;

use replacing::Replacement;

/// A network connection, from its start to [`Closed`].
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) session: Session,
    pub(super) since_ms: u64,
    /// Set once the hub accepted the CONNECT.
    pub(super) accepted: bool,
    /// Set if the CONNECT had the bridge bit (MQTT 3.1.1).
    pub(super) says_bridge: bool,
    /// Set if the CONNECT had a will.
    pub(super) has_will: bool,
    /// Set once a PUBACK arrived on this connection.
    pub(super) acked: bool,
    /// Set once a PUBACK refused a message, because some hubs close the connection then.
    pub(super) refused: bool,
    /// Cause of the end as the shell reports it; `None` if it reported none, in which case the session's own reason is used.
    why: Option<String>,
    /// Set when this side ended the connection.
    broken_here: bool,
    /// Set if this side ended the connection because its oldest message got no PUBACK.
    pub(super) is_unanswered: bool,
    /// Set if the stall breaker ended the connection.
    is_stalled: bool,
    /// Set when this side ended the connection to return to the first address.
    is_left: bool,
    /// Set once this side wants another connection to the same address in the place of this one.
    replacement: Option<Replacement>,
}

/// Parts of the core that live longer than a connection.
pub(super) struct Parts<'a, S, P> {
    pub(super) uplink: &'a mut Uplink<P>,
    pub(super) downlink: &'a mut Downlink,
    pub(super) stall: &'a mut StallBreaker,
    pub(super) idle_ping: &'a mut IdlePing,
    pub(super) addresses: &'a mut AddressChoice,
    pub(super) spool: &'a mut S,
    pub(super) stats: &'a mut Stats,
    pub(super) out: &'a mut VecDeque<Output>,
}

impl Connection {
    pub(super) fn new(now: Now, epoch: u64, client: ClientConfig, resume: Option<Resume>) -> Self {
        let says_bridge = client.bridge_bit && client.version == Version::V311;
        let has_will = client.will.is_some();
        let session = Session::client(now.up_ms, epoch, client, resume);
        Self {
            session,
            since_ms: now.up_ms,
            accepted: false,
            says_bridge,
            has_will,
            acked: false,
            refused: false,
            why: None,
            broken_here: false,
            is_unanswered: false,
            is_stalled: false,
            is_left: false,
            replacement: None,
        }
    }

    pub(super) fn on_bytes(&mut self, now: Now, buffer: &mut BytesMut) {
        self.session.handle_input(now.up_ms, session::Input::Bytes(buffer));
    }

    pub(super) fn on_hangup(&mut self, now: Now, why: Option<String>) {
        self.why = why;
        self.session.handle_input(now.up_ms, session::Input::Closed);
    }

    /// Ends the connection from this side, without a DISCONNECT.
    pub(super) fn break_off(&mut self, now: Now, why: &str) {
        self.broken_here = true;
        self.on_hangup(now, Some(why.to_owned()));
    }

    /// Returns the hub's part in the end of the connection: `Some` if the hub closed it, or broke the protocol in its answer to a message of this
    /// side. `None` for every other end, because a protocol error in a message of the hub says nothing about the messages of this side.
    pub(super) fn blame(&self, closed: &Closed) -> Option<HubClose> {
        match closed {
            _ if self.broken_here || !self.accepted => None,
            Closed::Peer { reason, .. } => Some(HubClose::new(*reason)),
            Closed::Transport => Some(HubClose::new(ReasonCode::NO_REASON)),
            Closed::Violation(Violation::DecodeAnswer(_)) => {
                Some(HubClose { reason: ReasonCode::BROKEN_ANSWER, names_a_message: true })
            }
            _ => None,
        }
    }

    /// Returns whether the connection ended because the hub was silent, or because this side wanted another one.
    pub(super) fn is_given_up(&self, closed: &Closed) -> bool {
        self.broken_here || matches!(closed, Closed::KeepAlive | Closed::Handshake)
    }

    /// Returns the outcome from which the next address is chosen. A stalled connection counts as [`End::InVain`], so that its address is not
    /// dialled again in this round.
    pub(super) fn end(&self, is_stable: bool, closed: &Closed) -> End {
        match closed {
            _ if self.is_left => End::Left,
            _ if self.is_replaced() => End::Replaced,
            Closed::KeepAlive => End::InVain,
            _ if is_stable && !self.is_stalled => End::Worked,
            _ => End::InVain,
        }
    }

    /// Handles the session's events, sends as much as the window allows, and checks for a stall. Returns the cause of the end when the connection
    /// is over, and `None` while it goes on.
    pub(super) fn turn<S: Spool, P: Pack>(
        &mut self,
        now: Now,
        parts: &mut Parts<'_, S, P>,
    ) -> Option<(Closed, Option<String>)> {
        let mut over = self.drain(now, parts);
        if self.session.is_open() {
            self.subscribe(now, parts);
            self.session.limit_in_flight(now.up_ms, parts.uplink.in_flight_limit());
            if self.replacement.is_none() {
                parts.uplink.pump(now, &mut self.session, parts.spool, parts.stats);
            }
            parts.stall.set_waiting(now.up_ms, self.session.has_unfinished());
            self.watch(now, parts);
            self.go_back(now, parts);
            self.make_way(now);
            over = over.or(self.drain(now, parts));
        }
        while let Some(event) = parts.uplink.poll_event() {
            if matches!(event, UplinkEvent::QosNotSupported) {
                self.session.disconnect(now.up_ms, ReasonCode::DISCONNECT_WITH_WILL);
                self.why = Some("the hub takes no QoS 1: nothing can be delivered by it".to_owned());
                over = over.or(self.drain(now, parts));
            }
            parts.out.push_back(Output::Event(Event::Uplink(event)));
        }
        over.map(|closed| (closed, self.why.take()))
    }

    fn drain<S: Spool, P: Pack>(&mut self, now: Now, parts: &mut Parts<'_, S, P>) -> Option<Closed> {
        let mut over = None;
        while let Some(output) = self.session.poll_output() {
            match output {
                session::Output::Transmit(bytes) => parts.out.push_back(Output::Transmit(bytes)),
                session::Output::Event(session::Event::Closed(closed)) => over = Some(closed),
                session::Output::Event(event) => self.on_event(now, event, parts),
            }
        }
        over
    }

    fn on_event<S: Spool, P: Pack>(&mut self, now: Now, event: session::Event, parts: &mut Parts<'_, S, P>) {
        match event {
            session::Event::Connected(connected) => self.on_connected(now, *connected, parts),
            session::Event::Acked { token, reason, took_ms, is_complete } => {
                parts.stats.puback.note(took_ms);
                self.acked = true;
                self.refused |= reason.is_error();
                // PUBACKs and PUBRECs come in order (\[MQTT-4.6.0-2\]): those of younger messages are no progress of one that was left out.
                if parts.uplink.is_oldest(token) {
                    parts.stall.on_ack(now.up_ms);
                } else {
                    parts.stall.on_younger_ack();
                }
                let answer = Answer { token, reason, is_complete };
                parts.uplink.on_acked(now.up_ms, answer, parts.spool, parts.stats);
            }
            session::Event::Unsendable { token, .. } => {
                parts.uplink.on_unsendable(now.up_ms, token, parts.spool, parts.stats);
            }
            session::Event::Forgotten { token, reason } => {
                self.note_pubcomp(now.up_ms, parts);
                self.refused = true;
                parts.uplink.on_forgotten(now.up_ms, token, reason, parts.spool, parts.stats);
            }
            session::Event::Completed { token, by_peer } => {
                if by_peer {
                    self.note_pubcomp(now.up_ms, parts);
                }
                if let Some(token) = token {
                    parts.uplink.on_completed(token, by_peer, parts.spool, parts.stats);
                }
            }
            session::Event::Publish { publish, ack } => {
                parts.stats.received += 1;
                let publish = parts.downlink.local(publish);
                parts.out.push_back(Output::Event(Event::Message { publish, ack }));
            }
            session::Event::Repeated { publish, ack, earlier } => {
                let publish = parts.downlink.local(publish);
                parts.out.push_back(Output::Event(Event::Repeated { publish, ack, earlier }));
            }
            session::Event::TooLarge { topic, size, limit } => {
                parts.stats.received_too_large += 1;
                parts.out.push_back(Output::Event(Event::TooLarge { topic, size, limit }));
            }
            session::Event::PingAnswered { rtt_ms } => parts.idle_ping.on_rtt(rtt_ms),
            session::Event::SubAck(ack) => {
                for refused in parts.downlink.on_suback(now.up_ms, ack.packet_id, &ack.reasons) {
                    parts.out.push_back(Output::Event(Event::SubscriptionRefused(refused)));
                }
                parts.stats.refused_subscriptions = parts.downlink.refused();
                parts.stats.granted_subscriptions = parts.downlink.granted();
            }
            session::Event::UnsubAck(ack) => {
                parts.downlink.unsubscribes.on_unsuback(ack.packet_id, &ack.reasons);
            }
            // What only servers see, answers to what we do not ask, and `Closed`, which `drain` takes.
            _ => {}
        }
    }

    fn note_pubcomp<S: Spool, P: Pack>(&self, now_ms: u64, parts: &mut Parts<'_, S, P>) {
        // With an empty window it is the only progress.
        if self.session.in_flight() == 0 { parts.stall.on_ack(now_ms) } else { parts.stall.on_younger_ack() }
    }

    fn on_connected<S: Spool, P: Pack>(
        &mut self,
        now: Now,
        connected: Connected,
        parts: &mut Parts<'_, S, P>,
    ) {
        self.accepted = true;
        parts.stats.connects += 1;
        parts.stats.last_error = None;
        parts.stats.refused_subscriptions = parts.downlink.suspects();
        parts.stall.on_connected(now.up_ms);
        if connected.server.maximum_qos == QoS::AtMostOnce && self.session.in_flight() > 0 {
            // What is in flight waits in the session for a hub that takes it.
            parts.uplink.events.push_back(UplinkEvent::QosNotSupported);
        }
        parts.idle_ping.on_connected(now.up_ms);
        parts.addresses.on_accepted(now.up_ms);
        let (present, resumed, lost) = match connected.session {
            SessionOutcome::New => (false, false, None),
            // A session that was made for a CONNECT whose CONNACK was lost has no subscriptions.
            SessionOutcome::Resumed => (true, !connected.is_doubtful, None),
            // A restart: what was in flight is in the spool, and the hub's subscriptions may be those of another configuration.
            SessionOutcome::Unknown => (true, false, None),
            // The session may be an old one, with subscriptions of then.
            SessionOutcome::Moved(in_flight) => (true, false, Some(in_flight)),
            SessionOutcome::Lost(in_flight) => {
                parts.stats.sessions_lost += 1;
                let republished = in_flight.len() + parts.uplink.uncompleted.len();
                parts.out.push_back(Output::Event(Event::SessionLost { republished }));
                (false, false, Some(in_flight))
            }
        };
        parts.out.push_back(Output::Event(Event::Connected { session_present: present }));
        let packet_max = self.session.peer_packet_max();
        parts.uplink.on_connected(now.up_ms, packet_max, lost.as_deref(), parts.stats);
        parts.stats.version = Some(self.session.version());
        parts.stats.hub_limits = Some(connected.server);
        let filters = parts.downlink.on_connected(now.up_ms, resumed, self.session.version());
        parts.stats.granted_subscriptions = parts.downlink.granted();
        // First: a message that an old and a new filter match would come twice in between.
        self.unsubscribe_unwanted(now, parts);
        self.ask(now, &filters, parts);
    }

    /// Probes the first address, and ends the present connection when that address can be reached. The DISCONNECT asks for the will to be
    /// published, which says that the present address lost this client.
    fn go_back<S: Spool, P: Pack>(&mut self, now: Now, parts: &mut Parts<'_, S, P>) {
        match parts.addresses.poll(now.up_ms, !self.session.has_unfinished()) {
            None => {}
            Some(Return::Probe) => parts.out.push_back(Output::Probe { address: 0 }),
            Some(Return::Leave) => {
                self.is_left = true;
                self.why = Some("the first address can be reached again".to_owned());
                self.session.disconnect(now.up_ms, ReasonCode::DISCONNECT_WITH_WILL);
            }
        }
    }

    fn watch<S: Spool, P: Pack>(&mut self, now: Now, parts: &mut Parts<'_, S, P>) {
        let delays = delays(&self.session);
        let listens = parts.downlink.listens() && self.session.in_flight() == 0;
        parts.idle_ping.set_listening(now.up_ms, listens);
        let is_unanswered = parts.stall.is_unanswered(now.up_ms, delays);
        let due = parts.stall.poll(now.up_ms, delays);
        match due.or_else(|| parts.idle_ping.poll(now.up_ms, self.session.path().srtt_ms())) {
            None => {}
            Some(StallAction::Probe) => self.session.ping(now.up_ms),
            Some(StallAction::Break) => {
                parts.stats.stalls += 1;
                parts.out.push_back(Output::Event(Event::Stalled));
                (self.is_unanswered, self.is_stalled) = (is_unanswered, true);
                self.break_off(now, "stalled: no answer from the hub");
            }
        }
    }
}

/// Returns the round-trip delays of this connection, from which the stall breaker computes its timeout.
pub(super) fn delays(session: &Session) -> Delays {
    Delays {
        srtt_ms: session.path().srtt_ms().unwrap_or(0),
        transit_ms: session.transit_ms(),
        left_ms: session.left_ms(),
        receiving_until_ms: session.receiving_until_ms(),
    }
}

/// Close of the connection by the hub, or because of its answer. A message of this side may be the cause of any close, even of one whose reason is quota, session takeover,
/// or a moved server.
#[derive(Debug, Clone, Copy)]
pub(super) struct HubClose {
    /// Reason of the hub's DISCONNECT if it is an error, otherwise `NO_REASON`; `BROKEN_ANSWER` for an answer that broke the protocol.
    pub(super) reason: ReasonCode,
    /// Set if the DISCONNECT's reason can concern a message. Otherwise more closes are needed before a message is taken for poison.
    pub(super) names_a_message: bool,
}

impl HubClose {
    fn new(reason: ReasonCode) -> Self {
        let error = if reason.is_error() { reason } else { ReasonCode::NO_REASON };
        Self { reason: error, names_a_message: may_be_a_message(reason) }
    }
}

/// Returns whether a DISCONNECT with this reason can concern a message, rather than the load, a timeout, or the client as a whole (§3.14.2.1).
fn may_be_a_message(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::NO_REASON
            | ReasonCode::UNSPECIFIED_ERROR
            | ReasonCode::MALFORMED_PACKET
            | ReasonCode::PROTOCOL_ERROR
            | ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR
            | ReasonCode::NOT_AUTHORIZED
            | ReasonCode::TOPIC_NAME_INVALID
            | ReasonCode::RECEIVE_MAXIMUM_EXCEEDED
            | ReasonCode::TOPIC_ALIAS_INVALID
            | ReasonCode::PACKET_TOO_LARGE
            | ReasonCode::PAYLOAD_FORMAT_INVALID
            | ReasonCode::RETAIN_NOT_SUPPORTED
            | ReasonCode::QOS_NOT_SUPPORTED
    )
}
