//! Owner of all parts: takes one event at a time from the heap, gives it to the part it is for, and has the rules looked at.

use std::collections::HashMap;

use bytes::Bytes;
use edge_bridge::bridge::LinkState;

use crate::bug::Bug;
use crate::check::PASSED_OVER_MAX_MS;
use crate::ctx::{Ctx, Due, Node};
use crate::fault::Fault;
use crate::gateway::{Gateway, GatewayConfig};
use crate::hub::Hub;
use crate::ledger::{Rule, Violation};
use crate::net::{Arrival, End, Kind};
use crate::queue::ModelQueue;
use crate::rng::Rng;
use crate::sensor::{Sensor, SensorConfig};
use crate::tap::WanTap;

/// Events after which a gateway that is woken at once has enough: a run without the rule against it ends too.
const SPINS: u64 = 50_000;

pub(crate) struct World {
    pub(crate) ctx: Ctx,
    pub(crate) config: GatewayConfig,
    pub(crate) gateway: Option<Gateway>,
    /// Content of the disk while the gateway is off.
    pub(crate) disk: Option<ModelQueue>,
    pub(crate) hub: Hub,
    pub(crate) sensors: Vec<Sensor>,
    pub(crate) wan: WanTap,
    /// Time of each node's next wake-up.
    pub(crate) wakes: HashMap<Node, u64>,
    pub(crate) steps: u64,
    pub(crate) steps_at_once: u64,
    /// For stories: how long the link was in which state.
    pub(crate) states: HashMap<&'static str, u64>,
    pub(crate) stalls: u64,
    pub(crate) queue_max: usize,
    /// Time for which a message may go without an answer after a younger one got its.
    pub(crate) passed_over_max_ms: u64,
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
        let ctx = Ctx::new(Rng::new(seed), bug);
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
            passed_over_max_ms: PASSED_OVER_MAX_MS,
        };
        if bug.is_some_and(|bug| bug != Bug::DefinitionCounts) {
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
        self.ctx.push(at_ms, Due::At(fault));
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
        while self.ctx.next_ms().is_some_and(|at_ms| at_ms <= until_ms) {
            self.step()?;
        }
        self.ctx.now_ms = until_ms;
        Ok(())
    }

    /// Runs until everything that was made is at the hub and acknowledged to its sensor, at most so long.
    pub(crate) fn run_until_delivered(&mut self, within_ms: u64) -> Result<(), Violation> {
        let until_ms = self.ctx.now_ms + within_ms;
        while !self.is_delivered() && self.ctx.next_ms().is_some_and(|at_ms| at_ms <= until_ms) {
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
        let Some((at_ms, due)) = self.ctx.pop() else { return Ok(()) };
        self.steps += 1;
        if at_ms > self.ctx.now_ms {
            let state = self.link().as_str();
            *self.states.entry(state).or_default() += at_ms - self.ctx.now_ms;
            self.steps_at_once = 0;
        }
        self.steps_at_once += 1;
        self.ctx.now_ms = self.ctx.now_ms.max(at_ms);
        self.ctx.ledger.now_ms = self.ctx.now_ms;
        match due {
            Due::Arrival(arrival) => self.on_arrival(&arrival),
            Due::Wake(node) => self.on_wake(node, at_ms),
            Due::At(fault) => self.on_fault(fault),
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
        if !self.ctx.net.arrives(self.ctx.now_ms, *link, *to, bytes.as_ref().map_or(0, Bytes::len)) {
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
    pub(crate) fn schedule(&mut self, node: Node) {
        let at_ms = match node {
            Node::Gateway => {
                self.gateway.as_ref().and_then(|gateway| gateway.next_deadline(&self.ctx, &self.wan))
            }
            Node::Hub => self.hub.next_deadline(),
            Node::Sensor(id) => self.sensors[usize::from(id)].next_deadline(),
        };
        let spins = self.ctx.bug == Some(Bug::WokenAtOnce) && node == Node::Gateway;
        let at_ms = if spins && self.steps < SPINS { Some(0) } else { at_ms };
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
}
