//! Levels of limits.

/// Level of a limit, by the names of OPC UA Part 9 §5.8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the four limits of the standard")]
pub enum AlarmLevel {
    /// HIHI, the outer upper limit.
    HighHigh,
    /// HI, the inner upper limit.
    High,
    /// LO, the inner lower limit.
    Low,
    /// LOLO, the outer lower limit.
    LowLow,
}

impl AlarmLevel {
    /// All four levels, from the highest to the lowest.
    pub const ALL: [AlarmLevel; 4] =
        [AlarmLevel::HighHigh, AlarmLevel::High, AlarmLevel::Low, AlarmLevel::LowLow];

    /// Returns the usual abbreviation, such as `HIHI`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            AlarmLevel::HighHigh => "HIHI",
            AlarmLevel::High => "HI",
            AlarmLevel::Low => "LO",
            AlarmLevel::LowLow => "LOLO",
        }
    }
}
