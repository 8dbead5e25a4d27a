//! One MQTT connection as a state machine, as client or as server, MQTT 5.0 and 3.1.1. Bytes and time go in, bytes and events come out
//! (sans-IO: no socket, no clock, no thread).
//!
//! Promises: a PUBACK leaves only when the caller says so, in order of arrival; `Acked` follows only a PUBACK or PUBREC on this connection; messages
//! without an acknowledgement are returned by `into_resume`, [`SessionOutcome::Lost`] or [`Event::Unsendable`], never dropped silently; both
//! Receive Maximums and Maximum Packet Sizes hold also while a session is resumed; no input panics.
//!
//! Received messages of QoS 2 are completed (PUBREC, PUBCOMP), also over the end of a connection. A message whose PUBREC was written, or that
//! the caller [took in](Session::take_in), is delivered once, for as long as [`Resume`] is kept.
//! Published messages of QoS 2 are the peer's with its PUBREC, and completed (PUBREL, PUBCOMP) also over the end of a connection, for as long as
//! [`Resume`] is kept. Without it, after a restart, a message that the caller publishes again is a new one for the peer, so that it may come
//! twice; none is taken for a repeat of an earlier one, because identifiers that the peer may hold are released first.
//!
//! Not supported: extended authentication, which is refused with its own reason code.

#![deny(clippy::indexing_slicing)]

mod ack_handle;
mod answers;
mod bytes_in_transit;
mod error;
mod events;
mod handshake;
mod keep_alive;
mod oversized;
mod packet_id;
mod path_estimates;
mod qos2_releases;
mod receive;
mod receive_maximum;
mod received_messages;
mod requests;
mod send;
mod server_role;
mod session_doubt;
mod session_state;
#[cfg(feature = "testing")]
mod state_hash;
mod table_bytes;
mod timeout_extension;
mod timer;
mod token;
mod topic_alias;
mod traffic;
mod unacked_messages;
mod unreleased_qos2;

use std::collections::VecDeque;

pub use ack_handle::AckHandle;
pub use error::{PublishError, RequestError, StaleAck};
pub use events::{Closed, Connected, Event, Input, Output, SessionOutcome, Violation};
pub use handshake::{Accept, ClientConfig, ServerConfig, ServerLimits};
pub(crate) use path_estimates::Path;
#[cfg(feature = "net")]
pub(crate) use path_estimates::UNSENT_MAX;
pub(crate) use session_state::Memory;
pub use session_state::{InFlight, Resume};
pub use token::Token;
pub(crate) use traffic::Flow;
pub use traffic::Traffic;
pub(crate) use unreleased_qos2::SavedExchange;

use bytes_in_transit::{BytesInTransit, Wrote};
use keep_alive::KeepAlive;
use oversized::Oversized;
use received_messages::Arrivals;
use requests::Requests;
use session_doubt::Doubt;
use timeout_extension::Receiving;
use timer::{Timer, TimerTable};
use topic_alias::{InboundAliases, OutboundAliases};
use unacked_messages::UnackedMessages;

use crate::send_pieces::Pieces;
use crate::wire::{Ack, Connect, Limits, Packet, Publish, QoS, ReasonCode, Version};

/// Most packets that one [`Input::Bytes`] handles.
pub const PACKETS_PER_TURN: usize = 64;

