//! The clock and the heap. One event at a time: what it means, then the rules.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use bytes::Bytes;
use edge_bridge::bridge::LinkState;
use edge_bridge::wire::ReasonCode;

use crate::bug::Bug;
use crate::fault::Fault;
use crate::gateway::{Gateway, GatewayConfig, READ_BYTES};
use crate::hub::Hub;
use crate::ledger::{Ledger, Rule, Violation};
use crate::net::{Arrival, End, Kind, LinkId, Net};
use crate::queue::ModelQueue;
use crate::rng::Rng;
use crate::sensor::{Sensor, SensorConfig};
use crate::tap::WanTap;

/// Events of one run at most.
const STEPS_MAX: u64 = 5_000_000;
/// Events without time passing.
const STEPS_AT_ONCE: u64 = 20_000;
/// What may be unacknowledged upstream, in bytes: the core's limit, and one message.
const WINDOW_MAX: usize = 4 * 1024 * 1024 + 300_000;

#[derive(Debug)]
pub(crate) enum Due {
    Arrival(Arrival),
    Wake(Node),
    Fault(Fault),
    /// The attempt of this number; an older one was given up.
    Dialed(u64),
    PowerOn,
    BridgeStart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Gateway,
    Hub,
    Sensor(u16),
}

#[derive(Debug)]
struct Item {
    at_ms: u64,
    serial: u64,
    due: Due,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}
impl Eq for Item {}
impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.serial).cmp(&(other.at_ms, other.serial))
    }
}

/// What every part may use.
pub(crate) struct Ctx {
    pub(crate) now_ms: u64,
    pub(crate) net: Net,
    pub(crate) ledger: Ledger,
    pub(crate) rng: Rng,
    pub(crate) bug: Option<Bug>,
    /// The hub was told to break the protocol.
    pub(crate) hostile: bool,
    /// Arrivals are handed on in slices of so many bytes; 0 = as they come.
    pub(crate) slice: usize,
    pub(crate) smallest_packet_max: u32,
    /// Payload sizes by sensor.
    pub(crate) sizes: HashMap<u16, usize>,
    /// Attempts of the gateway to reach the hub.
    pub(crate) dials: u64,
    heap: BinaryHeap<Reverse<Item>>,
    serial: u64,
}

impl Ctx {
    pub(crate) fn at(&mut self, in_ms: u64, due: Due) {
        self.push(self.now_ms + in_ms, due);
    }

    pub(crate) fn send(&mut self, link: LinkId, from: End, bytes: Option<&Bytes>) {
        let mut arrivals = Vec::new();
        self.net.send(self.now_ms, link, from, bytes, &mut arrivals);
        for arrival in arrivals {
            self.push(arrival.at_ms, Due::Arrival(arrival));
        }
    }

    pub(crate) fn slices(&self, bytes: &Bytes) -> Vec<Bytes> {
        if self.slice == 0 {
            return vec![bytes.clone()];
        }
        bytes.chunks(self.slice).map(|slice| bytes.slice_ref(slice)).collect()
    }

    fn push(&mut self, at_ms: u64, due: Due) {
        self.serial += 1;
        self.heap.push(Reverse(Item { at_ms, serial: self.serial, due }));
    }
}

pub(crate) struct World {
    pub(crate) ctx: Ctx,
    pub(crate) config: GatewayConfig,
    pub(crate) gateway: Option<Gateway>,
    /// What is on it while the gateway is off.
    disk: Option<ModelQueue>,
    pub(crate) hub: Hub,
    pub(crate) sensors: Vec<Sensor>,
    pub(crate) wan: WanTap,
    /// When each node will be woken.
    wakes: HashMap<Node, u64>,
    steps: u64,
    steps_at_once: u64,
    /// For stories: how long the link was in which state.
    pub(crate) states: HashMap<&'static str, u64>,
    pub(crate) stalls: u64,
    queue_max: usize,
}

impl World {
    pub(crate) fn new(seed: u64, config: GatewayConfig, sensors: &[SensorConfig]) -> Self {
        Self::with_bug(seed, config, sensors, None)
    }

