//! A sensor: one topic, its readings in order, never giving one up before its PUBACK.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use edge_bridge::session::{
    ClientConfig, Closed, Event, Input, Output, PublishError, Resume, Session, SessionOutcome, Token,
};
use edge_bridge::wire::{Properties, PropertiesBuilder, PropertyId, Publish, QoS, Utf8, Value, Version};

use crate::ctx::Ctx;
use crate::ledger::{Msg, Rule};
use crate::net::{End, Kind, LinkId};

/// Readings a sensor keeps itself.
const BACKLOG: usize = 500;

#[derive(Debug, Clone, Copy)]
pub(crate) struct SensorConfig {
    pub(crate) version: Version,
    pub(crate) period_ms: u64,
    pub(crate) size: usize,
    /// Unacknowledged at most; 1 = waits for each PUBACK.
    pub(crate) window: u16,
    /// Its readings are alarms.
    pub(crate) alarm: bool,
    pub(crate) count: u32,
    pub(crate) start_ms: u64,
    /// Message Expiry Interval in seconds; not in 3.1.1.
    pub(crate) expiry_s: Option<u32>,
}

impl SensorConfig {
    pub(crate) fn new(period_ms: u64, count: u32) -> Self {
        Self {
            version: Version::V5,
            period_ms,
            size: 100,
            window: 20,
            alarm: false,
            count,
            start_ms: 100,
            expiry_s: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Sensor {
    pub(crate) config: SensorConfig,
    id: u16,
    session: Option<Session>,
    link: Option<LinkId>,
    buffer: BytesMut,
    resume: Option<Resume>,
    epoch: u64,
    backlog: VecDeque<u32>,
    made: u32,
    next_ms: u64,
    dial_ms: Option<u64>,
    /// Number of readings with a PUBACK, and the longest wait for one, in milliseconds.
    pub(crate) acked: u32,
    pub(crate) worst_ms: u64,
    made_ms: VecDeque<(u32, u64)>,
}

impl Sensor {
    pub(crate) fn new(id: u16, config: SensorConfig) -> Self {
        Self {
            config,
            id,
            session: None,
            link: None,
            buffer: BytesMut::new(),
            resume: None,
            epoch: 0,
            backlog: VecDeque::new(),
            made: 0,
            next_ms: config.start_ms,
            dial_ms: Some(0),
            acked: 0,
            worst_ms: 0,
            made_ms: VecDeque::new(),
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.acked == self.config.count
    }

    /// No reading more.
    pub(crate) fn stop(&mut self) {
        self.config.count = self.made;
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        let reading = (self.made < self.config.count).then_some(self.next_ms);
        let session = self.session.as_ref().and_then(Session::next_deadline);
        [reading, session, self.dial_ms].into_iter().flatten().min()
    }

    /// Returns whether to dial now.
    pub(crate) fn handle_timeout(&mut self, ctx: &mut Ctx) -> bool {
        while self.made < self.config.count && self.next_ms <= ctx.now_ms {
            self.next_ms += self.config.period_ms;
            if self.backlog.len() < BACKLOG {
                self.made += 1;
                self.backlog.push_back(self.made);
                self.made_ms.push_back((self.made, ctx.now_ms));
            }
        }
        if let Some(session) = &mut self.session
            && session.next_deadline().is_some_and(|at_ms| at_ms <= ctx.now_ms)
        {
            session.handle_timeout(ctx.now_ms);
        }
        self.run(ctx);
        self.dial_ms.take_if(|at_ms| *at_ms <= ctx.now_ms).is_some()
    }

    /// The gateway cannot be reached.
    pub(crate) fn dial_failed(&mut self, ctx: &mut Ctx) {
        self.dial_ms = Some(ctx.now_ms + ctx.rng.between(200, 2000));
    }

    pub(crate) fn dialed(&mut self, ctx: &mut Ctx, link: LinkId) {
        self.epoch += 1;
        let mut config = ClientConfig::new(Utf8::try_from(format!("sensor{}", self.id)).unwrap());
        config.version = self.config.version;
        config.max_in_flight = self.config.window;
        self.link = Some(link);
        self.buffer.clear();
        self.session = Some(Session::client(ctx.now_ms, self.epoch, config, self.resume.take()));
        self.run(ctx);
    }

    pub(crate) fn on_bytes(&mut self, ctx: &mut Ctx, link: LinkId, bytes: &Bytes) {
        if self.link != Some(link) {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        while let Some(session) = &mut self.session {
            let before = self.buffer.len();
            session.handle_input(ctx.now_ms, Input::Bytes(&mut self.buffer));
            let after = self.buffer.len();
            self.run(ctx);
            if after == before || after == 0 {
                break;
            }
        }
    }

    pub(crate) fn on_closed(&mut self, ctx: &mut Ctx, link: LinkId) {
        if self.link == Some(link)
            && let Some(session) = &mut self.session
        {
            session.handle_input(ctx.now_ms, Input::Closed);
            self.run(ctx);
        }
    }

    fn run(&mut self, ctx: &mut Ctx) {
        self.drain(ctx);
        self.flush(ctx);
        self.drain(ctx);
    }

    fn flush(&mut self, ctx: &mut Ctx) {
        let properties = self.properties();
        while let Some(session) = &mut self.session
            && session.room() > 0
            && let Some(seq) = self.backlog.pop_front()
        {
            let payload = Msg { sensor: self.id, seq }.payload(self.config.size);
            let publish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: self.id % 2 == 1,
                topic: topic(self.id, self.config.alarm),
                packet_id: None,
                properties: properties.clone(),
                payload: Bytes::from(payload),
            };
            match session.publish(ctx.now_ms, Token(seq.into()), &publish) {
                Ok(()) => {}
                Err(PublishError::WindowFull { .. } | PublishError::NotConnected) => {
                    self.backlog.push_front(seq);
                    return;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn properties(&self) -> Properties {
        let mut properties = PropertiesBuilder::new();
        if let Some(expiry_s) = self.config.expiry_s {
            properties.push(PropertyId::MessageExpiryInterval, Value::U32(expiry_s)).unwrap();
        }
        properties.finish()
    }

    fn drain(&mut self, ctx: &mut Ctx) {
        while let (Some(session), Some(link)) = (&mut self.session, self.link) {
            match session.poll_output() {
                None => return,
                Some(Output::Transmit(bytes)) => ctx.send(link, End::Near, Some(&bytes)),
                Some(Output::Event(event)) => self.on_event(ctx, link, event),
            }
        }
    }

    fn on_event(&mut self, ctx: &mut Ctx, link: LinkId, event: Event) {
        match event {
            Event::Connected(connected) => {
                if let SessionOutcome::Lost(lost) = connected.session {
                    let seqs = lost.iter().map(|m| u32::try_from(m.token.0).unwrap());
                    seqs.rev().for_each(|seq| self.backlog.push_front(seq));
                }
            }
            Event::Acked { token, .. } => {
                self.acked += 1;
                let seq = u32::try_from(token.0).unwrap();
                if let Some(at) = self.made_ms.iter().position(|(made, _)| *made == seq) {
                    let (_, made_ms) = self.made_ms.remove(at).unwrap();
                    self.worst_ms = self.worst_ms.max(ctx.now_ms - made_ms);
                }
            }
            Event::Closed(why) => {
                if let Closed::Violation(violation) = &why {
                    ctx.ledger.violate(Rule::Protocol, || format!("at a sensor: {violation}"));
                }
                ctx.send(link, End::Near, None);
                let session = self.session.take().unwrap();
                // Each of them may have arrived, and comes again.
                ctx.ledger.duplicates_allowed += session.in_flight() as u64;
                if session.had_session() {
                    self.resume = Some(session.into_resume());
                }
                self.link = None;
                self.dial_ms = Some(ctx.now_ms + ctx.rng.between(100, 2000));
            }
            _ => {}
        }
    }
}

pub(crate) fn topic(sensor: u16, alarm: bool) -> Utf8 {
    let class = if alarm { "alarm" } else { "telemetry" };
    Utf8::try_from(format!("plant/{class}/{sensor}")).unwrap()
}

pub(crate) fn kind(sensor: u16) -> Kind {
    Kind::Lan(sensor)
}
