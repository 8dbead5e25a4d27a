//! How one column is written: kind, form, steps to small numbers, coders. A plan stands in the batch or in the table.

#![deny(clippy::indexing_slicing)]

use super::ans::Decoder;
use super::bits::{BitReader, unzigzag, zigzag};
use super::form::{Form, from_ordinal, ordinal};
use super::lists::{self, LIST_MAX};
use super::script::Script;
use super::token::Coder;

/// What the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    F64,
    I64,
    U64,
    Bool,
    Text,
    Bytes,
    Null,
    /// Several kinds in one column: each of its own.
    Mixed,
}

impl Kind {
    pub(super) const ALL: [Kind; 8] =
        [Kind::F64, Kind::I64, Kind::U64, Kind::Bool, Kind::Text, Kind::Bytes, Kind::Null, Kind::Mixed];

    pub(super) fn read(bits: &mut BitReader<'_>) -> Self {
        Self::ALL.get(bits.bits(3) as usize).copied().unwrap_or(Kind::Null)
    }
}

/// A step between the form's integers and those that are predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pre {
    Nothing,
    /// `first + step × x`.
    Affine {
        first: i64,
        step: i64,
    },
    /// `table[x]`, rising.
    Table(Vec<i64>),
}

/// What an integer is predicted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// `center + r`.
    Above,
    /// The integer before + `unzigzag(r)`.
    Delta,
    /// The line through the two before + `unzigzag(r)`.
    Line,
    /// `center + unzigzag(r)`.
    Around,
}

impl Order {
    pub(super) const ALL: [Order; 4] = [Order::Above, Order::Delta, Order::Line, Order::Around];

    /// Whether the first integer is not predicted like the others.
    fn has_head(self) -> bool {
        matches!(self, Order::Delta | Order::Line)
    }
}

#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) form: Form,
    pub(super) pre: Pre,
    pub(super) order: Order,
    pub(super) center: i64,
    pub(super) main: Coder,
    pub(super) ulps: Option<Coder>,
    /// Of a table's plan: the first integer is `center + unzigzag(r)`; elsewhere it is `center`.
    pub(super) head: Option<Coder>,
}

/// What a plan in a batch may share with the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shared {
    kind: Kind,
    form: Form,
    order: Order,
    /// Whether there is no step between the form's integers and the predicted ones.
    plain: bool,
    main: (usize, u32),
    ulps: Option<(usize, u32)>,
}

/// Larger numbers weigh no more than this, so that a batch of them can be summed up.
const WEIGHT_MAX: u64 = 1 << 47;

/// Buffers of the conversions, kept between columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub(super) integers: Vec<i64>,
    pub(super) ulps: Vec<i64>,
    pub(super) residuals: Vec<u64>,
    /// About the sum of the numbers that the main coder wrote last.
    pub(super) weight: u64,
}

impl Plan {
    /// Writes all but the coders.
    pub(super) fn describe(&self, script: &mut Script) {
        script.bits(self.kind as u64, 3);
        if self.kind == Kind::F64 {
            self.form.describe(script);
        }
        match &self.pre {
            Pre::Nothing => script.bits(0, 2),
            Pre::Affine { first, step } => {
                script.bits(1, 2);
                script.raw(zigzag(*first));
                script.raw(*step as u64);
            }
            Pre::Table(table) => {
                script.bits(2, 2);
                script.eg(table.len() as u64, 3);
                let gaps = gaps(table);
                let widest = gaps.iter().map(|g| super::bits::bit_len(*g)).max().unwrap_or(0).max(1);
                script.bits(widest.into(), 7);
                script.raw(zigzag(table.first().copied().unwrap_or(0)));
                gaps.iter().for_each(|gap| script.bits(*gap, widest));
            }
        }
        script.bits(self.order as u64, 2);
        script.raw(zigzag(self.center));
    }

