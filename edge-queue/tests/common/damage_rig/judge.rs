//! The oracle: rows out, rows lost, rows reported. It knows nothing of files, frames or how a queue counts.

use std::collections::{BTreeMap, BTreeSet};

use edge_queue::testing::{JudgeRule, Rng};
use edge_queue::{Consumer, Event, Lane, Queue, Row, Wait, judge_rules};

use super::harm::Harm;
use super::{Image, Pushed, QueueBug, Reader, payload};

/// Rows pushed into each lane after the damage.
const LATER: u64 = 3;
/// Leases a drain may take before it counts as endless.
const LEASES_MAX: usize = 2000;

judge_rules! {
    /// Promises of a queue on a damaged file.
    pub(crate) enum Rule {
        /// It opens.
        Opens,
        /// No call panics.
        Panic,
        /// Rows that come out were pushed, in this lane, in order.
        WrongRow,
        /// A row that does not come lies in a gap record.
        Silent,
        /// It lies in one only, and what was acknowledged does not come again.
        Twice,
        /// Gap records and `dropped` say exactly the weight of what does not come.
        Count,
        /// `accepted` never decreases.
        Accepted,
        /// The ledger adds up.
        Balance,
        /// Everything drains, capacity comes back, new rows go through.
        Wedge,
        /// The next open finds the same.
        Reopen,
    }
}

pub(crate) type Violation = edge_queue::testing::Violation<Rule>;

/// Gives what a call gave, or says that it was refused.
fn accepted_call<T, E: std::fmt::Display>(call: &str, result: Result<T, E>) -> Result<T, Violation> {
    result.map_err(|e| Rule::Wedge.fatal(format!("{call}: {e}")))
}

/// Outcome of one case.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Outcome {
    /// Whether all was judged to the row; else only what can be known after a kill, or when damage took the close mark too.
    pub(crate) exact: bool,
    /// Whether after a kill only the end of a lane may be gone without a word.
    pub(crate) end_only: bool,
    pub(crate) lost: u64,
    pub(crate) silent: u64,
}

/// Accepted weight of each consumer and lane.
type Accepted = BTreeMap<(String, u8), u64>;

fn accepted(queue: &Queue) -> Accepted {
    queue.ledger().into_iter().map(|l| ((l.consumer.clone(), l.lane.0), l.accepted)).collect()
}

fn no_less(before: &Accepted, queue: &Queue, when: &str) -> Result<Accepted, Violation> {
    let now = accepted(queue);
    for (key, was) in before {
        let is = now.get(key).copied().unwrap_or(0);
        Rule::Accepted.require(is >= *was, || format!("{when}: {key:?} accepted {is}, was {was}"))?;
    }
    Ok(now)
}

impl Image {
    fn balanced(&self, queue: &Queue, when: &str) -> Result<(), Violation> {
        let wrong = self.seen_ledgers(queue).into_iter().find(|ledger| !ledger.balanced());
        Rule::Balance.require(wrong.is_none(), || format!("{when}: {wrong:?}"))
    }

    /// Hurts a copy as `rng` says and judges what the queue makes of it.
    pub(crate) fn case(&self, rng: &mut Rng) -> Result<Outcome, Violation> {
        let harms = self.harms(rng);
        Rule::Panic.catching(|| self.judge(&harms, rng)).map_err(|violation| {
            let (lanes, readers, clean) = (self.lanes, self.readers.len(), self.clean);
            violation.at(format_args!("{lanes} lanes, {readers} consumers, clean {clean}, {harms:?}"))
        })
    }

    /// Whether each row can be accounted for: after a clean close, and unless both the superblocks and the log are hurt.
    fn exact(&self, harms: &[Harm]) -> bool {
        let touched = harms.iter().map(Harm::touches).fold((false, false), |a, b| (a.0 | b.0, a.1 | b.1));
        self.clean && touched != (true, true) && self.kind == edge_queue::StoreKind::Ring
    }

