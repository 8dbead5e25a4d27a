//! Degraded mode while the store fails: commits are tried again after a back-off. Once `max_unwritten_bytes` of rows wait, new
//! rows are refused, or kept in RAM alone with the receipt `Volatile`, as configured.

use crate::config::OnFault;
use crate::fault::FaultKind;
use crate::model::Model;
use crate::model::usage::Size;
use crate::receipt::Receipt;
use crate::time::Now;

const RETRY_FIRST_MS: u64 = 100;
const RETRY_MAX_MS: u64 = 10_000;

/// Fault of the store, with the back-off until the next try.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    pub(crate) reason: String,
    pub(crate) since_ms: u64,
    retry_at_ms: u64,
    backoff_ms: u64,
}

/// State of degraded mode: the current fault, `None` while the store works, and the number of rows with the receipt `Volatile` so
/// far.
#[derive(Debug, Default)]
pub(crate) struct DegradedMode {
    current: Option<Fault>,
    volatile_rows: u64,
}

impl DegradedMode {
    /// Records a failed commit, and when to try again; `true` if no commit had failed before or the kind of failure differs.
    pub(crate) fn note(&mut self, kind: FaultKind, reason: String, now: &Now) -> bool {
        let before = self.current.take();
        let backoff_ms = before.as_ref().map_or(RETRY_FIRST_MS, |f| (f.backoff_ms * 2).min(RETRY_MAX_MS));
        let since_ms = before.as_ref().map_or(now.up_ms, |f| f.since_ms);
        let retry_at_ms = now.up_ms.saturating_add(backoff_ms);
        self.current = Some(Fault { kind, reason, since_ms, retry_at_ms, backoff_ms });
        before.is_none_or(|f| f.kind != kind)
    }

    /// Ends degraded mode, because the store works again.
    pub(crate) fn end(&mut self) {
        self.current = None;
    }

    pub(crate) fn current(&self) -> Option<&Fault> {
        self.current.as_ref()
    }

    pub(crate) fn is_some(&self) -> bool {
        self.current.is_some()
    }

    /// Up time in milliseconds from which a commit that is due at `due_ms` may be tried.
    pub(super) fn delay(&self, due_ms: u64) -> u64 {
        self.current.as_ref().map_or(due_ms, |fault| due_ms.max(fault.retry_at_ms))
    }

    /// Counts rows that got the receipt `Volatile` because the store fails.
    pub(super) fn add_volatile(&mut self, rows: u32) {
        self.volatile_rows = self.volatile_rows.saturating_add(rows.into());
    }

    /// Number of rows whose receipt said `Volatile` because the store failed.
    pub(crate) fn volatile_rows(&self) -> u64 {
        self.volatile_rows
    }
}

/// State of the store's current call, as far as a push is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StoreCall {
    Returns,
    /// A commit would wait for a call of the store that does not return.
    Hangs,
}

/// Room in RAM for one more unwritten row.
pub(super) enum Unwritten {
    Fits,
    CommitFirst,
    Full,
}

impl Model {
    /// Bounds the RAM of rows that no commit has taken: a row of this size finds room, waits for a commit, or is refused.
    pub(super) fn bound_unwritten(&mut self, size: Size, call: StoreCall) -> Unwritten {
        let unwritten = self.unwritten_ram();
        if unwritten == 0 || unwritten.saturating_add(size.bytes) <= self.rules.max_unwritten_bytes {
            return Unwritten::Fits;
        }
        if !self.degraded_mode.is_some() && call == StoreCall::Returns {
            return Unwritten::CommitFirst;
        }
        match self.rules.on_fault {
            OnFault::Withhold => Unwritten::Full,
            OnFault::Volatile => {
                self.give_volatile_receipts();
                Unwritten::Fits
            }
        }
    }

    fn give_volatile_receipts(&mut self) {
        let (out, fault) = (&mut self.out, &mut self.degraded_mode);
        for lane in &mut self.lanes {
            lane.tail.drain_owed(|ticket| {
                fault.add_volatile(ticket.rows);
                out.put(ticket, Receipt::Volatile);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_ever_later_up_to_ten_seconds_and_begin_anew_after_the_fault() {
        let (mut fault, mut now) = (DegradedMode::default(), Now { up_ms: 1_000, ..Now::default() });
        assert_eq!(fault.delay(7), 7);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            fault.note(FaultKind::Io, "EIO".into(), &now);
            pauses.push(fault.delay(0) - now.up_ms);
            now.up_ms = fault.delay(0);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(fault.delay(u64::MAX), u64::MAX);
        assert_eq!(fault.current().map(|f| f.since_ms), Some(1_000));
        fault.end();
        assert!(!fault.is_some() && fault.note(FaultKind::Io, String::new(), &now));
        assert_eq!(fault.delay(0) - now.up_ms, 100);
    }

    #[test]
    fn a_fault_of_another_kind_is_news_and_the_same_is_none() {
        let (mut fault, now) = (DegradedMode::default(), Now::default());
        let kinds = [FaultKind::Io, FaultKind::Io, FaultKind::DiskFull, FaultKind::DiskFull, FaultKind::Io];
        let news = kinds.map(|kind| fault.note(kind, String::new(), &now));
        assert_eq!(news, [true, false, true, false, true]);
    }
}
