//! Age of a row over restarts, when the clock may have been wrong before or after.

use crate::time::{Now, Stamp};

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
