//! Faults, and their ends.

use edge_bridge::wire::{QoS, ReasonCode};

use crate::ctx::{Due, Node};
use crate::gateway::Gateway;
use crate::net::{Kind, Path};
use crate::world::World;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The WAN is gone: connections are reset, new ones fail.
    WanDown,
    WanUp,
    /// Connections are reset; new ones can be made.
    WanReset,
    /// Connections swallow what is written; new ones can be made.
    HalfOpen,
    /// Nothing moves for so many milliseconds.
    WanStall(u64),
    /// One way in milliseconds, bytes per second (0 = no limit), one segment lost in (0 = none).
    WanQuality(u64, u64, u64),
    /// The hub stops.
    HubDown,
    /// It starts again: with its session or without.
    HubUp {
        keeps_session: bool,
    },
    /// The next CONNECTs are refused; `None`: accepted again.
    HubRefuses(Option<ReasonCode>),
    /// Accepted, and thrown out so many milliseconds later; `None`: not any more.
    HubKicks(Option<u64>),
    /// Receive Maximum from the next connection on.
    ReceiveMaximum(u16),
    /// Maximum Packet Size from the next connection on.
    MaxPacket(u32),
    /// Server Keep Alive from the next connection on.
    KeepAlive(Option<u16>),
    /// PUBACKs are kept back, all else works.
    Withhold(bool),
    /// One in so many is answered with this reason.
    HubErrors(u64, ReasonCode),
    /// Messages of this sensor are refused; `None`: not any more.
    TopicRefused(Option<(u16, ReasonCode)>),
    /// The hub closes at messages of this sensor whose number is a multiple.
    ClosesOn(Option<(u16, u32)>),
    /// Subscriptions are refused.
    FiltersRefused(bool),
    /// One in so many messages is never answered on the connection on which it comes; the others are.
    PassesOver(u64),
    /// At one in so many PUBRELs the connection is closed instead of a PUBCOMP.
    ClosesAtRelease(u64),
    /// Messages of so many payload bytes or more are refused as too large, and the connection closed.
    TooLargeCloses(Option<usize>),
    /// Retain Available from the next connection on.
    Retains(bool),
    /// Maximum QoS from the next connection on.
    MaximumQos(u8),
    /// Maximum Packet Size from the next connection on: the last message of this sensor fits without an alias, and nothing larger.
    TakesAsMuchAs(u16),
    /// One in so many messages is also answered twice, or something is answered that was never asked; late ones after a resume.
    HostileAcks(u64),
    /// Bytes that are no packet.
    Garbage,
    /// A command to the gateway.
    Command,
    /// The application asks for a filter.
    Subscribe(&'static str, QoS),
    /// The gateway loses its power; it comes back after so many milliseconds.
    PowerCut(u64),
    /// The bridge stops in order and starts again after so many milliseconds.
    BridgeStop(u64),
    /// The gateway replaces its connection to the hub, as for a renewed certificate.
    Replace,
    /// A sensor's connection is reset.
    SensorReset(u16),
    /// The queue takes so many rows at most.
    QueueRows(usize),
    /// A sync takes so many milliseconds.
    SlowDisk(u64),
    /// Everything is well again.
    Heal,
}

impl World {
    fn replace_connection(&mut self) {
        if let Some(gateway) = &mut self.gateway {
            gateway.replace_connection(&mut self.ctx, &mut self.wan);
        }
    }

    pub(crate) fn on_fault(&mut self, fault: Fault) {
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
            Fault::HubUp { keeps_session } => self.hub.start(keeps_session),
            Fault::HubRefuses(reason) => self.hub.refuses = reason,
            Fault::HubKicks(ms) => self.hub.kicks_ms = ms,
            Fault::ReceiveMaximum(n) => self.hub.receive_maximum = n,
            Fault::MaxPacket(n) => self.hub.max_packet = n,
            Fault::KeepAlive(seconds) => self.hub.keep_alive_s = seconds,
            Fault::Withhold(withholds) => self.hub.withholds = withholds,
            Fault::HubErrors(one_in, reason) => self.hub.errors = (one_in, reason),
            Fault::TopicRefused(refused) => self.hub.refused_sensor = refused,
            Fault::ClosesOn(poison) => self.hub.poison = poison,
            Fault::FiltersRefused(refuses) => self.hub.refuses_filters = refuses,
            Fault::PassesOver(one_in) => self.hub.passes_over_one_in = one_in,
            Fault::TooLargeCloses(bytes) => self.hub.too_large = bytes,
            Fault::Retains(retains) => self.hub.retain_available = retains,
            Fault::MaximumQos(qos) => self.hub.maximum_qos = qos,
            Fault::ClosesAtRelease(one_in) => self.hub.exactly_once.closes_at_release_one_in = one_in,
            Fault::TakesAsMuchAs(sensor) => self.hub.takes_as_much_as(sensor),
            Fault::HostileAcks(one_in) => self.hub.hostile_one_in = one_in,
            Fault::Garbage => self.hub.garbage(&mut self.ctx),
            Fault::Command => self.hub.command(&mut self.ctx),
            Fault::Subscribe(filter, qos) => self.subscribe(filter, qos),
            Fault::PowerCut(ms) => self.power_cut(ms),
            Fault::BridgeStop(ms) => {
                if let Some(gateway) = &mut self.gateway {
                    gateway.stop_bridge(&mut self.ctx, &mut self.wan);
                    self.hub.client_restarted();
                    self.ctx.at(ms, Due::BridgeStart);
                }
            }
            Fault::Replace => self.replace_connection(),
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
        self.ctx.net.wan = Path::new(20);
        (self.hub.up, self.hub.refuses, self.hub.kicks_ms) = (true, None, None);
        self.hub.ack_delay_ms = 2;
        (self.hub.withholds, self.hub.errors, self.hub.hostile_one_in) = (false, (0, ReasonCode::SUCCESS), 0);
        (self.hub.refused_sensor, self.hub.poison, self.hub.refuses_filters) = (None, None, false);
        (self.hub.passes_over_one_in, self.hub.too_large) = (0, None);
        // What was too large for a while is taken from the next connection on.
        (self.hub.max_packet, self.hub.retain_available, self.hub.maximum_qos) = (1 << 20, true, 2);
        self.hub.exactly_once.heal();
        self.reset(|kind| kind == Kind::Wan);
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
        self.disk = Some(gateway.lose_power(&mut self.ctx, &mut self.wan));
        self.hub.client_restarted();
        for link in self.ctx.net.links(|_| true) {
            self.ctx.net.swallow(link);
        }
        self.ctx.at(off_ms, Due::PowerOn);
    }

    pub(crate) fn power_on(&mut self) {
        // The peers' next packets meet a machine that knows nothing of their connections.
        self.reset(|_| true);
        let queue = self.disk.take().unwrap();
        let gateway = Gateway::new(&self.ctx, self.config.clone(), queue, false);
        self.gateway = Some(gateway);
        self.wakes.remove(&Node::Gateway);
        self.ctx.at(0, Due::BridgeStart);
    }
}
