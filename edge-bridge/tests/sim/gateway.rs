//! The gateway: listener, ingest, model queue and bridge core, put together as a shell does it; and the taps at its two sides.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use edge_bridge::Row;
use edge_bridge::bridge::{Core, Event, Input, LinkConfig, LinkState, Output, RawPack, rules};
use edge_bridge::chain::{ConnectionId, Ticket};
use edge_bridge::ingest::{Answer, Inbound, Ingest, Now};
use edge_bridge::listener::{self, Listener};
use edge_bridge::session::{ClientConfig, Closed};
use edge_bridge::wire::{self, Packet, PropertyId, QoS, ReasonCode, Utf8, Version};

use crate::bug::{Bug, Mutator};
use crate::ctx::{Ctx, Due};
use crate::ledger::{Msg, Rule};
use crate::net::{End, LinkId};
use crate::queue::{Key, ModelQueue, Note};
use crate::tap::{LanTap, WanTap};

/// After an unclean start what sensors send may be a copy for so long.
const MARK_MS: u64 = 60_000;
/// Of the planted bug: without a byte from the hub.
const PATIENCE_MS: u64 = 4_000;
/// Bytes that a shell reads from a socket at a time.
pub(crate) const READ_BYTES: usize = 8 * 1024;

/// The application's part: every reading once, alarms in their lane.
#[derive(Debug)]
pub(crate) struct Readings {
    newest: HashMap<u16, u32>,
    deduplicates: bool,
    marks_until_ms: u64,
}

impl Ingest for Readings {
    fn ingest(&mut self, now: Now, message: &Inbound) -> Answer {
        let msg = Msg::of(&message.payload);
        let newest = self.newest.entry(msg.sensor).or_default();
        if self.deduplicates && msg.seq <= *newest {
            return Answer::Absorb;
        }
        *newest = msg.seq;
        let mut row = Row::new(message.topic.clone(), Bytes::copy_from_slice(&message.payload));
        row.retain = message.retain;
        row.properties =
            message.properties.without(&[PropertyId::TopicAlias, PropertyId::MessageExpiryInterval]);
        row.ttl_ms = message.properties.u32(PropertyId::MessageExpiryInterval).map(|s| u64::from(s) * 1_000);
        row.possible_duplicate = message.dup || now.up_ms < self.marks_until_ms;
        row.lane = Some(u8::from(!message.topic.contains("alarm")));
        Answer::Store(vec![row])
    }
}

struct Lan {
    connection: ConnectionId,
    version: Version,
    /// Arrived, not read: the socket's.
    socket: BytesMut,
    /// Buffer of a shell's read.
    buffer: BytesMut,
    /// The same bytes again, for the tap.
    copy: BytesMut,
    held: Option<Packet>,
    tap: LanTap,
}

/// Differences between gateways.
#[derive(Debug, Clone)]
pub(crate) struct GatewayConfig {
    pub(crate) deduplicates: bool,
    pub(crate) max_unacked_bytes: usize,
    pub(crate) identity: bool,
    pub(crate) max_in_flight: u16,
    /// QoS of the rule for commands.
    pub(crate) rule_qos: u8,
    /// Asked for by the application, beside the rule.
    pub(crate) own_filter: Option<(&'static str, QoS)>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            deduplicates: false,
            max_unacked_bytes: 1 << 20,
            identity: true,
            max_in_flight: u16::MAX,
            rule_qos: 1,
            own_filter: None,
        }
    }
}

pub(crate) struct Gateway {
    config: GatewayConfig,
    pub(crate) listener: Listener<Readings>,
    pub(crate) core: Core<ModelQueue, RawPack>,
    tickets: HashMap<Key, (Ticket, LinkId)>,
    lans: HashMap<LinkId, Lan>,
    links: HashMap<ConnectionId, LinkId>,
    wan: Option<LinkId>,
    /// Written, and not yet taken by the system.
    unsent: BytesMut,
    had_no_room: bool,
    /// Time at which bytes left a system that had been full.
    pub(crate) left_ms: u64,
    /// A connection was given up: which, and whether its bytes were still arriving.
    pub(crate) gave_up: Option<(LinkId, bool)>,
    /// By a planted bug: the patience, and the last byte from the hub.
    patience_ms: u64,
    heard_ms: u64,
    buffer: BytesMut,
    /// The same bytes again, for the tap.
    copy: BytesMut,
    mutator: Mutator,
    pub(crate) commands: u64,
    /// By a planted bug: refused filters asked for again.
    asked: u64,
    pub(crate) stalls: u64,
}

