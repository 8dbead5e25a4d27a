//! Time as the model gets it: an argument, never read from a clock.

/// Present time, which the engine reads from its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Random number of this boot of the machine.
    pub boot_id: u128,
    /// Up time: milliseconds since boot, monotonic, with the time in suspend.
    pub up_ms: u64,
    /// Milliseconds since the Unix epoch, as the wall clock says.
    pub wall_ms: i64,
    /// True if the wall clock is synchronised.
    pub synced: bool,
}

/// Time of an event, stored with it; same shape as [`Now`].
pub type Stamp = Now;
