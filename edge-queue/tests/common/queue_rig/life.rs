//! The life that is recorded: every call of the queue in random order, compared with the reference as it goes.

use std::collections::BTreeMap;

use edge_queue::testing::{JudgeRule, Rng, SyncBug};
use edge_queue::{
    ConsumerConfig, Lane, Lease, Ledger, Limit, PushError, Queue, ROW_OVERHEAD_BYTES, Reason, Receipt, Row,
    Wait,
};

use crate::reference::Own;

use super::rule::accepted;
use super::seen::QueueBug;
use super::{Known, Moment, NAMES, Plant, Rig, Rule, Violation, number, payload};

/// Rows with a time to live have at least this much, so that none expires in the commit that is under way.
pub(super) const TTL_MIN_MS: u64 = 9_000;

impl Rig {
    /// Records a life. An error is what the reference knows better without any power cut.
    pub(crate) fn live(&mut self, seed: u64) -> Result<(), Violation> {
        Rule::Panic.catching(|| match self.plant {
            Some(Plant::Flaw(flaw)) => flaw.during(|| self.record(seed)),
            _ => self.record(seed),
        })
    }

    fn record(&mut self, seed: u64) -> Result<(), Violation> {
        let mut rng = Rng::new(seed);
        self.dir.record();
        self.start()?;
        // Made honestly: what is missing afterwards are rows, not the file.
        if let Some(Plant::Sync(bug, fault)) = self.plant {
            self.dir.plant(bug);
            fault.into_iter().for_each(|fault| self.dir.fail(fault));
        }
        for step in 0..self.setup.steps {
            let before = self.dir.recorded();
            let stepped = self.step(&mut rng, step);
            // Read while more is only in RAM: what a cut from the last commit on must leave.
            if let (Some(queue), Some(moment)) = (&self.queue, self.moments.last_mut()) {
                moment.committed = queue.committed_ledger();
            }
            if self.is_fragmented()? {
                self.end = before;
                return Ok(());
            }
            stepped.and_then(|()| self.compare()).map_err(|why| why.at(format_args!("step {step}")))?;
        }
        Ok(())
    }

    fn step(&mut self, rng: &mut Rng, step: usize) -> Result<(), Violation> {
        let late = step * 3 > self.setup.steps;
        if self.consumers.is_empty() && (late || rng.one_in(5)) {
            return self.register("hub");
        }
        if late && self.consumers.len() == 1 {
            return self.register("log");
        }
        if rng.one_in(self.setup.push_share) {
            return self.push_some(rng);
        }
        match rng.below(20) {
            0..=5 => self.commit(),
            6 | 7 => {
                self.sleep(if rng.one_in(4) { rng.between(2_000, 4_000) } else { rng.between(50, 1_200) })
            }
            8..=13 => self.lease(rng),
            14 => self.ack_ids(rng),
            15..=17 => self.settle_held(rng),
            18 => {
                self.report_gaps();
                Ok(())
            }
            _ if self.setup.reopens => self.reopen(rng.one_in(2)),
            _ => Ok(()),
        }
    }

    /// Whether the ring had no segment left although the limits had room: where rows lie the reference does not know, and
    /// `fragmented.rs` tests that.
    fn is_fragmented(&self) -> Result<bool, Violation> {
        let lost = |ledger: &Ledger| ledger.dropped.for_reason(Reason::Fragmented) > 0;
        Ok(self.region_full || self.queue()?.ledger().iter().any(lost))
    }

    fn start(&mut self) -> Result<(), Violation> {
        self.open_queue()?;
        self.note_moment(0, true);
        Ok(())
    }

    fn open_queue(&mut self) -> Result<(), Violation> {
        self.queue = Some(self.open(&self.dir, &self.clock, self.config(1), true)?);
        self.epoch += 1;
        self.model.set_epoch(self.epoch);
        Ok(())
    }

    /// A commit may have happened since boundary `asked_at`; if it did, this is what it made durable.
    pub(super) fn note_moment(&mut self, asked_at: usize, written: bool) {
        if written {
            let durable = self.model.durable();
            let (done_at, now_ms) = (self.dir.recorded(), self.now_ms);
            let committed = self.queue.as_ref().map_or_else(Vec::new, Queue::committed_ledger);
            self.moments.push(Moment { asked_at, done_at, now_ms, durable, committed });
        }
    }

    fn push_some(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        let lane = usize::from(!rng.one_in(3));
        let count = if rng.one_in(5) { rng.between(10, 30) } else { rng.between(1, 6) };
        let mut batch = Vec::new();
        for _ in 0..count {
            let weight = u32::try_from(rng.between(1, 3)).unwrap();
            let ttl_ms = rng.one_in(4).then(|| rng.between(TTL_MIN_MS, 2 * TTL_MIN_MS));
            batch.push((weight, ttl_ms));
        }
        if rng.one_in(2) {
            return batch.into_iter().try_for_each(|(weight, ttl_ms)| self.push(lane, weight, ttl_ms));
        }
        self.push_batch(lane, &batch)
    }