impl Gateway {
    pub(crate) fn new(ctx: &Ctx, config: GatewayConfig, queue: ModelQueue, clean: bool) -> Self {
        let mut client = ClientConfig::new(Utf8::from_static("gateway").unwrap());
        client.max_in_flight = config.max_in_flight;
        let mut link = LinkConfig::new(client);
        // Of each life its own, but for a planted bug.
        link.seed = if ctx.bug == Some(Bug::IdentifiersBeginAgain) { 0x9a7e } else { ctx.now_ms ^ 0x9a7e };
        let rule = format!("cmd/# in {}", config.rule_qos);
        link.rules = rules::Rules::new(vec![rules::Rule::parse(&rule).unwrap()]);
        let marks_until_ms = if clean { 0 } else { ctx.now_ms + MARK_MS };
        let ingest = Readings { newest: HashMap::new(), deduplicates: config.deduplicates, marks_until_ms };
        let mut settings = listener::Config::default();
        settings.max_unacked_bytes = config.max_unacked_bytes;
        Self {
            listener: Listener::new(settings, ingest),
            core: Core::new(link, queue, RawPack::new(config.identity)),
            config,
            tickets: HashMap::new(),
            lans: HashMap::new(),
            links: HashMap::new(),
            wan: None,
            unsent: BytesMut::new(),
            had_no_room: false,
            left_ms: 0,
            gave_up: None,
            patience_ms: PATIENCE_MS,
            heard_ms: 0,
            buffer: BytesMut::new(),
            copy: BytesMut::new(),
            mutator: Mutator::default(),
            commands: 0,
            asked: 0,
            stalls: 0,
        }
    }

    pub(crate) fn start(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        self.core.start(now(ctx));
        if let Some((filter, qos)) = self.config.own_filter {
            self.core.subscribe(core_now(ctx), Utf8::from_static(filter).unwrap(), qos);
        }
        self.run(ctx, wan);
    }

    /// The application asks for a filter, now and when it starts again.
    pub(crate) fn subscribe(&mut self, ctx: &mut Ctx, wan: &mut WanTap, filter: &'static str, qos: QoS) {
        self.config.own_filter = Some((filter, qos));
        self.core.subscribe(core_now(ctx), Utf8::from_static(filter).unwrap(), qos);
        self.run(ctx, wan);
    }

    /// Rows go back to their place, and the hub is told.
    pub(crate) fn stop_bridge(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        self.core.stop(now(ctx));
        ctx.dials += 1;
        self.run(ctx, wan);
        self.hang_up(ctx, wan);
        wan.forget();
        let leased = self.core.spool().leased;
        ctx.ledger.require(leased == 0, Rule::Lease, || format!("{leased} rows after the stop"));
    }

    /// Power off: what is left is the disk's.
    pub(crate) fn lose_power(mut self, ctx: &mut Ctx, wan: &mut WanTap) -> ModelQueue {
        let mut queue = std::mem::take(self.core.spool_mut());
        let unsure = wan.ended() + queue.unsaved() as u64;
        ctx.ledger.duplicates_allowed += unsure;
        ctx.dials += 1;
        wan.forget();
        queue.power_cut(&mut ctx.rng);
        let lost = ctx.ledger.owed.iter().find(|msg| !queue.is_durable(**msg)).copied();
        ctx.ledger.require(lost.is_none(), Rule::Lost, || format!("{lost:?} in a power cut"));
        queue
    }

