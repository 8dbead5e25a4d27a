//! When a connection that looks alive is not (promise 5, DESIGN §3, Stall).
//!
//! A half-open link swallows what is written until TCP gives up, minutes later; a keep alive of a minute finds it after a minute and a half.
//! An unacknowledged PUBLISH is a better question, and it has been asked already.

/// Silence while something is unacknowledged, at least.
const SILENCE_MS: u64 = 3_000;
/// For the answer to the PINGREQ, at least.
const PROBE_MS: u64 = 1_000;
/// Without a PUBACK, whatever else is answered.
const NO_PROGRESS_MS: u64 = 30_000;
/// The limits grow at most by this factor: a link that never makes progress is still broken every so often.
const FACTOR_MAX: u64 = 16;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StallAction {
    /// Send one PINGREQ.
    Probe,
    /// Break the connection and dial anew.
    Break,
}

/// The stall breaker. One per link, over all its connections: its patience grows with breaks that did not help.
#[derive(Debug, Clone)]
pub struct Stall {
    /// Something has been unacknowledged since then.
    since_ms: Option<u64>,
    last_byte_ms: u64,
    last_ack_ms: u64,
    probed_ms: Option<u64>,
    /// No PUBACK for too long, or a probe is out. Not lifted by the probe's answer: who answers pings may still take nothing.
    suspect: bool,
    factor: u64,
}

impl Default for Stall {
    fn default() -> Self {
        Self { since_ms: None, last_byte_ms: 0, last_ack_ms: 0, probed_ms: None, suspect: false, factor: 1 }
    }
}

impl Stall {
    /// A new connection is up.
    pub fn on_connected(&mut self, now_ms: u64) {
        *self = Self { last_byte_ms: now_ms, last_ack_ms: now_ms, factor: self.factor, ..Self::default() };
    }

    /// Whether something is unacknowledged now; call after each change.
    pub fn set_waiting(&mut self, now_ms: u64, waiting: bool) {
        match (waiting, self.since_ms) {
            (true, None) => self.since_ms = Some(now_ms),
            (false, _) => (self.since_ms, self.probed_ms, self.suspect) = (None, None, false),
            (true, Some(_)) => {}
        }
    }

    /// A byte came from the hub.
    pub fn on_byte(&mut self, now_ms: u64) {
        self.last_byte_ms = now_ms;
        self.probed_ms = None;
    }

    /// A PUBACK came: progress.
    pub fn on_ack(&mut self, now_ms: u64) {
        self.last_ack_ms = now_ms;
        self.suspect = false;
        self.factor = 1;
    }

    /// What is due. A [`Break`](StallAction::Break) doubles the patience until the next PUBACK.
    pub fn poll(&mut self, now_ms: u64, srtt_ms: Option<u64>) -> Option<StallAction> {
        self.suspect |= now_ms >= self.doubt_at(srtt_ms)?;
        if now_ms < self.action_at(srtt_ms)? {
            return None;
        }
        self.suspect = true;
        if self.probed_ms.is_none() && now_ms < self.no_progress_at()? {
            self.probed_ms = Some(now_ms);
            return Some(StallAction::Probe);
        }
        self.factor = (self.factor * 2).min(FACTOR_MAX);
        self.since_ms = None;
        Some(StallAction::Break)
    }

    /// When to [`poll`](Self::poll): something is due, or the link becomes suspect.
    #[must_use]
    pub fn poll_timeout(&self, srtt_ms: Option<u64>) -> Option<u64> {
        let doubt_ms = if self.suspect { None } else { self.doubt_at(srtt_ms) };
        let action_ms = self.action_at(srtt_ms)?;
        Some(doubt_ms.map_or(action_ms, |doubt_ms| doubt_ms.min(action_ms)))
    }

    /// Whether the link is under suspicion: something is unacknowledged, and no PUBACK has come for as long as silence is allowed to last.
    /// Only a PUBACK lifts it.
    pub fn is_suspect(&self) -> bool {
        self.suspect
    }

    /// When it is no longer true to say that messages flow.
    fn doubt_at(&self, srtt_ms: Option<u64>) -> Option<u64> {
        Some(self.last_ack_ms.max(self.since_ms?) + SILENCE_MS.max(4 * srtt_ms.unwrap_or(0)))
    }