/// State machine of one connection.
///
/// The caller
///
/// 1. makes one per network connection: [`client`](Self::client), which has CONNECT ready at once, or [`server`](Self::server);
/// 2. reports events by [`handle_input`](Self::handle_input), and makes requests: [`publish`](Self::publish), [`ack`](Self::ack),
///    [`subscribe`](Self::subscribe), … `now_ms` is any monotonic clock;
/// 3. calls [`poll_output`](Self::poll_output) after each of these until it returns `None`, and performs each action;
/// 4. calls [`handle_timeout`](Self::handle_timeout) at [`next_deadline`](Self::next_deadline), if nothing else happens before;
/// 5. after [`Event::Closed`] writes the remaining bytes, closes the network connection, and keeps [`into_resume`](Self::into_resume) for the
///    next.
#[derive(Debug, Clone)]
pub struct Session {
    role: Role,
    phase: Phase,
    version: Version,
    /// Limits of the decoder, which are smaller before CONNECT.
    limits: Limits,
    /// Largest packet that the peer accepts, in bytes.
    peer_packet_max: u32,
    timers: TimerTable,
    keep_alive: KeepAlive,
    transit: BytesInTransit,
    path: Path,
    receiving: Receiving,
    /// Time and position of the CONNECT that this client wrote.
    connect: Wrote,
    outbound: UnackedMessages,
    cap: Option<u16>,
    doubt: Doubt,
    packets_per_turn: usize,
    arrivals: Arrivals,
    requests: Requests,
    oversized: Option<Oversized>,
    /// Messages that came before CONNACK, to be handled after it.
    early: Vec<Publish>,
    aliases_in: InboundAliases,
    aliases_out: OutboundAliases,
    out: Pieces,
    events: VecDeque<Event>,
    traffic: Traffic,
    flow: Flow,
    /// Bytes of packets other than PUBLISH written so far.
    answered: u64,
}

#[derive(Debug, Clone)]
enum Role {
    Client { config: Box<ClientConfig>, has_session: bool, server: Option<ServerLimits> },
    Server { config: Box<ServerConfig>, asked_for_session: bool },
}

#[derive(Debug, Clone)]
enum Phase {
    /// Server: no packet has come yet.
    AwaitConnect,
    /// Server: CONNECT has come, and the caller has to accept or refuse it.
    AwaitDecision(Box<Connect>),
    /// Client: CONNECT was sent.
    AwaitConnAck,
    Open,
    Closed,
}

impl Session {
    /// Begins a client's connection, right after the network connection was made. `epoch` must differ from that of every earlier connection of
    /// this client, so that old [`AckHandle`]s are recognised. `resume` is the state that the last connection left; `None` if this client has
    /// no session (a first start).
    pub fn client(now_ms: u64, epoch: u64, config: ClientConfig, resume: Option<Resume>) -> Self {
        let mut session = Self::new(epoch, config.version, config.limits, config.ping_timeout_ms);
        session.arrivals = Arrivals::new(epoch, config.most_unacknowledged());
        session.aliases_in = InboundAliases::new(config.topic_alias_maximum);
        let has_session = resume.is_some();
        let mut resume = resume.unwrap_or_else(|| Resume::beginning_at(config.first_packet_id));
        session.doubt = Doubt::at_connect(resume.is_doubtful);
        session.arrivals.resume(std::mem::take(&mut resume.received));
        session.outbound = UnackedMessages::new(resume, 1);
        session.outbound.is_up_to_date(now_ms);
        session.timers.set(Timer::Handshake, now_ms + config.handshake_timeout_ms);
        session.phase = Phase::AwaitConnAck;
        let connect = Packet::Connect(Box::new(config.to_connect()));
        session.role = Role::Client { config: Box::new(config), has_session, server: None };
        if session.write(now_ms, &connect).is_err() {
            // A will or password that no CONNECT can carry.
            session.end(Closed::Local(ReasonCode::MALFORMED_PACKET));
        }
        session.connect = Wrote::last(now_ms, &session.transit);
        session
    }

    /// Makes the server's side of a connection that was just accepted. For `epoch` see [`client`](Self::client).
    pub fn server(now_ms: u64, epoch: u64, config: ServerConfig) -> Self {
        let first =
            config.limits.with_max_packet_size(config.connect_size_max.min(config.limits.max_packet_size));
        let mut session = Self::new(epoch, Version::V5, first, 0);
        session.timers.set(Timer::Handshake, now_ms + config.handshake_timeout_ms);
        session.role = Role::Server { config: Box::new(config), asked_for_session: false };
        session
    }

