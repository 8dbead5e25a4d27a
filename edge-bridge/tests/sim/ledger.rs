//! Ledger of each message, as an outside observer sees it, and the rules it must obey.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;

use edge_bridge::state_hash::StateHasher;
use edge_bridge::wire::{Publish, QoS, ReasonCode};

use crate::limits::HubLimits;
use crate::lives::Lives;
use crate::once::Once;
use crate::queue::lease_of;

/// Byte of which the rest of a payload consists.
pub(crate) const FILLING: u8 = 0x55;

/// One reading: which sensor, which of its readings. The payload starts with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Msg {
    pub(crate) sensor: u16,
    pub(crate) seq: u32,
}

impl Msg {
    pub(crate) fn payload(self, size: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(size.max(6));
        out.extend_from_slice(&self.sensor.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.resize(size.max(6), FILLING);
        out
    }

    pub(crate) fn of(payload: &[u8]) -> Self {
        let sensor = u16::from_be_bytes(payload[..2].try_into().unwrap());
        Self { sensor, seq: u32::from_be_bytes(payload[2..6].try_into().unwrap()) }
    }
}

/// Broken rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// Acknowledged to a sensor, and neither at the hub nor in the durable part of the queue.
    Lost,
    /// A row left the queue, and the hub had not acknowledged it.
    RemovedEarly,
    /// A row left the queue for another reason than the hub's acknowledgement: nothing here ends a row's life.
    Deleted,
    /// A row that the hub refused was reported as handed over to it.
    HandedOver,
    /// A message that nobody refused waited for one that was.
    HeadOfLine,
    /// Connections were made one after the other without an end.
    DialRate,
    /// A command that the application asked for at QoS 1 came in an outage, and never arrived.
    CommandLost,
    /// A refused subscription was asked for again without back-off.
    SubscribeRate,
    /// PUBACK to a sensor before the row was durable or acknowledged by the hub.
    EarlyReceipt,
    /// More unacknowledged at the hub than this connection's Receive Maximum.
    ReceiveMaximum,
    /// A packet identifier for two messages at a time.
    PacketId,
    /// PUBACKs to a sensor not in order of arrival.
    PubackOrder,
    /// First deliveries of one topic out of order.
    TopicOrder,
    /// DUP not on a repeat of a resumed session under its old identifier, or on something else.
    Dup,
    /// A copy at the hub that nothing tells from a new message.
    UnmarkedDuplicate,
    /// More copies than what was unconfirmed at each fault.
    DuplicateBound,
    /// A message of QoS 2 came to the hub's application again, in the same life of the gateway and the same session.
    ExactlyOnce,
    /// `flowing` or `draining` without PUBACK progress.
    LinkState,
    /// Something grew beyond its limit.
    Memory,
    /// Not everything arrived although all faults are over.
    Delivery,
    /// A connection was given up while a message was still arriving at the hub.
    BrokenOff,
    /// A message leaves with more time to live than it has left.
    TimeToLive,
    /// A message that the hub passed over stays unanswered, and the connection goes on.
    PassedOver,
    /// The number of waiting rows is not that of the rows that wait.
    Waiting,
    /// Rows are leased and nobody holds them.
    Lease,
    /// A PUBLISH that the hub's CONNACK forbids.
    HubLimits,
    /// A message was set aside as too large that the hub had not refused, and that fits its Maximum Packet Size.
    SetAside,
    /// A message without an answer costs more than one place of the window.
    OnePlace,
    /// One side ended the connection for a breach of the protocol by the other, without the hub having been told to commit one.
    Protocol,
    /// Time does not pass.
    Spin,
}

thread_local! {
    static OFF: RefCell<Vec<Rule>> = const { RefCell::new(Vec::new()) };
}

impl Rule {
    /// The first of the enum to the last.
    pub(crate) const ALL: [Self; 30] = [
        Self::Lost,
        Self::RemovedEarly,
        Self::Deleted,
        Self::HandedOver,
        Self::HeadOfLine,
        Self::DialRate,
        Self::CommandLost,
        Self::SubscribeRate,
        Self::EarlyReceipt,
        Self::ReceiveMaximum,
        Self::PacketId,
        Self::PubackOrder,
        Self::TopicOrder,
        Self::Dup,
        Self::UnmarkedDuplicate,
        Self::DuplicateBound,
        Self::ExactlyOnce,
        Self::LinkState,
        Self::Memory,
        Self::Delivery,
        Self::BrokenOff,
        Self::TimeToLive,
        Self::PassedOver,
        Self::Waiting,
        Self::Lease,
        Self::HubLimits,
        Self::SetAside,
        Self::OnePlace,
        Self::Protocol,
        Self::Spin,
    ];