    pub(crate) fn with_bug(
        seed: u64,
        config: GatewayConfig,
        sensors: &[SensorConfig],
        bug: Option<Bug>,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let net = Net::new(Rng::new(rng.next()));
        let sizes = sensors.iter().zip(0..).map(|(config, id)| (id, config.size.max(6))).collect();
        let ctx = Ctx {
            now_ms: 0,
            net,
            ledger: Ledger::default(),
            rng,
            bug,
            hostile: false,
            slice: 0,
            smallest_packet_max: 1 << 20,
            sizes,
            dials: 0,
            heap: BinaryHeap::new(),
            serial: 0,
        };
        let gateway = Gateway::new(&ctx, config.clone(), ModelQueue::new(20, bug), true);
        let mut world = Self {
            ctx,
            config,
            gateway: Some(gateway),
            disk: None,
            hub: Hub::default(),
            sensors: sensors.iter().zip(0..).map(|(config, id)| Sensor::new(id, *config)).collect(),
            wan: WanTap::default(),
            wakes: HashMap::new(),
            steps: 0,
            steps_at_once: 0,
            states: HashMap::new(),
            stalls: 0,
            queue_max: 0,
        };
        if bug.is_some() {
            // Packets are changed one by one.
            world.hub.aliases = 0;
        }
        world.ctx.at(0, Due::BridgeStart);
        for id in 0..world.sensors.len() {
            world.schedule(Node::Sensor(u16::try_from(id).unwrap()));
        }
        world
    }

    /// A fault at a moment.
    pub(crate) fn at(&mut self, at_ms: u64, fault: Fault) {
        self.ctx.push(at_ms, Due::Fault(fault));
    }