    pub(crate) fn on_dialed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: Option<LinkId>) {
        let input = match link {
            Some(_) => Input::Dialed,
            None => Input::DialFailed("refused".to_owned()),
        };
        self.wan = link;
        self.heard_ms = ctx.now_ms;
        self.buffer.clear();
        self.copy.clear();
        self.mutator.reset();
        self.input(ctx, input);
        self.run(ctx, wan);
    }

    pub(crate) fn on_wan_bytes(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId, bytes: &Bytes) {
        self.heard_ms = ctx.now_ms;
        for slice in ctx.slices(bytes) {
            if self.wan != Some(link) {
                return;
            }
            match ctx.bug.filter(|bug| bug.is_forged()) {
                Some(bug) => {
                    let bytes = self.mutator.forger.received(bug, &slice, wan.unanswered() > 0);
                    wan.received(&slice, &mut ctx.ledger);
                    self.buffer.extend_from_slice(&bytes);
                    self.run(ctx, wan);
                }
                None => {
                    self.buffer.extend_from_slice(&slice);
                    self.copy.extend_from_slice(&slice);
                }
            }
            while !self.buffer.is_empty() {
                let before = self.buffer.len();
                let mut buffer = std::mem::take(&mut self.buffer);
                self.input(ctx, Input::Bytes(&mut buffer));
                self.buffer = buffer;
                let taken = before - self.buffer.len();
                let told = taken.min(self.copy.len());
                wan.received(&self.copy.split_to(told), &mut ctx.ledger);
                self.run(ctx, wan);
                if taken == 0 {
                    break;
                }
            }
        }
    }

    pub(crate) fn on_wan_closed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId) {
        if self.wan == Some(link) {
            self.input(ctx, Input::HungUp(None));
            self.run(ctx, wan);
        }
    }

    pub(crate) fn on_lan_dialed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId, version: Version) {
        let Some(connection) = self.listener.accept(now(ctx)) else { return };
        self.links.insert(connection, link);
        let tap = LanTap::new(version);
        let [socket, buffer, copy] = [BytesMut::new(), BytesMut::new(), BytesMut::new()];
        self.lans.insert(link, Lan { connection, version, socket, buffer, copy, held: None, tap });
        self.run(ctx, wan);
    }

    pub(crate) fn on_lan_bytes(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId, bytes: &Bytes) {
        for slice in ctx.slices(bytes) {
            let Some(lan) = self.lans.get_mut(&link) else { return };
            lan.socket.extend_from_slice(&slice);
            self.read(ctx, link);
            self.run(ctx, wan);
        }
    }

    pub(crate) fn on_lan_closed(&mut self, ctx: &mut Ctx, wan: &mut WanTap, link: LinkId) {
        if let Some(lan) = self.lans.get(&link) {
            self.listener.handle_closed(now(ctx), lan.connection);
            self.run(ctx, wan);
        }
    }

    pub(crate) fn poll_timeout(&self, ctx: &Ctx, wan: &WanTap) -> Option<u64> {
        let room = self.wan.filter(|_| self.had_no_room).and_then(|link| ctx.net.room_ms(ctx.now_ms, link));
        let core = self.core.poll_timeout().map(|at_ms| at_ms * core_scale(ctx));
        let impatient = self.impatient_ms(ctx, wan);
        let all = [core, room, impatient, self.listener.poll_timeout(), self.core.spool().poll_timeout()];
        all.into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        self.core.spool_mut().handle_timeout(ctx.now_ms);
        self.write(ctx);
        if self.impatient_ms(ctx, wan).is_some_and(|at_ms| at_ms <= ctx.now_ms) {
            self.patience_ms = (2 * self.patience_ms).min(16 * PATIENCE_MS);
            self.note_given_up(ctx);
            self.input(ctx, Input::HungUp(Some("impatient".to_owned())));
        }
        if self.core.poll_timeout().is_some_and(|at_ms| at_ms * core_scale(ctx) <= ctx.now_ms) {
            self.input(ctx, Input::Timeout);
        }
        self.listener.handle_timeout(now(ctx));
        self.run(ctx, wan);
    }

    pub(crate) fn link(&self, ctx: &Ctx) -> LinkState {
        if ctx.bug == Some(Bug::LinkLies) && self.core.session().is_some_and(|s| s.is_open()) {
            return LinkState::Flowing;
        }
        self.core.link()
    }

    pub(crate) fn queue(&self) -> &ModelQueue {
        self.core.spool()
    }

    /// Bytes and messages that sensors wait for.
    pub(crate) fn unacked_bytes(&self) -> usize {
        self.listener.stats().unacked_bytes
    }

    pub(crate) fn max_unacked_bytes(&self) -> usize {
        self.config.max_unacked_bytes
    }

    pub(crate) fn wan_link(&self) -> Option<LinkId> {
        self.wan
    }

    fn input(&mut self, ctx: &Ctx, input: Input<'_>) {
        self.core.spool_mut().now_ms = ctx.now_ms;
        self.core.handle_input(core_now(ctx), input);
    }

    /// Until nobody has anything more to say.
    fn run(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        loop {
            let mut moved = false;
            while let Some(output) = self.listener.poll_output() {
                self.on_listener(ctx, output);
                moved = true;
            }
            self.core.spool_mut().now_ms = ctx.now_ms;
            while let Some(output) = self.core.poll_output() {
                self.on_core(ctx, wan, output);
                moved = true;
            }
            for ack in std::mem::take(&mut self.mutator.forger.answers) {
                let mut bytes = BytesMut::new();
                wire::encode(&Packet::PubAck(ack), Version::V5, &mut bytes).unwrap();
                self.input(ctx, Input::Bytes(&mut bytes));
                moved = true;
            }
            for note in self.core.spool_mut().take_notes() {
                self.on_note(ctx, note);
                moved = true;
            }
            let refused = self.core.stats().refused_subscriptions.len() as u64;
            if ctx.bug == Some(Bug::SubscribeStorm) && refused > self.asked {
                self.asked = refused;
                let filter = Utf8::try_from(format!("cmd/{refused}")).unwrap();
                self.core.subscribe(core_now(ctx), filter, QoS::AtLeastOnce);
                moved = true;
            }
            let room = self.queue().has_room();
            if room != self.listener.has_room() {
                self.listener.set_room(now(ctx), room);
                moved = true;
            }
            moved |= self.read_on(ctx);
            if !moved {
                return;
            }
        }
    }

    /// Connections that were not read may be read now.
    fn read_on(&mut self, ctx: &mut Ctx) -> bool {
        let waits = |lan: &Lan| !lan.buffer.is_empty() || !lan.socket.is_empty();
        let mut waiting: Vec<_> = self.lans.iter().filter(|(_, l)| waits(l)).map(|(id, _)| *id).collect();
        waiting.sort_unstable();
        let mut moved = false;
        for link in waiting {
            moved |= self.read(ctx, link);
        }
        moved
    }

    /// Returns whether something was read.
    fn read(&mut self, ctx: &mut Ctx, link: LinkId) -> bool {
        let mut any = false;
        while let Some(lan) = self.lans.get_mut(&link)
            && (!lan.buffer.is_empty() || !lan.socket.is_empty())
            && (self.listener.may_read(lan.connection) || ctx.bug == Some(Bug::AlwaysReads))
        {
            let part = READ_BYTES.min(lan.socket.len());
            let part = lan.socket.split_to(part);
            lan.buffer.extend_from_slice(&part);
            lan.copy.extend_from_slice(&part);
            let before = lan.buffer.len();
            self.listener.handle_bytes(now(ctx), lan.connection, &mut lan.buffer);
            let taken = before - lan.buffer.len();
            lan.tap.read(&lan.copy.split_to(taken));
            if taken == 0 && part.is_empty() {
                break;
            }
            any = true;
        }
        any
    }

    fn on_listener(&mut self, ctx: &mut Ctx, output: listener::Output) {
        match output {
            listener::Output::Transmit { connection, bytes } => {
                let link = self.links[&connection];
                let lan = self.lans.get_mut(&link).unwrap();
                let bytes = Mutator::lan(ctx.bug, lan.version, bytes, &mut lan.held);
                for msg in lan.tap.wrote(&bytes, &mut ctx.ledger) {
                    ctx.ledger.on_receipt(msg, self.core.spool().is_durable(msg));
                }
                ctx.send(link, End::Far, Some(&bytes));
                self.listener.handle_written(now(ctx), connection, bytes.len());
            }
            listener::Output::Close { connection, .. } => {
                let link = self.links.remove(&connection).unwrap();
                self.lans.remove(&link);
                ctx.send(link, End::Far, None);
                if ctx.bug == Some(Bug::ReceiptAtClose) {
                    let gone: Vec<_> = self.tickets.values().filter(|t| t.1 == link).map(|t| t.0).collect();
                    gone.into_iter().for_each(|ticket| self.listener.resolve(now(ctx), ticket));
                }
            }
            listener::Output::Store { ticket, rows } => self.store(ctx, ticket, rows),
            listener::Output::Commit => self.core.spool_mut().want_commit(),
            listener::Output::Event(listener::Event::Disconnected {
                why: Closed::Violation(why), ..
            }) => {
                ctx.ledger.violate(Rule::Protocol, || format!("at the listener: {why}"));
            }
            _ => {}
        }
    }

    fn store(&mut self, ctx: &mut Ctx, ticket: Ticket, rows: Vec<Row>) {
        if !self.queue().has_room() {
            self.listener.handle_full(ticket, rows);
            return;
        }
        for row in rows {
            let msg = Msg::of(&row.payload);
            ctx.ledger.lives.begin(ctx.now_ms, msg, row.ttl_ms);
            let sensor = msg.sensor;
            let link = ctx.net.links(|kind| kind == crate::sensor::kind(sensor)).last().copied();
            let key = self.core.spool_mut().push(ctx.now_ms, row);
            self.tickets.insert(key, (ticket, link.unwrap_or(0)));
        }
        if ctx.bug == Some(Bug::ReceiptAtPush) {
            self.listener.resolve(now(ctx), ticket);
        }
        self.input(ctx, Input::Rows);
    }

    fn on_note(&mut self, ctx: &mut Ctx, note: Note) {
        match note {
            Note::Safe(key) => {
                if let Some((ticket, _)) = self.tickets.remove(&key) {
                    self.listener.resolve(now(ctx), ticket);
                }
            }
            Note::Acked(msg) => ctx.ledger.on_row_acked(msg),
            Note::Expired(msg) => ctx.ledger.on_row_expired(msg),
            Note::Settled(msg) => ctx.ledger.on_row_settled(msg),
            Note::Parked(msg, why, size) => ctx.ledger.on_row_parked(msg, why, size),
            Note::Gone(msg) => ctx.ledger.on_row_gone(msg),
        }
    }

    fn on_core(&mut self, ctx: &mut Ctx, wan: &mut WanTap, output: Output) {
        match output {
            Output::Dial => {
                ctx.dials += 1;
                ctx.at(2 * ctx.net.wan.latency_ms, Due::Dialed(ctx.dials));
            }
            Output::Transmit(bytes) => {
                if self.wan.is_none() {
                    return;
                }
                let bytes = self.mutator.wan(ctx.bug, bytes, wan.room());
                wan.sent(&bytes, &mut ctx.ledger);
                self.unsent.extend_from_slice(&bytes);
                if !self.had_no_room {
                    self.write(ctx);
                }
            }
            Output::Hangup => self.hang_up(ctx, wan),
            Output::Event(event) => self.on_event(ctx, wan, event),
        }
    }

    /// Gives the system what it takes.
    fn write(&mut self, ctx: &mut Ctx) {
        let Some(link) = self.wan else { return };
        let called = ctx.net.room_ms(ctx.now_ms, link).is_some_and(|at_ms| at_ms <= ctx.now_ms);
        if self.unsent.is_empty() || (self.had_no_room && !called) {
            return;
        }
        let room = ctx.net.room(ctx.now_ms, link);
        let bytes = self.unsent.split_to(room.min(self.unsent.len())).freeze();
        ctx.send(link, End::Near, Some(&bytes));
        let waited = std::mem::replace(&mut self.had_no_room, !self.unsent.is_empty());
        if waited {
            self.left_ms = ctx.now_ms;
        }
        self.input(ctx, Input::Written { bytes: bytes.len() as u64, waited });
    }

    /// By a planted bug: when the hub has been silent for too long.
    fn impatient_ms(&self, ctx: &Ctx, wan: &WanTap) -> Option<u64> {
        let since_ms = wan.waiting_since_ms.filter(|_| ctx.bug == Some(Bug::TransmissionIsSilence))?;
        self.wan.map(|_| since_ms.max(self.heard_ms) + self.patience_ms)
    }

    fn note_given_up(&mut self, ctx: &Ctx) {
        self.gave_up = self.wan.map(|link| (link, ctx.net.is_moving(ctx.now_ms, link)));
    }

    fn hang_up(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        (self.unsent, self.had_no_room) = (BytesMut::new(), false);
        if let Some(link) = self.wan.take() {
            if self.core.has_given_up() {
                ctx.net.reset(ctx.now_ms, link);
            }
            ctx.ledger.duplicates_allowed += wan.ended();
            ctx.send(link, End::Near, None);
        }
    }

    fn on_event(&mut self, ctx: &mut Ctx, wan: &WanTap, event: Event) {
        match event {
            Event::Message { ack, .. } => {
                self.commands += 1;
                // A connection that just ended: the hub sends it again.
                let _ = ack.map(|ack| self.core.ack(core_now(ctx), ack, ReasonCode::SUCCESS));
            }
            Event::Stalled => {
                self.stalls += 1;
                self.note_given_up(ctx);
            }
            Event::SessionLost { .. } => self.mutator.discarded.extend(&wan.lost),
            Event::Disconnected { reason, .. } if reason.contains("broke the protocol") && !ctx.hostile => {
                ctx.ledger.violate(Rule::Protocol, || format!("at the bridge: {reason}"));
            }
            _ => {}
        }
    }
}

/// Returns how much slower the core's clock goes.
fn core_scale(ctx: &Ctx) -> u64 {
    if ctx.bug == Some(Bug::DelayHidden) { 64 } else { 1 }
}

fn core_now(ctx: &Ctx) -> Now {
    Now { up_ms: ctx.now_ms / core_scale(ctx), wall_ms: 0 }
}

fn now(ctx: &Ctx) -> Now {
    Now { up_ms: ctx.now_ms, wall_ms: 0 }
}