    fn push(&mut self, lane: usize, weight: u32, ttl_ms: Option<u64>) -> Result<(), Violation> {
        let (expected, row) = self.next_row(lane, weight, ttl_ms);
        match (self.queue()?.push(row), expected) {
            (Ok(pending), Some(id)) => drop(self.pending.insert(id, pending)),
            (Err(why), expected) if expected.is_none() || meets_region(&why) => {
                self.region_full |= meets_region(&why);
            }
            (found, expected) => {
                Rule::Push.broken(|| format!("push gave {found:?}, expected {expected:?}"))?;
            }
        }
        Ok(())
    }

    fn push_batch(&mut self, lane: usize, batch: &[(u32, Option<u64>)]) -> Result<(), Violation> {
        let (mut ids, mut rows) = (Vec::new(), Vec::new());
        for (weight, ttl_ms) in batch {
            let (id, row) = self.next_row(lane, *weight, *ttl_ms);
            rows.push(row);
            match id {
                Some(id) => ids.push(id),
                None => break,
            }
        }
        let mut accepted = match self.queue()?.push_batch(rows) {
            Ok(all) => all,
            Err(part) => {
                self.region_full |= meets_region(&part.error);
                part.accepted
            }
        };
        if self.has(QueueBug::BatchCutShort) {
            accepted.pop();
        }
        let (taken, expected) = (accepted.len(), ids.len());
        Rule::Push
            .require(taken == expected, || format!("{taken} rows of a batch taken, expected {expected}"))?;
        self.pending.extend(ids.into_iter().zip(accepted));
        Ok(())
    }

    fn next_row(&mut self, lane: usize, weight: u32, ttl_ms: Option<u64>) -> (Option<u64>, Row) {
        let id = u64::try_from(self.rows.len()).unwrap();
        let bytes = payload(id);
        let size = bytes.len() as u64 + ROW_OVERHEAD_BYTES;
        let mut row = Row::new(bytes).lane(Lane(u8::try_from(lane).unwrap())).weight(weight);
        row.ttl_ms = ttl_ms;
        self.model.set_next_id(id);
        let taken = self.model.push(lane, u64::from(weight), size, ttl_ms, self.now_ms);
        // A refused row keeps its number to itself: the next one is another row.
        let pushed_at = if taken.is_some() { self.dir.recorded() } else { usize::MAX };
        let known = Known {
            lane,
            pushed_at,
            expires_ms: ttl_ms.map(|ttl| self.now_ms + ttl),
            consumers: self.consumers.len(),
            stored_at: None,
            leased_at: None,
            ended_at: BTreeMap::new(),
            id: None,
        };
        self.rows.insert(id, known);
        (taken, row)
    }

    fn commit(&mut self) -> Result<(), Violation> {
        let asked_at = self.dir.recorded();
        accepted("commit", self.queue()?.commit())?;
        self.commit_of(asked_at)
    }

    pub(super) fn commit_of(&mut self, asked_at: usize) -> Result<(), Violation> {
        self.model.commit();
        self.note_moment(asked_at, self.dir.recorded() > asked_at);
        Ok(())
    }

    fn sleep(&mut self, ms: u64) -> Result<(), Violation> {
        self.now_ms += ms;
        self.clock.advance_ms(ms);
        let asked_at = self.dir.recorded();
        let did = self.queue()?.tick();
        if did {
            self.model_commit()?;
        }
        self.note_moment(asked_at, did && self.dir.recorded() > asked_at);
        Ok(())
    }

    /// Rows were due, or acknowledgements alone: the receipts tell.
    fn model_commit(&mut self) -> Result<(), Violation> {
        // Either begins with it, and what it gives up does not wait any more.
        self.model.move_slow_forward();
        let waiting: Vec<u64> = self.model.waiting().collect();
        let stored = waiting.iter().filter(|id| self.receipt(**id) == Some(Receipt::Stored)).count();
        match stored {
            0 if !waiting.is_empty() => self.model.commit_bookkeeping(),
            all if all == waiting.len() => self.model.commit(),
            some => Rule::Commit.broken(|| format!("{some} of {} rows were stored", waiting.len()))?,
        }
        Ok(())
    }

    fn receipt(&self, id: u64) -> Option<Receipt> {
        self.pending.get(&id).and_then(|pending| self.seen_receipt(id, pending))
    }

    fn register(&mut self, name: &'static str) -> Result<(), Violation> {
        let asked_at = self.dir.recorded();
        let own = self.setup.log_messages.filter(|_| name == NAMES[1]);
        let limits = own.map(|messages| ConsumerConfig::default().max_messages(messages)).unwrap_or_default();
        let consumer = accepted("consumer", self.queue()?.consumer_with(name, limits))?;
        self.consumers.insert(name, consumer);
        self.model.register(name, own.map(|messages| Own { messages: Some(messages), ..Own::default() }));
        self.note_moment(asked_at, self.dir.recorded() > asked_at);
        Ok(())
    }