    pub(crate) fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().expect("the gateway is on")
    }

    pub(crate) fn link(&self) -> LinkState {
        self.gateway.as_ref().map_or(LinkState::Offline, |gateway| gateway.link(&self.ctx))
    }

    pub(crate) fn rows(&self) -> usize {
        self.gateway.as_ref().map_or(0, |gateway| gateway.queue().len())
    }

    pub(crate) fn queue_max(&self) -> usize {
        self.queue_max
    }

    /// Runs up to this moment.
    pub(crate) fn run_until(&mut self, until_ms: u64) -> Result<(), Violation> {
        while self.ctx.heap.peek().is_some_and(|Reverse(item)| item.at_ms <= until_ms) {
            self.step()?;
        }
        self.ctx.now_ms = until_ms;
        Ok(())
    }

    /// Runs until everything that was made is at the hub (or refused for good) and acknowledged to its sensor, at most so long.
    pub(crate) fn run_until_delivered(&mut self, within_ms: u64) -> Result<(), Violation> {
        let until_ms = self.ctx.now_ms + within_ms;
        while !self.is_delivered() && self.ctx.heap.peek().is_some_and(|Reverse(item)| item.at_ms <= until_ms)
        {
            self.step()?;
        }
        if self.is_delivered() {
            return Ok(());
        }
        let (rows, link) = (self.rows(), self.link());
        let acked: Vec<_> = self.sensors.iter().map(|s| (s.acked, s.config.count)).collect();
        let at_hub = self.ctx.ledger.at_hub();
        self.ctx.ledger.violate(Rule::Delivery, || {
            format!("{rows} rows wait, the link is {link}, {at_hub} at the hub, acknowledged {acked:?}")
        });
        self.ctx.ledger.verdict()
    }

    fn is_delivered(&self) -> bool {
        self.sensors.iter().all(Sensor::is_done) && self.gateway.is_some() && self.rows() == 0 && {
            // Rows that are gone were acknowledged by the hub; that it kept them is the ledger's to say.
            self.ctx.ledger.owed.is_empty()
        }
    }

    fn step(&mut self) -> Result<(), Violation> {
        let Some(Reverse(item)) = self.ctx.heap.pop() else { return Ok(()) };
        self.steps += 1;
        if item.at_ms > self.ctx.now_ms {
            let state = self.link().as_str();
            *self.states.entry(state).or_default() += item.at_ms - self.ctx.now_ms;
            self.steps_at_once = 0;
        }
        self.steps_at_once += 1;
        self.ctx.now_ms = self.ctx.now_ms.max(item.at_ms);
        self.ctx.ledger.now_ms = self.ctx.now_ms;
        match item.due {
            Due::Arrival(arrival) => self.on_arrival(&arrival),
            Due::Wake(node) => self.on_wake(node, item.at_ms),
            Due::Fault(fault) => self.on_fault(fault),
            Due::Dialed(attempt) if attempt == self.ctx.dials => self.on_dialed(),
            Due::Dialed(_) => {}
            Due::PowerOn => self.power_on(),
            Due::BridgeStart => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.start(&mut self.ctx, &mut self.wan);
                }
                self.schedule(Node::Gateway);
            }
        }
        self.check();
        self.ctx.ledger.verdict()
    }

    fn on_arrival(&mut self, arrival: &Arrival) {
        let Arrival { link, to, bytes, .. } = arrival;
        let kind = self.ctx.net.kind(*link);
        if !self.ctx.net.arrives(*link, *to, bytes.as_ref().map_or(0, Bytes::len)) {
            return;
        }
        let (ctx, wan) = (&mut self.ctx, &mut self.wan);
        match (kind, to, bytes) {
            (Some(Kind::Wan), End::Far, Some(bytes)) => self.hub.on_bytes(ctx, *link, bytes),
            (Some(Kind::Wan), End::Far, None) => self.hub.on_closed(ctx, *link),
            (Some(Kind::Wan), End::Near, bytes) => {
                let Some(gateway) = &mut self.gateway else { return };
                match bytes {
                    Some(bytes) => gateway.on_wan_bytes(ctx, wan, *link, bytes),
                    None => gateway.on_wan_closed(ctx, wan, *link),
                }
            }
            (Some(Kind::Lan(_)), End::Far, bytes) => {
                let Some(gateway) = &mut self.gateway else { return };
                match bytes {
                    Some(bytes) => gateway.on_lan_bytes(ctx, wan, *link, bytes),
                    None => gateway.on_lan_closed(ctx, wan, *link),
                }
            }
            (Some(Kind::Lan(id)), End::Near, bytes) => {
                let sensor = &mut self.sensors[usize::from(id)];
                match bytes {
                    Some(bytes) => sensor.on_bytes(ctx, *link, bytes),
                    None => sensor.on_closed(ctx, *link),
                }
                self.schedule(Node::Sensor(id));
                return;
            }
            (None, ..) => return,
        }
        self.schedule(if *to == End::Far && kind == Some(Kind::Wan) { Node::Hub } else { Node::Gateway });
    }

    fn on_wake(&mut self, node: Node, at_ms: u64) {
        if self.wakes.get(&node) != Some(&at_ms) {
            return;
        }
        self.wakes.remove(&node);
        match node {
            Node::Gateway => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.handle_timeout(&mut self.ctx, &mut self.wan);
                }
            }
            Node::Hub => self.hub.handle_timeout(&mut self.ctx),
            Node::Sensor(id) => {
                if self.sensors[usize::from(id)].handle_timeout(&mut self.ctx) {
                    self.dial_lan(id);
                }
            }
        }
        self.schedule(node);
    }

    /// Sees to it that a node is woken in time.
    fn schedule(&mut self, node: Node) {
        let at_ms = match node {
            Node::Gateway => self.gateway.as_ref().and_then(|gateway| gateway.poll_timeout(&self.ctx)),
            Node::Hub => self.hub.poll_timeout(),
            Node::Sensor(id) => self.sensors[usize::from(id)].poll_timeout(),
        };
        let Some(at_ms) = at_ms.map(|at_ms| at_ms.max(self.ctx.now_ms)) else { return };
        if self.wakes.get(&node).is_none_or(|known| at_ms < *known) {
            self.wakes.insert(node, at_ms);
            self.ctx.push(at_ms, Due::Wake(node));
        }
    }

    fn dial_lan(&mut self, id: u16) {
        let sensor = &mut self.sensors[usize::from(id)];
        match &mut self.gateway {
            Some(gateway) if self.ctx.net.lan.up => {
                let link = self.ctx.net.connect(Kind::Lan(id));
                gateway.on_lan_dialed(&mut self.ctx, &mut self.wan, link, sensor.config.version);
                sensor.dialed(&mut self.ctx, link);
            }
            _ => sensor.dial_failed(&mut self.ctx),
        }
        self.schedule(Node::Gateway);
    }

    fn on_dialed(&mut self) {
        let Some(gateway) = &mut self.gateway else { return };
        let link = (self.ctx.net.wan.up && self.hub.up).then(|| self.ctx.net.connect(Kind::Wan));
        if let Some(link) = link {
            self.hub.on_dialed(&mut self.ctx, link);
        }
        gateway.on_dialed(&mut self.ctx, &mut self.wan, link);
        self.schedule(Node::Hub);
        self.schedule(Node::Gateway);
    }

    fn on_fault(&mut self, fault: Fault) {
        if crate::rng::replayed_seed().is_some() {
            println!("{:>8} {fault:?}", self.ctx.now_ms);
        }
        match fault {
            Fault::WanDown => {
                self.ctx.net.wan.up = false;
                self.reset(|kind| kind == Kind::Wan);
            }
            Fault::WanUp => self.ctx.net.wan.up = true,
            Fault::WanReset => self.reset(|kind| kind == Kind::Wan),
            Fault::HalfOpen => {
                let links = self.ctx.net.links(|kind| kind == Kind::Wan);
                links.into_iter().for_each(|link| self.ctx.net.swallow(link));
            }
            Fault::WanStall(ms) => self.ctx.net.wan.stalled_until_ms = self.ctx.now_ms + ms,
            Fault::WanQuality(latency_ms, rate_per_s, loss_one_in) => {
                let wan = &mut self.ctx.net.wan;
                (wan.latency_ms, wan.rate_per_s, wan.loss_one_in) = (latency_ms, rate_per_s, loss_one_in);
            }
            Fault::HubDown => {
                self.hub.stop(&mut self.ctx);
                self.reset(|kind| kind == Kind::Wan);
            }
            Fault::HubUp { keeps_session } => {
                if !keeps_session {
                    self.hub.lose_session();
                }
                self.hub.up = true;
            }
            Fault::HubRefuses(reason) => self.hub.refuses = reason,
            Fault::HubKicks(ms) => self.hub.kicks_ms = ms,
            Fault::ReceiveMaximum(n) => self.hub.receive_maximum = n,
            Fault::MaxPacket(n) => {
                self.hub.max_packet = n;
                self.ctx.smallest_packet_max = self.ctx.smallest_packet_max.min(n);
            }
            Fault::KeepAlive(seconds) => self.hub.keep_alive_s = seconds,
            Fault::Withhold(withholds) => self.hub.withholds = withholds,
            Fault::HubErrors(one_in, reason) => self.hub.errors = (one_in, reason),
            Fault::HostileAcks(one_in) => self.hub.hostile_one_in = one_in,
            Fault::Garbage => self.hub.garbage(&mut self.ctx),
            Fault::Command => self.hub.command(&mut self.ctx),
            Fault::PowerCut(ms) => self.power_cut(ms),
            Fault::BridgeStop(ms) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.stop_bridge(&mut self.ctx, &mut self.wan);
                    self.hub.client_restarted();
                    self.ctx.at(ms, Due::BridgeStart);
                }
            }
            Fault::SensorReset(id) => self.reset(|kind| kind == Kind::Lan(id)),
            Fault::QueueRows(n) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.core.spool_mut().max_rows = n;
                }
            }
            Fault::SlowDisk(ms) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.core.spool_mut().sync_ms = ms;
                }
            }
            Fault::Heal => self.heal(),
        }
        self.schedule(Node::Hub);
        self.schedule(Node::Gateway);
    }

    fn heal(&mut self) {
        self.ctx.net.wan = crate::net::Path::new(20);
        (self.hub.up, self.hub.refuses, self.hub.kicks_ms) = (true, None, None);
        self.hub.ack_delay_ms = 2;
        (self.hub.withholds, self.hub.errors, self.hub.hostile_one_in) = (false, (0, ReasonCode::SUCCESS), 0);
        if let Some(gateway) = &mut self.gateway {
            gateway.core.spool_mut().max_rows = usize::MAX;
        }
    }

    /// Both ends see a reset.
    fn reset(&mut self, of: impl Fn(Kind) -> bool) {
        for link in self.ctx.net.links(of) {
            let kind = self.ctx.net.kind(link);
            self.ctx.net.remove(link);
            match kind {
                Some(Kind::Wan) => {
                    self.hub.on_closed(&mut self.ctx, link);
                    if let Some(gateway) = &mut self.gateway {
                        gateway.on_wan_closed(&mut self.ctx, &mut self.wan, link);
                    }
                }
                Some(Kind::Lan(id)) => {
                    if let Some(gateway) = &mut self.gateway {
                        gateway.on_lan_closed(&mut self.ctx, &mut self.wan, link);
                    }
                    self.sensors[usize::from(id)].on_closed(&mut self.ctx, link);
                    self.schedule(Node::Sensor(id));
                }
                None => {}
            }
        }
    }

    fn power_cut(&mut self, off_ms: u64) {
        let Some(gateway) = self.gateway.take() else { return };
        self.stalls += gateway.stalls;
        // What a sensor has sent and what it will send again may both be stored.
        let local: usize = self.sensors.iter().map(Sensor::in_flight).sum();
        self.ctx.ledger.duplicates_allowed += local as u64;
        self.disk = Some(gateway.lose_power(&mut self.ctx, &mut self.wan));
        self.hub.client_restarted();
        for link in self.ctx.net.links(|_| true) {
            self.ctx.net.swallow(link);
        }
        self.ctx.at(off_ms, Due::PowerOn);
    }

    fn power_on(&mut self) {
        // The peers' next packets meet a machine that knows nothing of their connections.
        self.reset(|_| true);
        let queue = self.disk.take().unwrap();
        let gateway = Gateway::new(&self.ctx, self.config.clone(), queue, false);
        self.gateway = Some(gateway);
        self.wakes.remove(&Node::Gateway);
        self.ctx.at(0, Due::BridgeStart);
    }

    /// The rules that are about the present.
    fn check(&mut self) {
        let Self { ctx, steps, steps_at_once, .. } = self;
        let (n, at_once) = (*steps, *steps_at_once);
        ctx.ledger.require(n < STEPS_MAX && at_once < STEPS_AT_ONCE, Rule::Spin, || {
            format!("{n} events, {at_once} of them now")
        });
        self.queue_max = self.queue_max.max(self.rows());
        let Some(gateway) = &self.gateway else { return };
        let unacked = gateway.unacked_bytes();
        // Each connection may bring one read more before it is paused.
        let slack = self.sensors.len() * 4 * READ_BYTES;
        self.ctx.ledger.require(unacked <= gateway.max_unacked_bytes() + slack, Rule::Memory, || {
            format!("{unacked} bytes without PUBACK")
        });
        let in_flight = self.wan.in_flight_bytes();
        self.ctx
            .ledger
            .require(in_flight <= WINDOW_MAX, Rule::Memory, || format!("{in_flight} bytes upstream"));
        let queued = gateway.wan_link().map_or(0, |link| self.ctx.net.under_way(link, End::Far));
        self.ctx
            .ledger
            .require(queued <= 2 * WINDOW_MAX, Rule::Memory, || format!("{queued} bytes on the way"));
        self.check_link();
    }

    /// Promise 5: `flowing` and `draining` need PUBACKs.
    fn check_link(&mut self) {
        let link = self.link();
        let (Some(gateway), Some(since_ms)) = (&self.gateway, self.wan.waiting_since_ms) else { return };
        let quiet_ms = self.ctx.now_ms - since_ms.max(self.wan.last_ack_ms);
        if quiet_ms > 3_000 && matches!(link, LinkState::Flowing | LinkState::Draining) {
            let limit_ms = (4 * gateway.core.stats().srtt_ms).max(3_000) + 100;
            self.ctx.ledger.require(quiet_ms <= limit_ms, Rule::LinkState, || {
                format!("{link} with {} unacknowledged and no PUBACK for {quiet_ms} ms", self.wan.in_flight())
            });
        }
    }
}
