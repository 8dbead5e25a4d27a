//! Age of a row over restarts, when the clock may have been wrong before or after.

use crate::time::{Now, Stamp};

/// Rule for a row whose age cannot be known: whether it counts as expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Expiry {
    /// Unknown time adds nothing to the age, because late data is better than none. For telemetry.
    #[default]
    Lenient,
    /// A row of unknown age counts as expired, because a late command is worse than none.
    Strict,
}

/// Returns the age of `stamp` in milliseconds; `None` if it is unknown, because the stamp is of another boot and not both clocks are
/// synchronised.
pub fn age_ms(stamp: &Stamp, now: &Now) -> Option<u64> {
    if stamp.boot_id == now.boot_id {
        return Some(now.up_ms.saturating_sub(stamp.up_ms));
    }
    if stamp.synced && now.synced {
        return Some(u64::try_from(now.wall_ms.saturating_sub(stamp.wall_ms)).unwrap_or(0));
    }
    None
}
