//! Session table: names, units and learned plans of sensors, announced once so that batches need not carry them.

#![deny(clippy::indexing_slicing)]

mod learn;
mod learned_parts;
mod memory;

use crate::compact::shared_timestamps::ClockPlan;
use crate::compact::stream::ans::{Decoder, Dist, STATES};
use crate::compact::stream::bits::BitReader;
use crate::compact::stream::coder::Coder;
use crate::compact::stream::op_buffer::OpBuffer;
use crate::compact::values::kind::Kind;
use crate::compact::values::plan::{Plan, TablePlan};
use crate::limits::{MAX_DISTRIBUTIONS, UNLIMITED};
use crate::protobuf::fields::{Fields, malformed, put_number, put_string};
use crate::zigzag::{unzigzag, zigzag};
use crate::{DecodeError, Limits, Reading, Sensor, SensorTable};
use bytes::Bytes;
use learned_parts::{Excess, LearnedParts};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;

/// Names, units and learned plans of a gateway's sensors, for batches that are encoded against it.
///
/// The gateway announces [`bytes`](Self::bytes) once, on a retained topic. A hub keeps every table it has seen by its [`id`](Self::id), because
/// batches that waited may still refer to an older one. A table never changes: for a new sensor, or for plans that fit better, a new one with
/// the next version is made.
///
/// It takes 12 KiB of memory per learned distribution, of which a sensor has one to three; sensors that behave alike share theirs. Beyond 4096
/// different ones the remaining sensors get no plan, and batches carry plans for them. The same holds beyond 1 048 576 values in the lists of its
/// plans, 8 bytes each, which takes more than 16 384 sensors.
///
/// ```
/// use edge_codec::compact::Table;
/// use edge_codec::{Limits, SensorTable};
///
/// let mut sensors = SensorTable::new();
/// sensors.insert(7, "line2/temp", "Cel");
/// let table = Table::new(1, &sensors);
/// let read = Table::decode(table.bytes(), &Limits::default())?; // at the hub
/// assert_eq!((read.id(), read.sensors().len()), (table.id(), 1));
/// # Ok::<(), edge_codec::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table {
    id: u64,
    version: u32,
    bytes: Bytes,
    pub(crate) entries: Vec<Entry>,
    by_sensor: HashMap<u32, u32>,
    pub(crate) clocks: Vec<ClockPlan>,
}

/// A sensor of a table.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) sensor: u32,
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) plan: Option<Plan>,
}

impl Entry {
    pub(crate) fn table_plan(&self) -> TablePlan<'_> {
        self.plan.as_ref().map_or(TablePlan::Missing, TablePlan::Learned)
    }
}

/// Fields of the message `Table`.
const VERSION: u32 = 1;
const SENSOR: u32 = 2;
const HINTS: u32 = 3;

impl Table {
    /// Creates a table of names and units only. Batches against it carry their plans.
    ///
    /// `version`: number of the table, counted by the caller.
    #[must_use]
    pub fn new(version: u32, sensors: &SensorTable<'_>) -> Self {
        Self::learn(version, sensors, &[])
    }

