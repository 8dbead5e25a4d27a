//! The hub: a server-role session with every habit that a broker in the field has been seen to have.

mod answers;
mod exactly_once;

use std::collections::{HashMap, VecDeque};

use bytes::{Bytes, BytesMut};
use edge_bridge::session::{
    Accept, AckHandle, Closed, Event, Input, Output, Resume, ServerConfig, Session, Violation,
};
use edge_bridge::wire::{Connect, PacketId, Publish, ReasonCode};

use crate::ctx::Ctx;
use crate::downlink::Filters;
use crate::late_answers::LateAnswers;
use crate::ledger::{Msg, Rule};
use crate::limits::plain_size;
use crate::net::{End, LinkId};
pub(crate) use answers::{Late, Unanswered};
use exactly_once::{ExactlyOnce, Incoming, Part};

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) session: Session,
    buffer: BytesMut,
    incoming: Incoming,
    /// Life of the client that made it.
    life: u64,
    /// Time at which it is thrown out.
    kick_ms: Option<u64>,
}

/// A PUBLISH that was taken in and not answered.
#[derive(Debug)]
struct Pending {
    due_ms: u64,
    link: LinkId,
    /// `None` at QoS 2.
    ack: Option<AckHandle>,
    id: PacketId,
    msg: Msg,
    reason: ReasonCode,
    /// Another message was taken under its identifier.
    is_dropped: bool,
}

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) up: bool,
    pub(crate) refuses: Option<ReasonCode>,
    pub(crate) kicks_ms: Option<u64>,
    pub(crate) receive_maximum: u16,
    pub(crate) max_packet: u32,
    pub(crate) keep_alive_s: Option<u16>,
    pub(crate) aliases: u16,
    pub(crate) withholds: bool,
    pub(crate) ack_delay_ms: u64,
    pub(crate) errors: (u64, ReasonCode),
    pub(crate) hostile_one_in: u64,
    /// Messages of this sensor are refused.
    pub(crate) refused_sensor: Option<(u16, ReasonCode)>,
    /// The connection is closed at messages of this sensor whose number is a multiple.
    pub(crate) poison: Option<(u16, u32)>,
    pub(crate) refuses_filters: bool,
    /// Messages that are never answered on the connection on which they come: one in so many.
    pub(crate) passes_over_one_in: u64,
    /// Payload bytes from which on a message is refused as too large, and the connection closed.
    pub(crate) too_large: Option<usize>,
    pub(crate) retain_available: bool,
    pub(crate) maximum_qos: u8,
    pub(crate) exactly_once: ExactlyOnce,
    /// The last PUBLISH of each sensor.
    last: HashMap<u16, Publish>,
    /// Times at which filters were asked for that were refused.
    asked_ms: VecDeque<u64>,
    pub(crate) filters: Filters,
    pub(crate) late_answers: LateAnswers,
    pub(crate) connections: HashMap<LinkId, Connection>,
    pub(crate) current: Option<LinkId>,
    resume: Option<Resume>,
    pending: VecDeque<Pending>,
    /// Taken in on this connection, not to be answered on it.
    passed_over: Vec<(LinkId, Unanswered)>,
    unanswered: Vec<Unanswered>,
    late: VecDeque<Late>,
    epoch: u64,
    pub(crate) subscribes: u64,
    pub(crate) connects: u64,
    pub(crate) commands: u64,
    pub(crate) commands_done: u64,
    taken: u64,
    /// It answered what its session does not know of.
    invented: bool,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            up: true,
            refuses: None,
            kicks_ms: None,
            receive_maximum: 1000,
            max_packet: 1 << 20,
            keep_alive_s: None,
            aliases: 16,
            withholds: false,
            ack_delay_ms: 2,
            errors: (0, ReasonCode::SUCCESS),
            hostile_one_in: 0,
            refused_sensor: None,
            poison: None,
            refuses_filters: false,
            passes_over_one_in: 0,
            too_large: None,
            retain_available: true,
            maximum_qos: 2,
            exactly_once: ExactlyOnce::default(),
            last: HashMap::new(),
            asked_ms: VecDeque::new(),
            filters: Filters::default(),
            late_answers: LateAnswers::default(),
            connections: HashMap::new(),
            current: None,
            resume: None,
            pending: VecDeque::new(),
            passed_over: Vec::new(),
            unanswered: Vec::new(),
            late: VecDeque::new(),
            epoch: 0,
            subscribes: 0,
            connects: 0,
            commands: 0,
            commands_done: 0,
            taken: 0,
            invented: false,
        }
    }
}

impl Hub {
    pub(crate) fn on_dialed(&mut self, ctx: &mut Ctx, link: LinkId) {
        let mut config = ServerConfig::default();
        config.receive_maximum = self.receive_maximum;
        config.limits = config.limits.with_max_packet_size(self.max_packet);
        config.topic_alias_maximum = self.aliases;
        config.retain_available = self.retain_available;
        self.epoch += 1;
        let session = Session::server(ctx.now_ms, self.epoch, config);
        let (buffer, incoming, life) = (BytesMut::new(), Incoming::default(), ctx.ledger.once.life);
        self.connections.insert(link, Connection { session, buffer, incoming, life, kick_ms: None });
    }