    /// Writes a plan into a batch: what it shares with the one written before it takes a bit.
    pub(super) fn describe_after(&self, before: Option<Shared>, script: &mut Script) {
        let own = self.shared();
        let alike = before.is_some_and(|b| {
            (b.kind, b.form, b.order) == (own.kind, own.form, own.order) && b.plain && own.plain
        });
        if before.is_some() {
            script.flag(alike);
        }
        if alike {
            script.raw(zigzag(self.center));
        } else {
            self.describe(script);
        }
        let same = alike && before.is_some_and(|b| (b.main, b.ulps) == (own.main, own.ulps));
        if alike {
            script.flag(same);
        }
        if !same {
            self.main.describe(script);
            self.ulps.iter().for_each(|coder| coder.describe(script));
        }
    }

    /// What the next plan may share with this one.
    pub(super) fn shared(&self) -> Shared {
        Shared {
            kind: self.kind,
            form: self.form,
            order: self.order,
            plain: self.pre == Pre::Nothing,
            main: self.main.name(),
            ulps: self.ulps.as_ref().map(Coder::name),
        }
    }

    /// Reads what [`describe_after`](Self::describe_after) wrote into `before` and says of which kind the column is:
    /// null and mixed columns have no plan here, and leave `before` as it is. `None` if it is not a plan.
    pub(super) fn read_after(before: &mut Option<Plan>, decoder: &mut Decoder<'_>) -> Option<Kind> {
        let alike = before.is_some() && decoder.bits.bits(1) == 1;
        if let Some(plan) = before.as_mut().filter(|_| alike) {
            plan.center = unzigzag(decoder.bits.raw());
            if decoder.bits.bits(1) == 0 {
                plan.main = Coder::read(&mut decoder.bits)?;
                if let Some(ulps) = &mut plan.ulps {
                    *ulps = Coder::read(&mut decoder.bits)?;
                }
            }
            // Only plans without a step of their own are alike.
            return (plan.pre == Pre::Nothing).then_some(plan.kind);
        }
        let kind = Kind::read(&mut decoder.bits);
        if !matches!(kind, Kind::Null | Kind::Mixed) {
            *before = Some(Self::read(kind, decoder, false, |d| Coder::read(&mut d.bits))?);
        }
        Some(kind)
    }

    /// What [`describe`](Self::describe) wrote, after the kind; the coders come from `coder` in the order main, ulps,
    /// head. `None` if it is not a plan.
    pub(super) fn read<'a>(
        kind: Kind,
        decoder: &mut Decoder<'a>,
        has_heads: bool,
        mut coder: impl FnMut(&mut Decoder<'a>) -> Option<Coder>,
    ) -> Option<Self> {
        let bits = &mut decoder.bits;
        let form = if kind == Kind::F64 { Form::read(bits)? } else { Form::Bits64 };
        let pre = match bits.bits(2) {
            0 => Pre::Nothing,
            1 => Pre::Affine { first: unzigzag(bits.raw()), step: bits.raw() as i64 },
            2 => Pre::Table(read_table(bits)?),
            _ => return None,
        };
        let order = *Order::ALL.get(bits.bits(2) as usize)?;
        let center = unzigzag(bits.raw());
        let main = coder(decoder)?;
        let ulps = if kind == Kind::F64 && form.has_ulps() { Some(coder(decoder)?) } else { None };
        let head = if has_heads && order.has_head() { Some(coder(decoder)?) } else { None };
        Some(Self { kind, form, pre, order, center, main, ulps, head })
    }

    /// Converts values (as bits) to the integers that are predicted; `false` if the plan cannot hold one of them.
    pub(super) fn integers(&self, values: &[u64], scratch: &mut Scratch) -> bool {
        self.plain_integers(values, scratch) && self.pre.apply(&mut scratch.integers)
    }

    /// The integers before the step.
    fn plain_integers(&self, values: &[u64], scratch: &mut Scratch) -> bool {
        if self.kind == Kind::F64 {
            return self.form.integers(values, &mut scratch.integers, &mut scratch.ulps);
        }
        scratch.ulps.clear();
        scratch.integers.clear();
        scratch.integers.extend(values.iter().map(|v| *v as i64));
        true
    }

