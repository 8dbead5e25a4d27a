//! Learning of a session table from a sample: the order of the sensors, a plan for each, and plans for the clocks, which are the instants that sensors
//! polled together share ([`shared_timestamps`]).

#![deny(clippy::indexing_slicing)]

use super::Entry;
use crate::compact::encoder::column::Column;
use crate::compact::shared_timestamps::{self, ClockPlan};
use crate::compact::stream::ans::{Dist, STATES};
use crate::compact::stream::bits::bit_len;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::token::{ESCAPE, TOKENS, split};
use crate::compact::values::delta_prediction::{Order, residuals_of};
use crate::compact::values::integer_dictionary;
use crate::compact::values::kind::Kind;
use crate::compact::values::number_form::NumberForm;
use crate::compact::values::plan::{Plan, Scratch};
use crate::compact::values::plan_search;
use crate::compact::values::transform::Transform;
use crate::zigzag::zigzag;
use crate::{Reading, SensorTable};
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) struct LearnedPlans {
    pub(crate) entries: Vec<Entry>,
    pub(crate) clocks: Vec<ClockPlan>,
}

/// Most readings per sensor that are looked at.
const ENOUGH: usize = 8192;
/// Fewest numbers from which a distribution is learned.
const TOO_FEW: usize = 16;
/// Most clocks of a table. They are few because a batch tries each of them.
const CLOCKS_MAX: usize = 4;

pub(crate) fn learn(sensors: &SensorTable<'_>, sample: &[Reading<'_>]) -> LearnedPlans {
    let mut at: HashMap<u32, usize> = HashMap::new();
    let mut columns: Vec<Column> = Vec::new();
    for reading in sample.iter().filter(|r| sensors.get(r.sensor).is_some()) {
        let nth = *at.entry(reading.sensor).or_insert_with(|| {
            columns.push(Column::new(reading.sensor, 0));
            columns.len() - 1
        });
        // Texts are numbered within a batch: there is nothing to learn about their numbers.
        if let Some(column) = columns.get_mut(nth).filter(|c| c.len() < ENOUGH) {
            let (kind, value) = crate::compact::encoder::column::bits(&reading.value);
            column.push(reading.time, kind, value, reading.quality);
        }
    }
    let mut scratch = Scratch::default();
    let mut ranks = polled_together(sample);
    let appearance = sample.iter().map(|r| r.sensor).chain(sensors.iter().map(|s| s.id));
    for sensor in appearance {
        let next = ranks.len();
        ranks.entry(sensor).or_insert(next);
    }
    let mut entries: Vec<Entry> = sensors
        .iter()
        .map(|s| {
            let column = at.get(&s.id).and_then(|nth| columns.get(*nth));
            let plan = column.and_then(|c| plan(c, &mut scratch));
            Entry { sensor: s.id, name: s.name.to_string(), unit: s.unit.to_string(), plan }
        })
        .collect();
    entries.sort_by_key(|e| ranks.get(&e.sensor).copied());
    columns.sort_by_key(|c| ranks.get(&c.sensor).copied());
    LearnedPlans { entries, clocks: clocks(&columns) }
}

