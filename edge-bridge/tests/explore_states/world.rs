//! Whole state of an exploration: its steps, what each does, and the rules that are about a state rather than about one message.

use std::collections::{BTreeMap, HashSet};

use edge_bridge::bridge::Input;
use edge_bridge::session::AckHandle;

use crate::bounds::{Bounds, Faults, MESSAGES_MAX};
use crate::bug::Bug;
use crate::gateway::{Around, Gateway};
use crate::hub::Hub;
use crate::ledger::{Ledger, Msg, Rule, Violation};
use crate::publishers::{Publisher, handles};
use crate::queue::ModelQueue;
use crate::step::Step;
use crate::tap::WanTap;
use crate::wire_units::Way;

/// Steps within which everything is delivered once the faults are over.
const RECOVERY_STEPS_MAX: usize = 100;

#[derive(Clone)]
pub(crate) struct World {
    bounds: Bounds,
    pub(crate) bug: Option<Bug>,
    handles: [AckHandle; 2 * MESSAGES_MAX],
    now_ms: u64,
    pub(crate) left: Faults,
    pub(crate) publishers: [Publisher; 2],
    pub(crate) gateway: Gateway,
    pub(crate) to_hub: Way,
    pub(crate) to_gateway: Way,
    pub(crate) hub: Hub,
    pub(crate) tap: WanTap,
    pub(crate) ledger: Ledger,
}

impl World {
    pub(crate) fn new(bounds: Bounds, bug: Option<Bug>) -> Self {
        let mut ledger = Ledger::default();
        // It counts over all messages; here each copy has to be told by itself.
        ledger.duplicates_allowed = u64::MAX;
        let mut world = Self {
            bounds,
            bug,
            handles: handles(),
            now_ms: 0,
            left: bounds.faults,
            publishers: Default::default(),
            gateway: Gateway::new(ModelQueue::new(0, bug), 0),
            to_hub: Way::default(),
            to_gateway: Way::default(),
            hub: Hub::new(bounds.at_pubrel),
            tap: WanTap::default(),
            ledger,
        };
        world.with_gateway(|gateway, around| gateway.start(around));
        world
    }

    /// Lines of this state's output that are not in that of the state at the end of another way.
    pub(crate) fn difference(&self, path: &[Step]) -> String {
        let mut other = Self::new(self.bounds, self.bug);
        path.iter().for_each(|step| other.take(*step).unwrap());
        let text = |world: &Self| format!("{:#?}\n{:#?}\n{:#?}", world.gateway, world.tap, world.ledger);
        let (text, of_other) = (text(self), text(&other));
        let known: HashSet<_> = of_other.lines().collect();
        text.lines().filter(|line| !known.contains(line)).collect::<Vec<_>>().join("\n")
    }

