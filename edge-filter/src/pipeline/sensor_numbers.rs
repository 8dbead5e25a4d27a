//! Numbers for names: a new sensor gets one, if need be an idle one's place, within `max_keys`.

use super::Pipeline;
use super::slot::Slot;

impl Pipeline {
    /// The number of a sensor. For a new name the rules are searched, once; the first that matches applies.
    ///
    /// Beyond `max_keys` names, and for too long ones, the answer is [`Pipeline::UNFILTERED`]: readings with that number
    /// pass unfiltered and are counted, so that a flood of names costs savings and never data. Or, if the [`OverLimit`](super::OverLimit)
    /// policy says so, an idle sensor is forgotten; what it held is emitted by the next `process` or `tick`.
    pub fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.sensors.number(name) {
            return number;
        }
        let is_short = name.len() <= Self::NAME_BYTES_MAX;
        let Some(number) = is_short.then(|| self.add(name)).flatten() else {
            self.stats.names_refused += 1;
            return Self::UNFILTERED;
        };
        let slot = Slot::new(self.rules.matching(name), self.alarms.add_sensor(name));
        if self.sensors.put(number, slot) {
            self.deadlines.add_sensor();
        }
        number
    }

    /// A number for a new sensor, if need be an idle one's place.
    fn add(&mut self, name: &str) -> Option<u32> {
        self.sensors.add(name).or_else(|| if self.evict() { self.sensors.add(name) } else { None })
    }

    /// Forgets one sensor and returns whether there was one to forget.
    fn evict(&mut self) -> bool {
        let Some(place) = self.sensors.choose_idle() else { return false };
        let mut held = Vec::new();
        self.flush_one(place, &mut |emit| held.push(emit));
        self.deadlines.set(place, None);
        self.sensors.forget(place, held);
        self.stats.evicted += 1;
        true
    }

    /// The number of a sensor that has one; makes none.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u32> {
        self.sensors.number(name)
    }

    /// The name of a sensor; `None` for [`Pipeline::UNFILTERED`]. That of a forgotten sensor is known until the next is
    /// forgotten, after what it held was emitted.
    #[must_use]
    pub fn name(&self, sensor: u32) -> Option<&str> {
        self.sensors.name(sensor)
    }

    /// Number of sensors that have a number.
    #[must_use]
    pub fn sensors(&self) -> usize {
        self.sensors.len()
    }

    /// Number of sensors that may have one.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.sensors.max()
    }
}
