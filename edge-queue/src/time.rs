//! Time as the model sees it: an argument, never a clock.

/// The present, filled in by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// Random number of this boot of the machine.
    pub boot_id: u128,
    /// Milliseconds since boot, monotonic over suspend.
    pub up_ms: u64,
    /// Milliseconds since the Unix epoch, as the wall clock says.
    pub wall_ms: i64,
    /// True if the wall clock is known to be right.
    pub synced: bool,
}

/// The moment something happened, kept durable with it; same shape as [`Now`].
pub type Stamp = Now;

/// Judgement of an age that cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Expiry {
    /// Unknown time adds nothing: late data is better than none. For telemetry.
    #[default]
    Lenient,
    /// Unknown time means expired: a late command is worse than none.
    Strict,
}

/// Age of `stamp` in milliseconds, `None` when it cannot be known: another boot, and not both clocks synchronised.
pub fn age_ms(stamp: &Stamp, now: &Now) -> Option<u64> {
    if stamp.boot_id == now.boot_id {
        return Some(now.up_ms.saturating_sub(stamp.up_ms));
    }
    if stamp.synced && now.synced {
        return Some(u64::try_from(now.wall_ms.saturating_sub(stamp.wall_ms)).unwrap_or(0));
    }
    None
}
