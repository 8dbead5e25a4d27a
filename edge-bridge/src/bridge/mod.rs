//! Bridge without a socket: makes all decisions of one upstream link, over all of its connections.
//!
//! There is one network connection at a time, and all inputs and outputs between [`Output::Dial`] and [`Output::Hangup`] belong to it. The
//! bytes of [`Output::Transmit`] go out in order; bytes that a connection could not write before its end are dropped.

#![deny(clippy::indexing_slicing)]

mod answers;
pub mod backoff;
mod config;
pub mod congestion_window;
mod connection;
mod dialling;
mod downlink;
mod events;
mod idle_ping;
mod link_state;
mod message;
mod next_message;
mod notice_limit;
mod packing;
mod parked;
mod refused;
mod rows_in_flight;
pub mod spool;
mod stall_breaker;
#[cfg(feature = "testing")]
mod state_hash;
mod stats;
pub mod topic_rules;
mod uncompleted_qos2;
mod uplink;
mod uplink_event;

use std::collections::VecDeque;

pub use config::LinkConfig;
pub use downlink::Refused;
#[cfg(feature = "net")]
pub(crate) use downlink::subscription;
pub use events::{Event, Input, Output};
pub use idle_ping::idle_ping_every_ms;
pub use link_state::LinkState;
pub use packing::batch_pack::{BatchLimits, BatchPack, Encode, RowBatch, Source};
pub use packing::dead_letter_address::{DEAD_LETTER_PREFIX, dead_letter_topic};
pub use packing::identity_form::{IdentityForm, identity_text, is_possible_duplicate};
pub use packing::pack::{HubAnswer, Pack, Packed, Packing, RawPack};
pub use parked::parked_list::{ParkedList, ParkedRow, ParkedTopic};
pub use refused::dropped_topics::DroppedTopic;
pub use stall_breaker::{Delays, StallAction, StallBreaker};
pub use stats::Stats;
pub use uplink_event::{ByHandCount, HubLimit, LeftOut, Refusal, UplinkEvent};

use backoff::Backoff;
use bytes::Bytes;
use connection::Connection;
use dialling::address_choice::AddressChoice;
use dialling::connect_choice::ConnectChoice;
use dialling::takeover_signs::TakeoverSigns;
use downlink::Downlink;
use idle_ping::IdlePing;
use spool::Spool;
use uplink::Uplink;

use crate::ingest::Now;
use crate::session::{self, AckHandle, Path, Resume, StaleAck};
use crate::wire::{QoS, ReasonCode, Subscription, Utf8};

/// One upstream link.
///
/// The caller
///
/// 1. calls [`start`](Self::start);
/// 2. reports events by [`handle_input`](Self::handle_input): the dial succeeded or failed, bytes came, the connection ended, rows were pushed;
///    and makes requests: [`ack`](Self::ack), [`subscribe`](Self::subscribe), …
/// 3. calls [`poll_output`](Self::poll_output) after each of these until it returns `None`, and performs each action;
/// 4. calls [`handle_timeout`](Self::handle_timeout) at [`next_deadline`](Self::next_deadline), if nothing else happens before.
#[derive(Debug, Clone)]
pub struct Core<S, P> {
    config: LinkConfig,
    spool: S,
    phase: Phase,
    epoch: u64,
    /// Session state of the last connection, to be resumed; `None` before the first connection of this process.
    resume: Option<Resume>,
    uplink: Uplink<P>,
    downlink: Downlink,
    stall: StallBreaker,
    /// Estimates of the network path (round trip, throughput), made by all connections so far.
    path: Path,
    /// Set if this side ended the last connection as dead.
    gave_up: bool,
    idle_ping: IdlePing,
    addresses: AddressChoice,
    /// CONNECT choices of each address, by its place in the list.
    connect_choices: Vec<ConnectChoice>,
    takeover: TakeoverSigns,
    /// Set while [`stop`](Self::stop) ends the connection, after which none is dialled.
    is_stopping: bool,
    backoff: Backoff,
    /// Number of CONNECTs in a row without an answer.
    unanswered_connects: u32,
    out: VecDeque<Output>,
    stats: Stats,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Not started yet, or stopped.
    Offline,
    Dialing,
    Waiting {
        until_ms: u64,
    },
    Up(Box<Connection>),
}

impl<S: Spool, P: Pack> Core<S, P> {
    /// Creates a link that does nothing until [`start`](Self::start).
    pub fn new(config: LinkConfig, spool: S, pack: P) -> Self {
        Self {
            uplink: Uplink::new(pack, (config.window_max_bytes / 2).max(1), config.seed)
                .with_any_characters(config.accept_control_characters),
            downlink: Downlink::new(config.rules.clone()),
            backoff: Backoff::new(config.backoff, config.seed),
            idle_ping: IdlePing::new(config.command_within_ms),
            addresses: AddressChoice::new(config.addresses, config.failback),
            connect_choices: (0..config.addresses.max(1))
                .map(|_| ConnectChoice::new(&config.client, config.any_version))
                .collect(),
            takeover: TakeoverSigns::new(config.seed),
            is_stopping: false,
            config,
            spool,
            phase: Phase::Offline,
            epoch: 0,
            resume: None,
            stall: StallBreaker::default(),
            path: Path::default(),
            gave_up: false,
            unanswered_connects: 0,
            out: VecDeque::new(),
            stats: Stats::default(),
        }
    }

