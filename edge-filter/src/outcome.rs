//! Outcome of a stage: exactly one [`Outcome`] per reading, so that the accounting is complete.

use crate::{Quality, Value};
use std::fmt;

/// Outcome of one reading.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "the outcome of a reading is not sent to the sink: it is this value"]
#[allow(clippy::exhaustive_enums, reason = "emitted, held or dropped is the whole accounting")]
pub enum Outcome<'a> {
    /// The reading goes on.
    Emit(Emit<'a>),
    /// A stage keeps it and may emit it later, or what it makes of it: see [`LossBound`](crate::LossBound) for what a
    /// crash may cost.
    Held,
    /// The reading ends here.
    Drop(DropReason),
}

/// A reading that goes on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Emit<'a> {
    /// Sensor of the reading.
    pub sensor: u32,
    /// Event time, Unix milliseconds.
    pub time: i64,
    /// Value of the reading.
    pub value: Value<'a>,
    /// The quality, always an OPC UA code.
    pub quality: Quality,
    /// Reason for the emission.
    pub reason: EmitReason,
    /// Made by the filter, not read from the sensor; counted apart.
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
            /// Every reason of this version.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The reason as a metric label.
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
        /// The sensor's first reading since the start.
        First = "first",
        /// The first one after a silence longer than `max_gap_ms` of event time.
        FirstAfterGap = "first_after_gap",
        /// The sensor's clock was set back; everything known about the sensor was forgotten.
        ClockReset = "clock_reset",
        /// The first one after the sensor was reported stale.
        Recovered = "recovered",
        /// The quality code changed.
        StatusChange = "status_change",
        /// The value became NaN or infinite.
        NanEnter = "nan_enter",
        /// The value became a number again.
        NanExit = "nan_exit",
        /// The value left the deadband.
        Deadband = "deadband",
        /// The value is another one (on change; booleans and texts everywhere).
        Change = "change",
        /// The last suppressed reading before the one that left the deadband.
        Previous = "previous",
        /// The end of a trend: the next reading was not on its line.
        DoorClosed = "door_closed",
        /// The middle of a segment that the next reading would have made too high (synthetic).
        SegmentClosed = "segment_closed",
        /// The aggregate of a window (synthetic).
        WindowClosed = "window_closed",
        /// The reading that a sampling stage picked of its group.
        Picked = "picked",
        /// Held until the stop, the change of configuration or the silence.
        Flush = "flush",
        /// The unit of the sensor changed.
        UnitChanged = "unit_changed",
        /// The counter started again; what it counted in between is unknown.
        CounterReset = "counter_reset",
        /// A repeat while the sensor says nothing (synthetic).
        Heartbeat = "heartbeat",
        /// Nothing was emitted for `max_interval_ms`.
        MaxInterval = "max_interval",
        /// The sensor fell silent (synthetic).
        Stale = "stale",
        /// Beside the stages: older than the last one, or of a window that is complete.
        Late = "late",
        /// Beside the stages: another reading of the last one's time.
        SameTime = "same_time",
        /// Beside the stages: further ahead of `now` than `max_future_ms`.
        Future = "future",
        /// The first in order that is not older than what was emitted beside the stages, or before the clock was set back.
        Resumed = "resumed",
        /// No reducing stage applies to the sensor.
        Passthrough = "passthrough",
    }
}

impl EmitReason {
    /// Tells that the reading passed as it came because of its time: it is no part of the series that the stages make,
    /// and no error bound covers it or needs to.
    #[must_use]
    pub const fn is_beside(self) -> bool {
        matches!(self, EmitReason::Late | EmitReason::SameTime | EmitReason::Future)
    }
}

reasons! {
    /// Reason for which a reading was dropped.
    DropReason {
        /// Within the deadband around the last emitted value.
        InDeadband = "in_deadband",
        /// Outside the deadband, but sooner than `min_interval_ms` after the last emitted reading.
        MinInterval = "min_interval",
        /// Still the same bad status: values are not compared while it lasts.
        BadQuality = "bad_quality",
        /// The same as the last emitted value.
        Unchanged = "unchanged",
        /// Stood for by a line, a segment or a window.
        Compressed = "compressed",
        /// The reading is not the one of its group, or comes too soon after the last.
        RateLimit = "rate_limit",
        /// A text, where a number is needed.
        NotNumeric = "not_numeric",
        /// The same reading again.
        Duplicate = "duplicate",
        /// Another value or quality at the time of the last reading.
        DuplicateTimestamp = "duplicate_timestamp",
        /// Older than the last reading.
        OutOfOrder = "out_of_order",
        /// The reading's window is complete already.
        Late = "late",
        /// Further ahead of `now` than `max_future_ms`.
        Future = "future",
        /// Outside the range, and the range stage is told to drop such readings.
        OutOfRange = "out_of_range",
        /// Changed faster than it can, and the stage is told to drop such readings; so with the next four.
        RateOfChange = "rate_of_change",
        /// The sensor does not move any more.
        FlatLine = "flat_line",
        /// The sensor moves less than the process does.
        Attenuated = "attenuated",
        /// Borne out by neither of its neighbours.
        Spike = "spike",
        /// Far from the median of its neighbourhood.
        Outlier = "outlier",
        /// Too far from the last accepted value.
        Jump = "jump",
    }
}