    /// Creates a table that has learned from `sample` how the sensors behave. Some hundred readings of each are enough, in the order in which
    /// they arrive. Batches of few readings shrink to a half or less. Costs about a millisecond per sensor.
    ///
    /// The table is read back from the bytes that are announced, so it equals the one that readers get.
    #[must_use]
    pub fn learn(version: u32, sensors: &SensorTable<'_>, sample: &[Reading<'_>]) -> Self {
        let learned = learn::learn(sensors, sample);
        Self::build(version, learned.entries, &learned.clocks)
    }

    fn build(version: u32, mut entries: Vec<Entry>, clocks: &[ClockPlan]) -> Self {
        // Clocks have one each, which counts at the reader.
        let mut parts = LearnedParts::at_most(MAX_DISTRIBUTIONS.saturating_sub(clocks.len()));
        for entry in &mut entries {
            if entry.plan.as_mut().is_some_and(|plan| parts.admit(plan).is_none()) {
                entry.plan = None;
            }
        }
        let bytes = Bytes::from(write(version, &entries, clocks));
        Self::read(bytes, &UNLIMITED).unwrap_or_else(|error| {
            debug_assert!(false, "a table that was just written: {error}");
            // Names alone are what they are: without hints there is nothing that a reader could see differently.
            entries.iter_mut().for_each(|entry| entry.plan = None);
            let bytes = Bytes::from(write(version, &entries, &[]));
            Self::from_parts(bytes, version, entries, Vec::new())
        })
    }

    fn from_parts(bytes: Bytes, version: u32, entries: Vec<Entry>, clocks: Vec<ClockPlan>) -> Self {
        let by_sensor = (0..).zip(&entries).map(|(at, e)| (e.sensor, at)).collect();
        Self { id: hash(&bytes), version, bytes, entries, by_sensor, clocks }
    }

    /// Reads an announced table.
    ///
    /// # Errors
    /// Any error for input that the [`limits`](Limits) (bytes, sensors, text bytes, distributions) or the layout do not allow.
    pub fn decode(input: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        crate::check_input(input, limits)?;
        Self::read(Bytes::copy_from_slice(input), limits)
    }

    fn read(bytes: Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        let input = bytes.as_ref();
        let (mut version, mut entries, mut hints) = (0, Vec::new(), None);
        let mut fields = Fields::new(input);
        while let Some(field) = fields.next()? {
            let offset = field.offset;
            match field.number {
                VERSION => {
                    version = u32::try_from(field.number()?)
                        .map_err(|_| malformed(offset, "version is above 32 bits"))?;
                }
                SENSOR => {
                    if entries.len() >= limits.sensors {
                        let (limit, found) = (limits.sensors, entries.len() as u64 + 1);
                        return Err(DecodeError::Limit { what: "sensors", offset, limit, found });
                    }
                    entries.push(entry(field.content()?, offset, limits)?);
                }
                HINTS => hints = Some((offset, field.content()?)),
                _ => {}
            }
        }
        let mut clocks = Vec::new();
        if let Some((offset, content)) = hints {
            let mut parts = LearnedParts::at_most(limits.distributions);
            let read = read_hints(content, &mut entries, &mut parts);
            clocks = read.ok_or_else(|| match parts.excess {
                Some(Excess { what, limit, found }) => {
                    DecodeError::Limit { what, offset, limit, found: found as u64 }
                }
                None => malformed(offset, "hints are damaged"),
            })?;
        }
        let table = Self::from_parts(bytes, version, entries, clocks);
        // Of two entries the map has the later one.
        let twice = (0..).zip(&table.entries).find(|(at, e)| table.position(e.sensor) != Some(*at));
        match twice {
            None => Ok(table),
            Some((_, Entry { sensor, .. })) => {
                Err(DecodeError::Duplicate { offset: 0, field: format!("sensor {sensor}").into() })
            }
        }
    }

    /// Returns the identifier by which batches refer to this table: the first 64 bits of the SHA-256 of its bytes, as a big-endian number. Two
    /// tables do not share one by chance, but an attacker can make such a pair in some 2^32 trials, so a program that keeps tables by their id
    /// has to compare [`bytes`](Self::bytes), too.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the number that the caller gave the table.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns the announcement, as readers decode it.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the sensors in the table's order.
    pub fn sensors(&self) -> impl ExactSizeIterator<Item = Sensor<'_>> {
        self.entries.iter().map(Entry::sensor)
    }

    /// Returns the number of sensors for which the table has learned a plan.
    #[must_use]
    pub fn plans(&self) -> usize {
        self.entries.iter().filter(|entry| entry.plan.is_some()).count()
    }

    pub(crate) fn entry(&self, sensor: u32) -> Option<&Entry> {
        self.entries.get(self.position(sensor)? as usize)
    }

    /// Returns the position of a sensor in the table. `None`: the table lacks it.
    pub(crate) fn position(&self, sensor: u32) -> Option<u32> {
        self.by_sensor.get(&sensor).copied()
    }
}

impl Entry {
    pub(crate) fn sensor(&self) -> Sensor<'_> {
        Sensor { id: self.sensor, name: Cow::Borrowed(&self.name), unit: Cow::Borrowed(&self.unit) }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
}

fn write(version: u32, entries: &[Entry], clocks: &[ClockPlan]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, VERSION, version.into());
    for entry in entries {
        let mut content = Vec::new();
        put_number(&mut content, 1, entry.sensor.into());
        put_string(&mut content, 2, entry.name.as_bytes());
        put_string(&mut content, 3, entry.unit.as_bytes());
        put_string(&mut out, SENSOR, &content);
    }
    if !clocks.is_empty() || entries.iter().any(|e| e.plan.is_some()) {
        put_string(&mut out, HINTS, &write_hints(entries, clocks));
    }
    out
}

fn entry(content: &[u8], offset: usize, limits: &Limits) -> Result<Entry, DecodeError> {
    let mut entry = Entry { sensor: 0, name: String::new(), unit: String::new(), plan: None };
    let mut fields = Fields::new(content);
    let shifted = |e| crate::protobuf::fields::shifted(e, offset);
    while let Some(field) = fields.next().map_err(shifted)? {
        let at = offset.saturating_add(field.offset);
        match field.number {
            1 => {
                let number = field.number().map_err(shifted)?;
                entry.sensor = u32::try_from(number).map_err(|_| malformed(at, "sensor is above 32 bits"))?;
            }
            2 => entry.name = self::text(field.content().map_err(shifted)?, at, limits)?.to_owned(),
            3 => entry.unit = self::text(field.content().map_err(shifted)?, at, limits)?.to_owned(),
            _ => {}
        }
    }
    Ok(entry)
}

