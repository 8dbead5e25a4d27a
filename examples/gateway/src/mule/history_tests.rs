//! Histories of a data mule over a real queue: the link comes and goes, sticks and receipts are lost, doubled and stale, ingests are cut off, the
//! gateway is killed, a receipt of another gateway comes. Nothing is lost, each copy has the identity of the first, and what the hub has leaves the queue.
//! One again: `EDGE_SEED`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use edge_bridge::Row;
use edge_bridge::bridge::spool::{Identity, Leased, Spool};
use edge_bridge::wire::{ReasonCode, Utf8};
use edge_queue::testing::{JudgeRule, Rng, SimDir, Violation, budget_percent, seed};
use edge_queue::transfer::{Item, Stream};
use edge_queue::{Config, Consumer, IdRange, Lane, Lease, ManualClock, Now, Queue, RowId, StoreKind, Wait};

use super::identities::Identities;
use super::receipt::Receipt;
use super::stick_spool::{SharedAccount, StickSpool, lock};
use crate::run::queue::store::CONSUMER;

/// Histories at the full budget.
const HISTORIES: u64 = 10_000;
/// Most rounds of export, ingest and settle after which nothing may be left.
const ROUNDS: u32 = 3;

edge_queue::judge_rules! {
    /// Something that every history must do.
    enum Rule {
        /// Each copy of a row has the identity of the first, and no other row has it.
        Identity,
        /// Rows that left the queue are at the hub.
        Lost,
        /// After enough receipts of a hub that takes everything the queue is empty.
        Left,
    }
}

type Verdict = Result<(), Violation<Rule>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plant {
    /// A receipt releases as many rows as it names, by their position: the first that wait.
    SettlesByPosition,
    /// A receipt is taken for a mark up to which all came: it releases what is between its ranges, too.
    SettlesUpTo,
    /// A stale receipt releases newer rows, which were pushed behind its last one.
    SettlesNewer,
    /// A receipt of another gateway is taken for one of this.
    ForeignAccepted,
    /// A row is in the receipt once it was published.
    ReceiptBeforePuback,
    /// A row that the hub refused is in the receipt.
    RefusedInReceipt,
    /// A row of a stick has the identity of the next one.
    OtherIdentity,
    /// The first row of each range is left out.
    ReceiptTooShort,
}

struct World {
    rng: Rng,
    plant: Option<Plant>,
    dir: SimDir,
    clock: Arc<ManualClock>,
    /// Always there, but while it restarts.
    queue: Option<(Queue, Consumer)>,
    /// Leases of the link whose PUBACK is awaited.
    in_flight: Vec<Lease>,
    link_up: bool,
    /// Number of rows pushed: numbered from 0, all committed.
    pushed: u64,
    /// Identity of the first copy at the hub, by number.
    hub: BTreeMap<u64, Identity>,
    /// Number of the row that has an identity at the hub.
    owners: BTreeMap<Identity, u64>,
    refuses: bool,
    sticks: Vec<Vec<u8>>,
    receipts: Vec<String>,
}

fn number(payload: &[u8]) -> u64 {
    std::str::from_utf8(payload).unwrap().parse().unwrap()
}

fn of_row(id: RowId) -> Identity {
    Identity { gateway: id.gateway, lane: id.lane.0, epoch: id.epoch, seq: id.seq }
}

impl World {
    fn new(seed: u64, plant: Option<Plant>) -> Self {
        let now = Now { boot_id: 1, up_ms: 1_000, ..Now::default() };
        let mut world = Self {
            rng: Rng::new(seed),
            plant,
            dir: SimDir::new(),
            clock: Arc::new(ManualClock::new(now)),
            queue: None,
            in_flight: Vec::new(),
            link_up: false,
            pushed: 0,
            hub: BTreeMap::new(),
            owners: BTreeMap::new(),
            refuses: false,
            sticks: Vec::new(),
            receipts: Vec::new(),
        };
        world.open();
        world
    }

