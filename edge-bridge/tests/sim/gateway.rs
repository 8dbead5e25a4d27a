//! The gateway: listener, ingest, model queue and bridge core, put together as a shell does it; and the taps at its two sides.

mod lan;
mod wan;

use std::collections::HashMap;

use bytes::BytesMut;
use edge_bridge::bridge::{Core, Input, LinkConfig, LinkState, RawPack, topic_rules};
use edge_bridge::ingest::Now;
use edge_bridge::listener::{self, Listener};
use edge_bridge::puback_chain::{ConnectionId, Ticket};
use edge_bridge::session::ClientConfig;
use edge_bridge::wire::{self, Packet, QoS, Utf8, Version};

use crate::bug::{Bug, Mutator};
use crate::ctx::Ctx;
use crate::ledger::Rule;
use crate::net::LinkId;
use crate::queue::{Key, ModelQueue, Note};
use crate::tap::{LanTap, WanTap};
pub(crate) use lan::READ_BYTES;
use lan::Readings;

/// After an unclean start what sensors send may be a copy for so long.
const MARK_MS: u64 = 60_000;
/// Of the planted bug: without a byte from the hub.
const PATIENCE_MS: u64 = 4_000;

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
    /// Of the readings of each sensor one in so many is of QoS 2; 0 = none.
    pub(crate) qos_2_one_in: Vec<u32>,
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
            qos_2_one_in: Vec::new(),
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
        let mut client = ClientConfig::new(Utf8::from_static("gateway"));
        client.max_in_flight = config.max_in_flight;
        let mut link = LinkConfig::new(client);
        // Of each life its own, but for a planted bug.
        link.seed = if ctx.bug == Some(Bug::IdentifiersBeginAgain) { 0x9a7e } else { ctx.now_ms ^ 0x9a7e };
        let rule = format!("cmd/# in {}", config.rule_qos);
        link.rules = topic_rules::Rules::new(vec![topic_rules::Rule::parse(&rule).unwrap()]);
        let marks_until_ms = if clean { 0 } else { ctx.now_ms + MARK_MS };
        let (deduplicates, qos_2_one_in) = (config.deduplicates, config.qos_2_one_in.clone());
        let ingest = Readings { newest: HashMap::new(), deduplicates, marks_until_ms, qos_2_one_in };
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
            self.core.subscribe(core_now(ctx), Utf8::from_static(filter), qos);
        }
        self.run(ctx, wan);
    }

    /// The application asks for a filter, now and when it starts again.
    pub(crate) fn subscribe(&mut self, ctx: &mut Ctx, wan: &mut WanTap, filter: &'static str, qos: QoS) {
        self.config.own_filter = Some((filter, qos));
        self.core.subscribe(core_now(ctx), Utf8::from_static(filter), qos);
        self.run(ctx, wan);
    }

    pub(crate) fn replace_connection(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        self.core.replace_connection(core_now(ctx), 10_000, "wanted");
        self.run(ctx, wan);
    }

    /// Rows go back to their place, and the hub is told.
    pub(crate) fn stop_bridge(&mut self, ctx: &mut Ctx, wan: &mut WanTap) {
        self.core.stop(now(ctx));
        ctx.dials += 1;
        self.run(ctx, wan);
        self.hang_up(ctx, wan);
        wan.forget();
        ctx.ledger.once.begin_life();
        let leased = self.core.spool().leased;
        ctx.ledger.require(leased == 0, Rule::Lease, || format!("{leased} rows after the stop"));
    }

    /// Power off: what is left is the disk's.
    pub(crate) fn lose_power(mut self, ctx: &mut Ctx, wan: &mut WanTap) -> ModelQueue {
        let mut queue = std::mem::take(self.core.spool_mut());
        let unsure = wan.ended(ctx.now_ms) + queue.unsaved() as u64;
        ctx.ledger.duplicates_allowed += unsure;
        ctx.dials += 1;
        wan.forget();
        ctx.ledger.once.begin_life();
        queue.power_cut(&mut ctx.rng);
        let lost = ctx.ledger.owed.iter().find(|msg| !queue.is_durable(**msg)).copied();
        ctx.ledger.require(lost.is_none(), Rule::Lost, || format!("{lost:?} in a power cut"));
        queue
    }

    pub(crate) fn next_deadline(&self, ctx: &Ctx, wan: &WanTap) -> Option<u64> {
        let room = self.wan.filter(|_| self.had_no_room).and_then(|link| ctx.net.room_ms(ctx.now_ms, link));
        let core = self.core.next_deadline().map(|at_ms| at_ms * core_scale(ctx));
        let impatient = self.impatient_ms(ctx, wan);
        let all = [core, room, impatient, self.listener.next_deadline(), self.core.spool().next_deadline()];
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
        if self.core.next_deadline().is_some_and(|at_ms| at_ms * core_scale(ctx) <= ctx.now_ms) {
            self.core.spool_mut().now_ms = ctx.now_ms;
            self.core.handle_timeout(core_now(ctx));
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
            for answer in std::mem::take(&mut self.mutator.forger.answers) {
                let mut bytes = BytesMut::new();
                wire::encode(&answer, Version::V5, &mut bytes).unwrap();
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