    /// Brings a plan of an earlier batch to the values of this one, and these to its integers; `false` if it cannot
    /// hold them. A list of values is each batch's own.
    pub(super) fn refit(&mut self, values: &[u64], scratch: &mut Scratch) -> bool {
        if !self.plain_integers(values, scratch) {
            return false;
        }
        if matches!(self.pre, Pre::Table(_)) {
            let Some(list) = lists::distinct(&scratch.integers) else { return false };
            self.pre = Pre::Table(list);
        }
        let held = self.pre.apply(&mut scratch.integers);
        self.recenter(&scratch.integers);
        held
    }

    /// Writes the integers in `scratch`, and says what they take by `measure`, in 1/256 bits.
    pub(super) fn write(
        &self,
        script: &mut Script,
        scratch: &mut Scratch,
        measure: impl Fn(&Coder, &[u64]) -> u64,
    ) -> u64 {
        let mut cost = 0;
        let Scratch { integers, ulps, residuals, weight } = scratch;
        residuals_of(self.order, self.center, integers, residuals);
        let (head, rest) = residuals.split_at(usize::from(self.order.has_head()).min(residuals.len()));
        if let Some(coder) = &self.head {
            script.numbers(coder, head);
            cost += measure(coder, head);
        }
        script.numbers(&self.main, rest);
        cost += measure(&self.main, rest);
        *weight = rest.iter().map(|r| *r.min(&WEIGHT_MAX)).sum();
        if let Some(coder) = &self.ulps {
            residuals.clear();
            residuals.extend(ulps.iter().map(|u| zigzag(*u)));
            script.numbers(coder, residuals);
            cost += measure(coder, residuals);
        }
        cost
    }

    /// What [`write`](Self::write) would take without a head.
    pub(super) fn cost(&self, scratch: &mut Scratch) -> u64 {
        let Scratch { integers, ulps, residuals, .. } = scratch;
        residuals_of(self.order, self.center, integers, residuals);
        let main = residuals.iter().skip(usize::from(self.order.has_head())).map(|r| self.main.cost(*r));
        let ulps = self.ulps.iter().flat_map(|coder| ulps.iter().map(|u| coder.cost(zigzag(*u))));
        main.sum::<u64>() + ulps.sum::<u64>()
    }

    /// What a list of values takes, in 1/256 bits.
    pub(super) fn listed(&self) -> u64 {
        if let Pre::Table(list) = &self.pre { lists::bits(list) << 8 } else { 0 }
    }

    /// Moves the center of a batch's own plan to where these integers have it.
    pub(super) fn recenter(&mut self, integers: &[i64]) {
        self.center = match self.order {
            Order::Above => integers.iter().copied().min().unwrap_or(0),
            Order::Around => self.center,
            Order::Delta | Order::Line => integers.first().copied().unwrap_or(0),
        };
    }

