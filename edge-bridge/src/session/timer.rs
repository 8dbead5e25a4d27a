//! Timers of one connection, by name.

/// Timers of a connection. All deadlines are in this one list, so that no mechanism keeps a deadline of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// Timeout of CONNECT (server) or CONNACK (client).
    Handshake = 0,
    /// Time at which a client that sent no other packet must send PINGREQ.
    KeepAlive = 1,
    /// Time at which an unanswered PINGREQ ends the connection.
    PingResponse = 2,
    /// Timeout of one and a half keep alives without a packet of the client (§3.1.2.10), and of a packet of which a part has come.
    PeerSilence = 3,
    /// Time from which on the peer ignores the PUBRELs of earlier connections.
    UnknownReleases = 4,
}

impl Timer {
    const ALL: [Timer; 5] =
        [Timer::Handshake, Timer::KeepAlive, Timer::PingResponse, Timer::PeerSilence, Timer::UnknownReleases];
}

/// Deadlines in milliseconds of the caller's clock.
#[derive(Debug, Clone, Default)]
pub(super) struct TimerTable {
    due_ms: [Option<u64>; 5],
}

impl TimerTable {
    pub(super) fn set(&mut self, timer: Timer, at_ms: u64) {
        if let Some(slot) = self.due_ms.get_mut(timer as usize) {
            *slot = Some(at_ms);
        }
    }

    /// Sets a timer, or leaves it if it expires earlier.
    pub(super) fn set_no_later(&mut self, timer: Timer, at_ms: u64) {
        if let Some(slot) = self.due_ms.get_mut(timer as usize) {
            *slot = Some(slot.map_or(at_ms, |due_ms| due_ms.min(at_ms)));
        }
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        if let Some(slot) = self.due_ms.get_mut(timer as usize) {
            *slot = None;
        }
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.due_ms.get(timer as usize).is_some_and(Option::is_some)
    }

    pub(super) fn stop_all(&mut self) {
        self.due_ms = [None; 5];
    }

    /// Returns the earliest deadline; `None` if no timer is set.
    pub(super) fn next(&self) -> Option<u64> {
        self.due_ms.iter().flatten().min().copied()
    }

    /// Takes one timer that has expired; call it until `None`.
    pub(super) fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        let due = Timer::ALL
            .into_iter()
            .find(|t| self.due_ms.get(*t as usize).copied().flatten().is_some_and(|at_ms| at_ms <= now_ms))?;
        self.stop(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_due_timer_once() {
        let mut table = TimerTable::default();
        table.set(Timer::KeepAlive, 10);
        table.set(Timer::Handshake, 5);
        assert_eq!(table.next(), Some(5));
        assert_eq!(table.pop_due(4), None);
        assert_eq!(table.pop_due(10), Some(Timer::Handshake));
        assert_eq!(table.pop_due(10), Some(Timer::KeepAlive));
        assert_eq!(table.pop_due(u64::MAX), None);
        assert_eq!(table.next(), None);
    }

    #[test]
    fn a_stopped_timer_is_not_due() {
        let mut table = TimerTable::default();
        Timer::ALL.into_iter().for_each(|timer| table.set(timer, 10));
        table.stop(Timer::Handshake);
        assert_eq!(table.pop_due(10), Some(Timer::KeepAlive));
        table.stop_all();
        assert_eq!((table.next(), table.pop_due(u64::MAX)), (None, None));
    }
}
