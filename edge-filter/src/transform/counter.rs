//! Counter: increments of a register that wraps, and of a meter that is reset.

use crate::Cost;
use crate::error::{ParamError, positive};

/// Width of a counting register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the widths of registers, and of what a double can count")]
pub enum CounterWidth {
    /// Counter of 16 bits, one Modbus register.
    Bits16,
    /// Counter of 32 bits.
    Bits32,
    /// Counter of 53 bits, as a double counts without loss.
    Bits53,
    /// Counter of 64 bits.
    Bits64,
}

impl CounterWidth {
    /// Returns the largest reading before the wrap.
    #[must_use]
    pub const fn max(self) -> u64 {
        match self {
            CounterWidth::Bits16 => 0xFFFF,
            CounterWidth::Bits32 => 0xFFFF_FFFF,
            CounterWidth::Bits53 => (1 << 53) - 1,
            CounterWidth::Bits64 => u64::MAX,
        }
    }
}

/// Result for a counter's reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "the caller must handle each")]
pub enum Count {
    /// The reading is the first, so there is nothing to compare it with.
    First,
    /// The counter went on by this many since the last reading.
    Increment(u64),
    /// The register wrapped round once, and counted this many since the last reading.
    Wrapped(u64),
    /// The counter started again; the count in between is unknown.
    Reset,
    /// The value is more than the register can hold, so it is no reading of this counter. The state does not change.
    TooLarge,
}

/// Stage that distinguishes a wrapped register from a meter that was reset.
///
/// A reading below the last one is a wrap if the increment modulo the register's width, divided by the time since then, is at most
/// `max_rate_per_s`; otherwise it is a reset. It is exact over 64 bits. If no time has passed between the two readings it is a reset, because
/// no rate can confirm a wrap. The state takes 32 bytes per sensor.
///
/// ```
/// # use edge_filter::transform::{Count, Counter, CounterState, CounterWidth};
/// let counter = Counter::new(CounterWidth::Bits16, 100.0)?;
/// let mut state = CounterState::default();
/// let counts = [(0, 65_500), (1_000, 65_530), (2_000, 24), (3_000, 0)].map(|(t, v)| counter.check(&mut state, v, t));
/// assert_eq!(counts, [Count::First, Count::Increment(30), Count::Wrapped(30), Count::Reset]);
/// # Ok::<(), edge_filter::ParamError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counter {
    width: CounterWidth,
    max_rate_per_s: f64,
}

/// State of a [`Counter`] per sensor: the last reading, and the total.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
pub struct CounterState {
    last: Option<(u64, i64)>,
    total: u64,
}

impl CounterState {
    /// Returns the count since the first reading, over wraps and resets. It stays at the largest number instead of wrapping.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }
}

impl CounterWidth {
    /// Returns the register of `bits` bits.
    ///
    /// # Errors
    /// If the number is not 16, 32, 53 or 64.
    pub fn of_bits(bits: u32) -> Result<Self, ParamError> {
        match bits {
            16 => Ok(CounterWidth::Bits16),
            32 => Ok(CounterWidth::Bits32),
            53 => Ok(CounterWidth::Bits53),
            64 => Ok(CounterWidth::Bits64),
            _ => Err(ParamError::new("width_bits", "16, 32, 53 or 64", bits)),
        }
    }
}

impl Counter {
    /// Creates a stage for a register and the fastest rate at which it can count.
    ///
    /// # Errors
    /// If the rate is not a finite number above 0.
    pub fn new(width: CounterWidth, max_rate_per_s: f64) -> Result<Self, ParamError> {
        Ok(Counter { width, max_rate_per_s: positive("max_rate_per_s", max_rate_per_s)? })
    }

    /// Compares a reading at event time `time`, Unix milliseconds, with the last one.
    pub fn check(&self, state: &mut CounterState, reading: u64, time: i64) -> Count {
        if reading > self.width.max() {
            return Count::TooLarge;
        }
        let Some((last, last_time)) = state.last.replace((reading, time)) else {
            return Count::First;
        };
        if let Some(increment) = reading.checked_sub(last) {
            state.total = state.total.saturating_add(increment);
            return Count::Increment(increment);
        }
        // The register counts modulo max + 1, which u64 does by itself at the full width.
        let wrapped = reading.wrapping_sub(last) & self.width.max();
        let seconds = time.saturating_sub(last_time) as f64 / 1000.0;
        if seconds > 0.0 && wrapped as f64 / seconds <= self.max_rate_per_s {
            state.total = state.total.saturating_add(wrapped);
            Count::Wrapped(wrapped)
        } else {
            Count::Reset
        }
    }
}

impl Cost for Counter {}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTHS: [CounterWidth; 4] =
        [CounterWidth::Bits16, CounterWidth::Bits32, CounterWidth::Bits53, CounterWidth::Bits64];

    #[test]
    fn every_width_wraps_exactly() -> Result<(), ParamError> {
        for width in WIDTHS {
            let counter = Counter::new(width, 10.0)?;
            let mut state = CounterState::default();
            assert_eq!(counter.check(&mut state, width.max() - 1, 0), Count::First);
            assert_eq!(counter.check(&mut state, 1, 1000), Count::Wrapped(3), "{width:?}");
            assert_eq!(counter.check(&mut state, 11, 2000), Count::Increment(10));
            assert_eq!(counter.check(&mut state, width.max(), 3000), Count::Increment(width.max() - 11));
            assert_eq!(counter.check(&mut state, 10, 4000), Count::Reset, "11 in a second");
            assert_eq!(counter.check(&mut state, 9, 4000), Count::Reset, "no time between");
            assert_eq!(counter.check(&mut state, 9, 3000), Count::Increment(0));
        }
        Ok(())
    }

    #[test]
    fn a_width_that_no_register_has_is_refused_by_its_name() {
        let error = CounterWidth::of_bits(17).unwrap_err().to_string();
        assert_eq!(error, "`width_bits` must be 16, 32, 53 or 64, found 17");
    }

    #[test]
    fn what_the_register_cannot_hold_changes_nothing() -> Result<(), ParamError> {
        let counter = Counter::new(CounterWidth::Bits16, 10.0)?;
        let mut state = CounterState::default();
        assert_eq!(counter.check(&mut state, 5, 0), Count::First);
        assert_eq!(counter.check(&mut state, 65_536, 1000), Count::TooLarge);
        assert_eq!(counter.check(&mut state, 6, 2000), Count::Increment(1));
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Counter::new(CounterWidth::Bits64, rate).is_err());
        }
        Ok(())
    }

    #[test]
    fn increments_add_up_to_what_was_counted() -> Result<(), ParamError> {
        // A register that wraps all the time, read every second, against a counter that never does.
        let counter = Counter::new(CounterWidth::Bits16, 40_000.0)?;
        let (mut state, mut counted, mut summed) = (CounterState::default(), 0_u64, 0_u64);
        for second in 0..5000_i64 {
            match counter.check(&mut state, counted & 0xFFFF, second * 1000) {
                Count::Increment(n) | Count::Wrapped(n) => summed += n,
                Count::First => {}
                other => assert_eq!(other, Count::First, "second {second}"),
            }
            assert_eq!((summed, state.total()), (counted, counted));
            counted += 1 + (second.unsigned_abs() * 7919) % 40_000;
        }
        Ok(())
    }
}
