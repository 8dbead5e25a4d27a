//! Outcome of a reading in the pipeline: exactly one [`Outcome`] per reading, so that the counters are complete.

use crate::{Quality, Value};
use std::fmt;

/// Outcome of one reading.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "the outcome of a reading is not sent to the sink: it is this value"]
#[allow(clippy::exhaustive_enums, reason = "emitted, held or dropped is the whole accounting")]
pub enum Outcome<'a> {
    /// The reading is passed on.
    Emit(Emit<'a>),
    /// A stage holds the reading, and may later emit it or a result that it is part of. [`LossBound`](crate::LossBound) bounds what a crash can
    /// lose.
    Held,
    /// The reading is dropped.
    Drop(DropReason),
}

/// Reading that is passed on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Emit<'a> {
    /// Sensor of the reading.
    pub sensor: u32,
    /// Event time, Unix milliseconds.
    pub time: i64,
    /// Value of the reading.
    pub value: Value<'a>,
    /// Quality of the reading, always an OPC UA code.
    pub quality: Quality,
    /// Reason for the emission.
    pub reason: EmitReason,
    /// True if the filter made the reading, so that no sensor sent it. Such readings are counted separately.
    pub synthetic: bool,
}

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "config", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "config", serde(rename_all = "snake_case"))]
        #[non_exhaustive]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All reasons of this version.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// Returns the reason as a metric label.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Reason for which a reading was emitted.
    EmitReason {
        /// The reading is the sensor's first since the start.
        First = "first",
        /// The reading is the first after a silence longer than `max_gap_ms` of event time.
        FirstAfterGap = "first_after_gap",
        /// The sensor's clock was set back, so everything known about the sensor was forgotten.
        ClockReset = "clock_reset",
        /// The reading is the first after the sensor was reported stale.
        Recovered = "recovered",
        /// The quality code changed.
        StatusChange = "status_change",
        /// The value became NaN or infinite after it was a number.
        NanEnter = "nan_enter",
        /// The value became a number again after NaN or an infinity.
        NanExit = "nan_exit",
        /// The value left the deadband.
        Deadband = "deadband",
        /// The value differs from the last emitted one (stage on change; booleans and texts in every stage).
        Change = "change",
        /// The reading is the last suppressed one before the one that left the deadband.
        Previous = "previous",
        /// The reading ends a trend, because the next one was not on its line.
        DoorClosed = "door_closed",
        /// The value is the middle of a segment that the next reading would have made too high (synthetic).
        SegmentClosed = "segment_closed",
        /// The value is the aggregate of a window (synthetic).
        WindowClosed = "window_closed",
        /// A sampling stage picked the reading out of its group.
        Picked = "picked",
        /// A stage held the reading and emitted it at a stop, a change of configuration or a silence of the sensor.
        Flush = "flush",
        /// The unit of the sensor changed.
        UnitChanged = "unit_changed",
        /// The counter started again from zero; what it counted in between is unknown.
        CounterReset = "counter_reset",
        /// The last value is repeated, because the sensor is silent (synthetic).
        Heartbeat = "heartbeat",
        /// No reading of the sensor was emitted for `max_interval_ms`.
        MaxInterval = "max_interval",
        /// The sensor fell silent, and is reported as stale (synthetic).
        Stale = "stale",
        /// The reading is older than the last one, or belongs to a window that is complete. It passes beside the stages.
        Late = "late",
        /// The reading has the time of the last one. It passes beside the stages.
        SameTime = "same_time",
        /// The reading is further ahead of `now` than `max_future_ms`. It passes beside the stages.
        Future = "future",
        /// The reading is the first in order again, after readings that passed beside the stages or after the clock was set back.
        Resumed = "resumed",
        /// No reducing stage applies to the sensor.
        Passthrough = "passthrough",
    }
}

impl EmitReason {
    /// Returns whether the reading passed beside the stages because of its time. It is then no part of the series that the stages make, so no
    /// error bound covers it.
    #[must_use]
    pub const fn is_beside(self) -> bool {
        matches!(self, EmitReason::Late | EmitReason::SameTime | EmitReason::Future)
    }
}

reasons! {
    /// Reason for which a reading was dropped.
    DropReason {
        /// The value is within the deadband around the last emitted value.
        InDeadband = "in_deadband",
        /// The value is outside the deadband, but it came sooner than `min_interval_ms` after the last emitted reading.
        MinInterval = "min_interval",
        /// The status is still the same bad one, during which values are not compared.
        BadQuality = "bad_quality",
        /// The value is any distance from the last emitted one, because it is not compared: uncertain readings count as bad, or changes of status alone pass.
        NotCompared = "not_compared",
        /// The value is the same as the last emitted one.
        Unchanged = "unchanged",
        /// A line, a segment or a window represents the reading.
        Compressed = "compressed",
        /// The reading is not the one that its group emits, or comes too soon after the last emitted one.
        RateLimit = "rate_limit",
        /// The value is a text, but the stage needs a number.
        NotNumeric = "not_numeric",
        /// The reading is a copy of an earlier one.
        Duplicate = "duplicate",
        /// The reading has the time of the last one, with another value or quality.
        DuplicateTimestamp = "duplicate_timestamp",
        /// The reading is older than the last one.
        OutOfOrder = "out_of_order",
        /// The reading belongs to a window that is complete already.
        Late = "late",
        /// The reading is further ahead of `now` than `max_future_ms`.
        Future = "future",
        /// The value is outside the range, and the range stage drops such readings. The other judging stages below do so in the same way.
        OutOfRange = "out_of_range",
        /// The value changed faster than the process can.
        RateOfChange = "rate_of_change",
        /// The sensor does not move any more.
        FlatLine = "flat_line",
        /// The sensor moves less than the process.
        Attenuated = "attenuated",
        /// Neither neighbour of the reading confirms its value.
        Spike = "spike",
        /// The value is far from the median of its neighbourhood.
        Outlier = "outlier",
        /// The value is too far from the last accepted one.
        Jump = "jump",
    }
}