    /// Steps that this state offers.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(12);
        for (n, publisher) in self.publishers.iter().enumerate() {
            steps.extend((publisher.sent < self.bounds.messages[n].len()).then_some(Step::Publish(n)));
            steps.extend((!publisher.pubacks.is_empty()).then_some(Step::PubAck(n)));
        }
        let queue = self.gateway.core.spool();
        let is_up = self.gateway.core.session().is_some();
        let has_deadline = self.gateway.core.next_deadline().is_some();
        let Faults { crashes, cuts, losses, deadlines } = self.left;
        let offers = [
            (Step::CommitBegins, queue.can_commit()),
            (Step::CommitEnds, queue.is_committing()),
            (Step::AcksSaved, queue.unsaved() > 0),
            (Step::ToHub, !self.to_hub.units.is_empty()),
            (Step::ToGateway, !self.to_gateway.units.is_empty()),
            (Step::Dial, !is_up && has_deadline),
            (Step::Deadline, is_up && has_deadline && deadlines > 0),
            (Step::Cut, is_up && cuts > 0),
            (Step::Crash { is_done: false }, crashes > 0),
            (Step::Crash { is_done: true }, crashes > 0 && queue.is_committing()),
            (Step::LoseSession, losses > 0 && self.hub.held.is_some()),
        ];
        steps.extend(offers.into_iter().filter(|(_, is_offered)| *is_offered).map(|(step, _)| step));
        steps
    }

    pub(crate) fn take(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Publish(publisher) => self.publish(publisher),
            Step::PubAck(publisher) => self.publishers[publisher].on_puback(),
            Step::CommitBegins => {
                self.gateway.core.spool_mut().want_commit();
                self.queue_timeout();
            }
            Step::CommitEnds => self.queue_timeout(),
            Step::AcksSaved => {
                self.gateway.core.spool_mut().save();
                self.with_gateway(Gateway::run);
            }
            Step::ToHub => self.arrive_at_hub(),
            Step::ToGateway => {
                let packets = self.to_gateway.units.pop_front().unwrap_or_default();
                self.with_gateway(|gateway, around| gateway.receive(&packets, around));
            }
            Step::Dial => self.deadline(),
            Step::Deadline => {
                self.left.deadlines = self.left.deadlines.saturating_sub(1);
                self.deadline();
            }
            Step::Cut => {
                self.left.cuts -= 1;
                self.cut();
            }
            Step::Crash { is_done } => {
                self.left.crashes -= 1;
                self.crash(is_done);
            }
            Step::LoseSession => {
                self.left.losses -= 1;
                self.hub.lose_session();
                self.cut();
            }
        }
        self.ledger.verdict()
    }

    fn publish(&mut self, number: usize) {
        let publisher = &mut self.publishers[number];
        let place = publisher.sent;
        let is_repeat = place < publisher.ever_sent;
        publisher.sent += 1;
        publisher.ever_sent = publisher.ever_sent.max(publisher.sent);
        let msg = msg_of(number, place);
        let handle = self.handles[number * MESSAGES_MAX + place];
        let qos = self.bounds.messages[number][place];
        self.with_gateway(|gateway, around| gateway.publish(number, (msg, qos, is_repeat), handle, around));
    }

    fn arrive_at_hub(&mut self) {
        let Self { to_hub, to_gateway, hub, ledger, bug, bounds, .. } = self;
        for packet in to_hub.units.pop_front().iter().flat_map(|unit| unit.iter()) {
            hub.on_packet(packet, bounds.receive_maximum, *bug, ledger, to_gateway);
        }
    }

    fn queue_timeout(&mut self) {
        let now_ms = self.now_ms;
        self.gateway.core.spool_mut().handle_timeout(now_ms);
        self.with_gateway(Gateway::run);
    }

    fn deadline(&mut self) {
        let Some(at_ms) = self.gateway.core.next_deadline() else { return };
        self.now_ms = self.now_ms.max(at_ms);
        self.with_gateway(Gateway::handle_timeout);
    }

    fn cut(&mut self) {
        self.drop_packets();
        self.with_gateway(|gateway, around| gateway.input(around, Input::HungUp(None)));
    }

    fn drop_packets(&mut self) {
        self.to_hub.clear();
        self.to_gateway.clear();
        self.hub.on_closed();
    }

    fn crash(&mut self, is_done: bool) {
        self.drop_packets();
        self.tap.ended(self.now_ms);
        self.tap.forget();
        self.ledger.once.begin_life();
        self.publishers.iter_mut().for_each(Publisher::reconnect);
        let life = self.ledger.once.life;
        let gateway = std::mem::replace(&mut self.gateway, Gateway::new(ModelQueue::default(), life));
        let mut queue = gateway.into_queue();
        queue.lose_power(is_done);
        let lost = self.ledger.owed.iter().find(|msg| !queue.is_durable(**msg)).copied();
        self.ledger.require(lost.is_none(), Rule::Lost, || format!("{lost:?} in a power cut"));
        self.gateway = Gateway::new(queue, life);
        self.with_gateway(|gateway, around| gateway.start(around));
    }

    /// Has the gateway do something, and takes what it did.
    fn with_gateway(&mut self, action: impl FnOnce(&mut Gateway, &mut Around<'_>)) {
        let (mut pubacks, mut has_hung_up) = (Vec::new(), false);
        self.ledger.now_ms = self.now_ms;
        let mut around = Around {
            now_ms: self.now_ms,
            bug: self.bug,
            ledger: &mut self.ledger,
            tap: &mut self.tap,
            to_hub: &mut self.to_hub,
            pubacks: &mut pubacks,
            has_hung_up: &mut has_hung_up,
        };
        action(&mut self.gateway, &mut around);
        if has_hung_up {
            self.drop_packets();
        }
        for (number, ack) in pubacks {
            self.on_puback(number, ack);
        }
    }

    fn on_puback(&mut self, number: usize, ack: AckHandle) {
        let publisher = &mut self.publishers[number];
        let place = self.handles.iter().position(|handle| *handle == ack).unwrap() % MESSAGES_MAX;
        let oldest = publisher.released;
        publisher.released += 1;
        publisher.pubacks.push_back(place);
        let msg = msg_of(number, place);
        self.ledger
            .require(place == oldest, Rule::PubackOrder, || format!("{msg:?}, the oldest is {oldest}"));
        let is_durable = self.gateway.core.spool().is_durable(msg);
        self.ledger.on_receipt(msg, is_durable);
    }

    /// Everything was published, is acknowledged, and is at the hub, which holds no identifier of this life of the gateway.
    fn is_delivered(&self) -> bool {
        let mut all = self.publishers.iter().zip(self.bounds.messages);
        let are_acked = all.all(|(publisher, messages)| publisher.acked == messages.len());
        let may_hold = self.left.crashes < self.bounds.faults.crashes;
        let are_released = may_hold || self.hub.held.as_ref().is_none_or(BTreeMap::is_empty);
        are_acked && are_released && self.gateway.core.spool().len() == 0 && self.ledger.owed.is_empty()
    }

    /// Goes on from this state without a fault, until everything is delivered. Deadlines pass only when nothing else is left to be done.
    pub(crate) fn recover(mut self) -> Result<(), Violation> {
        for _ in 0..RECOVERY_STEPS_MAX {
            if self.is_delivered() {
                return Ok(());
            }
            let next = self.steps().into_iter().find(|step| !step.is_fault());
            self.take(next.unwrap_or(Step::Deadline))?;
        }
        let rows = self.gateway.core.spool().len();
        let acked = self.publishers.map(|publisher| publisher.acked);
        self.ledger.violate(Rule::Delivery, || {
            format!(
                "{rows} rows wait, acknowledged {acked:?}, {RECOVERY_STEPS_MAX} steps after the last fault"
            )
        });
        self.ledger.verdict()
    }
}

/// The message of a publisher in this place.
fn msg_of(publisher: usize, place: usize) -> Msg {
    Msg { sensor: u16::try_from(publisher).unwrap(), seq: u32::try_from(place + 1).unwrap() }
}