    fn open(&mut self) {
        let config = Config::default().lanes(2).max_bytes(2 << 20).store(StoreKind::Ring);
        let queue = Queue::open_in(Box::new(self.dir.clone()), config, self.clock.clone()).unwrap();
        let consumer = queue.consumer(CONSUMER).unwrap();
        self.queue = Some((queue, consumer));
    }

    fn queue(&mut self) -> &mut (Queue, Consumer) {
        self.queue.as_mut().unwrap()
    }

    fn lived(&mut self) -> Verdict {
        for _ in 0..self.rng.between(20, 60) {
            self.step()?;
        }
        (self.refuses, self.link_up) = (false, false);
        self.in_flight.clear();
        for _ in 0..ROUNDS {
            self.export();
            let stick = self.sticks.pop().unwrap();
            self.ingest(&stick, false)?;
            let receipt = self.receipts.pop().unwrap();
            self.settle(&receipt)?;
        }
        let left = self.waiting();
        Rule::Left.require(left.is_empty(), || format!("{:?} are left", left.keys()))
    }

    fn step(&mut self) -> Verdict {
        match self.rng.below(20) {
            0..=4 => self.push(),
            5 => self.link_up = !self.link_up,
            6..=8 if self.link_up => return self.send(),
            6..=8 => self.in_flight.clear(),
            9 => self.refuses = !self.refuses,
            10 | 11 => self.export(),
            12..=14 => return self.ingest_one(),
            15 | 16 => return self.settle_one(),
            17 => return self.settle_foreign(),
            18 => self.lose_or_double(),
            _ => self.restart(),
        }
        Ok(())
    }

    fn push(&mut self) {
        for _ in 0..self.rng.between(1, 12) {
            let topic = Utf8::from_static("up/t");
            let mut row = Row::new(topic, Bytes::from(self.pushed.to_string())).into_queue_row();
            row.lane = Some(Lane(u8::from(self.rng.one_in(3))));
            drop(self.queue().0.push(row).unwrap());
            self.pushed += 1;
        }
        self.queue().0.commit().unwrap();
    }

    /// A message reaches the hub. `true` if it takes it.
    fn arrives(&mut self, number: u64, identity: Identity) -> Result<bool, Violation<Rule>> {
        if self.refuses && number % 5 == 3 {
            return Ok(false);
        }
        let first = *self.hub.entry(number).or_insert(identity);
        Rule::Identity.require(first == identity, || format!("{number} is {identity} and was {first}"))?;
        let owner = *self.owners.entry(identity).or_insert(number);
        Rule::Identity.require(owner == number, || format!("{number} and {owner} are {identity}"))?;
        Ok(true)
    }

    /// The link sends some rows, and hears of some that were sent before.
    fn send(&mut self) -> Verdict {
        let most = usize::try_from(self.rng.between(1, 10)).unwrap();
        let leases: Vec<Lease> = self.queue().1.lease(most, Wait::None).unwrap().into_iter().collect();
        for lease in leases {
            if self.arrives(number(lease.payload()), of_row(lease.id()))? {
                self.in_flight.push(lease);
            }
        }
        let heard = self.rng.below(self.in_flight.len() as u64 + 1);
        self.in_flight.drain(..usize::try_from(heard).unwrap()).for_each(Lease::ack);
        Ok(())
    }

    fn export(&mut self) {
        let mut stick = Vec::new();
        self.queue().0.export(&mut stick).unwrap();
        self.sticks.push(stick);
    }

    fn pick(&mut self, of: usize) -> Option<usize> {
        (of > 0).then(|| usize::try_from(self.rng.below(of as u64)).unwrap())
    }

    fn ingest_one(&mut self) -> Verdict {
        let Some(at) = self.pick(self.sticks.len()) else { return Ok(()) };
        let stick = self.sticks[at].clone();
        let cut_off = self.rng.one_in(3);
        self.ingest(&stick, cut_off)
    }