    /// When a probe or a break is due.
    fn action_at(&self, srtt_ms: Option<u64>) -> Option<u64> {
        let since_ms = self.since_ms?;
        let srtt_ms = srtt_ms.unwrap_or(0);
        let quiet_ms = match self.probed_ms {
            Some(probed_ms) => probed_ms + PROBE_MS.max(2 * srtt_ms) * self.factor,
            None => self.last_byte_ms.max(since_ms) + SILENCE_MS.max(4 * srtt_ms) * self.factor,
        };
        Some(quiet_ms.min(self.no_progress_at()?))
    }

    fn no_progress_at(&self) -> Option<u64> {
        Some(self.last_ack_ms.max(self.since_ms?) + NO_PROGRESS_MS * self.factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Polled when it says so, until there is something to do.
    fn next_action(stall: &mut Stall) -> (u64, StallAction) {
        loop {
            let at_ms = stall.poll_timeout(None).unwrap();
            if let Some(action) = stall.poll(at_ms, None) {
                return (at_ms, action);
            }
            assert!(stall.is_suspect(), "the timeout was for nothing");
        }
    }

    #[test]
    fn a_half_open_link_is_broken_in_four_seconds() {
        let mut stall = Stall::default();
        stall.on_connected(0);
        assert_eq!(stall.poll_timeout(None), None, "nothing is unacknowledged");
        stall.set_waiting(10_000, true);
        assert_eq!(stall.poll(12_999, None), None);
        assert_eq!(stall.poll(13_000, None), Some(StallAction::Probe));
        assert!(stall.is_suspect());
        assert_eq!(stall.poll(13_999, None), None);
        assert_eq!(stall.poll(14_000, None), Some(StallAction::Break));
    }

    #[test]
    fn a_slow_round_trip_gets_its_time() {
        let mut stall = Stall::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        assert_eq!(stall.poll_timeout(Some(2_000)), Some(8_000));
    }

    #[test]
    fn answered_pings_without_a_puback_are_a_stall_after_30_s() {
        let mut stall = Stall::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        let (mut now_ms, mut probes) = (0, 0);
        loop {
            now_ms = stall.poll_timeout(None).unwrap().max(now_ms);
            match stall.poll(now_ms, None) {
                Some(StallAction::Probe) => {
                    probes += 1;
                    stall.on_byte(now_ms + 100);
                }
                Some(StallAction::Break) => break,
                None => panic!("the timeout said so"),
            }
        }
        assert_eq!(now_ms, 30_000);
        assert!(probes >= 5, "{probes}");
    }

    #[test]
    fn neither_pings_nor_other_packets_lift_the_suspicion() {
        let mut stall = Stall::default();
        stall.on_connected(0);
        stall.set_waiting(0, true);
        (0..30).for_each(|n| stall.on_byte(n * 100));
        assert_eq!(stall.poll_timeout(None), Some(3_000), "bytes came, a PUBACK did not");
        assert_eq!(stall.poll(3_000, None), None);
        assert!(stall.is_suspect());
        assert_eq!(stall.poll_timeout(None), Some(5_900), "the probe");
        assert_eq!(stall.poll(5_900, None), Some(StallAction::Probe));
        stall.on_byte(6_000);
        assert!(stall.is_suspect());
        stall.on_ack(6_100);
        assert!(!stall.is_suspect());
    }

    #[test]
    fn patience_doubles_after_each_break_without_progress() {
        let mut stall = Stall::default();
        let mut took = Vec::new();
        for _ in 0..3 {
            stall.on_connected(0);
            stall.set_waiting(0, true);
            assert_eq!(next_action(&mut stall).1, StallAction::Probe);
            let (break_ms, action) = next_action(&mut stall);
            assert_eq!(action, StallAction::Break);
            took.push(break_ms);
        }
        assert_eq!(took, [4_000, 8_000, 16_000]);
        stall.on_ack(0);
        stall.on_connected(0);
        stall.set_waiting(0, true);
        assert_eq!(stall.poll_timeout(None), Some(3_000));
    }
}