    fn judge(&self, harms: &[Harm], rng: &mut Rng) -> Result<Outcome, Violation> {
        let dir = self.hurt(harms);
        let exact = self.exact(harms);
        let opened = |dir| match self.open(dir) {
            Ok(queue) if !self.has(QueueBug::OpenRefused) => Ok(queue),
            other => Err(Rule::Opens.fatal(format!("{:?}", other.err()))),
        };
        let queue = opened(&dir)?;
        self.balanced(&queue, "opened")?;
        let mut known = accepted(&queue);
        if exact {
            let before = self.ledgers.iter().map(|l| ((l.consumer.clone(), l.lane.0), l.accepted)).collect();
            known = no_less(&before, &queue, "opened")?;
        }
        // Damage to the log of a killed queue may take a consumer. Nobody knows then what it had.
        let names: BTreeSet<String> = queue.ledger().into_iter().map(|ledger| ledger.consumer).collect();
        let later = self.push_later(&queue, 0)?;
        // Several damages may take all that is known of a consumer's place.
        let end_only = harms.len() == 1 && self.kind == edge_queue::StoreKind::Ring;
        let mut outcome = Outcome { exact, end_only, ..Outcome::default() };
        let mut events = Vec::new();
        for reader in &self.readers {
            let mut consumer = consumer(&queue, reader.name)?;
            let arrived = self.seen_rows(self.drain(&mut consumer, &later, rng)?, reader);
            events.extend(queue.events());
            if exact || names.contains(reader.name) {
                self.account(&queue, &consumer, (reader, &arrived), &events, &mut outcome)?;
            }
        }
        self.balanced(&queue, "drained")?;
        let room_kept = u64::from(self.has(QueueBug::RoomKept));
        empty(&queue, room_kept, "drained")?;
        known = no_less(&known, &queue, "drained")?;
        let (ledgers, gaps) = (queue.ledger(), self.gaps(&queue)?);
        accepted_call("close", queue.close())?;

        let queue = opened(&dir)?;
        let gaps_now = if self.has(QueueBug::GapsForgotten) { Vec::new() } else { self.gaps(&queue)? };
        let same = (queue.ledger(), gaps_now) == (ledgers.clone(), gaps);
        Rule::Reopen.require(same, || format!("{ledgers:?} became {:?}", queue.ledger()))?;
        let known = no_less(&known, &queue, "opened again")?;
        let later = self.push_later(&queue, 100)?;
        for reader in &self.readers {
            let mut consumer = consumer(&queue, reader.name)?;
            let arrived = self.drain(&mut consumer, &later, rng)?;
            Rule::Reopen.require(arrived.is_empty(), || format!("{} rows came again", arrived.len()))?;
            let gaps = consumer.gaps();
            consumer.ack_gaps(&gaps);
        }
        empty(&queue, 0, "drained again")?;
        accepted_call("close", queue.close())?;
        let queue = opened(&dir)?;
        no_less(&known, &queue, "opened a third time")?;
        self.balanced(&queue, "opened a third time")?;
        let reported = self.gaps(&queue)?.iter().all(Vec::is_empty);
        Rule::Reopen.require(reported, || "gap records came back".into())?;
        Ok(outcome)
    }

    fn gaps(&self, queue: &Queue) -> Result<Vec<Vec<edge_queue::Gap>>, Violation> {
        let gaps = |reader: &Reader| Ok(consumer(queue, reader.name)?.gaps());
        self.readers.iter().map(gaps).collect()
    }

    /// New rows for every lane, each with a number of its own.
    fn push_later(&self, queue: &Queue, from: u64) -> Result<BTreeSet<u64>, Violation> {
        for reader in &self.readers {
            // Damage may have taken it.
            drop(consumer(queue, reader.name)?);
        }
        let mut later = BTreeSet::new();
        for nth in 0..LATER * u64::from(self.lanes) {
            let number = 1_000_000 + from + nth;
            let row = Row::new(payload(number, 20)).lane(Lane((nth % u64::from(self.lanes)) as u8));
            drop(accepted_call("push", queue.push(row))?);
            later.insert(number);
        }
        accepted_call("commit", queue.commit())?;
        Ok(later)
    }

    /// Takes everything there is, now and then in another order; `later` must all come. Returns what else came.
    fn drain(
        &self,
        consumer: &mut Consumer,
        later: &BTreeSet<u64>,
        rng: &mut Rng,
    ) -> Result<BTreeSet<u64>, Violation> {
        let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
        for _ in 0..LEASES_MAX {
            let chunk = accepted_call("lease", consumer.lease(40, Wait::None))?;
            if chunk.is_empty() {
                Rule::Wedge
                    .require(new == *later, || format!("{} of {} later rows came", new.len(), later.len()))?;
                return Ok(old);
            }
            let give_back = rng.one_in(4);
            for (at, lease) in chunk.into_iter().enumerate() {
                if give_back && at % 3 == 1 {
                    continue;
                }
                let Some(nth) = self.seen_number(lease.payload()) else {
                    return Err(Rule::WrongRow.fatal("a payload nobody pushed".into()));
                };
                let right = match self.rows.get(&nth) {
                    Some(row) => {
                        (row.lane, row.seq, row.weight)
                            == (lease.lane().0, lease.id().seq, lease.weight().into())
                    }
                    None => later.contains(&nth),
                };
                let fresh = if nth < 1_000_000 { old.insert(nth) } else { new.insert(nth) };
                Rule::WrongRow
                    .require(right && fresh, || format!("row {nth} as {:?}, new {fresh}", lease.id()))?;
                lease.ack();
            }
        }
        Err(Rule::Wedge.fatal("the drain does not end".into()))
    }