/// Returns the rank of each sensor in the largest group of readings of one instant, which is the order of a poll.
fn polled_together(sample: &[Reading<'_>]) -> HashMap<u32, usize> {
    let largest =
        sample.chunk_by(|a, b| a.time == b.time).max_by_key(|group| group.len()).unwrap_or_default();
    let mut ranks = HashMap::new();
    for reading in largest {
        let next = ranks.len();
        ranks.entry(reading.sensor).or_insert(next);
    }
    ranks
}

/// Returns the plan that makes a column smallest. `None`: there are too few values, or none of a kind that has plans.
fn plan(column: &Column, scratch: &mut Scratch) -> Option<Plan> {
    let (kind, values) = (column.kind(column.len()), column.values());
    if values.len() < TOO_FEW || !matches!(kind, Kind::F64 | Kind::I64 | Kind::U64 | Kind::Bool) {
        return None;
    }
    let forms = match kind {
        Kind::F64 => plan_search::forms(values, plan_search::THOROUGH, scratch),
        _ => vec![(0, NumberForm::Bits64)],
    };
    let listed = integer_dictionary::are_few(values).then_some(NumberForm::Bits64);
    let forms = forms.iter().map(|f| f.1).take(FORMS_TRIED).chain(listed);
    let mut found: Vec<Plan> =
        forms.map(|form| plan_search::with_form(kind, form, values, scratch).0).collect();
    if kind == Kind::F64 {
        found.extend(plan_search::on_grid(values, plan_search::THOROUGH, scratch).map(|(plan, _)| plan));
    }
    let plans = found.into_iter().filter_map(|plan| fitted(plan, values, scratch));
    plans.min_by_key(|(_, cost)| *cost).map(|(plan, _)| plan)
}

/// Most number forms that are tried with distributions made for them.
const FORMS_TRIED: usize = 5;

/// Returns a plan with distributions made for the values, and their cost in 1/256 bits.
fn fitted(found: Plan, values: &[u64], scratch: &mut Scratch) -> Option<(Plan, u64)> {
    let mut plan = Plan { transform: lasting(found.transform.clone(), values.len()), ..found };
    if !plan.integers(values, scratch) {
        return None;
    }
    let integers = std::mem::take(&mut scratch.integers);
    let mut sorted = integers.clone();
    sorted.sort_unstable();
    plan.center = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    let mut best = u64::MAX;
    for order in [Order::Around, Order::Delta, Order::Line] {
        residuals_of(order, plan.center, &integers, &mut scratch.residuals);
        let (coder, cost) = distribution(scratch.residuals.get(1..).unwrap_or_default())?;
        if cost < best {
            best = cost;
            (plan.order, plan.main) = (order, coder);
        }
    }
    residuals_of(Order::Around, plan.center, &integers, &mut scratch.residuals);
    plan.head = match plan.order {
        Order::Around | Order::Above => None,
        Order::Delta | Order::Line => Some(distribution(&scratch.residuals)?.0),
    };
    if plan.ulps.is_some() {
        let ulps: Vec<u64> = scratch.ulps.iter().map(|u| zigzag(*u)).collect();
        let (coder, cost) = distribution(&ulps)?;
        plan.ulps = Some(coder);
        best += cost;
    }
    scratch.integers = integers;
    Some((plan, best))
}

/// Keeps a dictionary only if the sample has each of its values often, because one new value makes the plan useless.
fn lasting(transform: Transform, values: usize) -> Transform {
    match transform {
        Transform::Dictionary(table) if values < table.len() * 32 || table.len() > 64 => Transform::Nothing,
        other => other,
    }
}

/// Returns a coder with a distribution made of these numbers, and their cost with it in 1/256 bits.
fn distribution(numbers: &[u64]) -> Option<(Coder, u64)> {
    let mut counts = [0_u64; TOKENS];
    for number in numbers {
        *counts.get_mut(usize::from(split(*number).0))? += 1;
    }
    let coder = Coder::learned(Arc::new(Dist::new(weights(&counts, numbers.len() as u64), 0)?));
    let cost = numbers.iter().map(|n| coder.cost(*n)).sum();
    Some((coder, cost))
}

/// Weight of the escape, for numbers that the sample does not have.
const ESCAPE_WEIGHT: u64 = 2;

fn weights(counts: &[u64; TOKENS], all: u64) -> Vec<(u8, u16)> {
    let room = STATES as u64 - ESCAPE_WEIGHT;
    let mut weights: Vec<(u8, u16)> = (0..)
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(token, count)| (token, (count * room / all.max(1)).max(1) as u16))
        .collect();
    if weights.is_empty() {
        weights.push((0, 1));
    }
    // Rounding leaves some over; rare tokens, which get a whole weight, may take too much.
    let mut sum: u64 = weights.iter().map(|w| u64::from(w.1)).sum();
    while sum != room {
        let Some(largest) = weights.iter_mut().max_by_key(|w| w.1) else { break };
        if sum < room {
            largest.1 += (room - sum) as u16;
            sum = room;
        } else {
            largest.1 -= 1;
            sum -= 1;
        }
    }
    weights.push((ESCAPE, ESCAPE_WEIGHT as u16));
    weights
}

/// Returns plans for the clocks with the most instants. Clocks of the same unit and period count as one.
fn clocks(columns: &[Column]) -> Vec<ClockPlan> {
    let times: Vec<&[i64]> = columns.iter().map(Column::times).collect();
    let mut paces: Vec<(ClockPlan, Vec<u64>, u64)> = Vec::new();
    for times in shared_timestamps::share(&times, &mut Vec::new()) {
        let mut plan = ClockPlan::of(&times, Coder::plain());
        let mut residuals = Vec::new();
        if times.len() < TOO_FEW || !plan.residuals(&times, &mut residuals) {
            continue;
        }
        let first = times.first().copied().unwrap_or(0);
        let span = times.last().map_or(0, |last| last.wrapping_sub(first));
        // Batches come after the sample.
        plan.origin = times.last().copied().unwrap_or(0);
        let span = (span / plan.unit).unsigned_abs();
        match paces.iter_mut().find(|(p, ..)| (p.unit, p.period) == (plan.unit, plan.period)) {
            Some((_, more, longest)) => {
                more.extend_from_slice(&residuals);
                *longest = span.max(*longest);
            }
            None => paces.push((plan, residuals, span)),
        }
    }
    paces.sort_by_key(|(_, residuals, _)| std::cmp::Reverse(residuals.len()));
    let learned = paces.into_iter().take(CLOCKS_MAX).filter_map(|(mut plan, residuals, span)| {
        plan.coder = distribution(&residuals)?.0;
        // A table is in use for longer than it was learned from.
        plan.start_low = bit_len(span).clamp(8, 60);
        Some(plan)
    });
    learned.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_always_add_up() {
        for case in 0..200_u64 {
            let mut counts = [0; TOKENS];
            let mut all = 0;
            for nth in 0..case % 130 {
                let count = (nth * case * 7919) % (1 + case * case);
                counts[nth as usize] = count;
                all += count;
            }
            assert!(Dist::new(weights(&counts, all), 0).is_some(), "{case}");
        }
    }
}
