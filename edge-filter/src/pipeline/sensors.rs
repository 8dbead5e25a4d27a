//! Sensors of a pipeline: their names, the states of their stages, and the eviction of an idle one for a new one.
//!
//! Idle sensors are found by the clock algorithm, so a reading costs one flag and no list is kept.

use super::intern::{Names, reserve_one};
use super::slot::Slot;
use crate::Emit;

/// Policy for sensors beyond `max_keys`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum OverLimit {
    /// Readings of further sensors pass unfiltered and are counted.
    #[default]
    Pass,
    /// For each new sensor, one that was not seen for the longest time, or nearly so, is forgotten. What its stages held is emitted, and if it
    /// comes back its first reading passes. Readings with the number of a forgotten sensor pass unfiltered. Sensors with an alarm are never
    /// forgotten.
    EvictIdle,
}

/// Names with their numbers, and for each place a slot with the states of its sensor.
#[derive(Clone, Debug)]
pub(super) struct Sensors {
    names: Names,
    slots: Vec<Slot>,
    over_limit: OverLimit,
    evicted: Eviction,
}

/// Position of the CLOCK algorithm (a cheap LRU), and the readings of forgotten sensors until they can be emitted.
#[derive(Clone, Debug, Default)]
struct Eviction {
    hand: u32,
    emits: Vec<Emit<'static>>,
    /// Names of the sensors in `emits` and of those emitted last, because callers look them up afterwards.
    names: Vec<(u32, Box<str>)>,
}

impl Sensors {
    pub(super) fn new(max: usize, over_limit: OverLimit) -> Self {
        Sensors { names: Names::new(max), slots: Vec::new(), over_limit, evicted: Eviction::default() }
    }

    #[inline]
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        self.names.number(name)
    }

    /// Returns the name of a sensor, also of one that was forgotten last.
    pub(super) fn name(&self, number: u32) -> Option<&str> {
        self.names.name(number).or_else(|| self.evicted.name(number))
    }

    /// Returns the place of a sensor's slot; `None` for a number without a sensor.
    #[inline]
    pub(super) fn place(&self, number: u32) -> Option<u32> {
        self.names.place(number)
    }

    pub(super) fn number_of(&self, place: u32) -> u32 {
        self.names.number_of(place)
    }

    #[inline]
    pub(super) fn slot(&self, place: u32) -> Option<&Slot> {
        self.slots.get(place as usize)
    }

    #[inline]
    pub(super) fn slot_mut(&mut self, place: u32) -> Option<&mut Slot> {
        self.slots.get_mut(place as usize)
    }

    /// Returns the slot of the sensor with this number.
    pub(super) fn of(&self, number: u32) -> Option<&Slot> {
        self.slot(self.place(number)?)
    }

    /// Returns all slots, each with its sensor's number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        self.slots.iter().zip(0..).map(|(slot, place)| (self.number_of(place), slot))
    }

    /// Returns the places of all slots.
    pub(super) fn places(&self) -> std::ops::Range<u32> {
        0..self.slots.len() as u32
    }

    /// Returns the number of sensors that have a number.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns the most sensors that may have a number.
    pub(super) fn max(&self) -> usize {
        self.names.max()
    }

    /// Returns a number for a new name; `None` when there is no room.
    pub(super) fn add(&mut self, name: &str) -> Option<u32> {
        self.names.add(name)
    }

    /// Stores the slot of a new sensor in its place. Returns whether the place is new, and not that of an evicted sensor.
    pub(super) fn put(&mut self, number: u32, slot: Slot) -> bool {
        let place = self.place(number);
        if let Some(evicted) = place.and_then(|place| self.slot_mut(place)) {
            *evicted = slot;
            return false;
        }
        reserve_one(&mut self.slots);
        self.slots.push(slot);
        true
    }

    /// Returns the place of a sensor to forget; `None` if the policy is to forget none, or all sensors have an alarm.
    pub(super) fn choose_idle(&mut self) -> Option<u32> {
        match self.over_limit {
            OverLimit::EvictIdle => self.evicted.idle(&mut self.slots),
            OverLimit::Pass => None,
        }
    }

    /// Forgets the sensor at `place`. `held`: what its stages held, which waits to be emitted.
    pub(super) fn forget(&mut self, place: u32, held: Vec<Emit<'static>>) {
        if self.evicted.emits.is_empty() {
            self.evicted.names.clear();
        }
        let number = self.number_of(place);
        if !held.is_empty()
            && let Some(name) = self.names.name(number)
        {
            self.evicted.names.push((number, name.into()));
        }
        self.evicted.emits.extend(held);
        self.names.remove(place);
    }

    /// Emits what the stages of forgotten sensors held.
    #[inline]
    pub(super) fn emit_evicted<'a>(&mut self, sink: &mut impl FnMut(Emit<'a>)) {
        if !self.evicted.emits.is_empty() {
            self.evicted.emits.drain(..).for_each(sink);
        }
    }
}

impl Eviction {
    fn name(&self, number: u32) -> Option<&str> {
        self.names.iter().find(|(known, _)| *known == number).map(|(_, name)| name.as_ref())
    }

    /// Returns the next place without an alarm whose sensor was not seen since the hand last passed; `None` if there is none.
    fn idle(&mut self, slots: &mut [Slot]) -> Option<u32> {
        for _ in 0..slots.len() * 2 {
            let place = self.hand;
            self.hand = (self.hand + 1) % u32::try_from(slots.len()).ok()?;
            let slot = slots.get_mut(place as usize)?;
            if !std::mem::take(&mut slot.seen) && slot.alarm().is_none() {
                return Some(place);
            }
        }
        None
    }
}
