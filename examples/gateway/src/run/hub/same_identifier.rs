//! Sign that another client uses the gateway's client identifier: the hub closes one connection after the other soon after it accepted it. A hub
//! that says it (0x8E) needs no sign. The link comes and goes meanwhile, so a sign counts for a minute.

use std::sync::{Arc, Mutex, PoisonError};

/// Words of the link for connections that the hub closes soon after it accepted them.
const WORDS: &str = "another client with the same client identifier is a possible cause";
/// Milliseconds for which a sign counts.
const COUNTS_MS: u64 = 60_000;

/// Up time of the last sign in milliseconds. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SameIdentifier(Arc<Mutex<Option<u64>>>);

impl SameIdentifier {
    /// Takes in the cause of the link at `up_ms`. Returns whether there was a sign in the last minute.
    pub(in crate::run) fn see(&self, up_ms: u64, cause: Option<&str>) -> bool {
        let mut last_ms = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cause.is_some_and(|cause| cause.ends_with(WORDS)) {
            *last_ms = Some(up_ms);
        }
        last_ms.is_some_and(|last_ms| up_ms.saturating_sub(last_ms) < COUNTS_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_another_client_counts_for_a_minute() {
        let cause =
            format!("the network connection ended; soon after it was accepted, as others before: {WORDS}");
        let same = SameIdentifier::default();
        assert!(!same.see(0, Some("the network connection ended")));
        assert!(same.see(1_000, Some(&cause)) && same.see(60_999, None));
        assert!(!same.see(61_000, None) && same.see(70_000, Some(&cause)));
    }
}