    fn lease(&mut self, rng: &mut Rng) -> Result<(), Violation> {
        let names: Vec<&'static str> = self.consumers.keys().copied().collect();
        let Some(name) = names.get(usize::try_from(rng.below(2)).unwrap()).or(names.first()).copied() else {
            return Ok(());
        };
        let most = usize::try_from(rng.between(1, 40)).unwrap();
        let bytes_max = if rng.one_in(3) { rng.between(1, 9_000) } else { u64::MAX };
        let expected = self.model.lease(name, most, bytes_max, self.now_ms);
        let Some(consumer) = self.consumers.get_mut(name) else { return Ok(()) };
        let leases = consumer.lease_up_to(most, bytes_max, Wait::None);
        let leases: Vec<Lease> = accepted("lease", leases)?.into_iter().collect();
        let (keep, some_back) = (rng.one_in(3), rng.one_in(2));
        let mut found = Vec::new();
        for lease in leases {
            let id = self.recognise(&lease)?;
            let lane = usize::from(lease.lane().0);
            found.push((lane, id));
            if keep {
                self.held.push((name, lane, id, lease));
            } else if some_back && rng.one_in(3) {
                drop(lease);
                self.model.give_back(name, lane, id);
            } else {
                self.ack(name, lane, id, lease);
            }
        }
        Rule::Lease.require(found == expected, || format!("{name} leased {found:?}, expected {expected:?}"))
    }

    /// Which row it is; a stored one always has the same identity.
    fn recognise(&mut self, lease: &Lease) -> Result<u64, Violation> {
        let id = number(lease.payload())?;
        let Some(known) = self.rows.get_mut(&id) else {
            Rule::Ghost.broken(|| format!("row {id} was never pushed"))?;
            return Ok(id);
        };
        known.leased_at.get_or_insert(self.dir.recorded());
        let itself = !lease.stored() || *known.id.get_or_insert(lease.id()) == lease.id();
        Rule::Identity.require(itself, || format!("row {id} was {:?} and is {:?}", known.id, lease.id()))?;
        Ok(id)
    }

    fn report_gaps(&mut self) {
        for (name, consumer) in &mut self.consumers {
            let gaps = consumer.gaps();
            consumer.ack_gaps(&gaps);
            self.model.report_losses(name);
        }
    }

    /// A clean close, or a kill: what was not committed is gone, the rest of the disk is as it was.
    fn reopen(&mut self, clean: bool) -> Result<(), Violation> {
        let asked_at = self.dir.recorded();
        self.consumers.clear();
        let Some(queue) = self.queue.take() else { return Ok(()) };
        if clean {
            accepted("close", queue.close())?;
            self.model.reopen();
            self.note_moment(asked_at, true);
        } else {
            self.dir.freeze_after(0);
            drop(queue);
            self.thaw();
            let Some(last) = self.moments.last() else { return Ok(()) };
            self.model = last.durable.clone();
        }
        self.held.clear();
        self.pending.clear();
        let asked_at = self.dir.recorded();
        self.open_queue()?;
        self.note_moment(asked_at, true);
        for name in NAMES {
            if self.model.consumers().iter().any(|known| known == name) {
                self.register(name)?;
            }
        }
        Ok(())
    }

    /// Gives power back to the disk, and its faults.
    fn thaw(&self) {
        self.dir.heal();
        if let Some(Plant::Sync(SyncBug::Retried, Some(fault))) = self.plant {
            self.dir.fail(fault);
        }
    }

    /// Receipts, ledger and gap records, now.
    fn compare(&mut self) -> Result<(), Violation> {
        let ledgers = self.queue()?.ledger();
        let (model, at) = (&self.model, self.dir.recorded());
        let receipts: Vec<_> =
            self.pending.iter().map(|(id, pending)| (*id, self.seen_receipt(*id, pending))).collect();
        for (id, found) in &receipts {
            if let Some((known, Receipt::Stored)) = self.rows.get_mut(id).zip(*found) {
                known.stored_at = Some(at);
            }
            if found.is_some() {
                self.pending.remove(id);
            }
        }
        let odd = receipts.iter().find(|(id, found)| *found != model.receipts.get(id).copied());
        model.check(&ledgers).or_else(|why| Rule::LiveLedger.broken(|| why))?;
        if let Some((id, found)) = odd {
            let expected = model.receipts.get(id);
            Rule::Receipt.broken(|| format!("row {id}: receipt {found:?}, expected {expected:?}"))?;
        }
        for (name, consumer) in &self.consumers {
            super::judge::compare_gaps(&consumer.gaps(), name, model)?;
        }
        Ok(())
    }

    pub(super) fn queue(&self) -> Result<&edge_queue::Queue, Violation> {
        self.queue.as_ref().ok_or_else(|| Rule::Refusal.fatal("closed".to_owned()))
    }
}

fn meets_region(why: &PushError) -> bool {
    matches!(why, PushError::Full { limit: Limit::Region, .. })
}