    /// Takes another password, which the next connection uses.
    pub fn set_password(&mut self, password: Bytes) {
        self.config.client.password = Some(password);
    }

    /// Begins to connect, and from now on keeps the link connected.
    pub fn start(&mut self, _now: Now) {
        if matches!(self.phase, Phase::Offline) {
            self.dial();
        }
    }

    /// Takes in an event of the connection, or of the spool.
    pub fn handle_input(&mut self, now: Now, input: Input<'_>) {
        match (input, &mut self.phase) {
            (Input::Dialed, Phase::Dialing) => self.connect(now),
            (Input::DialFailed(why), Phase::Dialing) => self.not_dialed(now, why, false),
            (Input::DialRefused(why), Phase::Dialing) => self.not_dialed(now, why, true),
            (Input::Bytes(buffer), Phase::Up(connection)) => {
                connection.on_bytes(now, buffer);
                self.stall.on_byte(now.up_ms);
                self.idle_ping.on_byte(now.up_ms);
            }
            (Input::Written { bytes, waited }, Phase::Up(connection)) => {
                // Nothing is due earlier by it.
                let input = session::Input::Written { bytes, waited };
                return connection.session.handle_input(now.up_ms, input);
            }
            (Input::HungUp(why), Phase::Up(connection)) => {
                connection.on_hangup(now, why);
            }
            (Input::Probed { is_reachable }, Phase::Up(_)) => {
                self.addresses.on_probed(now.up_ms, is_reachable);
            }
            _ => {}
        }
        self.turn(now);
    }