    /// Rows out, rows lost, rows reported: for one consumer.
    fn account(
        &self,
        queue: &Queue,
        consumer: &Consumer,
        (reader, arrived): (&Reader, &BTreeSet<u64>),
        events: &[Event],
        outcome: &mut Outcome,
    ) -> Result<(), Violation> {
        let wanted = |nth: &u64| *nth >= reader.since && !reader.acked.contains(nth);
        let again = arrived.iter().find(|nth| outcome.exact && !wanted(nth));
        Rule::Twice.require(again.is_none(), || format!("{}: row {again:?} came again", reader.name))?;
        for lane in 0..self.lanes {
            let gaps: Vec<_> = consumer.gaps().into_iter().filter(|gap| gap.lane.0 == lane).collect();
            let told: u64 = gaps.iter().map(|gap| gap.count).sum();
            let ledger =
                queue.ledger().into_iter().find(|l| (l.consumer == reader.name, l.lane.0) == (true, lane));
            let dropped = ledger.map_or(0, |ledger| ledger.quarantined());
            Rule::Count
                .require(told == dropped, || format!("{}: told {told}, dropped {dropped}", reader.name))?;
            let mine = self.rows.iter().filter(|(nth, row)| row.lane == lane && wanted(nth));
            let missing: Vec<(&u64, &Pushed)> = mine.filter(|(nth, _)| !arrived.contains(nth)).collect();
            let covers = |row: &Pushed| {
                gaps.iter().filter(|gap| (gap.first_seq..=gap.last_seq).contains(&row.seq)).count()
            };
            let weight: u64 = missing.iter().map(|(_, row)| row.weight).sum();
            outcome.lost += missing.len() as u64;
            let what = || format!("{} in lane {lane}: {weight} missing, {gaps:?}, {events:?}", reader.name);
            let silent: Vec<_> = missing.iter().filter(|(_, row)| covers(row) == 0).collect();
            if outcome.exact {
                Rule::Silent
                    .require(silent.is_empty(), || format!("row {:?}: {}", silent.first(), what()))?;
                let twice = missing.iter().find(|(_, row)| covers(row) > 1);
                Rule::Twice.require(twice.is_none(), || format!("row {twice:?}: {}", what()))?;
                Rule::Count.require(told == weight, what)?;
            }
            outcome.silent += silent.len() as u64;
            // After a kill only the end of a lane may be gone without a word: what later commits brought did not come either.
            let end = silent.iter().map(|(_, row)| row.commit).min().unwrap_or(u64::MAX);
            let is_told = |row: &Pushed| {
                let mut placed = gaps.iter().filter(|gap| has_place(gap, events));
                placed.any(|gap| (gap.first_seq..=gap.last_seq).contains(&row.seq))
            };
            let beyond = self.rows.iter().find(|(nth, row)| {
                row.lane == lane && row.commit > end && (arrived.contains(nth) || wanted(nth) && is_told(row))
            });
            if let (Some((nth, row)), true) = (beyond, outcome.end_only) {
                let first = silent.first();
                Rule::Silent.broken(|| format!("{first:?} is gone, row {nth} {row:?} not: {}", what()))?;
            }
        }
        Ok(())
    }
}

/// Returns whether a record says where rows were lost. A loss that the ledger alone tells has no place: no event is about it, and its
/// record stands at any one number, without times.
fn has_place(gap: &edge_queue::Gap, events: &[Event]) -> bool {
    let is_about = |event: &Event| match event {
        Event::Lost { lane, first, last, .. } => {
            *lane == gap.lane && (*first..=*last).contains(&gap.first_seq)
        }
        _ => false,
    };
    gap.first_seq != gap.last_seq || (gap.first_ms, gap.last_ms) != (0, 0) || events.iter().any(is_about)
}

fn consumer(queue: &Queue, name: &str) -> Result<Consumer, Violation> {
    accepted_call("consumer", queue.consumer(name))
}

/// Nothing counts as queued any more.
fn empty(queue: &Queue, more: u64, when: &str) -> Result<(), Violation> {
    let stats = queue.stats();
    let queued = queue.ledger().into_iter().find(|ledger| ledger.queued > 0);
    let empty = (stats.messages + more, stats.bytes, &queued) == (0, 0, &None);
    Rule::Wedge
        .require(empty, || format!("{when}: {} messages, {} bytes, {queued:?}", stats.messages, stats.bytes))
}