pub(crate) fn text<'a>(bytes: &'a [u8], offset: usize, limits: &Limits) -> Result<&'a str, DecodeError> {
    if bytes.len() > limits.text_bytes {
        let (limit, found) = (limits.text_bytes, bytes.len() as u64);
        return Err(DecodeError::Limit { what: "text bytes", offset, limit, found });
    }
    std::str::from_utf8(bytes)
        .map_err(|e| malformed(offset.saturating_add(e.valid_up_to()), "text is not UTF-8"))
}

fn write_hints(entries: &[Entry], clocks: &[ClockPlan]) -> Vec<u8> {
    let mut ops = OpBuffer::default();
    ops.eg(clocks.len() as u64, 0);
    for clock in clocks {
        ops.raw(clock.unit as u64);
        ops.raw(zigzag(clock.period));
        ops.raw(zigzag(clock.origin));
        ops.bits(clock.start_low.into(), 6);
        write_weights(&clock.coder.dist, &mut ops);
    }
    for entry in entries {
        ops.flag(entry.plan.is_some());
        if let Some(plan) = &entry.plan {
            plan.describe(&mut ops);
            let coders = [Some(&plan.main), plan.ulps.as_ref(), plan.head.as_ref()];
            coders.into_iter().flatten().for_each(|coder| write_weights(&coder.dist, &mut ops));
        }
    }
    ops.write(<[u8]>::to_vec)
}

/// Reads clocks and plans. The weights of a distribution take at least six bytes of input, and the number of distributions is limited, so the
/// memory built from them, 12 KiB each, is bounded. So is that of the lists, whose values may take nothing of the input: it is checked before the
/// next list is read.
fn read_hints(content: &[u8], entries: &mut [Entry], parts: &mut LearnedParts) -> Option<Vec<ClockPlan>> {
    let mut decoder = Decoder::new(content)?;
    let mut clocks = Vec::new();
    for _ in 0..decoder.bits.eg(0) {
        let bits = &mut decoder.bits;
        let unit = i64::try_from(bits.raw()).ok().filter(|u| *u > 0)?;
        let (period, origin) = (unzigzag(bits.raw()), unzigzag(bits.raw()));
        let start_low = u32::try_from(bits.bits(6)).ok().filter(|low| *low >= 8)?;
        let coder = learned(bits, parts)?;
        clocks.push(ClockPlan { origin, start_low, unit, period, coder });
    }
    for entry in entries {
        if decoder.bits.bits(1) == 1 {
            let kind = Some(Kind::read(&mut decoder.bits)).filter(|kind| *kind <= Kind::Bool)?;
            let coder = |d: &mut Decoder<'_>| learned(&mut d.bits, parts).ok_or("an unknown coder");
            let plan = Plan::read(kind, &mut decoder, true, coder).ok()?;
            parts.list(&plan)?;
            entry.plan = Some(plan);
        }
    }
    decoder.ended_well().then_some(clocks)
}

fn write_weights(dist: &Dist, ops: &mut OpBuffer) {
    let mut before = 0;
    for (token, weight) in dist.weights() {
        ops.eg(u64::from(token - before), 0);
        ops.eg(u64::from(weight - 1), 4);
        before = *token;
    }
}

fn learned(bits: &mut BitReader<'_>, parts: &mut LearnedParts) -> Option<Coder> {
    parts.distribution(read_weights(bits)?).map(Coder::learned)
}

fn read_weights(bits: &mut BitReader<'_>) -> Option<Vec<(u8, u16)>> {
    let (mut weights, mut sum, mut token) = (Vec::new(), 0, 0_u64);
    while sum < STATES as u64 {
        token = token.checked_add(bits.eg(0))?;
        let weight = bits.eg(4).checked_add(1).filter(|w| *w <= STATES as u64)?;
        sum += weight;
        weights.push((u8::try_from(token).ok()?, weight as u16));
        if bits.overrun() {
            return None;
        }
    }
    Some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    /// Texts, byte strings and mixed values have no plan that outlives a batch: a table that says so is damaged.
    #[test]
    fn plans_of_other_kinds_than_numbers_are_refused() {
        let mut sensors = SensorTable::new();
        sensors.insert(7, "line2/pump", "");
        let reading = |n: i64| Reading { sensor: 7, time: n, value: Value::I64(n * n % 7), quality: 0 };
        let table = Table::learn(1, &sensors, &(0..200).map(reading).collect::<Vec<_>>());
        assert_eq!((table.plans(), Table::new(1, &sensors).plans()), (1, 0));
        for kind in Kind::ALL.into_iter().skip(1) {
            let mut entries = table.entries.clone();
            entries.iter_mut().filter_map(|e| e.plan.as_mut()).for_each(|plan| plan.kind = kind);
            let read = Table::decode(&write(1, &entries, &table.clocks), &Limits::default());
            assert_eq!(read.is_ok(), kind <= Kind::Bool, "{kind:?}: {read:?}");
        }
    }
}