    fn new(epoch: u64, version: Version, limits: Limits, ping_timeout_ms: u64) -> Self {
        Self {
            role: Role::Server { config: Box::default(), asked_for_session: false },
            phase: Phase::AwaitConnect,
            version,
            limits,
            peer_packet_max: u32::MAX,
            timers: TimerTable::default(),
            keep_alive: KeepAlive::new(ping_timeout_ms),
            transit: BytesInTransit::default(),
            path: Path::default(),
            receiving: Receiving::default(),
            connect: Wrote::default(),
            outbound: UnackedMessages::new(Resume::new(), 1),
            cap: None,
            doubt: Doubt::default(),
            packets_per_turn: PACKETS_PER_TURN,
            arrivals: Arrivals::new(epoch, 1),
            requests: Requests::default(),
            oversized: None,
            early: Vec::new(),
            aliases_in: InboundAliases::new(0),
            aliases_out: OutboundAliases::new(0),
            out: Pieces::default(),
            events: VecDeque::new(),
            traffic: Traffic::default(),
            flow: Flow::default(),
            answered: 0,
        }
    }

    /// Takes received bytes, or a change of the network connection.
    pub fn handle_input(&mut self, now_ms: u64, input: Input<'_>) {
        match input {
            Input::Bytes(buffer) => self.receive(now_ms, buffer),
            Input::Written { bytes, waited } => self.on_written(now_ms, bytes, waited),
            Input::Closed => self.end(Closed::Transport),
        }
    }

    /// Sets a bound below [`PACKETS_PER_TURN`] on the packets that one [`Input::Bytes`] handles.
    pub(crate) fn set_packets_per_turn(&mut self, packets: usize) {
        self.packets_per_turn = packets.clamp(1, PACKETS_PER_TURN);
    }