    /// Runs `f` in this thread with the rule switched off.
    pub(crate) fn without<T>(self, f: impl FnOnce() -> T) -> T {
        OFF.with_borrow_mut(|off| off.push(self));
        let result = f();
        OFF.with_borrow_mut(Vec::pop);
        result
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) at_ms: u64,
    pub(crate) detail: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) now_ms: u64,
    violation: Option<Violation>,
    /// The hub holds it for good.
    safe: BTreeSet<Msg>,
    /// The hub sent a PUBACK of success, or ended the exchange at QoS 2.
    told: BTreeSet<Msg>,
    /// The hub refused it at least once, and may not have got to say so.
    refused: BTreeSet<Msg>,
    /// Sensors with messages that were refused or parked: what was in flight behind them may have overtaken them.
    disturbed: BTreeSet<u16>,
    /// First arrivals at the hub: `edge-id`, and whether it was marked as a possible duplicate.
    seen: BTreeMap<Msg, (Option<String>, bool)>,
    /// The newest of each sensor, apart those that the hub's application gets at their PUBREL.
    newest: BTreeMap<(u16, bool), u32>,
    /// A sensor has its PUBACK, the hub has not the message.
    pub(crate) owed: BTreeSet<Msg>,
    pub(crate) lives: Lives,
    pub(crate) once: Once,
    pub(crate) hub_limits: HubLimits,
    /// The hub has refused messages as too large, which its CONNACK had not said.
    refuses_sizes: bool,
    /// PUBACKs to sensors.
    pub(crate) receipts: u64,
    pub(crate) duplicates: u64,
    pub(crate) duplicates_allowed: u64,
    /// Time of each message's first arrival at the hub.
    pub(crate) arrived_ms: BTreeMap<Msg, u64>,
}

impl Ledger {
    /// Only the first violation counts: what follows may follow from it.
    pub(crate) fn violate(&mut self, rule: Rule, detail: impl FnOnce() -> String) {
        if self.violation.is_none() && !OFF.with_borrow(|off| off.contains(&rule)) {
            self.violation = Some(Violation { rule, at_ms: self.now_ms, detail: detail() });
        }
    }

    pub(crate) fn require(&mut self, ok: bool, rule: Rule, detail: impl FnOnce() -> String) {
        if !ok {
            self.violate(rule, detail);
        }
    }

    pub(crate) fn verdict(&self) -> Result<(), Violation> {
        self.violation.clone().map_or(Ok(()), Err)
    }

