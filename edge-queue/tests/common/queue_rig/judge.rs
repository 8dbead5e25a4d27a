//! What every power cut must leave: one of the reference's states, lane by lane.

use std::collections::{BTreeMap, BTreeSet};

use edge_queue::testing::{JudgeRule, Outcome, Rng, SimDir};
use edge_queue::{Event, Gap, Ledger, Order, Queue, Reason, Wait};

use super::life::TTL_MIN_MS;
use super::rule::accepted;
use super::seen::QueueBug;
use super::{Moment, NAMES, Rig, Rule, Violation, clock, number, payload};
use crate::reference::Reference;
use crate::reference::durable::{Left, Loss};

/// Rows that one consumer got of one lane after the power cut.
#[derive(Default)]
struct Drained {
    before: Option<Ledger>,
    after: Option<Ledger>,
    ids: Vec<u64>,
    gaps: Vec<Gap>,
}

type Found = BTreeMap<(String, usize), Drained>;

impl Rig {
    /// Cuts the power at a `percent` share of all boundaries, with every outcome; gives how many states were judged.
    pub(crate) fn judge(&mut self, seed: u64, percent: u64) -> Result<u64, Violation> {
        // What is still leased was leased when the power went.
        self.consumers.clear();
        let mut recording = self.dir.recording();
        let (mut rng, mut cases) = (Rng::new(seed), 0);
        for at in 0..=recording.operations().min(self.end) {
            if rng.below(100) >= percent {
                continue;
            }
            for outcome in Outcome::ALL {
                let dir = recording.crash_at(at, outcome, rng.next_u64());
                Rule::Panic.catching(|| self.judge_state(&dir, at)).map_err(|violation| {
                    let all = recording.operations();
                    violation.at(format_args!("after {cases} states, boundary {at} of {all}, {outcome:?}"))
                })?;
                cases += 1;
            }
        }
        Ok(cases)
    }

    fn judge_state(&self, dir: &SimDir, at: usize) -> Result<(), Violation> {
        let done = self.moments.iter().rposition(|moment| moment.done_at <= at);
        let under_way = self.moments.iter().rposition(|moment| moment.asked_at < at).max(done);
        let (Some(done), Some(under_way)) = (done, under_way) else { return Ok(()) };
        // Some wait before they start again, so that rows expire; some come with larger limits, for which the ring is
        // copied into another file.
        let now_ms = self.moments[under_way].now_ms + if at.is_multiple_of(3) { TTL_MIN_MS / 3 } else { 0 };
        let config = self.config(if at.is_multiple_of(5) { 4 } else { 1 });
        let buggy = self.plant.is_some_and(super::Plant::at_open);
        let drain = || {
            let queue = self.open(dir, &clock(now_ms), config, buggy)?;
            let mut found = self.drain(&queue, at)?;
            for ((_, lane), drained) in &mut found {
                if self.has(QueueBug::RowsReversed) {
                    drained.ids.reverse();
                }
                // Live-first is an order of delivery, no promise about what is where.
                if self.setup.lanes[*lane].order != Order::Fifo {
                    drained.ids.sort_unstable();
                }
            }
            found.iter().try_for_each(|((name, lane), drained)| {
                self.newest_are_kept(name, *lane, &drained.ids, at, now_ms)
            })?;
            events_are_those_of_a_power_cut(&self.seen_events(&queue))?;
            self.moments[done].committed.iter().try_for_each(|committed| self.holds(committed, &found))?;
            Ok::<Found, Violation>(found)
        };
        let found = if buggy { self.flawed(drain)? } else { drain()? };
        for lane in 0..self.setup.lanes.len() {
            let mut why_not = Vec::new();
            let fits = (done..=under_way).rev().any(|nth| {
                let next = &self.moments[nth..=under_way];
                let verdict = self.fits(&found, lane, next, now_ms);
                verdict.map_err(|why| why_not.push(why.at(format_args!("not state {nth}")))).is_ok()
            });
            // The state that fits best says which rule is broken.
            let best = why_not.iter().map(|violation| violation.rule).max();
            if let Some(rule) = best.filter(|_| !fits) {
                let all: Vec<_> = why_not.into_iter().map(String::from).collect();
                return Err(rule.fatal(format!("lane {lane}: {}", all.join("; "))));
            }
        }
        Ok(())
    }

    /// Judges that what the committed ledger said before the power cut is there after it: no count is lower.
    fn holds(&self, committed: &Ledger, found: &Found) -> Result<(), Violation> {
        let place = (committed.consumer.clone(), usize::from(committed.lane.0));
        let Some(before) = found.get(&place).and_then(|drained| drained.before.as_ref()) else {
            return Ok(());
        };
        let more = u64::from(self.has(QueueBug::CommittedTooHigh));
        let kept = counts(committed).iter().zip(counts(before)).all(|(was, is)| *was + more <= is);
        Rule::Committed
            .require(committed.balanced() && kept, || format!("{before:?}, and committed was {committed:?}"))
    }

