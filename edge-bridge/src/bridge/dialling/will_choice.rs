//! Choice of the will in the CONNECT: left out for some time at a hub that refuses the connection because of it, because a link without a will is
//! better than no link.

use crate::session::Closed;
use crate::wire::ReasonCode;

/// Milliseconds for which the will is left out after the hub refused a will of its kind (QoS or retain flag).
const REFUSED_MS: u64 = 86_400_000;

/// Milliseconds for which the will is left out after the hub answered "not authorized", perhaps because of the will.
const DENIED_MS: u64 = 3_600_000;

/// Milliseconds for which the will is kept after the hub refused a CONNECT without it too.
const NO_REASON_MS: u64 = 600_000;

/// Choice for one address between CONNECTs with and without the will.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct WillChoice {
    /// Up time until which the will is left out; `None` if it may be sent now.
    off_until_ms: Option<u64>,
    /// Up time before which a connection that was not authorized is not tried without the will.
    kept_until_ms: u64,
}

impl WillChoice {
    /// Returns whether the next CONNECT may have the will.
    pub(in crate::bridge) fn next(&self, now_ms: u64) -> bool {
        self.off_until_ms.is_none_or(|until_ms| now_ms >= until_ms)
    }

    /// Records the end of a connection. `given` is set if its CONNECT had a will. Returns whether the will may be the cause, so that the next
    /// CONNECT leaves it out.
    pub(in crate::bridge) fn on_over(
        &mut self,
        now_ms: u64,
        given: bool,
        accepted: bool,
        closed: &Closed,
    ) -> bool {
        let Closed::Refused(reason) = closed else { return false };
        let is_denied = *reason == ReasonCode::NOT_AUTHORIZED;
        if accepted || !given {
            if is_denied && self.off_until_ms.take().is_some() {
                // Without it we may not connect either: that is another cause.
                self.kept_until_ms = now_ms.saturating_add(NO_REASON_MS);
            }
            return false;
        }
        let off_ms = match *reason {
            // §3.1.2.6 and §3.1.2.7: whatever else the CONNECT says.
            ReasonCode::RETAIN_NOT_SUPPORTED | ReasonCode::QOS_NOT_SUPPORTED => REFUSED_MS,
            _ if is_denied && now_ms >= self.kept_until_ms => DENIED_MS,
            _ => return false,
        };
        self.off_until_ms = Some(now_ms.saturating_add(off_ms));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: ReasonCode) -> Closed {
        Closed::Refused(reason)
    }

    #[test]
    fn a_hub_that_takes_no_such_will_is_given_none_for_a_day() {
        for reason in [ReasonCode::RETAIN_NOT_SUPPORTED, ReasonCode::QOS_NOT_SUPPORTED] {
            let mut will = WillChoice::default();
            assert!(will.next(0));
            assert!(will.on_over(7, true, false, &refused(reason)));
            assert!(!will.on_over(8, false, true, &Closed::Transport));
            assert!(!will.next(7 + REFUSED_MS - 1) && will.next(7 + REFUSED_MS));
        }
    }

    /// A will on a topic that we have no right to, or a wrong password: the hub says the same of both.
    #[test]
    fn a_denied_connection_is_tried_without_it_once_and_then_not_for_a_while() {
        let denied = refused(ReasonCode::NOT_AUTHORIZED);
        let mut will = WillChoice::default();
        assert!(will.on_over(7, true, false, &denied) && !will.next(8));
        assert!(!will.on_over(9, false, false, &denied));
        assert!(will.next(9), "it was not the will");
        for now_ms in [10, 1_000, 9 + NO_REASON_MS - 1] {
            assert!(!will.on_over(now_ms, true, false, &denied) && will.next(now_ms));
        }
        assert!(will.on_over(9 + NO_REASON_MS, true, false, &denied));
        let accepted_ms = 10 + NO_REASON_MS;
        assert!(!will.on_over(accepted_ms, false, true, &Closed::Transport));
        assert!(!will.next(9 + NO_REASON_MS + DENIED_MS - 1) && will.next(9 + NO_REASON_MS + DENIED_MS));
    }

    #[test]
    fn an_end_of_another_cause_keeps_it() {
        let mut will = WillChoice::default();
        let ends = [Closed::Transport, Closed::Handshake, refused(ReasonCode::SERVER_BUSY)];
        assert!(ends.iter().all(|closed| !will.on_over(7, true, false, closed)));
        assert!(!will.on_over(8, true, true, &refused(ReasonCode::NOT_AUTHORIZED)), "it was accepted once");
        assert!(will.next(9));
    }
}