    /// Publishes a stick, through a connection that may end. A receipt is written as the command does.
    fn ingest(&mut self, stick: &[u8], cut_off: bool) -> Verdict {
        let account = SharedAccount::default();
        let gateway = self.queue().0.gateway_id();
        let mut spool = StickSpool::new(stick, gateway, &account);
        let ends_after = if cut_off { self.rng.below(20) } else { u64::MAX };
        let mut sent = 0;
        loop {
            let most = usize::try_from(self.rng.between(1, 8)).unwrap();
            let rows = spool.lease(0, most, usize::MAX);
            if rows.is_empty() {
                break;
            }
            for row in rows {
                sent += 1;
                if sent <= ends_after {
                    self.publish(&mut spool, &row)?;
                } else if self.plant == Some(Plant::ReceiptBeforePuback) {
                    spool.ack(row.id);
                } else {
                    spool.give_back(row.id);
                }
            }
            if sent > ends_after {
                break;
            }
        }
        drop(spool);
        let account = lock(&account);
        // Of an export that was cut off there is one if the hub refuses the rest.
        let has_receipt = account.is_done() || self.rng.one_in(4);
        if has_receipt || self.plant == Some(Plant::ReceiptBeforePuback) {
            self.receipts.push(Receipt::new(gateway, &account.acked).to_text());
        }
        Ok(())
    }

    fn publish(&mut self, spool: &mut StickSpool<&[u8]>, row: &Leased) -> Verdict {
        let mut identity = row.identity.unwrap();
        identity.seq += u64::from(self.plant == Some(Plant::OtherIdentity));
        let taken = self.arrives(number(&row.row.payload), identity)?;
        match self.plant {
            Some(Plant::RefusedInReceipt) if !taken => spool.ack(row.id),
            _ if !taken => spool.park(row.id, ReasonCode::NOT_AUTHORIZED),
            // The PUBACK does not come: it is sent again.
            _ if self.rng.one_in(6) => spool.give_back(row.id),
            _ => spool.ack(row.id),
        }
        Ok(())
    }

    fn settle_one(&mut self) -> Verdict {
        let Some(at) = self.pick(self.receipts.len()) else { return Ok(()) };
        let receipt = self.receipts[at].clone();
        self.settle(&receipt)
    }

    /// A receipt of another site comes: its numbers are those of rows that wait here, since every site counts from one.
    fn settle_foreign(&mut self) -> Verdict {
        let other = self.queue().0.gateway_id() ^ 1;
        let mut ids = Identities::default();
        for (_, id) in self.waiting() {
            ids.add(Identity { gateway: other, ..id });
        }
        self.settle(&Receipt::new(other, &ids).to_text())
    }

    fn settle(&mut self, text: &str) -> Verdict {
        let plant = self.plant;
        let (queue, consumer) = self.queue();
        let own = queue.gateway_id();
        let mut receipt = Receipt::parse(text).unwrap();
        if plant == Some(Plant::ForeignAccepted) {
            receipt.gateway = own;
            receipt.ranges.iter_mut().for_each(|range| range.first.gateway = own);
        }
        let is_foreign = receipt.gateway != own;
        match receipt.ranges_of(own) {
            Err(error) => assert!(is_foreign, "{error}"),
            Ok(ranges) if plant == Some(Plant::SettlesByPosition) => {
                let named: u64 = ranges.iter().map(IdRange::ids).sum();
                let chunk = consumer.lease(usize::try_from(named).unwrap(), Wait::None).unwrap();
                chunk.into_iter().for_each(Lease::ack);
            }
            Ok(ranges) => {
                let ranges: Vec<IdRange> = ranges.into_iter().map(|range| planted(range, plant)).collect();
                let asked: u64 = ranges.iter().map(IdRange::ids).sum();
                let acked = queue.ack_ids(CONSUMER, &ranges).unwrap();
                assert_eq!(acked.acked + acked.gone + acked.no_range, asked);
            }
        }
        self.nothing_is_lost()
    }