    /// Reads as many values as there is room for; `Err` says what is wrong.
    pub(super) fn restore(
        &self,
        decoder: &mut Decoder<'_>,
        out: &mut [u64],
        strings: usize,
    ) -> Result<(), &'static str> {
        if self.kind == Kind::Null {
            return Ok(());
        }
        self.undo_prediction(decoder, out);
        match &self.pre {
            Pre::Nothing => {}
            Pre::Affine { first, step } => {
                out.iter_mut().for_each(|x| *x = first.wrapping_add(step.wrapping_mul(*x as i64)) as u64);
            }
            Pre::Table(table) => {
                for x in out.iter_mut() {
                    let at = usize::try_from(*x).ok().and_then(|x| table.get(x));
                    *x = *at.ok_or("an index is outside of its table")? as u64;
                }
            }
        }
        match self.kind {
            Kind::F64 => {
                self.form.restore(out);
                if let Some(coder) = &self.ulps {
                    decoder.mend(&coder.dist, coder.low, out, |v, ulps| {
                        let moved = ordinal(f64::from_bits(v)).wrapping_add(unzigzag(ulps));
                        from_ordinal(moved).to_bits()
                    });
                }
            }
            Kind::Text | Kind::Bytes if out.iter().any(|x| *x >= strings as u64) => {
                return Err("a text is not in the list of texts");
            }
            Kind::Bool if out.iter().any(|x| *x > 1) => return Err("a boolean is neither 0 nor 1"),
            _ => {}
        }
        Ok(())
    }

    fn undo_prediction(&self, decoder: &mut Decoder<'_>, out: &mut [u64]) {
        let (dist, low, center) = (&*self.main.dist, self.main.low, self.center);
        match self.order {
            Order::Above => decoder.fill(dist, low, out, |n| n.wrapping_add(center as u64)),
            Order::Around => decoder.fill(dist, low, out, |n| unzigzag(n).wrapping_add(center) as u64),
            Order::Delta | Order::Line => {
                let Some((first, rest)) = out.split_first_mut() else { return };
                let head = self.head.as_ref().map_or(0, |c| unzigzag(decoder.number(&c.dist, c.low)));
                let mut x = center.wrapping_add(head);
                *first = x as u64;
                if self.order == Order::Delta {
                    decoder.fill(dist, low, rest, |n| {
                        x = x.wrapping_add(unzigzag(n));
                        x as u64
                    });
                } else {
                    let mut slope = 0_i64;
                    decoder.fill(dist, low, rest, |n| {
                        slope = slope.wrapping_add(unzigzag(n));
                        x = x.wrapping_add(slope);
                        x as u64
                    });
                }
            }
        }
    }
}

impl Pre {
    pub(super) fn apply(&self, integers: &mut [i64]) -> bool {
        match self {
            Pre::Nothing => true,
            Pre::Affine { first, step } => {
                let mut rest = 0;
                for x in integers.iter_mut() {
                    let from = x.wrapping_sub(*first);
                    rest |= from.checked_rem(*step).unwrap_or(1);
                    *x = from.checked_div(*step).unwrap_or(0);
                }
                rest == 0
            }
            Pre::Table(table) => lists::number(integers, table),
        }
    }
}

/// The numbers that the coders get; with [`Order::Delta`] and [`Order::Line`] the first one is the head's.
pub(super) fn residuals_of(order: Order, center: i64, integers: &[i64], out: &mut Vec<u64>) {
    out.clear();
    match order {
        Order::Above => out.extend(integers.iter().map(|x| x.wrapping_sub(center) as u64)),
        Order::Around => out.extend(integers.iter().map(|x| zigzag(x.wrapping_sub(center)))),
        Order::Delta => {
            let mut before = center;
            out.extend(integers.iter().map(|x| zigzag(x.wrapping_sub(std::mem::replace(&mut before, *x)))));
        }
        Order::Line => {
            let (mut before, mut slope) = (center, 0_i64);
            for (nth, x) in integers.iter().enumerate() {
                let step = x.wrapping_sub(before);
                out.push(zigzag(step.wrapping_sub(slope)));
                before = *x;
                slope = if nth == 0 { 0 } else { step };
            }
        }
    }
}

/// Differences of neighbours, less 1.
fn gaps(table: &[i64]) -> Vec<u64> {
    let rest = table.get(1..).unwrap_or_default();
    table.iter().zip(rest).map(|(a, b)| (b.wrapping_sub(*a) as u64).wrapping_sub(1)).collect()
}

fn read_table(bits: &mut BitReader<'_>) -> Option<Vec<i64>> {
    let len = usize::try_from(bits.eg(3)).ok().filter(|n| (1..=LIST_MAX).contains(n))?;
    let widest = bits.bits(7) as u32;
    let mut at = unzigzag(bits.raw());
    // Every entry but the first takes a bit at least: what is claimed must be there before there is memory for it.
    let needed = (widest as usize).max(1).checked_mul(len - 1)?;
    if widest > 64 || needed > bits.left() {
        return None;
    }
    let mut table = Vec::with_capacity(len);
    table.push(at);
    while table.len() < len {
        let gap = bits.bits(widest);
        at = at.wrapping_add(gap as i64).wrapping_add(1);
        table.push(at);
    }
    Some(table)
}
