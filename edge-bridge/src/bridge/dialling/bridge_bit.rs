//! Bridge bit in the CONNECT of MQTT 3.1.1 (high bit of the protocol level, by which Mosquitto knows a bridge): set by default, and left out for
//! a while at a hub that refuses it.

use crate::session::Closed;

use super::version_choice::VersionChoice;

/// Milliseconds for which the bit is left out after a hub refused it.
const REFUSED_MS: u64 = 86_400_000;

/// Milliseconds for which the bit is left out after a hub closed without a CONNACK, which may also have been an outage.
const CLOSED_MS: u64 = 600_000;

/// Choice for one address between CONNECTs with and without the bridge bit.
#[derive(Debug, Clone, Default)]
pub(in crate::bridge) struct BridgeBit {
    /// Up time until which the bit is left out; `None` if it may be set now.
    off_until_ms: Option<u64>,
}

impl BridgeBit {
    /// Returns whether the next CONNECT may set the bridge bit.
    pub(in crate::bridge) fn next(&self, now_ms: u64) -> bool {
        self.off_until_ms.is_none_or(|until_ms| now_ms >= until_ms)
    }

    /// Records the end of a connection. `said` is set if its CONNECT had the bridge bit. Returns whether the bit is taken for the cause, so that
    /// the next CONNECT leaves it out.
    pub(in crate::bridge) fn on_over(
        &mut self,
        now_ms: u64,
        said: bool,
        accepted: bool,
        closed: &Closed,
    ) -> bool {
        let is_closed = matches!(closed, Closed::Transport);
        if accepted || !said {
            // Without it too the hub closes: it is no reason to leave it out.
            let is_no_reason = !accepted && is_closed;
            self.off_until_ms = self.off_until_ms.filter(|_| !is_no_reason);
            return false;
        }
        let off_ms = match closed {
            _ if VersionChoice::is_refused(closed) => REFUSED_MS,
            Closed::Transport => CLOSED_MS,
            _ => return false,
        };
        self.off_until_ms = Some(now_ms.saturating_add(off_ms));
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::ReasonCode;

    use super::*;

    const REFUSED: Closed = Closed::Refused(ReasonCode::UNSUPPORTED_PROTOCOL_VERSION);

    #[test]
    fn a_hub_that_refuses_the_bit_is_asked_without_it_for_a_day() {
        let mut bit = BridgeBit::default();
        assert!(bit.next(0));
        assert!(bit.on_over(7, true, false, &REFUSED));
        assert!(!bit.next(7));
        assert!(!bit.on_over(8, false, true, &Closed::Transport));
        assert!(!bit.next(7 + REFUSED_MS - 1) && bit.next(7 + REFUSED_MS));
    }

    #[test]
    fn a_hub_that_closes_without_a_word_is_asked_both_ways_in_turn() {
        let mut bit = BridgeBit::default();
        for now_ms in [7, 9] {
            assert!(bit.on_over(now_ms, true, false, &Closed::Transport));
            assert!(!bit.next(now_ms));
            assert!(!bit.on_over(now_ms + 1, false, false, &Closed::Transport));
            assert!(bit.next(now_ms + 1), "it is away, with and without the bit");
        }
        assert!(bit.on_over(11, true, false, &Closed::Transport));
        assert!(!bit.on_over(12, false, true, &Closed::Transport));
        assert!(!bit.next(11 + CLOSED_MS - 1) && bit.next(11 + CLOSED_MS));
    }

    #[test]
    fn an_end_of_another_cause_keeps_the_bit() {
        let mut bit = BridgeBit::default();
        let denied = Closed::Refused(ReasonCode::NOT_AUTHORIZED);
        assert!(!bit.on_over(7, true, false, &denied) && !bit.on_over(8, true, true, &Closed::Transport));
        assert!(!bit.on_over(9, true, false, &Closed::Handshake));
        assert!(bit.next(10));
    }
}