    fn lose_or_double(&mut self) {
        let (lose, stick) = (self.rng.one_in(2), self.rng.one_in(2));
        let Some(at) = self.pick(if stick { self.sticks.len() } else { self.receipts.len() }) else { return };
        match (stick, lose) {
            (true, true) => drop(self.sticks.remove(at)),
            (true, false) => self.sticks.push(self.sticks[at].clone()),
            (false, true) => drop(self.receipts.remove(at)),
            (false, false) => self.receipts.push(self.receipts[at].clone()),
        }
    }

    /// The gateway ends cleanly, or is killed with acknowledgements of the link that are not on the disk.
    fn restart(&mut self) {
        self.in_flight.clear();
        let (queue, consumer) = self.queue.take().unwrap();
        drop(consumer);
        if self.rng.one_in(2) {
            queue.close().unwrap();
        } else {
            self.dir.freeze_after(0);
            drop(queue);
            self.dir.heal();
        }
        self.open();
    }

    /// Returns number and identity of what has not left the queue.
    fn waiting(&mut self) -> BTreeMap<u64, Identity> {
        let mut copy = Vec::new();
        let queue = &self.queue().0;
        queue.export(&mut copy).unwrap();
        let gateway = queue.gateway_id();
        let mut stream = Stream::new(copy.as_slice());
        let mut waiting = BTreeMap::new();
        while let Some(item) = stream.next_item().unwrap() {
            if let Item::Row(row) = item {
                let identity = Identity { gateway, lane: row.lane.0, epoch: row.epoch, seq: row.seq };
                waiting.insert(number(&row.payload), identity);
            }
        }
        waiting
    }

    fn nothing_is_lost(&mut self) -> Verdict {
        let waiting = self.waiting();
        let lost: Vec<u64> =
            (0..self.pushed).filter(|n| !self.hub.contains_key(n) && !waiting.contains_key(n)).collect();
        Rule::Lost.require(lost.is_empty(), || format!("{lost:?} are neither at the hub nor in the queue"))
    }
}

/// Returns the range that a gateway with this bug takes from a receipt.
fn planted(range: IdRange, plant: Option<Plant>) -> IdRange {
    let first = range.first;
    match plant {
        Some(Plant::SettlesUpTo) => IdRange { first: RowId { seq: 1, ..first }, ..range },
        Some(Plant::SettlesNewer) => IdRange { last: range.last + 1_000, ..range },
        Some(Plant::ReceiptTooShort) => IdRange { first: RowId { seq: first.seq + 1, ..first }, ..range },
        _ => range,
    }
}

fn history(nth: u64, plant: Option<Plant>) -> Verdict {
    let seed = seed().wrapping_add(nth);
    World::new(seed, plant).lived().map_err(|why| why.at(format_args!("seed {seed}")))
}

#[test]
fn a_row_is_at_the_hub_before_it_leaves_whatever_becomes_of_sticks_and_receipts() {
    let histories = (HISTORIES * budget_percent()).div_ceil(100);
    for nth in 0..histories {
        history(nth, None).unwrap();
    }
    println!("executed mule histories: {histories} cases");
}

#[test]
fn every_rule_convicts_its_bugs() {
    for (plant, rule) in [
        (Plant::SettlesByPosition, Rule::Lost),
        (Plant::SettlesUpTo, Rule::Lost),
        (Plant::SettlesNewer, Rule::Lost),
        (Plant::ForeignAccepted, Rule::Lost),
        (Plant::ReceiptBeforePuback, Rule::Lost),
        (Plant::RefusedInReceipt, Rule::Lost),
        (Plant::OtherIdentity, Rule::Identity),
        (Plant::ReceiptTooShort, Rule::Left),
    ] {
        rule.convicts(plant, &[], || (0..50).find_map(|nth| history(nth, Some(plant)).err()));
    }
}
