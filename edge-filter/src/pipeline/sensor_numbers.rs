//! Numbers for the names of sensors: a new sensor gets one within `max_keys`, if need be that of an idle one's place.

use super::Pipeline;
use super::slot::Slot;

impl Pipeline {
    /// Returns the number of a sensor. For a new name the rules are searched once, and the first that matches applies.
    ///
    /// Beyond `max_keys` names, and for names that are too long, it returns [`Pipeline::UNFILTERED`]. Readings with that number pass unfiltered
    /// and are counted, so a flood of names costs savings but no data. If the [`OverLimit`](super::OverLimit) policy says so, an idle sensor is
    /// forgotten instead, and the next `process` or `tick` emits what its stages held.
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

    /// Returns a number for a new sensor, if need be with an idle one's place; `None` if there is no room.
    fn add(&mut self, name: &str) -> Option<u32> {
        self.sensors.add(name).or_else(|| if self.evict() { self.sensors.add(name) } else { None })
    }

    /// Forgets one idle sensor. Returns whether there was one.
    fn evict(&mut self) -> bool {
        let Some(place) = self.sensors.choose_idle() else { return false };
        let mut held = Vec::new();
        self.flush_one(place, &mut |emit| held.push(emit));
        self.deadlines.set(place, None);
        self.sensors.forget(place, held);
        self.stats.evicted += 1;
        true
    }

    /// Returns the number of a sensor; `None` if it has none yet.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u32> {
        self.sensors.number(name)
    }

    /// Returns the name of a sensor; `None` for [`Pipeline::UNFILTERED`]. The name of a forgotten sensor stays known until another is forgotten
    /// after the readings of the first were emitted.
    #[must_use]
    pub fn name(&self, sensor: u32) -> Option<&str> {
        self.sensors.name(sensor)
    }

    /// Returns the number of sensors that have a number.
    #[must_use]
    pub fn sensors(&self) -> usize {
        self.sensors.len()
    }

    /// Returns the most bytes that the windows of one sensor take, by the rule with the largest ones; see [`Rule::window_bytes`](super::Rule::window_bytes).
    #[must_use]
    pub fn window_bytes(&self) -> usize {
        self.rules.iter().map(|(_, rule)| rule.window_bytes()).max().unwrap_or(0)
    }

    /// Returns the most sensors that may have a number.
    #[must_use]
    pub fn max_keys(&self) -> usize {
        self.sensors.max()
    }
}