    /// Every consumer gets everything; on the way each row is looked at.
    fn drain(&self, queue: &Queue, at: usize) -> Result<Found, Violation> {
        let mut found = Found::new();
        let mut names: BTreeSet<String> = queue.ledger().into_iter().map(|ledger| ledger.consumer).collect();
        if names.is_empty() {
            names.insert(NAMES[0].to_owned());
        }
        if self.has(QueueBug::ConsumerForgotten) && names.len() > 1 {
            names.pop_last();
        }
        for name in names {
            let mut consumer = accepted("consumer", queue.consumer(&name))?;
            for ledger in queue.ledger().into_iter().filter(|ledger| ledger.consumer == name) {
                let lane = usize::from(ledger.lane.0);
                found.entry((name.clone(), lane)).or_default().before = Some(ledger);
            }
            loop {
                let chunk = accepted("lease", consumer.lease(50, Wait::None))?;
                if chunk.is_empty() {
                    break;
                }
                for lease in chunk.iter() {
                    let id = self.look_at(lease, at)?;
                    found.entry((name.clone(), usize::from(lease.lane().0))).or_default().ids.push(id);
                }
                chunk.ack();
            }
            for ledger in queue.ledger().into_iter().filter(|ledger| ledger.consumer == name) {
                let lane = usize::from(ledger.lane.0);
                found.entry((name.clone(), lane)).or_default().after = Some(ledger);
            }
            for gap in self.seen_gaps(&consumer) {
                found.entry((name.clone(), usize::from(gap.lane.0))).or_default().gaps.push(gap);
            }
        }
        Ok(found)
    }

    fn look_at(&self, lease: &edge_queue::Lease, at: usize) -> Result<u64, Violation> {
        let (bytes, row_id) = self.seen_row(lease);
        let id = number(&bytes)?;
        let known = self.rows.get(&id).filter(|known| known.pushed_at <= at);
        let Some(known) = known else {
            Rule::Ghost.broken(|| format!("row {id} is a ghost: never pushed by then"))?;
            return Ok(id);
        };
        let same = bytes == payload(id) && usize::from(lease.lane().0) == known.lane;
        Rule::OtherBytes.require(same, || format!("row {id} came back with other bytes"))?;
        let itself = known.id.is_none_or(|was| was == row_id);
        Rule::Identity.require(itself, || format!("row {id} is {row_id:?} and was {:?}", known.id))?;
        Ok(id)
    }

    /// Whether a lane is as `next[0]` left it, with any of the rows of the commits after it.
    fn fits(&self, found: &Found, lane: usize, next: &[Moment], now_ms: u64) -> Result<(), Violation> {
        let Some((first, later)) = next.split_first() else { return Ok(()) };
        let mut model = first.durable.clone();
        if model.consumers().is_empty() && found.keys().any(|(name, _)| name == NAMES[0]) {
            model.register(NAMES[0], None);
        }
        let known: BTreeSet<u64> = model.rows(lane).map(|row| row.id).collect();
        let new = |row: &Left| !known.contains(&row.id);
        let torn: BTreeMap<u64, Left> =
            later.iter().flat_map(|m| m.durable.rows(lane)).filter(new).map(|row| (row.id, row)).collect();
        for ((name, _), drained) in found.iter().filter(|((_, of), _)| *of == lane) {
            fits_consumer(drained, name, lane, &model, &torn, now_ms).map_err(|why| why.at(name))?;
        }
        let missing = model.consumers().iter().find(|name| !found.contains_key(&((*name).clone(), lane)));
        Rule::Consumers.require(missing.is_none(), || format!("{missing:?} is gone"))
    }
}

