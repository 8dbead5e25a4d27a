//! The way down: filters that the hub granted, commands that wait there for the gateway, and the rule that a command which the application asked
//! for at QoS 1 arrives although the link was away.

use std::collections::HashMap;

use bytes::Bytes;
use edge_bridge::session::{Session, Token};
use edge_bridge::wire::{self, Properties, Publish, QoS, ReasonCode, Subscription, Utf8};

use crate::ctx::Ctx;
use crate::fault::Fault;
use crate::hub::Hub;
use crate::ledger::{Rule, Violation};
use crate::net::LinkId;
use crate::world::World;

const TOPIC: &str = "cmd/valve";

/// The hub's side: belongs to the session.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    granted: HashMap<Utf8, QoS>,
    /// Commands of QoS 1 that came while the client was away.
    waiting: u64,
}

impl Filters {
    /// Every filter is granted, at QoS 1 at most.
    pub(crate) fn grant(&mut self, asked: &[Subscription]) -> Vec<ReasonCode> {
        let granted = asked.iter().map(|asked| {
            let qos = asked.qos.min(QoS::AtLeastOnce);
            self.granted.insert(asked.filter.clone(), qos);
            if qos == QoS::AtMostOnce { ReasonCode::GRANTED_QOS_0 } else { ReasonCode::GRANTED_QOS_1 }
        });
        granted.collect()
    }

    /// The highest of all that match, as MQTT has it for overlapping subscriptions.
    fn qos(&self, topic: &str) -> Option<QoS> {
        self.granted.iter().filter(|(filter, _)| wire::matches(filter, topic)).map(|(_, qos)| *qos).max()
    }
}

impl Hub {
    /// Somebody gives the gateway a command.
    pub(crate) fn command(&mut self, ctx: &mut Ctx) {
        match (self.filters.qos(TOPIC), self.current) {
            (Some(qos), Some(link)) => self.send_command(ctx, link, qos),
            (Some(QoS::AtLeastOnce), None) => self.filters.waiting += 1,
            _ => {}
        }
    }

    /// The client is back.
    pub(crate) fn send_waiting_commands(&mut self, ctx: &mut Ctx, link: LinkId) {
        for _ in 0..std::mem::take(&mut self.filters.waiting) {
            self.send_command(ctx, link, QoS::AtLeastOnce);
        }
    }

    fn send_command(&mut self, ctx: &mut Ctx, link: LinkId, qos: QoS) {
        let Some(connection) = self.connections.get_mut(&link) else { return };
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic: Utf8::from_static(TOPIC),
            packet_id: None,
            properties: Properties::default(),
            payload: Bytes::from_static(b"open"),
        };
        if connection.session.publish(ctx.now_ms, Token(self.commands), &publish).is_ok() {
            self.commands += 1;
        }
        self.drain(ctx, link);
    }
}

impl World {
    /// The application subscribes, now and after every start.
    pub(crate) fn subscribe(&mut self, filter: &'static str, qos: QoS) {
        self.config.own_filter = Some((filter, qos));
        if let Some(gateway) = &mut self.gateway {
            gateway.subscribe(&mut self.ctx, &mut self.wan, filter, qos);
        }
    }

    /// A command that the hub gets while the gateway is away arrives once it is back.
    pub(crate) fn command_in_an_outage(&mut self) -> Result<(), Violation> {
        for _ in 0..60 {
            self.run_until(self.ctx.now_ms + 1_000)?;
            if self.gateway().core.session().is_some_and(Session::is_open) {
                break;
            }
        }
        // SUBACK.
        self.run_until(self.ctx.now_ms + 2_000)?;
        let from_ms = self.ctx.now_ms;
        let before = self.gateway().commands;
        self.at(from_ms, Fault::WanDown);
        self.at(from_ms + 1_000, Fault::Command);
        self.at(from_ms + 2_000, Fault::WanUp);
        self.run_until(from_ms + 120_000)?;
        let arrived = self.gateway().commands - before;
        self.ctx.ledger.require(arrived > 0, Rule::CommandLost, || "given in an outage".to_owned());
        self.ctx.ledger.verdict()
    }
}