    pub(crate) fn on_bytes(&mut self, ctx: &mut Ctx, link: LinkId, bytes: &Bytes) {
        for slice in ctx.slices(bytes) {
            let Some(connection) = self.connections.get_mut(&link) else { return };
            connection.incoming.add(&slice);
            while let Some(connection) = self.connections.get_mut(&link)
                && let Some(part) = connection.incoming.next()
            {
                match part {
                    Part::Bytes(bytes) => self.on_packet(ctx, link, &bytes),
                    Part::Release(id) => self.on_release(ctx, link, id),
                }
            }
        }
    }

    fn on_packet(&mut self, ctx: &mut Ctx, link: LinkId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        connection.buffer.extend_from_slice(bytes);
        while let Some(connection) = self.connections.get_mut(&link) {
            let before = connection.buffer.len();
            connection.session.handle_input(ctx.now_ms, Input::Bytes(&mut connection.buffer));
            let after = connection.buffer.len();
            self.drain(ctx, link);
            if after == before || after == 0 {
                return;
            }
        }
    }

    pub(crate) fn on_closed(&mut self, ctx: &mut Ctx, link: LinkId) {
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.session.handle_input(ctx.now_ms, Input::Closed);
            self.drain(ctx, link);
        }
    }

    /// Stops: connections are gone, and what was not acknowledged.
    pub(crate) fn stop(&mut self, ctx: &mut Ctx) {
        self.up = false;
        for link in self.links() {
            self.on_closed(ctx, link);
        }
        self.unanswered.clear();
    }

    pub(crate) fn start(&mut self, keeps_session: bool) {
        if !keeps_session {
            self.lose_session();
        }
        self.up = true;
    }

    /// The session is gone, as after a restart without persistence.
    pub(crate) fn lose_session(&mut self) {
        self.resume = None;
        if self.current.is_none() {
            self.filters = Filters::default();
        }
        self.commands_done = self.commands;
        self.unanswered.clear();
    }

    /// The client lost its session: its identifiers mean other messages now.
    pub(crate) fn client_restarted(&mut self) {
        self.unanswered.clear();
        self.late.clear();
        self.late_answers.client_restarted();
    }

    pub(crate) fn garbage(&mut self, ctx: &mut Ctx) {
        if let Some(link) = self.current {
            ctx.hostile = true;
            ctx.send(link, End::Far, Some(&Bytes::from_static(&[0xf3, 0xff, 0xff, 0xff, 0xff, 0x01])));
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let sessions = self.connections.values().filter_map(|c| c.session.next_deadline());
        let kicks = self.connections.values().filter_map(|c| c.kick_ms);
        let acks = self.pending.front().filter(|_| !self.withholds).map(|p| p.due_ms);
        let late = self.late.front().map(|late| late.due_ms);
        let completions = self.exactly_once.next_deadline().filter(|_| !self.withholds);
        sessions.chain(kicks).chain(acks).chain(late).chain(completions).min()
    }

    pub(crate) fn handle_timeout(&mut self, ctx: &mut Ctx) {
        let now_ms = ctx.now_ms;
        while !self.withholds
            && self.pending.front().is_some_and(|p| p.due_ms <= now_ms)
            && let Some(pending) = self.pending.pop_front()
        {
            self.answer(ctx, &pending);
        }
        self.complete_due(ctx);
        while self.late.front().is_some_and(|late| late.due_ms <= now_ms)
            && let Some(late) = self.late.pop_front()
        {
            self.answer_late(ctx, &late);
        }
        for link in self.links() {
            let Some(connection) = self.connections.get_mut(&link) else { continue };
            if connection.session.next_deadline().is_some_and(|at_ms| at_ms <= now_ms) {
                connection.session.handle_timeout(now_ms);
            }
            if connection.kick_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                connection.kick_ms = None;
                connection.session.disconnect(now_ms, ReasonCode::SERVER_BUSY);
            }
            self.drain(ctx, link);
        }
    }

    /// Returns whether it has messages of this connection that it has not answered.
    pub(crate) fn owes(&self, link: LinkId) -> bool {
        let passed_over = self.passed_over.iter().map(|passed| passed.0);
        let pending = self.pending.iter().map(|pending| pending.link);
        pending.chain(passed_over).any(|owed| owed == link) || self.exactly_once.owes(link)
    }

    fn links(&self) -> Vec<LinkId> {
        let mut links: Vec<_> = self.connections.keys().copied().collect();
        links.sort_unstable();
        links
    }

    pub(crate) fn drain(&mut self, ctx: &mut Ctx, link: LinkId) {
        loop {
            let Some(connection) = self.connections.get_mut(&link) else { return };
            match connection.session.poll_output() {
                None => return,
                Some(Output::Transmit(bytes)) => {
                    let bytes = self.without_passed_over(link, self.with_maximum_qos(bytes));
                    ctx.send(link, End::Far, Some(&bytes));
                }
                Some(Output::Event(Event::Closed(why))) => self.closed(ctx, link, &why),
                Some(Output::Event(event)) => self.on_event(ctx, link, event),
            }
        }
    }

    /// From the next connection on it takes what is as large as this sensor's last message, and no more.
    pub(crate) fn takes_as_much_as(&mut self, sensor: u16) {
        let size = self.last.get(&sensor).map(|publish| u32::try_from(plain_size(publish)).unwrap());
        self.max_packet = size.unwrap_or(self.max_packet);
    }

    fn on_event(&mut self, ctx: &mut Ctx, link: LinkId, event: Event) {
        match event {
            Event::Connect(connect) => self.on_connect(ctx, link, &connect),
            Event::Publish { publish, ack: Some(ack) } => {
                self.on_publish(ctx, link, &publish, Some(ack));
            }
            Event::Publish { publish, ack: None } => self.on_publish_at_qos_2(ctx, link, publish),
            Event::Subscribe(subscribe) => {
                self.subscribes += 1;
                if self.refuses_filters {
                    self.asked_ms.push_back(ctx.now_ms);
                    self.asked_ms.retain(|at_ms| at_ms + 10_000 > ctx.now_ms);
                    let asked = self.asked_ms.len();
                    ctx.ledger.require(asked <= 40, Rule::SubscribeRate, || format!("{asked} in 10 s"));
                }
                let reasons = match self.refuses_filters {
                    true => vec![ReasonCode::NOT_AUTHORIZED; subscribe.filters.len()],
                    false => self.filters.grant(&subscribe.filters),
                };
                let connection = self.connections.get_mut(&link).unwrap();
                connection.session.suback(ctx.now_ms, subscribe.packet_id, reasons);
            }
            Event::Acked { .. } => self.commands_done += 1,
            _ => {}
        }
    }

    fn on_connect(&mut self, ctx: &mut Ctx, link: LinkId, connect: &Connect) {
        if let Some(reason) = self.refuses {
            self.connections.get_mut(&link).unwrap().session.refuse(ctx.now_ms, reason);
            return;
        }
        if let Some(old) = self.current.take()
            && let Some(connection) = self.connections.get_mut(&old)
        {
            connection.session.disconnect(ctx.now_ms, ReasonCode::SESSION_TAKEN_OVER);
            self.drain(ctx, old);
        }
        self.current = Some(link);
        self.connects += 1;
        let mut accept = Accept::default();
        accept.resume = self.resume.take().filter(|_| !connect.clean_start);
        accept.keep_alive_s = self.keep_alive_s;
        let resumed = accept.resume.is_some();
        if !resumed {
            self.filters = Filters::default();
        }
        self.resume_identifiers(ctx, resumed);
        let connection = self.connections.get_mut(&link).unwrap();
        connection.kick_ms = self.kicks_ms.map(|ms| ctx.now_ms + ms);
        connection.session.accept(ctx.now_ms, accept);
        self.send_waiting_commands(ctx, link);
        let unanswered = std::mem::take(&mut self.unanswered);
        if resumed {
            self.late_answers.on_resumed(ctx, &unanswered);
        }
        if resumed && self.hostile_one_in > 0 {
            let at_ms = ctx.now_ms + ctx.rng.between(0, 800);
            self.late.extend(unanswered.into_iter().map(|Unanswered { id, msg, is_at_qos_2 }| Late {
                due_ms: at_ms,
                link,
                id,
                msg: Some(msg),
                is_at_qos_2,
            }));
            self.late.make_contiguous().sort_by_key(|late| late.due_ms);
        }
    }

    fn closed(&mut self, ctx: &mut Ctx, link: LinkId, why: &Closed) {
        let connection = self.connections.remove(&link).unwrap();
        // The session does not know of the answers that this hub invents; the tap counts them.
        let invented = self.invented && *why == Closed::Violation(Violation::ReceiveMaximumExceeded);
        if let (Closed::Violation(violation), false) = (why, invented) {
            ctx.ledger.violate(Rule::Protocol, || format!("at the hub: {violation}"));
        }
        ctx.send(link, End::Far, None);
        let passed_over = self.passed_over.extract_if(.., |passed| passed.0 == link);
        self.unanswered.extend(passed_over.map(|(_, unanswered)| unanswered));
        let pending = self.take_pending(link).into_iter().filter(|pending| !pending.is_dropped);
        self.unanswered.extend(pending.map(|pending| pending.unanswered()));
        self.exactly_once.closed(link);
        if self.current == Some(link) {
            self.current = None;
            self.resume = Some(connection.session.into_resume());
        }
    }
}