    /// Does what is due at [`next_deadline`](Self::next_deadline), such as a dial or a PINGREQ. Earlier the call does nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        match &mut self.phase {
            Phase::Waiting { until_ms } if *until_ms <= now.up_ms => self.dial(),
            Phase::Up(connection) => connection.session.handle_timeout(now.up_ms),
            _ => {}
        }
        self.turn(now);
    }

    /// Takes the next action for the shell; call until it returns `None`. More may come after every other `&mut` call.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Time at which to call [`handle_timeout`](Self::handle_timeout), as `Now::up_ms`. `None` if only an input can bring work. May change
    /// after every `&mut` call.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let of_phase = match &self.phase {
            Phase::Offline | Phase::Dialing => None,
            Phase::Waiting { until_ms } => Some(*until_ms),
            Phase::Up(connection) => {
                let session = &connection.session;
                let stall = self.stall.next_deadline(connection::delays(session));
                let probe = self.idle_ping.next_deadline(session.path().srtt_ms());
                // Nothing new is sent on a connection that makes way for another one.
                let up = connection.replaced_at_ms().or_else(|| self.uplink.next_deadline(session));
                let down = self.downlink.next_deadline(session);
                let back = self.addresses.next_deadline();
                let alone = self.takeover.next_deadline(connection.since_ms);
                [session.next_deadline(), up, down, stall, probe, back, alone].into_iter().flatten().min()
            }
        };
        [of_phase, self.uplink.hand_timeout()].into_iter().flatten().min()
    }

    /// Sends the PUBACK for a message of [`Event::Message`], because the application has handled it.
    ///
    /// # Errors
    ///
    /// The connection on which the message came is gone, so that the hub will send it again.
    pub fn ack(&mut self, now: Now, handle: AckHandle, reason: ReasonCode) -> Result<(), StaleAck> {
        let Phase::Up(connection) = &mut self.phase else { return Err(StaleAck) };
        let answered = connection.session.ack(now.up_ms, handle, reason);
        self.turn(now);
        answered
    }

    /// Records that the application is responsible for a message of [`Event::Message`], and will [`ack`](Self::ack) it: at QoS 2 it comes again as
    /// [`Event::Repeated`], in the same session. Without this call it comes as a new message.
    pub fn take_in(&mut self, handle: AckHandle) {
        if let Phase::Up(connection) = &mut self.phase {
            connection.session.take_in(handle);
        }
    }

    /// Returns whether a message may come again: it came on another connection, or its answer has not left.
    pub fn may_come_again(&self, handle: AckHandle) -> bool {
        match &self.phase {
            Phase::Up(connection) => connection.session.may_come_again(handle),
            _ => true,
        }
    }

    /// Subscribes at the hub, now and in every later session.
    pub fn subscribe(&mut self, now: Now, filter: Utf8, qos: QoS) {
        self.subscribe_with(now, downlink::subscription(filter, qos));
    }

    /// Subscribes as [`subscribe`](Self::subscribe) does, with options of your own.
    pub fn subscribe_with(&mut self, now: Now, wanted: Subscription) {
        self.downlink.want(wanted);
        self.turn(now);
    }

    /// Subscribes once more to a filter of [`subscribe`](Self::subscribe), so that the hub sends its retained messages again. No message is
    /// missed meanwhile.
    pub fn renew(&mut self, now: Now, filter: &Utf8) {
        self.downlink.renew(filter);
        self.turn(now);
    }

    /// Unsubscribes a filter of [`subscribe`](Self::subscribe) at the hub, as soon as there is a connection.
    pub fn unsubscribe(&mut self, now: Now, filter: &Utf8) {
        self.downlink.unwant(filter);
        self.turn(now);
    }

    /// Returns whether the hub has not answered the UNSUBSCRIBE of a filter.
    pub fn is_unsubscribing(&self, filter: &Utf8) -> bool {
        self.downlink.unsubscribes.contains(filter)
    }

    /// Ends the link with a DISCONNECT (see [`will_at_stop`](LinkConfig::will_at_stop)). Every row that the hub has not acknowledged goes back
    /// to its place in the spool. The hub keeps the session, so that its messages are not lost.
    pub fn stop(&mut self, now: Now) {
        if let Phase::Up(connection) = &mut self.phase {
            let reason = match self.config.will_at_stop {
                true => ReasonCode::DISCONNECT_WITH_WILL,
                false => ReasonCode::NORMAL_DISCONNECTION,
            };
            connection.session.disconnect(now.up_ms, reason);
            self.is_stopping = true;
            self.turn(now);
            self.is_stopping = false;
        }
        self.phase = Phase::Offline;
        self.resume = None;
        self.uplink.give_back(now.up_ms, &mut self.spool);
        self.note();
    }

    /// Ends the connection, if there is one, and dials again. Messages without a PUBACK are sent again on the next connection.
    pub fn redial(&mut self, now: Now, why: &str) {
        if let Phase::Up(connection) = &mut self.phase {
            connection.break_off(now, why);
        }
        self.turn(now);
    }

    /// Replaces a connection that the hub has accepted by another one to the same address, such as one with another certificate. It ends with a
    /// DISCONNECT for which the hub keeps the session and publishes no will, as soon as nothing is unanswered on it, at the latest in `within_ms`;
    /// no new message is sent meanwhile. What is unanswered then is sent again on the next one.
    pub fn replace_connection(&mut self, now: Now, within_ms: u64, why: &str) {
        if let Phase::Up(connection) = &mut self.phase {
            connection.replace(now, within_ms, why);
        }
        self.turn(now);
    }

    /// Takes [`replace_connection`](Self::replace_connection) back if the connection has not ended: new messages are sent on it again.
    pub fn keep_connection(&mut self, now: Now) {
        if let Phase::Up(connection) = &mut self.phase {
            connection.keep();
        }
        self.turn(now);
    }

    /// Number of messages, by weight, that the hub has not acknowledged ([`Spool::undelivered`]); exact once the link has stopped.
    pub fn undelivered(&self) -> u64 {
        self.spool.undelivered()
    }

    /// Returns whether nothing is left to send or to be acknowledged, parked messages included.
    pub fn is_drained(&self) -> bool {
        self.uplink.unacknowledged() == 0 && self.uplink.pack.is_empty() && self.spool.undelivered() == 0
    }

    /// Returns whether the connection of the last [`Output::Hangup`] was given up as dead. Such a socket has to be reset, so that bytes still
    /// buffered by the system do not compete with the next connection, on which they are sent again.
    pub fn has_given_up(&self) -> bool {
        self.gave_up
    }

    /// The spool that rows are leased from.
    pub fn spool(&self) -> &S {
        &self.spool
    }

    /// The spool, to change it. After pushing rows call [`handle_input`](Self::handle_input) with [`Input::Rows`].
    pub fn spool_mut(&mut self) -> &mut S {
        &mut self.spool
    }

    /// The session of the present connection, for inspection; `None` without a connection.
    pub fn session(&self) -> Option<&session::Session> {
        match &self.phase {
            Phase::Up(connection) => Some(&connection.session),
            _ => None,
        }
    }

    /// Does everything that an input has made possible, such as sending, subscribing, parking and reporting.
    fn turn(&mut self, now: Now) {
        self.continue_operator_pass(now);
        let Phase::Up(connection) = &mut self.phase else {
            self.note();
            return;
        };
        let mut parts = connection::Parts {
            uplink: &mut self.uplink,
            downlink: &mut self.downlink,
            stall: &mut self.stall,
            idle_ping: &mut self.idle_ping,
            spool: &mut self.spool,
            stats: &mut self.stats,
            addresses: &mut self.addresses,
            out: &mut self.out,
        };
        let closed = connection.turn(now, &mut parts);
        if connection.accepted {
            self.takeover.on_lasting(now.up_ms.saturating_sub(connection.since_ms));
        }
        if let Some((closed, why)) = closed {
            self.connection_over(now, &closed, why);
        }
        self.note();
    }

    fn uplink_events(&mut self) {
        while let Some(event) = self.uplink.poll_event() {
            self.out.push_back(Output::Event(Event::Uplink(event)));
        }
    }
}

#[cfg(test)]
mod test_uplink;
