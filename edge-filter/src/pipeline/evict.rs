//! Eviction of a sensor for a new one: the clock algorithm, so that a reading costs one flag and no list is kept.

use super::Pipeline;
use super::slot::Slot;
use crate::Emit;

/// The hand of the clock, and what forgotten sensors held until it can be emitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Evicted {
    hand: u32,
    emits: Vec<Emit<'static>>,
    /// Names of the sensors in `emits`, and of those emitted last: a caller asks for them afterwards.
    names: Vec<(u32, Box<str>)>,
}

impl Evicted {
    pub(super) fn name(&self, number: u32) -> Option<&str> {
        self.names.iter().find(|(known, _)| *known == number).map(|(_, name)| name.as_ref())
    }

    /// Emits the readings that forgotten sensors held.
    pub(super) fn emit<'a>(&mut self, sink: &mut impl FnMut(Emit<'a>)) {
        if !self.emits.is_empty() {
            self.emits.drain(..).for_each(sink);
        }
    }

    /// The next place that was not seen since the hand last passed, and has no alarm.
    fn idle(&mut self, sensors: &mut [Slot]) -> Option<u32> {
        for _ in 0..sensors.len() * 2 {
            let place = self.hand;
            self.hand = (self.hand + 1) % u32::try_from(sensors.len()).ok()?;
            let slot = sensors.get_mut(place as usize)?;
            if !std::mem::take(&mut slot.seen) && slot.alarm().is_none() {
                return Some(place);
            }
        }
        None
    }
}

impl Pipeline {
    /// Forgets one sensor. False if all have alarms: those are never forgotten.
    pub(super) fn evict(&mut self) -> bool {
        let Some(place) = self.evicted.idle(&mut self.sensors) else { return false };
        if self.evicted.emits.is_empty() {
            self.evicted.names.clear();
        }
        let number = self.names.number_of(place);
        let (mut emits, before) = (std::mem::take(&mut self.evicted.emits), self.evicted.emits.len());
        self.flush_one(place, &mut |emit| emits.push(emit));
        self.evicted.emits = emits;
        if self.evicted.emits.len() > before
            && let Some(name) = self.names.name(number)
        {
            self.evicted.names.push((number, name.into()));
        }
        self.deadlines.set(place, None);
        self.names.remove(place);
        self.stats.evicted += 1;
        true
    }
}