fn fits_consumer(
    drained: &Drained,
    name: &str,
    lane: usize,
    model: &Reference,
    torn: &BTreeMap<u64, Left>,
    now_ms: u64,
) -> Result<(), Violation> {
    let (Some(before), Some(after)) = (&drained.before, &drained.after) else {
        return Rule::Balance.broken(|| "no ledger".into());
    };
    for ledger in [before, after] {
        let adds_up = ledger.balanced() && ledger.leased == 0 && ledger.quarantined() == 0;
        Rule::Balance.require(adds_up, || format!("the ledger does not add up: {ledger:?}"))?;
    }
    // One whose registration was under way was promised nothing.
    let Some((accepted, delivered, moved, dropped)) = model.figures(name, lane) else {
        return Rule::Figures.require(after.queued == 0, || format!("queued after all: {after:?}"));
    };
    let (mut due, mut expired, mut losses) = (Vec::new(), 0, model.losses(name, lane).to_vec());
    let extra = drained.ids.iter().filter_map(|id| torn.get(id)).copied();
    let extra_weight: u64 = extra.clone().map(|row| row.weight).sum();
    let mut left: Vec<Left> = model.left_for(name, lane).chain(extra).collect();
    left.sort_by_key(|row| row.id);
    for row in &left {
        if row.ttl_ms.is_some_and(|ttl| now_ms - row.born_ms >= ttl) {
            expired += row.weight;
            let (seq, wall_ms, weight) = (row.seq, row.born_ms, row.weight);
            losses.push(Loss { seq, wall_ms, weight, reason: Reason::Expired });
        } else {
            due.push(row.id);
        }
    }
    Rule::Rows.require(due == drained.ids, || differ(&due, &drained.ids))?;
    let weight: u64 = left.iter().map(|row| row.weight).sum();
    let sum: u64 = dropped.values().sum();
    let figures = |l: &Ledger| (l.accepted, l.delivered, l.moved, l.queued, l.dropped.total(), l.expired());
    let expired_before = dropped.get(&(Reason::Expired as u8)).copied().unwrap_or(0);
    let accepted = accepted + extra_weight;
    let expected = [
        (accepted, delivered, moved, weight, sum, expired_before),
        (accepted, delivered + weight - expired, moved, 0, sum + expired, expired_before + expired),
    ];
    let right = [figures(before), figures(after)] == expected;
    Rule::Figures.require(right, || format!("{before:?} and {after:?}, expected {expected:?}"))?;
    for reason in [Reason::OverflowUnconfirmed, Reason::Discarded] {
        let expected = dropped.get(&(reason as u8)).copied().unwrap_or(0);
        let right = after.dropped.for_reason(reason) == expected;
        Rule::Reasons.require(right, || format!("{expected} were given up, {}: {after:?}", reason.name()))?;
    }
    let said = gaps_say(&drained.gaps, &losses);
    said.or_else(|why| Rule::Gaps.broken(|| why))
}

fn counts(ledger: &Ledger) -> Vec<u64> {
    let dropped = Reason::ALL.map(|reason| ledger.dropped.for_reason(reason));
    [ledger.accepted, ledger.delivered, ledger.moved].into_iter().chain(dropped).collect()
}

fn differ(due: &[u64], found: &[u64]) -> String {
    let lost: Vec<&u64> = due.iter().filter(|id| !found.contains(id)).collect();
    let more: Vec<&u64> = found.iter().filter(|id| !due.contains(id)).collect();
    match (lost.as_slice(), more.as_slice()) {
        ([], []) => format!("out of order: {found:?}"),
        _ => format!("rows lost: {lost:?}, rows too many: {more:?}"),
    }
}

/// A consumer's gap records against what the reference knows it lost.
pub(super) fn compare_gaps(gaps: &[Gap], name: &str, model: &Reference) -> Result<(), Violation> {
    for lane in 0..2 {
        let own: Vec<Gap> = gaps.iter().filter(|gap| usize::from(gap.lane.0) == lane).copied().collect();
        let said = gaps_say(&own, model.losses(name, lane));
        said.or_else(|why| Rule::LiveGaps.broken(|| format!("{name}, lane {lane}: {why}")))?;
    }
    Ok(())
}

/// Each loss is in one record of its reason, each record begins and ends with one, and its count is exact.
fn gaps_say(gaps: &[Gap], losses: &[Loss]) -> Result<(), String> {
    for gap in gaps {
        let within =
            |loss: &&Loss| loss.reason == gap.reason && (gap.first_seq..=gap.last_seq).contains(&loss.seq);
        let own: Vec<&Loss> = losses.iter().filter(within).collect();
        let count: u64 = own.iter().map(|loss| loss.weight).sum();
        let ends =
            |seq: u64, ms: i64| own.iter().any(|loss| loss.seq == seq && loss.wall_ms.cast_signed() == ms);
        if count != gap.count || !ends(gap.first_seq, gap.first_ms) || !ends(gap.last_seq, gap.last_ms) {
            return Err(format!("{gap:?}, but what was lost there is {own:?}"));
        }
    }
    let (told, lost): (u64, u64) =
        (gaps.iter().map(|gap| gap.count).sum(), losses.iter().map(|loss| loss.weight).sum());
    if told != lost { Err(format!("gap records tell of {told} of {lost}")) } else { Ok(()) }
}

fn events_are_those_of_a_power_cut(told: &[Event]) -> Result<(), Violation> {
    let damage = told.iter().find(|event| matches!(event, Event::Lost { .. } | Event::SetAside(_)));
    Rule::Damage.require(damage.is_none(), || format!("a power cut is no damage: {damage:?}"))?;
    let torn = told.iter().filter(|event| matches!(event, Event::TailUncertain)).count();
    Rule::TornOnce.require(torn <= 1, || format!("one commit was torn: {told:?}"))
}