    /// Takes the next action for the caller; call until `None`. More may come after every other `&mut` call.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(bytes) = self.out.pop() {
            return Some(Output::Transmit(bytes));
        }
        self.events.pop_front().map(Output::Event)
    }

    /// Time at which to call [`handle_timeout`](Self::handle_timeout), in the caller's milliseconds; `None` if no timer runs. May change after
    /// every `&mut` call.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    /// Acknowledges a received message. Its PUBACK leaves as soon as all earlier messages are acknowledged too. In 3.1.1, which has no
    /// reasons, `reason` is not sent.
    pub fn ack(&mut self, now_ms: u64, handle: AckHandle, reason: ReasonCode) -> Result<(), StaleAck> {
        if !matches!(self.phase, Phase::Open) || !self.arrivals.answer(handle, reason) {
            return Err(StaleAck);
        }
        while let Some(answer) = self.arrivals.next_answer(self.version == Version::V311) {
            let ack = Ack::new(answer.id, answer.reason);
            let packet = if answer.qos2 { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
            self.write_small(now_ms, &packet);
        }
        Ok(())
    }

    /// Records that the caller is now responsible for a received message. If the connection ends before the PUBREC of a QoS 2 message, it comes
    /// again in the same session as [`Event::Repeated`]. Without this call, and always at QoS 1, it comes as a new message.
    pub fn take_in(&mut self, handle: AckHandle) {
        self.arrivals.take_in(handle, None);
    }

    /// Returns whether a received message may come again in this session: it came on another connection, or its answer has not left.
    pub fn may_come_again(&self, handle: AckHandle) -> bool {
        self.arrivals.may_come_again(handle)
    }

    /// Limits the messages of QoS 1 and 2 in flight on this connection, resumed ones included, below the peer's Receive Maximum; `None` removes the
    /// limit.
    pub fn limit_in_flight(&mut self, now_ms: u64, limit: Option<u16>) {
        self.cap = limit;
        self.outbound.set_cap(limit);
        if self.is_open() {
            self.resend(now_ms);
        }
    }

    /// Client: sends PINGREQ, unless one is still unanswered.
    pub fn ping(&mut self, now_ms: u64) {
        if matches!(self.phase, Phase::Open) && self.keep_alive.may_ping() {
            self.write_small(now_ms, &Packet::PingReq);
            self.keep_alive.on_ping(now_ms, Wrote::last(now_ms, &self.transit), &mut self.timers);
        }
    }

    /// Ends the connection. The peer gets the reason if its version allows: in 3.1.1 a client sends DISCONNECT only for
    /// [`ReasonCode::NORMAL_DISCONNECTION`] (any DISCONNECT discards the will there), and a server just closes.
    pub fn disconnect(&mut self, now_ms: u64, reason: ReasonCode) {
        if matches!(self.phase, Phase::Open) {
            self.tell(now_ms, reason);
        }
        self.end(Closed::Local(reason));
    }

    /// Returns whether there is a session to resume, because this client brought one or the server accepted this connection.
    pub fn had_session(&self) -> bool {
        match &self.role {
            Role::Client { has_session, server, .. } => *has_session || server.is_some(),
            Role::Server { .. } => true,
        }
    }

    /// Takes out the state that outlives the connection.
    #[must_use]
    pub fn into_resume(self) -> Resume {
        let resume = self.outbound.into_resume(self.arrivals.into_received(), self.transit.arrived());
        Resume { is_doubtful: self.doubt.at_end(), ..resume }
    }

    /// Returns whether the handshake is done and the connection not over.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Returns whether the connection is over.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// MQTT version of the connection; a server knows it from CONNECT on.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Number of QoS 1 messages that can be published now.
    pub fn room(&self) -> u16 {
        self.room_for(QoS::AtLeastOnce)
    }

    /// Number of messages of a QoS above 0 that can be published now. At most 256 messages of QoS 2 can be uncompleted.
    pub(crate) fn room_for(&self, qos: QoS) -> u16 {
        if self.is_open() { self.outbound.room_for(qos) } else { 0 }
    }

    /// Most messages of QoS 1 and 2 that may be unacknowledged at the peer, or not completed.
    pub fn window(&self) -> u16 {
        self.outbound.window().limit()
    }

    /// Number of published messages without an answer, including resumed ones that wait to be resent.
    pub fn in_flight(&self) -> usize {
        self.outbound.len()
    }

    /// Memory of unanswered messages, in both directions, and of the peer's aliases.
    pub(crate) fn memory(&self) -> Memory {
        let mut memory = self.outbound.memory();
        memory.own += self.aliases_in.bytes() + self.arrivals.bytes();
        memory
    }

    /// Bytes to transmit that [`poll_output`](Self::poll_output) has not returned yet.
    pub(crate) fn unsent(&self) -> Memory {
        Memory { own: self.out.len() - self.out.shared(), payloads: self.out.shared() }
    }

    /// Returns whether the next output is the payload of a message, shared with the caller of [`publish`](Self::publish) and not copied.
    pub(crate) fn next_is_payload(&self) -> bool {
        self.out.starts_shared()
    }

    /// Number of published messages without an answer, or not completed, that were written on this connection; never above
    /// [`window`](Self::window).
    pub fn in_flight_here(&self) -> u16 {
        self.outbound.window().used()
    }

    /// Number of received messages without an answer.
    pub fn unacknowledged(&self) -> usize {
        self.arrivals.unacknowledged()
    }

    /// Client: limits of the server; `None` before CONNACK.
    pub fn server_limits(&self) -> Option<&ServerLimits> {
        match &self.role {
            Role::Client { server, .. } => server.as_ref(),
            Role::Server { .. } => None,
        }
    }

    /// Size of the largest packet that the peer takes, in bytes.
    pub fn peer_packet_max(&self) -> u32 {
        self.peer_packet_max
    }

    /// Ends the connection with its last event. Later calls change nothing.
    fn end(&mut self, closed: Closed) {
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        self.phase = Phase::Closed;
        self.timers.stop_all();
        self.events.push_back(Event::Closed(closed));
    }
}

/// Returns the limit to enforce on a peer. 3.1.1 has no Receive Maximum, so there the limit is the number of packet identifiers, and only
/// back-pressure bounds the messages.
fn receive_maximum(version: Version, announced: u16) -> u16 {
    if version == Version::V5 { announced } else { u16::MAX }
}