    /// The hub's application gets a message of this life of the gateway (of which the gateway knows nothing yet). `at_pubrel`: not before its PUBREL,
    /// so that it is in order with others of that kind alone.
    pub(crate) fn on_hub_arrival(&mut self, publish: &Publish, life: u64, at_pubrel: bool) {
        let msg = Msg::of(&publish.payload);
        let order = (msg.sensor, at_pubrel);
        let property = |name: &str| {
            let mut all = publish.properties.user_properties();
            all.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        let (id, pd) = (property("edge-id"), property("edge-pd").is_some());
        if let (QoS::ExactlyOnce, Some(id)) = (publish.qos, id.clone()) {
            let may_arrive = self.once.may_arrive(id.clone(), msg, life);
            self.require(may_arrive, Rule::ExactlyOnce, || format!("{msg:?} as {id}"));
        }
        let Some((first, first_pd)) = self.seen.get(&msg) else {
            self.seen.insert(msg, (id, pd));
            self.arrived_ms.insert(msg, self.now_ms);
            let newest = self.newest.get(&order).copied();
            let in_order =
                newest.is_none_or(|newest| newest < msg.seq) || self.disturbed.contains(&msg.sensor);
            self.require(in_order, Rule::TopicOrder, || format!("{msg:?} after {newest:?}"));
            self.newest.insert(order, newest.unwrap_or(0).max(msg.seq));
            return;
        };
        // A parked row may come after its marked copy: one of the two carries the mark.
        let marked = pd || (*first_pd && self.disturbed.contains(&msg.sensor));
        let recognised = publish.dup || marked || (id.is_some() && *first == id);
        let detail = format!("{msg:?} as {id:?}, first as {first:?}");
        self.require(recognised, Rule::UnmarkedDuplicate, || detail);
        self.duplicates += 1;
        let (n, allowed) = (self.duplicates, self.duplicates_allowed);
        self.require(n <= allowed, Rule::DuplicateBound, || format!("{n} copies, {allowed} unconfirmed"));
    }

    /// The hub says that something is too large although its CONNACK allows it.
    pub(crate) fn on_size_refusal(&mut self) {
        self.refuses_sizes = true;
    }

    /// The hub answers by PUBACK. `kept`: it really holds the message.
    pub(crate) fn on_hub_answer(&mut self, msg: Msg, reason: ReasonCode, kept: bool) {
        if !reason.is_error() {
            self.on_hub_completes(msg);
            self.on_hub_takes(msg, kept);
        }
    }

    /// The hub's application has the message.
    pub(crate) fn on_hub_takes(&mut self, msg: Msg, kept: bool) {
        if kept {
            self.safe.insert(msg);
            self.owed.remove(&msg);
        }
    }

    /// The hub ends the exchange of a message.
    pub(crate) fn on_hub_completes(&mut self, msg: Msg) {
        self.told.insert(msg);
    }

    /// The hub does not take it this time, and may not get to say so.
    pub(crate) fn on_hub_refusal(&mut self, msg: Msg) {
        self.refused.insert(msg);
        self.disturbed.insert(msg.sensor);
    }

    /// The hub hands this message on behind younger ones.
    pub(crate) fn on_order_lost(&mut self, msg: Msg) {
        self.disturbed.insert(msg.sensor);
    }

    pub(crate) fn was_refused(&self, msg: Msg) -> bool {
        self.refused.contains(&msg)
    }

    /// The row was set aside. `size`: of its PUBLISH.
    pub(crate) fn on_row_parked(&mut self, msg: Msg, why: ReasonCode, size: usize) {
        self.disturbed.insert(msg.sensor);
        self.once.give_up(msg);
        let (max, is_refused) =
            (self.hub_limits.packet_max, self.refuses_sizes || self.refused.contains(&msg));
        let is_right = why != ReasonCode::PACKET_TOO_LARGE || size > max || is_refused;
        self.require(is_right, Rule::SetAside, || format!("{msg:?} of {size} B, the hub takes {max}"));
    }

    /// A row left the queue's books as handed over to the hub.
    pub(crate) fn on_row_acked(&mut self, msg: Msg) {
        let refused = self.refused.contains(&msg) || self.disturbed.contains(&msg.sensor);
        let rule = if refused { Rule::HandedOver } else { Rule::RemovedEarly };
        self.require(self.told.contains(&msg), rule, || format!("{msg:?}"));
    }

    /// A row left the queue's books at the end of its time to live.
    pub(crate) fn on_row_expired(&mut self, msg: Msg) {
        self.lives.end(msg);
        self.owed.remove(&msg);
    }

    /// A row left the queue's books for another reason.
    pub(crate) fn on_row_settled(&mut self, msg: Msg) {
        self.violate(Rule::Deleted, || format!("{msg:?}"));
    }

    /// A row is no longer on the disk.
    pub(crate) fn on_row_gone(&mut self, msg: Msg) {
        self.require(!self.owed.contains(&msg), Rule::Lost, || format!("{msg:?} left the disk"));
    }

    /// A PUBACK to a sensor leaves.
    pub(crate) fn on_receipt(&mut self, msg: Msg, durable: bool) {
        self.receipts += 1;
        let settled = self.told.contains(&msg) || self.lives.has_ended(msg);
        self.require(durable || settled, Rule::EarlyReceipt, || format!("{msg:?}"));
        if !self.safe.contains(&msg) && !self.lives.has_ended(msg) {
            self.owed.insert(msg);
            self.require(durable, Rule::Lost, || format!("{msg:?}: the hub acknowledged it and has it not"));
        }
    }

    /// Hashes what counts where the hub refuses nothing.
    #[allow(dead_code, reason = "for `tests/explore_states`")]
    pub(crate) fn hash_state(&self, hasher: &mut impl StateHasher) {
        (&self.safe, &self.told, &self.owed, &self.newest).hash(hasher);
        for (msg, (identity, is_marked)) in &self.seen {
            (msg, is_marked).hash(hasher);
            hasher.write_lease(identity.as_deref().and_then(lease_of).map_or(0, |lease| lease.0));
        }
        self.once.hash_state(hasher);
    }

    pub(crate) fn is_at_hub(&self, msg: Msg) -> bool {
        self.safe.contains(&msg)
    }

    pub(crate) fn at_hub(&self) -> usize {
        self.safe.len()
    }
}
